"""Where the artifacts of an MLflow store lie: folders of this machine, a server's proxy, or a bucket.

An address in a store was written by whoever wrote the store. A folder is read only where it is one that MLflow makes
itself, `…/RUN/artifacts` or `…/models/LOGGED/artifacts` of the very run or model; links that lead out of it are left
out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from charkh.bridges.mlflow.exchanged import Files, FoundFile
from charkh.core.errors import NotFound, Unavailable

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(.*)", re.DOTALL)
BUCKETS = frozenset({"s3", "s3a", "gs", "az", "abfs", "abfss", "wasb", "wasbs"})
PROXY = "mlflow-artifacts"


def scheme_of(location: str) -> str:
    """The scheme of an address; empty for a plain path."""
    match = ADDRESS.fullmatch(location)
    return match.group(1).lower() if match else ""


def is_foreign(location: str) -> bool:
    """Whether artifacts lie where clients find them themselves, such as in a bucket."""
    return scheme_of(location) not in {"", "file", PROXY}


def local_folder(location: str) -> Path | None:
    """The folder of this machine that an address means, or None."""
    scheme = scheme_of(location)
    if scheme == "file":
        return Path(unquote(urlsplit(location).path))
    return Path(location) if not scheme and location else None


class Places:
    """Finds the files at addresses.

    Args:
        roots: folders below which `EXPERIMENT/RUN/artifacts` lies where the address itself leads nowhere: the file
            store, or what a server was started with as the root of its artifacts.
        buckets: read object stores, too, with the credentials of this environment.
    """

    def __init__(self, roots: Iterable[Path] = (), *, buckets: bool = False) -> None:
        self._roots = tuple(roots)
        self._buckets = buckets

    def files(self, location: str, owner: str) -> Files | str:
        """See `charkh.bridges.mlflow.exchanged.Source.files`."""
        scheme, tail = scheme_of(location), owned_tail(location, owner)
        if not tail:
            return "their address is none that MLflow makes for them" if location else "they have no address"
        if scheme in BUCKETS:
            return self._bucket(location)
        if scheme not in {"", "file", PROXY}:
            return f"addresses of {scheme}: are out of reach: charkh reads folders and buckets"
        folder = local_folder(location) if scheme != PROXY else None
        for candidate in [folder, *(root / tail for root in self._roots)]:
            if candidate is not None and candidate.is_dir():
                return FolderFiles(candidate)
        if scheme == PROXY:
            if self._roots:
                return FolderFiles(self._roots[0] / tail)
            return "a server keeps them: name their folder with --artifact-root, or import from the server"
        return FolderFiles(folder) if folder is not None else "they have no address"

    def _bucket(self, location: str) -> Files | str:
        if not self._buckets:
            return "they lie in a bucket, and stay there; --artifacts brings the bytes"
        # obstore is loaded by whoever reads a bucket.
        from charkh.bridges.mlflow.importing.bucket import BucketFiles

        return BucketFiles(location)


def owned_tail(location: str, owner: str) -> str:
    """The end of an address from the experiment on, `EXPERIMENT/RUN/artifacts…`; empty where it is no such one."""
    path = unquote(urlsplit(location).path) if scheme_of(location) else location
    parts = [part for part in path.split("/") if part]
    if any(part in {".", ".."} for part in parts):
        return ""
    for place in range(1, len(parts)):
        if parts[place] == "artifacts" and parts[place - 1] == owner:
            start = place - (3 if parts[place - 2 : place - 1] == ["models"] else 2)
            return "/".join(parts[max(0, start) :])
    return ""


class FolderFiles:
    """The files of a folder."""

    local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self) -> list[FoundFile]:
        """See `charkh.bridges.mlflow.exchanged.Files`; a folder that was never made has none."""
        found: list[FoundFile] = []
        root = self._folder.resolve()
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    if path.resolve().is_relative_to(root) and path.is_file():
                        found.append(FoundFile(path.relative_to(root).as_posix(), path.stat().st_size))
                except OSError as error:
                    raise _unreadable(path, error) from error
        return found

    def take(self, path: str, scratch: Path) -> Path:  # noqa: ARG002 - no copy is made
        """The file itself."""
        file = self._folder / path
        if not file.is_file():
            raise NotFound(f"there is no file {file}", code="mlflow.no_artifact", hint="It was removed meanwhile.")
        return file


def _unreadable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"{path} cannot be read: {error.strerror}",
        code="mlflow.unreadable",
        hint="Look at its permissions, and import again: what is here stays.",
    )
