"""A DVC remote: objects in a folder or a bucket, read, written in DVC's order, and verified.

Every DVC client takes a folder's list on a remote as proof that all its files are there, so files go first and lists
last; what is lost later is found only by looking at each, which `verify` does.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from charkh.bridges.dvc.config import DvcRemote
from charkh.bridges.dvc.layout import object_key, parse_object_key
from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import Blobs
from charkh.workspace.media import open_bucket

READ_ONLY = 0o444
PIECE = 16 * 1024 * 1024
"""Bytes asked of a bucket at once."""
_S3_OPTIONS = {
    "endpointurl": "aws_endpoint",
    "region": "aws_region",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


class Objects(Protocol):
    """Objects by name on a cache or remote."""

    def has(self, oid: str, *, legacy: bool = False) -> bool:
        """Whether it is there."""
        ...

    def read(self, oid: str, *, legacy: bool = False) -> Iterator[bytes]:
        """Its bytes, not verified.

        Raises:
            NotFound: it is not there.
        """
        ...

    def write(self, oid: str, parts: Iterable[bytes]) -> None:
        """Put it there whole, in the layout of DVC 3; one that is there stays."""
        ...

    def remove(self, oid: str) -> None:
        """Take it away; one that is not there is as well."""
        ...

    def sizes(self) -> Mapping[str, int]:
        """Every object in the layout of DVC 3 and its size in bytes."""
        ...


class FolderObjects:
    """Objects in a folder: a local cache, or a remote on a disk. Objects are read-only, as DVC makes those it trusts.

    Args:
        folder: above `files/md5`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, oid: str, *, legacy: bool = False) -> Path:
        """Where an object lies or would lie."""
        return self.folder / object_key(oid, legacy=legacy)

    def has(self, oid: str, *, legacy: bool = False) -> bool:
        return self.path(oid, legacy=legacy).is_file()

    def read(self, oid: str, *, legacy: bool = False) -> Iterator[bytes]:
        path = self.path(oid, legacy=legacy)
        try:
            with path.open("rb") as file:
                while data := file.read(PIECE):
                    yield data
        except FileNotFoundError as error:
            raise no_object(oid, str(self.folder)) from error
        except OSError as error:
            raise _refused(path, error) from error

    def write(self, oid: str, parts: Iterable[bytes]) -> None:
        path = self.path(oid)
        if path.is_file():
            return
        partial = path.with_name(f"{path.name}.{new_id()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("xb") as file:
                    for part in parts:
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                partial.chmod(READ_ONLY)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            if isinstance(error, Unavailable):
                raise
            raise _refused(path, error) from error

    def place(self, oid: str, source: Path) -> None:
        """Put a file that holds the object there, by a reflink-friendly copy."""
        if self.path(oid).is_file():
            return
        with source.open("rb") as file:
            self.write(oid, iter(lambda: file.read(PIECE), b""))

    def remove(self, oid: str) -> None:
        self.path(oid).unlink(missing_ok=True)

    def sizes(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        base = self.folder / "files" / "md5"
        for first in base.iterdir() if base.is_dir() else ():
            if len(first.name) != 2 or not first.is_dir():
                continue
            for path in first.iterdir():
                oid = parse_object_key(f"files/md5/{first.name}/{path.name}")
                if oid is not None:
                    found[oid] = path.stat().st_size
        return found


class BucketObjects:
    """Objects in a bucket."""

    def __init__(self, blobs: Blobs, where: str) -> None:
        self._blobs = blobs
        self._where = where

    def has(self, oid: str, *, legacy: bool = False) -> bool:
        return self._blobs.has(object_key(oid, legacy=legacy))

    def read(self, oid: str, *, legacy: bool = False) -> Iterator[bytes]:
        key, position = object_key(oid, legacy=legacy), 0
        while True:
            try:
                data = self._blobs.get(key, position, PIECE)
            except NotFound as error:
                raise no_object(oid, self._where) from error
            if data:
                yield data
            position += len(data)
            if len(data) < PIECE:
                return

    def write(self, oid: str, parts: Iterable[bytes]) -> None:
        self._blobs.put(object_key(oid), parts)

    def remove(self, oid: str) -> None:
        self._blobs.delete(object_key(oid))

    def sizes(self) -> Mapping[str, int]:
        listed = ((parse_object_key(info.key), info.size) for info in self._blobs.list("files/md5/"))
        return {oid: size for oid, size in listed if oid is not None}


def open_remote(remote: DvcRemote) -> Objects:
    """The objects of a remote.

    Raises:
        Invalid: it is of a kind that this bridge does not speak, or its objects lie under their own paths.
    """
    if remote.options.get("worktree") == "true" or remote.options.get("version_aware") == "true":
        raise Invalid(
            f"the remote {remote.name!r} keeps files under their own paths (worktree or version_aware)",
            code="dvc.remote_kind",
            hint="Run `dvc fetch` and import from the cache, or use a remote of the ordinary kind.",
        )
    scheme, there, rest = remote.url.partition("://")
    if not there:
        return FolderObjects(Path(remote.url))
    if scheme in {"file", "local"}:
        return FolderObjects(Path("/" + rest.lstrip("/")))
    if scheme in {"s3", "gs", "gcs", "azure", "az"}:
        url = {"gcs": "gs", "azure": "az"}.get(scheme, scheme) + f"://{rest}"
        return BucketObjects(open_bucket(url, _bucket_options(remote.options)), remote.url)
    raise Invalid(
        f"the remote {remote.name!r} is at {scheme}://…, which this bridge does not speak",
        code="dvc.remote_kind",
        hint="It speaks folders, s3://, gs:// and azure://; run `dvc fetch` for others, and import from the cache.",
    )


def no_object(oid: str, where: str) -> NotFound:
    """The error of an object that is not there."""
    return NotFound(
        f"the object {oid} is not in {where}",
        code="dvc.no_object",
        hint="Run `dvc fetch`, or import with --pull; `dvc push` in a copy that has it brings it to the remote.",
        facts={"oid": oid},
    )


def _bucket_options(options: Mapping[str, str]) -> dict[str, str]:
    return {known: options[said] for said, known in _S3_OPTIONS.items() if options.get(said)}


def _refused(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"cannot use {path}: {error.strerror or error}",
        code="dvc.unavailable",
        hint="Look at its owner, permissions and the free space.",
    )
