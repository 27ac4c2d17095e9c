"""Blobs in one file, for a stick or a mail: objects one behind another (docs/formats/remotes.md).

An object is there when the mark behind it is: a killed writer leaves a tail that the next one cuts. What is deleted is
overwritten with zeros at once, so that erased bytes are gone, and the file is written anew when more of it is dead than
alive.
"""

import contextlib
import fcntl
import os
import secrets
import struct
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from charkh.core.errors import CharkhError, Invalid, Unavailable
from charkh.core.frames import crc32c
from charkh.core.ids import new_id
from charkh.ports.blobs import BlobInfo
from charkh.stores.blob_keys import MAX_KEY, no_such_blob, parse_key, parse_prefix
from charkh.stores.durable import sync_folder

MAGIC = b"charkhBU"
VERSION = 1
BEGIN = struct.Struct("<8sHHI16s")
"""Magic, version, flags, zero, and the file's own random id."""
HEAD = struct.Struct("<16sBBHQd")
"""The file's id, kind, zero, bytes of key and of content, time of writing; key and CRC-32C over both follow."""
CHECK = struct.Struct("<I")
END = b"\x00there\xffok"
OBJECT = 1
DELETED = 2
"""A record whose content is the position of the head of the object that it deletes."""
POSITION = struct.Struct("<Q")
AT_ONCE = 4 * 1024 * 1024
LEAST_DEAD = 16 * 1024 * 1024
"""Fewer dead bytes are no reason to write the file anew."""


class _Object(NamedTuple):
    head: int
    data: int
    size: int
    modified: float


class _Record(NamedTuple):
    """A record as it was found: what it is, and where the next begins."""

    kind: int
    key: str
    data: int
    size: int
    modified: float
    end: int


