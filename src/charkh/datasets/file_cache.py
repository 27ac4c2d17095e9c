"""Files of the vault on local disk, so that a scan streams from them: bounded, shared by processes, rebuildable."""

import os
import threading
from pathlib import Path

from charkh.core.errors import Unavailable
from charkh.core.files import TreeEntry
from charkh.core.ids import new_id
from charkh.ports.vault import Vault

DEFAULT_LIMIT = 10 * 1024**3


class FileCache:
    """Whole files by digest in one folder; the least recently used go when there are too many bytes.

    What this process has been given a path to stays: a scan may open it later.

    Args:
        folder: where they lie; made when it is needed.
        limit: bytes to keep at most, beside what is in use.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._used: set[str] = set()
        self._lock = threading.Lock()

    def path_of(self, vault: Vault, entry: TreeEntry) -> Path:
        """A file with the entry's content and its suffix, filled from the vault at the first use.

        Raises:
            NotFound: the bytes are not in the vault.
            Corrupt: they are not what their digest says.
            Unavailable: the folder cannot be written.
        """
        name = entry.file.digest + Path(entry.path).suffix.lower()
        path = self._folder / name
        with self._lock:
            self._used.add(name)
        try:
            if not (path.is_file() and path.stat().st_size == entry.file.size):
                self._fill(vault, entry, path)
            os.utime(path)
        except OSError as error:
            raise Unavailable(
                f"cannot use the cache {self._folder}: {error.strerror or error}",
                code="dataset.cache",
                hint="Free some space there, or let [store] path name another disk.",
            ) from error
        return path

    def _fill(self, vault: Vault, entry: TreeEntry, path: Path) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._evict(entry.file.size)
        partial = self._folder / f".{new_id()}"
        try:
            with partial.open("wb") as file:
                for chunk in vault.read(entry.file):
                    file.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _evict(self, coming: int) -> None:
        """Make room for `coming` bytes; a file that another process removes meanwhile is gone all the same."""
        kept: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            kept.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in kept) + coming - self._limit
        for _, size, path in sorted(kept):
            if excess <= 0:
                return
            if path.name not in self._used and not path.name.startswith("."):
                path.unlink(missing_ok=True)
                excess -= size
