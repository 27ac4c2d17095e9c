"""Data segments that processes of other stores write, taken over record by record into a journal's folder.

No process holds such a file open: whichever server process is sent the next records appends them under the file's
lock, so that several of them may serve one writer. It looks like any other data segment to a reader.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from charkh.core.errors import Conflict, Invalid
from charkh.core.frames import MAX_PAYLOAD, encode_frame, encode_frames, scan_frames
from charkh.core.ids import parse_id
from charkh.ports.exchange import HEADER_PREFIX, is_received
from charkh.ports.journal import DataHeader
from charkh.stores.data_folder import SUFFIX
from charkh.stores.durable import make_folder, read_range, unavailable
from charkh.stores.segment_file import HIDDEN, encode_header, new_header

REMEMBERED = 4096
"""Segments whose number of records is kept in mind; of others it is counted."""


class _Counted(NamedTuple):
    """How many records the first `size` bytes of a segment have."""

    size: int
    records: int


class ReceivedFolder:
    """`charkh.ports.exchange.DataExchange` over the folder of a journal's open segments.

    Threads and processes: any number may take records of one segment.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self._folder = folder
        self._store = store
        self._counted: OrderedDict[str, _Counted] = OrderedDict()
        self._counting = threading.Lock()

    def has_data(self, segment: str) -> bool:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._path(segment).exists()

    def take_data(self, header: DataHeader, start: int, payloads: Sequence[bytes]) -> int:
        """See `charkh.ports.exchange.DataExchange`."""
        check_records(header, payloads)
        path = self._path(header.segment)
        try:
            with self._held(path, header) as descriptor:
                known = self._count(header.segment, path, descriptor)
                fresh = payloads[known.records - start :] if start <= known.records else ()
                if not fresh:
                    os.utime(descriptor)
                    return known.records
                frames = encode_frames(fresh)
                try:
                    written = os.pwrite(descriptor, frames, known.size)
                    if written != len(frames):
                        raise OSError(errno.ENOSPC, "only a part was written: the disk is full")
                except OSError:
                    # A partial frame would hide every later one.
                    os.ftruncate(descriptor, known.size)
                    raise
                now = _Counted(known.size + len(frames), known.records + len(fresh))
                self._remember(header.segment, now)
                return now.records
        except OSError as error:
            raise unavailable(path, error) from error

    @contextmanager
    def _held(self, path: Path, header: DataHeader) -> Generator[int]:
        """The segment's file under its lock, made where it is not there."""
        descriptor = -1
        while descriptor < 0:
            if not path.exists():
                self._make(path, header)
            descriptor = _locked(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _make(self, path: Path, header: DataHeader) -> None:
        make_folder(path.parent)
        waiting = path.with_name(f"{HIDDEN}{path.name}-{os.getpid()}-{threading.get_ident()}")
        waiting.write_bytes(encode_frame(encode_header(new_header(header.segment, self._store, header))))
        waiting.chmod(0o600)
        try:
            with contextlib.suppress(FileExistsError):
                os.link(waiting, path)
        finally:
            waiting.unlink()

    def _count(self, segment: str, path: Path, descriptor: int) -> _Counted:
        """What is in the file; bytes of a frame that was never written whole are cut off. Called under its lock."""
        size = os.fstat(descriptor).st_size
        with self._counting:
            known = self._counted.get(segment, _Counted(0, -1))
        if known.size == size:
            return known
        if known.size > size:
            known = _Counted(0, -1)
        scan = scan_frames(read_range(path, known.size))
        # The first frame of a segment is its header.
        found = _Counted(known.size + scan.end, known.records + len(scan.frames))
        if found.size < size:
            os.ftruncate(descriptor, found.size)
        self._remember(segment, found)
        return found

    def _remember(self, segment: str, counted: _Counted) -> None:
        with self._counting:
            self._counted[segment] = counted
            self._counted.move_to_end(segment)
            if len(self._counted) > REMEMBERED:
                self._counted.popitem(last=False)

    def _path(self, segment: str) -> Path:
        return self._folder / f"{parse_id(segment)}{SUFFIX}"


def _locked(path: Path) -> int:
    """A descriptor of the file that holds its lock; -1 where the file was sealed and removed meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with contextlib.suppress(FileNotFoundError):
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    os.close(descriptor)
    return -1


def check_records(header: DataHeader, payloads: Sequence[bytes]) -> None:
    """Look at what somebody else sent.

    Raises:
        Invalid: a payload is none that a record can have.
        Conflict: the header does not say whose segment it is.
    """
    if not is_received(header):
        raise Conflict(
            f"segment {header.segment} does not say which store writes it",
            code="journal.not_received",
            hint="Whoever sends it is no charkh of about the same age.",
        )
    if any(not 0 < len(each) <= MAX_PAYLOAD or each.startswith(HEADER_PREFIX) for each in payloads):
        raise Invalid(
            f"segment {header.segment} holds what is no record",
            code="journal.no_record",
            hint="Whoever sends it is no charkh, or damaged: run `charkh fsck` there.",
            facts={"segment": header.segment},
        )
