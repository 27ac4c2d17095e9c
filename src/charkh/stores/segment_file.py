"""One segment file: appended to by exactly one process, read by many (docs/formats/journal.md).

The writer holds an exclusive `flock` for as long as it lives, so that anybody can tell a live segment
from a crashed one. An append is one write to the operating system; a background thread syncs.
"""

import contextlib
import errno
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
from charkh.ports.exchange import HEADER_PREFIX
from charkh.ports.journal import DataHeader
from charkh.stores.durable import make_folder, sync_folder, unavailable
from charkh.stores.forks import watch_forks

SYNC_SECONDS = 1.0
_MOST_PARTS = os.sysconf("SC_IOV_MAX")
"""Frames that one write takes without their being copied together."""
HIDDEN = "."
"""Begins the name of a segment file that is being made; readers pass over it."""


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

    The file gets its name only when it is locked and its header is whole, so whatever can be seen in
    the folder is either held by a live writer or left behind by a dead one.

    Threads: every method may be called from several threads.
    Fork: in the child the file is let go of; `forked` turns true and nothing more is written to it.
    """

    __slots__ = (
        "__weakref__",
        "_descriptor",
        "_failure",
        "_lock",
        "_named",
        "_sync_lock",
        "_synced",
        "_torn",
        "_written",
        "forked",
        "path",
    )

    def __init__(self, path: Path, header: SegmentHeader) -> None:
        self.path = path
        self.forked = False
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._descriptor = -1
        self._failure: OSError | None = None
        self._named = False
        self._torn = -1
        self._written = 0
        self._synced = 0
        waiting = path.with_name(f"{HIDDEN}{path.name}")
        try:
            make_folder(path.parent)
            self._descriptor = os.open(waiting, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self.write(encode_frame(encode_header(header)))
            waiting.rename(path)
        except Unavailable:
            self._give_up(waiting)
            raise
        except OSError as error:
            self._give_up(waiting)
            raise unavailable(path, error) from error
        _open_files.add(self)
        watch_forks(self)
        _syncer.start()

    @property
    def size(self) -> int:
        """Bytes of whole frames that were written."""
        return self._written

    @property
    def failed(self) -> bool:
        """Whether a sync failed: what is written from now on cannot be made durable in this file."""
        return self._failure is not None

    def write(self, *frames: bytes) -> int:
        """Append whole frames with one write; the size of the file behind them. On failure it ends where it did.

        Raises:
            Unavailable: the disk is full or failing, or the file was let go of.
        """
        with self._lock:
            try:
                if self._torn >= 0:
                    self._cut_torn()
                if 1 < len(frames) <= _MOST_PARTS:
                    written = os.writev(self._descriptor, frames)
                else:
                    written = os.write(self._descriptor, b"".join(frames))
                if written != sum(map(len, frames)):
                    self._torn = os.fstat(self._descriptor).st_size - written
                    self._cut_torn()
                    raise OSError(errno.ENOSPC, "only a part was written: the disk is full")
            except OSError as error:
                raise unavailable(self.path, error) from error
            self._written += written
            return self._written

    def sync(self) -> None:
        """Return when every frame written before this call survives power loss.

        Raises:
            Unavailable: the disk failed, now or at any earlier sync: the kernel may have dropped what it could
                not write, so no later success of this file would mean anything.
        """
        with self._sync_lock:
            if self._failure is not None:
                raise unavailable(self.path, self._failure)
            target = self._written
            if self._descriptor < 0 or (self._named and target == self._synced):
                return
            try:
                os.fdatasync(self._descriptor)
                if not self._named:
                    sync_folder(self.path.parent)
                    self._named = True
            except OSError as error:
                self._failure = error
                raise unavailable(self.path, error) from error
            self._synced = target

    def take_back(self, start: int, end: int) -> None:
        """Cut what was written between the two sizes, unless something stands behind it or the disk refuses."""
        with self._lock, contextlib.suppress(OSError):
            if os.fstat(self._descriptor).st_size == end:
                os.ftruncate(self._descriptor, start)
                self._written = start

    def close(self) -> None:
        """Let go of the file and its lock; anybody may seal it now."""
        with self._sync_lock, self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: the file belongs to the parent."""
        self.forked = True
        self._lock, self._sync_lock = threading.Lock(), threading.Lock()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _give_up(self, waiting: Path) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                waiting.unlink(missing_ok=True)
        self.close()

    def _cut_torn(self) -> None:
        # A partial frame would hide every later one, so nothing is written behind it before it is cut.
        if self._torn >= 0:
            os.ftruncate(self._descriptor, self._torn)
            self._torn = -1


class _Syncer:
    """One daemon thread that syncs the open segments about once a second, off the caller's path."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        watch_forks(self)

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="charkh-sync", daemon=True)
            self._thread.start()

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: threads do not survive a fork."""
        self._thread = None
        _open_files.clear()

    def _run(self) -> None:
        while True:
            time.sleep(SYNC_SECONDS)
            for file in list(_open_files):
                # The writer's own sync reports a failing disk; this thread only shortens the window.
                with contextlib.suppress(Unavailable):
                    file.sync()


_open_files: "weakref.WeakSet[SegmentFile]" = weakref.WeakSet()
_syncer = _Syncer()


def is_live(path: Path) -> bool:
    """Whether a process holds a file, as the writer of a segment does its own."""
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
