"""Text tables as columns on local disk, so that a second scan parses no text: bounded, rebuildable, never pushed.

A CSV or JSON Lines file is rewritten once as Parquet, with the types that its version says. It is found again by the
file's digest, by what its chunks are now and by how it is read; so after an erasure nothing older is found, and what is
left of it is deleted at the next look. What was damaged is made anew.
"""

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import polars as pl
from blake3 import blake3

from charkh.assets.hashing import hash_threads
from charkh.core.errors import Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.core.ids import new_id
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.file_cache import ABANDONED_SECONDS, FileCache
from charkh.datasets.formats import format_of
from charkh.ports.store import Store
from charkh.ports.vault import Vault

DEFAULT_LIMIT = 5 * 1000**3
LEAST = 64 * 1024
"""A text of fewer bytes is parsed each time: rewriting it gains nothing."""


class TableCache:
    """Parquet copies of text tables in one folder; the least recently used go when there are too many bytes.

    Args:
        folder: where they lie; made when it is needed.
        files: where the texts lie while they are rewritten, and files that are Parquet already.
        limit: bytes to keep at most, beside what this process has been given.
    """

    def __init__(self, folder: Path, files: FileCache, limit: int = DEFAULT_LIMIT) -> None:
        self.files = files
        self._folder = folder
        self._limit = limit
        self._given: dict[str, Path] = {}
        self._lock = threading.Lock()

    def find(self, store: Store, version: DatasetVersion, entry: TreeEntry) -> Path | None:
        """The columns of a text file of the version, where they are here and whole; else None."""
        name = _name(store.vault, version, entry)
        with self._lock:
            given = self._given.get(name)
        if given is not None and given.is_file():
            return given
        path = self._look(name)
        if path is not None:
            with self._lock:
                self._given[name] = path
            os.utime(path)
        return path

    def keep(self, store: Store, version: DatasetVersion, entry: TreeEntry, rows: pl.LazyFrame) -> Path:
        """Write the columns of a text file of the version.

        Args:
            store: where the version lies.
            version: whose types the rows have.
            entry: the text file.
            rows: all of it, with the file's own names.

        Raises:
            Unavailable: the folder cannot be written.
            PolarsError: the text cannot be parsed.
        """
        name = _name(store.vault, version, entry)
        partial = self._folder / f".{new_id()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            rows.sink_parquet(partial, compression="lz4", engine="streaming")
            path = self._folder / f"{name}.{_digest_of(partial)}.parquet"
            self._make_room(partial.stat().st_size)
            partial.replace(path)
        except OSError as error:
            raise Unavailable(
                f"cannot use the cache {self._folder}: {error.strerror or error}",
                code="dataset.cache",
                hint="Free some space there, or let [store] path name another disk.",
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        with self._lock:
            self._given[name] = path
        return path

    def forget(self, digests: Iterable[str]) -> int:
        """Delete the columns of files with these digests; how many were here."""
        gone = 0
        for digest in digests:
            for path in self._folder.glob(f"{digest}.*.parquet"):
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def verify(self) -> list[str]:
        """Read every file and delete those that are not what they were; the digests of their texts."""
        damaged: list[str] = []
        for path in sorted(self._folder.glob("*.parquet")):
            parts = path.name.split(".")
            if len(parts) != 5 or _digest_of(path) != parts[3]:
                path.unlink(missing_ok=True)
                damaged.append(parts[0])
        return damaged

    def _look(self, name: str) -> Path | None:
        """The file of this name whose bytes are what its name says; others of its content are deleted."""
        found: Path | None = None
        digest, content, _ = name.split(".")
        for path in sorted(self._folder.glob(f"{digest}.*.parquet")):
            parts = path.name.split(".")
            if parts[1] != content or (path.name.startswith(f"{name}.") and _digest_of(path) != parts[3]):
                path.unlink(missing_ok=True)
            elif path.name.startswith(f"{name}."):
                found = path
        return found

    def _make_room(self, coming: int) -> None:
        for left in self._folder.glob(".*"):
            # What a process that was killed left behind while it wrote.
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                left.unlink(missing_ok=True)
        kept: list[tuple[float, int, Path]] = []
        with self._lock:
            given = {path.name for path in self._given.values()}
        for path in self._folder.glob("*.parquet"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            kept.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in kept) + coming - self._limit
        for _, size, path in sorted(kept):
            if excess <= 0:
                return
            if path.name not in given:
                path.unlink(missing_ok=True)
                excess -= size


def is_rewritten(entry: TreeEntry) -> bool:
    """Whether a file is a text that is worth rewriting."""
    return entry.file.size >= LEAST and format_of(entry.path) in {"csv", "jsonl"}


def _name(vault: Vault, version: DatasetVersion, entry: TreeEntry) -> str:
    """`DIGEST.CONTENT.FORM`: of the file, of its chunks as they are read now, and of how it is read."""
    form = msgspec.msgpack.encode(
        (Path(entry.path).suffix.lower(), version.made.reading, version.made.schema, pl.__version__)
    )
    return f"{entry.file.digest}.{_content(vault, entry.file)}.{blake3(form).hexdigest(16)}"


def _content(vault: Vault, file: FileRef) -> str:
    hasher = blake3()
    for digest, _ in vault.chunks(file):
        hasher.update(bytes.fromhex(digest))
    return hasher.hexdigest(16)


def _digest_of(path: Path) -> str:
    return blake3(max_threads=hash_threads()).update_mmap(path).hexdigest(16)
