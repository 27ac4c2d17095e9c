"""Data segments in a local folder: points, console lines and predictions until they are sealed into blobs."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from charkh.core.errors import NotFound, Unavailable
from charkh.core.frames import HEADER, Scan, encode_apart, encode_frame, scan_frames
from charkh.core.ids import new_id, parse_id
from charkh.ports.exchange import LIVE_SECONDS, is_received
from charkh.ports.journal import DataHeader, DataSegment, DataWriter, Record
from charkh.stores.durable import make_folder, read_range, sync_folder, unavailable, write_at
from charkh.stores.forks import watch_forks
from charkh.stores.segment_file import (
    HIDDEN,
    SegmentFile,
    decode_header,
    is_header,
    is_live,
    new_header,
)

SUFFIX = ".data"
BUFFER_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 4 * 1024 * 1024
LONG = 4096
"""Bytes of a record that is not copied behind its frame's header."""
REMEMBERED = 4096
"""Segments whose header, and the place up to which they were read, are kept in mind."""

Value = TypeVar("Value")
_log = logging.getLogger("charkh")


class FileDataWriter:
    """Appends records to one data segment file; keeps a bounded buffer while the disk refuses."""

    def __init__(self, folder: Path, header: DataHeader, store: str) -> None:
        self._folder = folder
        self._store = store
        self._header = header
        self._lock = threading.Lock()
        self._file: SegmentFile | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ordinal = 0
        self._reported = False
        self.lost = 0
        watch_forks(self)
        try:
            self._file = self._open()
        except Unavailable as error:
            self._report(error)

    @property
    def segment(self) -> str:
        return self._header.segment

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: the child writes a segment of its own, with records of its own."""
        self._lock = threading.Lock()
        self._header = msgspec.structs.replace(self._header, segment=new_id())
        self._file = None
        self._waiting.clear()
        self._waiting_bytes, self._ordinal, self.lost, self._reported = 0, 0, 0, False

    def append(self, payload: bytes) -> int:
        """See `charkh.ports.journal.DataWriter`; -1 when the record was lost to a full buffer."""
        frame = encode_frame(payload)
        with self._lock:
            if self._file is None or self._waiting:
                self._retry()
            if self._file is None or self._waiting:
                return self._keep(frame)
            try:
                self._file.write(frame)
            except Unavailable as error:
                self._report(error)
                return self._keep(frame)
            self._ordinal += 1
            return self._ordinal - 1

    @property
    def waiting(self) -> int:
        """See `charkh.ports.journal.DataWriter`."""
        return len(self._waiting)

    def take_waiting(self) -> Sequence[bytes]:
        """See `charkh.ports.journal.DataWriter`."""
        with self._lock:
            taken = [frame[HEADER.size :] for frame in self._waiting]
            self._waiting.clear()
            self._waiting_bytes = 0
            return taken

    def append_many(self, payloads: Sequence[bytes]) -> None:
        """See `charkh.ports.journal.DataWriter`."""
        frames: list[bytes] = []
        for payload in payloads:
            # What is long is written from where it is.
            frames += encode_apart(payload) if len(payload) >= LONG else (encode_frame(payload),)
        with self._lock:
            if self._file is None or self._waiting:
                self._retry()
            if self._file is not None and not self._waiting:
                try:
                    self._file.write(*frames)
                except Unavailable as error:
                    self._report(error)
                else:
                    self._ordinal += len(payloads)
                    return
            for payload in payloads:
                self._keep(encode_frame(payload))

    def flush(self) -> None:
        """See `charkh.ports.journal.DataWriter`."""
        with self._lock:
            if self._waiting:
                self._retry()
            if self._waiting:
                error = OSError(f"{len(self._waiting)} records wait in memory")
                raise unavailable(self._path(), error)
            file = self._file
        if file is not None:
            file.sync()

    def close(self) -> None:
        """See `charkh.ports.journal.DataWriter`."""
        try:
            self.flush()
        finally:
            if self._file is not None:
                self._file.close()

    def _path(self) -> Path:
        return _path_of(self._folder, self._header.segment)

    def _open(self) -> SegmentFile:
        return SegmentFile(self._path(), new_header(self._header.segment, self._store, self._header))

    def _keep(self, frame: bytes) -> int:
        if self._waiting_bytes + len(frame) > BUFFER_BYTES:
            self.lost += 1
            return -1
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        self._ordinal += 1
        return self._ordinal - 1

    def _retry(self) -> None:
        """Open what could not be opened and write what waits, as far as the disk goes along."""
        try:
            if self._file is None:
                self._file = self._open()
            while self._waiting:
                self._file.write(self._waiting[0])
                self._waiting_bytes -= len(self._waiting.popleft())
        except Unavailable as error:
            self._report(error)

    def _report(self, error: Unavailable) -> None:
        if not self._reported:
            self._reported = True
            _log.warning("%s; records are kept in memory up to %d MiB and written later", error, BUFFER_BYTES >> 20)


class _Place(NamedTuple):
    """Where in a segment's file the record of this ordinal begins."""

    ordinal: int
    offset: int


