"""From what DVC says of an output to its files in the vault: by the cache, or by a remote where that is asked for."""

from pathlib import Path

from charkh.bridges.contents import Contents
from charkh.bridges.dvc.hashes import DIRECTORY, DirectoryEntry, hasher, is_directory, oid_of, parse_directory
from charkh.bridges.dvc.remote import Objects, no_object, open_remote
from charkh.bridges.dvc.repository import DvcRepository, Tracked
from charkh.bridges.histories import Brought, MissingObjects
from charkh.core.errors import Corrupt, NotFound
from charkh.core.files import TreeEntry
from charkh.core.refs import parse_path

HOW = "`dvc fetch` or --pull gets them"


class OutputContents:
    """Contents of outputs for one import.

    Args:
        repository: whose outputs.
        contents: takes them.
        pull: get what the cache lacks from the remote.
        remote: its name; the output's own or the default one otherwise.
    """

    def __init__(self, repository: DvcRepository, contents: Contents, *, pull: bool, remote: str) -> None:
        self._repository, self._contents = repository, contents
        self._pull, self._remote = pull, remote
        self._remotes: dict[str, Objects] = {}

    def bring(self, tracked: Tracked, folder: Path) -> Brought:
        """The files of an output and where they lie on disk.

        Args:
            tracked: the output.
            folder: takes what comes from the remote.

        Raises:
            MissingObjects: some are nowhere.
            Corrupt: an object is not what its name says.
        """
        output = tracked.output
        name = tracked.path.rpartition("/")[2]
        if is_directory(output.oid):
            listed = self._directory(output.oid, output.remote, legacy=output.legacy)
        else:
            listed = output.files or (DirectoryEntry(name, output.oid),)
        entries: list[TreeEntry] = []
        places: dict[str, Path] = {}
        missing: list[str] = []
        for path, oid in listed:
            place = self._place(oid, legacy=output.legacy)
            taken = hasher(legacy=output.legacy)
            try:
                if place is not None:
                    ref = self._contents.take(place, path, taken, oid)
                else:
                    place = folder / oid
                    parts = self._objects(output.remote).read(oid, legacy=output.legacy) if self._pull else iter(())
                    if not self._pull:
                        raise no_object(oid, "the cache")
                    ref = self._contents.bring(parts, place, path, taken, oid)
            except NotFound:
                missing.append(oid)
                continue
            entries.append(TreeEntry(parse_path(path), ref, output.executable and not output.is_folder))
            places[entries[-1].path] = place
        if missing:
            raise MissingObjects(missing, HOW)
        self._contents.settle()
        return Brought(entries, places)

    def _directory(self, oid: str, remote: str, *, legacy: bool) -> tuple[DirectoryEntry, ...]:
        place = self._place(oid, legacy=legacy)
        if place is not None:
            data = place.read_bytes()
        elif self._pull:
            try:
                data = b"".join(self._objects(remote).read(oid, legacy=legacy))
            except NotFound as error:
                raise MissingObjects([oid], HOW) from error
        else:
            raise MissingObjects([oid], HOW)
        if oid_of(data) + DIRECTORY != oid:
            raise Corrupt(
                f"the folder list {oid} is not what its name says",
                code="dvc.bad_directory",
                hint="Delete it from the DVC cache and run `dvc fetch`.",
            )
        return parse_directory(data, oid)

    def _place(self, oid: str, *, legacy: bool) -> Path | None:
        """Where the cache has an object: in the layout of its kind, or else in the other one."""
        ways = (legacy, not legacy)
        places = (self._repository.cache.path(oid, legacy=way) for way in ways)
        return next((place for place in places if place.is_file()), None)

    def _objects(self, remote: str) -> Objects:
        name = self._remote or remote
        if name not in self._remotes:
            self._remotes[name] = open_remote(self._repository.remote(name))
        return self._remotes[name]
