"""One segment file: appended to by exactly one process, read by many (docs/formats/journal.md).

The writer holds an exclusive `flock` for as long as it lives, so that anybody can tell a live segment
from a crashed one. An append is one write to the operating system; a background thread syncs.
"""

import contextlib
import fcntl
import getpass
import os
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import NamedTuple

import msgspec

from charkh.core.errors import Corrupt, Unavailable
from charkh.core.frames import Frame, encode_frame, scan_frames
from charkh.ports.journal import DataHeader

HEADER_PREFIX = b"charkh segment 1\n"
"""Begins the payload of a segment's first frame, and of no other frame."""

SYNC_SECONDS = 1.0


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first frame of a segment: who writes it, and what kind of segment it is.

    Attributes:
        segment: id, 32 hex digits.
        store: id of the store it was begun for.
        host: name of the machine.
        pid: process id of the writer.
        user: login name of the writer.
        data: what a data segment holds; None in a fact segment.
    """

    segment: str
    store: str
    host: str
    pid: int
    user: str
    data: DataHeader | None = None


class SegmentContent(NamedTuple):
    """What was read of a segment file: its header (None while that is not yet written), frames, and end."""

    header: SegmentHeader | None
    frames: list[Frame]
    end: int
    damaged: bool


def new_header(segment: str, store: str, data: DataHeader | None = None) -> SegmentHeader:
    """A header for a segment of this process."""
    host, user = socket.gethostname(), login_name()
    return SegmentHeader(segment=segment, store=store, host=host, pid=os.getpid(), user=user, data=data)


def login_name() -> str:
    """The user's login name, or their number where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def encode_header(header: SegmentHeader) -> bytes:
    """The payload of a segment's first frame."""
    return HEADER_PREFIX + msgspec.msgpack.encode(header)


def decode_header(payload: bytes) -> SegmentHeader:
    """The header in a segment's first payload.

    Raises:
        Corrupt: it is none.
    """
    try:
        return msgspec.msgpack.decode(payload[len(HEADER_PREFIX) :], type=SegmentHeader)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"a segment header cannot be read: {error}", code="journal.bad_header") from error


def is_header(payload: bytes) -> bool:
    """Whether a payload begins a segment."""
    return payload.startswith(HEADER_PREFIX)


def read_segment(buffer: bytes) -> SegmentContent:
    """The whole frames of a segment file's bytes, its header apart."""
    scan = scan_frames(buffer)
    if not scan.frames or not is_header(scan.frames[0].payload):
        return SegmentContent(None, [], 0, scan.damaged or bool(scan.frames))
    return SegmentContent(decode_header(scan.frames[0].payload), scan.frames[1:], scan.end, scan.damaged)


class SegmentFile:
    """The writing end of one segment file.

    Threads: `write` and `sync` may be called from several threads.
    Fork: in the child the file is let go of; `forked` turns true and nothing more is written to it.
    """

    __slots__ = ("__weakref__", "_descriptor", "_dirty", "_lock", "_size", "folder_synced", "forked", "path")

    def __init__(self, path: Path, header: SegmentHeader) -> None:
        self.path = path
        self.forked = False
        self.folder_synced = False
        self._lock = threading.Lock()
        self._size = 0
        self._dirty = False
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unavailable(path, error) from error
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        _open_files.add(self)
        try:
            self.write(encode_frame(encode_header(header)))
        except Unavailable:
            self.close()
            path.unlink(missing_ok=True)
            raise
        _syncer.start()

    @property
    def size(self) -> int:
        """Bytes of whole frames in the file."""
        return self._size

    def write(self, frames: bytes) -> None:
        """Append whole frames with one write; on failure the file ends where it did before.

        Raises:
            Unavailable: the disk is full or failing, or the file was let go of.
        """
        with self._lock:
            try:
                written = os.write(self._descriptor, frames)
            except OSError as error:
                self._cut()
                raise unavailable(self.path, error) from error
            if written != len(frames):
                self._cut()
                raise unavailable(self.path, OSError("only a part was written: the disk is full"))
            self._size += written
            self._dirty = True

    def sync(self) -> None:
        """Return when every written frame survives power loss.

        Raises:
            Unavailable: the disk failed; what was written before may be lost with the machine.
        """
        if not self._dirty or self._descriptor < 0:
            return
        self._dirty = False
        try:
            os.fdatasync(self._descriptor)
            if not self.folder_synced:
                sync_folder(self.path.parent)
                self.folder_synced = True
        except OSError as error:
            raise unavailable(self.path, error) from error

    def close(self) -> None:
        """Let go of the file and its lock; anybody may seal it now."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def abandon_after_fork(self) -> None:
        """In the child of a fork: the file belongs to the parent."""
        self.forked = True
        self._lock = threading.Lock()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _cut(self) -> None:
        # A partial frame would hide every later one; when even the cut fails, the reader stops there.
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)


class _Syncer:
    """One daemon thread that syncs the open segments about once a second, off the caller's path."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="charkh-sync", daemon=True)
            self._thread.start()

    def forget_thread(self) -> None:
        self._thread = None

    def _run(self) -> None:
        while True:
            time.sleep(SYNC_SECONDS)
            for file in list(_open_files):
                # The writer's own sync reports a failing disk; this thread only shortens the window.
                with contextlib.suppress(Unavailable):
                    file.sync()


_open_files: "weakref.WeakSet[SegmentFile]" = weakref.WeakSet()
_syncer = _Syncer()


def _after_fork() -> None:
    _syncer.forget_thread()
    for file in list(_open_files):
        file.abandon_after_fork()
    _open_files.clear()


os.register_at_fork(after_in_child=_after_fork)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_live(path: Path) -> bool:
    """Whether the writer of a segment file still holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def unavailable(path: Path, error: OSError) -> Unavailable:
    """The error of a journal file that the operating system refuses."""
    return Unavailable(
        f"cannot write {path}: {error.strerror or error}",
        code="journal.unavailable",
        hint="Free some space or check the disk; what was acknowledged before is kept.",
        facts={"path": str(path), "errno": error.errno},
    )