class BundleBlobs:
    """The blobs port over one file, which is made at the first write.

    Processes take turns in writing with a lock on the file; readers need none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._descriptor = -1
        self._inode = (0, 0)
        self._id = b""
        self._objects: dict[str, _Object] = {}
        self._end = 0
        self._dead = 0

    def has(self, key: str) -> bool:
        with self._reading(parse_key(key)):
            return key in self._objects

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self._reading(parse_key(key)):
            found = self._objects.get(key)
            if found is None:
                raise no_such_blob(key, str(self._path))
            begin = max(0, found.size + start) if start < 0 else min(start, found.size)
            end = found.size if length is None else min(found.size, begin + length)
            return _read(self._descriptor, found.data + begin, end - begin)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        parse_key(key)
        # Whatever makes the parts may fail; it does so before anything is written.
        listed = list(parts)
        with self._writing(key):
            if key not in self._objects:
                self._append(OBJECT, key, listed)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        parse_prefix(prefix)
        with self._reading(prefix or "/"):
            found = [(key, each) for key, each in self._objects.items() if key.startswith(prefix)]
        return iter([BlobInfo(key, each.size, each.modified) for key, each in found])

    def delete(self, key: str) -> None:
        if not self.has(key):
            return
        with self._writing(key):
            found = self._objects.get(key)
            if found is None:
                return
            self._append(DELETED, key, [POSITION.pack(found.head)])
            self._wipe(found)
            if self._dead > max(LEAST_DEAD, self._end - self._dead):
                self._write_anew()

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)

    @contextlib.contextmanager
    def _reading(self, key: str) -> Generator[None]:
        with self._lock, self._translated("read", key):
            if self._opened(create=False):
                self._learn()
            yield

    @contextlib.contextmanager
    def _writing(self, key: str) -> Generator[None]:
        with self._lock, self._translated("write", key):
            while True:
                self._opened(create=True)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                if self._is_current():
                    break
                # Somebody wrote the file anew while this one waited.
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            try:
                self._learn()
                os.ftruncate(self._descriptor, self._end)
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _opened(self, *, create: bool) -> bool:
        if self._descriptor >= 0 and self._is_current():
            return True
        self.close()
        self._objects, self._end, self._dead = {}, 0, 0
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if not create:
                return False
            self._begin()
        except PermissionError:
            # A stick may be read only.
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self._inode = (status.st_dev, status.st_ino)
        self._read_begin()
        return True

    def _is_current(self) -> bool:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - a hot path
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    def _begin(self) -> None:
        """An empty file, whole or not at all, whichever of several writers comes first."""
        waiting = self._path.with_name(f".{self._path.name}-{new_id()}")
        waiting.write_bytes(BEGIN.pack(MAGIC, VERSION, 0, 0, secrets.token_bytes(16)))
        try:
            with contextlib.suppress(FileExistsError):
                try:
                    os.link(waiting, self._path)
                except PermissionError:
                    # A file system without links, as sticks have.
                    if not self._path.exists():
                        waiting.replace(self._path)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            os.fsync(self._descriptor)
            sync_folder(self._path.parent)
        finally:
            waiting.unlink(missing_ok=True)

    def _read_begin(self) -> None:
        begin = _read(self._descriptor, 0, BEGIN.size)
        if len(begin) < BEGIN.size or not begin.startswith(MAGIC):
            raise Invalid(
                f"{self._path} is no bundle of charkh",
                code="remote.not_a_bundle",
                hint="Name another file, or a new one.",
            )
        _magic, version, _flags, _zero, self._id = BEGIN.unpack(begin)
        if version != VERSION:
            raise Invalid(
                f"{self._path} is a bundle of version {version}; this charkh reads {VERSION}",
                code="remote.too_new",
                hint="Upgrade with: pip install --upgrade charkh",
            )
        self._end = BEGIN.size

    def _learn(self) -> None:
        """Read the heads of what was appended since."""
        size = os.fstat(self._descriptor).st_size
        while self._end < size:
            record = self._record(self._end, size) or self._next_record(size)
            if record is None:
                return
            self._keep(record)
            self._end = record.end

    def _keep(self, record: _Record) -> None:
        head = record.end - record.size - len(END) - HEAD.size - len(record.key) - CHECK.size
        if record.kind == OBJECT:
            self._objects[record.key] = _Object(head, record.data, record.size, record.modified)
        elif record.kind == DELETED and record.size == POSITION.size:
            (deleted,) = POSITION.unpack(_read(self._descriptor, record.data, POSITION.size))
            found = self._objects.get(record.key)
            if found is not None and found.head == deleted:
                del self._objects[record.key]
                self._dead += found.size
                # Whoever deleted it may have been killed before the bytes were gone.
                if any(_read(self._descriptor, found.data, min(64, found.size))):
                    with contextlib.suppress(OSError):
                        self._zero(found)

    def _record(self, position: int, size: int) -> _Record | None:
        """The record at a position; None where none begins or it was not finished."""
        head = _read(self._descriptor, position, HEAD.size + MAX_KEY + CHECK.size)
        if len(head) < HEAD.size:
            return None
        identity, kind, _zero, key_length, length, modified = HEAD.unpack_from(head)
        behind = HEAD.size + key_length
        if identity != self._id or key_length > MAX_KEY or len(head) < behind + CHECK.size:
            return None
        data = position + behind + CHECK.size
        end = data + length + len(END)
        if CHECK.unpack_from(head, behind)[0] != crc32c(head[:behind]) or end > size:
            return None
        if _read(self._descriptor, end - len(END), len(END)) != END:
            return None
        return _Record(kind, head[HEAD.size : behind].decode(), data, length, modified, end)

    def _next_record(self, size: int) -> _Record | None:
        """The next whole record behind a damaged one; None where all that follows is an unfinished tail."""
        position = self._end + 1
        while position < size:
            block = _read(self._descriptor, position, AT_ONCE)
            at = block.find(self._id)
            while at >= 0:
                if record := self._record(position + at, size):
                    return record
                at = block.find(self._id, at + 1)
            if len(block) < AT_ONCE:
                return None
            position += len(block) - len(self._id) + 1
        return None

    def _append(self, kind: int, key: str, parts: Iterable[bytes | memoryview]) -> None:
        start = self._end
        listed = [memoryview(part) for part in parts]
        length = sum(part.nbytes for part in listed)
        moment = time.time()
        head = HEAD.pack(self._id, kind, 0, len(key), length, moment) + key.encode()
        try:
            position = _write(self._descriptor, start, memoryview(head + CHECK.pack(crc32c(head))))
            data = position
            for part in listed:
                position = _write(self._descriptor, position, part)
            os.fsync(self._descriptor)
            position = _write(self._descriptor, position, memoryview(END))
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise
        self._end = position
        if kind == OBJECT:
            self._objects[key] = _Object(start, data, length, moment)

    def _wipe(self, found: _Object) -> None:
        self._zero(found)
        self._objects = {key: each for key, each in self._objects.items() if each.head != found.head}
        self._dead += found.size

    def _zero(self, found: _Object) -> None:
        """Overwrite a content from its end on, so that a beginning of zeros says that all of it is gone."""
        end = found.size
        while end:
            begin = max(0, end - AT_ONCE)
            _write(self._descriptor, found.data + begin, memoryview(bytes(end - begin)))
            end = begin
        os.fsync(self._descriptor)

    def _write_anew(self) -> None:
        """The living objects in a file of their own, which takes the place of this one."""
        waiting = self._path.with_name(f".{self._path.name}-{new_id()}")
        anew = BundleBlobs(waiting)
        try:
            for key, each in list(self._objects.items()):
                anew.put(key, [_read(self._descriptor, each.data, each.size)])
            anew.close()
            waiting.replace(self._path)
            sync_folder(self._path.parent)
        finally:
            anew.close()
            waiting.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _translated(self, verb: str, key: str) -> Generator[None]:
        try:
            yield
        except CharkhError:
            raise
        except OSError as error:
            raise Unavailable(
                f"cannot {verb} {key} in {self._path}: {error.strerror or error}",
                code="blobs.unavailable",
                hint="Look whether the medium is mounted, full, or may not be written.",
                facts={"key": key},
            ) from error


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Bytes of the file, as many as there are."""
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(descriptor, length, start)):
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)


def _write(descriptor: int, position: int, data: memoryview) -> int:
    """Write all of it; the position behind it."""
    view = data.cast("B") if data.nbytes else data
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
    return position
