"""Check a version out into a folder: whole files, atomically, and never over what a person changed.

Where the bytes come from: many small files straight from the packs, in the order in which they lie there; a cache would
only add a file to each file. Large files come out of the hot cache where it has them and the file system can clone, or
are put there on the way where it can: a clone costs nothing, and the next checkout is one. Where it cannot clone, the
cache would double what is written, so it is filled on request alone. A hard link is made on request alone, too: who
writes into it writes into the cache.
"""

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from charkh.core.errors import CharkhError, Conflict, NotFound, Unavailable
from charkh.core.files import TreeEntry
from charkh.core.refs import parse_path
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.file_cache import FileCache
from charkh.datasets.index import DatasetVersions
from charkh.datasets.placing import Placing
from charkh.datasets.put import together
from charkh.datasets.stat_cache import Learnt, StatCache
from charkh.datasets.walk import PARTIAL, LocalFile, local_file
from charkh.ports.store import Store
from charkh.ports.vault import Progress

_SHOWN = 10
ABANDONED_SECONDS = 3600
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-.]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9_\-.]{0,99}){0,9}")
"""Most paths are so; the full grammar costs more than writing a small file does."""


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout did.

    Attributes:
        written: files that were put there, in whatever way.
        size: their bytes.
        unchanged: files that were there already.
        cloned: those of the written that share their blocks with the cache.
        linked: those of the written that are the cache's own files under a second name, read-only.
    """

    written: int
    size: int
    unchanged: int
    cloned: int = 0
    linked: int = 0


def checkout(
    store: Store,
    version: DatasetVersion,
    folder: Path,
    *,
    paths: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
    cache: FileCache | None = None,
    fill: bool = False,
    link: bool = False,
    stats: StatCache | None = None,
) -> CheckedOut:
    """Put the version's files into `folder`; other files there stay as they are.

    A file that is exactly what some version of the dataset has at its path may be replaced, because it can be
    had again; with anything else nothing is written at all. Run again after an interruption, it goes on.

    Args:
        store: where the version is.
        version: of the dataset.
        folder: made when it is not there.
        paths: only these files, or the files below these folders of the dataset.
        force: replace files that a person changed, too.
        progress: called with the bytes written since the last call.
        cache: whole files on this disk.
        fill: put what the cache lacks into it first, and take every file from there.
        link: give the cache's files a second name instead of copying them; they are read-only then. Implies `fill`.
        stats: what files on disk held when they were last read; those that did not change are not read.

    Raises:
        NotFound: a path names nothing in the version, or bytes are not here.
        Conflict: files in the folder were changed.
        Denied: a link in the folder would lead the files elsewhere.
        Unavailable: the folder or the cache cannot be written, or links are not possible between the two.
    """
    chosen = _Chosen(store, version, paths)
    try:
        there = _There(folder, stats)
        same = there.compare(chosen) if there.any else set[str]()
        if there.other and not force:
            _refuse_changed(store, version, folder, there.other)
        placing = Placing(store.vault, folder, cache, fill=fill, link=link, progress=progress)
        for batch in together(entry for entry in chosen if entry.path not in same):
            placing.place(batch)
    except OSError as error:
        if isinstance(error, CharkhError):
            raise
        raise Unavailable(
            f"cannot write to {folder}: {error.strerror or error}",
            code="dataset.folder_unavailable",
            hint="Look at its permissions and free space, and run it again: what is done is kept.",
        ) from error
    return CheckedOut(
        written=placing.written,
        size=placing.size,
        unchanged=len(same),
        cloned=placing.cloned,
        linked=placing.linked,
    )


class _Chosen(Iterable[TreeEntry]):
    """The entries to check out, by path, as often as they are asked for.

    Raises:
        NotFound: a path names nothing in the version.
    """

    def __init__(self, store: Store, version: DatasetVersion, paths: Sequence[str]) -> None:
        self._store = store
        self._root = version.made.tree.root
        self._wanted = tuple(path.rstrip("/") for path in paths)
        if not paths:
            return
        missing = dict.fromkeys(self._wanted)
        for entry in self:
            for path in [path for path in missing if _is_in(entry.path, path)]:
                del missing[path]
            if not missing:
                return
        raise NotFound(
            f"{version.ref} has no {next(iter(missing))}",
            code="dataset.no_such_file",
            hint=f"`charkh dataset show {version.ref} --files` lists its files.",
        )

    def __iter__(self) -> Iterator[TreeEntry]:
        for entry in self._store.vault.entries(self._root):
            if not _PLAIN.fullmatch(entry.path):
                parse_path(entry.path)
            if not self._wanted or any(_is_in(entry.path, path) for path in self._wanted):
                yield entry


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


class _There:
    """What is in the folder already.

    Attributes:
        any: whether anything is.
        other: paths at which something else is than the version has, after `compare`.
    """

    def __init__(self, folder: Path, stats: StatCache | None) -> None:
        self._folder = folder
        self._stats = stats
        self._names: tuple[str, set[str]] = ("", set())
        self.any = bool(self._listed(""))
        self._names = ("/", set())
        self.other: list[str] = []

    def compare(self, entries: Iterable[TreeEntry]) -> set[str]:
        """The paths at which the folder has just what it should have."""
        same: set[str] = set()
        for batch in together(entry for entry in entries if self._is_taken(entry.path)):
            found: list[tuple[LocalFile, TreeEntry]] = []
            for entry in batch:
                file = self._ordinary(entry)
                if file is None or file.size != entry.file.size:
                    self.other.append(entry.path)
                else:
                    found.append((file, entry))
            same.update(self._equal(found))
        return same

    def _equal(self, found: Sequence[tuple[LocalFile, TreeEntry]]) -> Iterator[str]:
        known = self._stats.look_up([file for file, _entry in found]) if self._stats else [None] * len(found)
        learnt: list[Learnt] = []
        for (file, entry), what in zip(found, known, strict=True):
            equal = (what.file.digest if what else _digest_of(file.disk)) == entry.file.digest
            if equal:
                yield entry.path
                if what is None:
                    learnt.append(Learnt(file, entry.file))
            else:
                self.other.append(entry.path)
        if self._stats is not None:
            self._stats.learn(learnt)

    def _is_taken(self, path: str) -> bool:
        inside, _slash, name = path.rpartition("/")
        if self._names[0] != inside:
            self._names = inside, self._listed(inside)
        return name in self._names[1]

    def _listed(self, inside: str) -> set[str]:
        """The names in a folder; what a killed checkout left there long ago is removed."""
        names: set[str] = set()
        try:
            with os.scandir(f"{self._folder}/{inside}") as scanned:
                for entry in scanned:
                    if not entry.name.startswith(PARTIAL):
                        names.add(entry.name)
                    elif entry.stat(follow_symlinks=False).st_mtime < time.time() - ABANDONED_SECONDS:
                        os.unlink(entry.path)  # noqa: PTH108 - an entry has a text
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return names

    def _ordinary(self, entry: TreeEntry) -> LocalFile | None:
        """The ordinary file at an entry's path; None for anything else."""
        place, seen = f"{self._folder}/{entry.path}", time.time_ns()
        status = os.lstat(place)
        return local_file(entry.path, place, status, seen) if stat.S_ISREG(status.st_mode) else None


def _digest_of(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    return hasher.hexdigest()


def _refuse_changed(store: Store, version: DatasetVersion, folder: Path, taken: Sequence[str]) -> None:
    if not taken:
        return
    known = _known_contents(store, version, set(taken))
    changed = [path for path in taken if not _is_known(folder / path, known.get(path, set()))]
    if changed:
        shown = ", ".join(changed[:_SHOWN]) + (f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else "")
        raise Conflict(
            f"files in {folder} are not what any version of {version.made.name} has: {shown}",
            code="dataset.changed_files",
            hint="Add them as a version, move them away, or replace them with --force.",
            facts={"paths": changed},
        )


def _known_contents(store: Store, version: DatasetVersion, paths: set[str]) -> dict[str, set[str]]:
    """The digests that live versions of the dataset have at these paths."""
    known: dict[str, set[str]] = {}
    roots = {each.made.tree.root for each in store.queries.ask(DatasetVersions(name=version.made.name))}
    for root in sorted(roots):
        for entry in store.vault.entries(root):
            if entry.path in paths:
                known.setdefault(entry.path, set()).add(entry.file.digest)
    return known


def _is_known(path: Path, digests: set[str]) -> bool:
    return not path.is_symlink() and path.is_file() and _digest_of(path) in digests