_BEGIN = _Place(-1, 0)
"""The header stands before the first record."""


class DataFolder:
    """The data half of a journal port, over a folder on a local disk.

    Args:
        folder: where the segments lie.
        damaged: where bytes go that stood behind a damaged frame of a dropped segment.
        store: id of the store.
        now: the time by the clock that stamps the files, where that is another machine's: no lock is asked then.
    """

    def __init__(self, folder: Path, damaged: Path, store: str, now: Callable[[], float] | None = None) -> None:
        self._now = now
        self._folder = folder
        self._damaged = damaged
        self._store = store
        self._headers: dict[str, DataHeader] = {}
        self._places: dict[str, _Place] = {}

    def open_data(self, header: DataHeader) -> DataWriter:
        """See `charkh.ports.journal.Journal`."""
        return FileDataWriter(self._folder, header, self._store)

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`."""
        found: list[DataSegment] = []
        paths = self._paths()
        now = self._now() if self._now is not None and paths else time.time()
        for path in paths:
            # Liveness first: a writer that lets go in between is listed as live and seen again by the next call.
            live = self._now is None and is_live(path)
            header = self._header(path)
            if header is not None:
                live = live or (is_received(header) and now - _written_at(path) < LIVE_SECONDS)
                found.append(DataSegment(header, _size(path), live))
        return found

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        try:
            file = _path_of(self._folder, segment).open("rb")
        except FileNotFoundError as error:
            raise NotFound(
                f"there is no data segment {segment}",
                code="journal.no_segment",
                hint="It has been sealed into blobs meanwhile: read it from there.",
            ) from error
        place = self._places.get(segment, _BEGIN)
        return self._records(file, segment, start, place if place.ordinal <= start else _BEGIN)

    def drop_data(self, segment: str) -> None:
        """See `charkh.ports.journal.Journal`; bytes behind a damaged frame are kept apart."""
        path = _path_of(self._folder, segment)
        try:
            if tail := _damaged_tail(path):
                make_folder(self._damaged)
                write_at(self._damaged / f"{segment}.data.tail", 0, tail)
            path.unlink(missing_ok=True)
            if self._folder.exists():
                sync_folder(self._folder)
        except OSError as error:
            raise unavailable(path, error) from error

    def _records(self, file: BinaryIO, segment: str, start: int, place: _Place) -> Iterator[Record]:
        """The records from `start`; where they end is kept in mind, so that the next look reads what was added."""
        ordinal, end = place
        with file:
            file.seek(end)
            for base, scan in _scans(file, end):
                for frame in scan.frames:
                    if ordinal >= start:
                        yield Record(ordinal, frame.payload)
                    elif ordinal < 0 and not is_header(frame.payload):
                        return
                    ordinal += 1
                end = base + scan.end
                if scan.damaged:
                    _log.warning("%s is damaged; what stands behind byte %d is set aside", file.name, end)
        _remember(self._places, segment, _Place(ordinal, end))

    def _header(self, path: Path) -> DataHeader | None:
        """The header of a segment: it never changes, and a segment's name is never used again."""
        header = self._headers.get(path.stem)
        if header is None and (header := _read_header(path)) is not None:
            _remember(self._headers, path.stem, header)
        return header

    def _paths(self) -> Sequence[Path]:
        try:
            paths = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return ()
        return [path for path in paths if path.suffix == SUFFIX and not path.name.startswith(HIDDEN)]


def _path_of(folder: Path, segment: str) -> Path:
    return folder / f"{parse_id(segment)}{SUFFIX}"


def _remember(known: dict[str, Value], segment: str, value: Value) -> None:
    while len(known) >= REMEMBERED:
        # Another thread may have let go of it meanwhile.
        known.pop(next(iter(known), ""), None)
    known[segment] = value


def _scans(file: BinaryIO, base: int = 0) -> Iterator[tuple[int, Scan]]:
    """The whole frames from where the file stands, a block at a time, and where in it each scanned buffer begins."""
    buffer = b""
    while block := file.read(BLOCK_BYTES):
        buffer += block
        scan = scan_frames(buffer)
        yield base, scan
        if scan.damaged:
            return
        base, buffer = base + scan.end, buffer[scan.end :]


def _damaged_tail(path: Path) -> bytes:
    """What stands behind the last sound frame, when that is damaged rather than torn."""
    try:
        with path.open("rb") as file:
            for base, scan in _scans(file):
                if scan.damaged:
                    return read_range(path, base + scan.end)
    except FileNotFoundError:
        return b""
    return b""


def _read_header(path: Path) -> DataHeader | None:
    """The header of a data segment; None where it went away or its first frame is damaged."""
    prefix = read_range(path, 0, HEADER.size)
    if len(prefix) < HEADER.size:
        return None
    scan = scan_frames(read_range(path, 0, HEADER.size + HEADER.unpack(prefix)[0]))
    if not scan.frames or not is_header(scan.frames[0].payload):
        return None
    return decode_header(scan.frames[0].payload).data


def _written_at(path: Path) -> float:
    """When a file was last written, by the clock of whoever keeps it; an open file is asked, which no cache answers."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0.0
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
