"""Blobs in a folder: one file an object, written beside, synced, then linked into place.

The folder is made at the first write. Files under `.writing` are puts under way or what a killed process
left; nobody lists them, and those older than a day are removed.
"""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from charkh.core.errors import CharkhError, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import BlobInfo
from charkh.stores.blob_keys import no_such_blob, parse_key, parse_prefix
from charkh.stores.durable import make_folder, sync_folder

WRITING = ".writing"
ABANDONED_SECONDS = 24 * 3600
_BUFFERS = 512
"""Buffers handed to the operating system in one call; it takes at most 1024."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class FolderBlobs:
    """The blobs port over a folder of a local or mounted file system.

    On a file system without hard links an object is renamed into place instead, and of two concurrent
    puts to one key the later wins.

    Args:
        folder: where the objects are.
        shared: files and folders get the permissions of `folder` itself, so that a group that may write there can
            read what each of its members wrote; else they are the owner's alone.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._folder = folder
        self._shared = shared
        self._root = str(folder)
        self._known_folders: set[str] = set()
        self._lock = threading.Lock()

    def has(self, key: str) -> bool:
        try:
            return stat.S_ISREG(os.stat(self._path(key)).st_mode)  # noqa: PTH116 - a hot path
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unavailable("read", key, error) from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise no_such_blob(key, self._root) from None
        except OSError as error:
            raise self._unavailable("read", key, error) from error
        try:
            size = os.fstat(descriptor).st_size
            begin = max(0, size + start) if start < 0 else min(start, size)
            end = size if length is None else min(size, begin + length)
            return _read(descriptor, begin, end)
        except IsADirectoryError:
            raise no_such_blob(key, self._root) from None
        except OSError as error:
            raise self._unavailable("read", key, error) from error
        finally:
            os.close(descriptor)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        target = self._path(key)
        waiting = f"{self._root}/{WRITING}/{new_id()}"
        try:
            if os.path.exists(target):  # noqa: PTH110 - a hot path
                # Whoever wrote it may not have synced the name yet.
                sync_folder(Path(target).parent)
                return
            self._make_parent(waiting)
            self._make_parent(target)
            descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                try:
                    _write(descriptor, parts)
                    if self._shared:
                        os.fchmod(descriptor, self._mode() & 0o666)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                _place(waiting, target)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(waiting)  # noqa: PTH108 - a hot path
            sync_folder(Path(target).parent)
        except CharkhError:
            raise
        except OSError as error:
            raise self._unavailable("write", key, error) from error

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        folder = parse_prefix(prefix).rpartition("/")[0]
        start = f"{self._root}/{folder}" if folder else self._root
        try:
            for info in _files(start, f"{folder}/" if folder else ""):
                if info.key.startswith(prefix):
                    yield info
        except OSError as error:
            raise self._unavailable("list", prefix or ".", error) from error

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            os.unlink(path)  # noqa: PTH108 - a hot path
            sync_folder(Path(path).parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._unavailable("delete", key, error) from error

    def _path(self, key: str) -> str:
        return f"{self._root}/{parse_key(key)}"

    def _make_parent(self, path: str) -> None:
        """The folder of `path`, made durably; once a process for each."""
        parent = path.rpartition("/")[0]
        if parent in self._known_folders:
            return
        with self._lock:
            if self._shared:
                self._make_shared(Path(parent))
            make_folder(Path(parent))
            if parent.endswith(WRITING):
                _remove_abandoned(parent)
            self._known_folders.add(parent)

    def _make_shared(self, parent: Path) -> None:
        """The folders below the root with the root's own permissions, whatever the process's mask."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in reversed([parent, *parent.parents]):
            if self._folder in folder.parents and not folder.exists():
                folder.mkdir(exist_ok=True)
                folder.chmod(self._mode())

    def _mode(self) -> int:
        return stat.S_IMODE(self._folder.stat().st_mode)

    def _unavailable(self, verb: str, key: str, error: OSError) -> Unavailable:
        with self._lock:
            self._known_folders.clear()
        return Unavailable(
            f"cannot {verb} {self._root}/{key}: {error.strerror or error}",
            code="blobs.unavailable",
            hint="Look at the disk and at who may read the folder."
            if verb == "read"
            else "Free some space, or look at the disk and at who owns the folder; what was stored before is kept.",
            facts={"key": key, "errno": error.errno},
        )


def _read(descriptor: int, begin: int, end: int) -> bytes:
    data = os.pread(descriptor, end - begin, begin)
    if len(data) == end - begin:
        return data
    found = [data]
    begin += len(data)
    while begin < end and (data := os.pread(descriptor, end - begin, begin)):
        found.append(data)
        begin += len(data)
    return b"".join(found)


def _write(descriptor: int, parts: Iterable[bytes | memoryview]) -> None:
    waiting: list[bytes | memoryview] = []
    for part in parts:
        waiting.append(part)
        if len(waiting) == _BUFFERS:
            _write_all(descriptor, waiting)
            waiting = []
    _write_all(descriptor, waiting)


def _write_all(descriptor: int, buffers: list[bytes | memoryview]) -> None:
    remaining = sum(map(len, buffers))
    while remaining:
        written = os.writev(descriptor, buffers)
        remaining -= written
        while remaining and written:
            first = len(buffers[0])
            if written < first:
                buffers[0] = memoryview(buffers[0])[written:]
                break
            written -= first
            del buffers[0]


def _place(waiting: str, target: str) -> None:
    """Give the written file its name, unless the name is taken: then the object is there already."""
    try:
        os.link(waiting, target)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(waiting, target)  # noqa: PTH104


def _files(folder: str, prefix: str) -> Iterator[BlobInfo]:
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{prefix}{entry.name}/")
                continue
            status = entry.stat()
        except FileNotFoundError:
            continue
        yield BlobInfo(prefix + entry.name, status.st_size, status.st_mtime)


def _remove_abandoned(folder: str) -> None:
    oldest = time.time() - ABANDONED_SECONDS
    for path in Path(folder).iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
