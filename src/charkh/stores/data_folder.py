"""Data segments in a local folder: points, console lines and predictions until they are sealed into blobs."""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from charkh.core.errors import NotFound, Unavailable
from charkh.core.frames import encode_frame
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader, DataSegment, DataWriter, Record
from charkh.stores.segment_file import SegmentFile, is_live, new_header, read_segment, sync_folder, unavailable

SUFFIX = ".data"
BUFFER_BYTES = 16 * 1024 * 1024
_log = logging.getLogger("charkh")


class FileDataWriter:
    """Appends records to one data segment file; keeps a bounded buffer while the disk refuses."""

    def __init__(self, folder: Path, header: DataHeader, store: str) -> None:
        self._folder = folder
        self._store = store
        self._header = header
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ordinal = 0
        self.lost = 0
        self._open()

    @property
    def segment(self) -> str:
        return self._header.segment

    def append(self, payload: bytes) -> int:
        """See `charkh.ports.journal.DataWriter`; -1 when the record was lost to a full buffer."""
        frame = encode_frame(payload)
        with self._lock:
            if self._waiting or self._file.forked:
                return self._append_slowly(frame)
            try:
                self._file.write(frame)
            except Unavailable as error:
                self._report(error)
                return self._keep(frame)
            self._ordinal += 1
            return self._ordinal - 1

    def flush(self) -> None:
        with self._lock:
            self._retry()
            if self._waiting:
                raise unavailable(self._file.path, OSError(f"{len(self._waiting)} records wait in memory"))
        self._file.sync()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()

    def _open(self) -> None:
        name = f"{self._header.segment}{SUFFIX}"
        self._file = SegmentFile(self._folder / name, new_header(self._header.segment, self._store, self._header))

    def _append_slowly(self, frame: bytes) -> int:
        if self._file.forked:
            # The child of a fork writes a segment of its own; the parent's records stay the parent's.
            self._header = msgspec.structs.replace(self._header, segment=new_id())
            self._waiting.clear()
            self._waiting_bytes, self._ordinal, self.lost = 0, 0, 0
            self._open()
        self._retry()
        if self._waiting:
            return self._keep(frame)
        try:
            self._file.write(frame)
        except Unavailable:
            return self._keep(frame)
        self._ordinal += 1
        return self._ordinal - 1

    def _keep(self, frame: bytes) -> int:
        if self._waiting_bytes + len(frame) > BUFFER_BYTES:
            self.lost += 1
            return -1
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        self._ordinal += 1
        return self._ordinal - 1

    def _retry(self) -> None:
        try:
            while self._waiting:
                self._file.write(self._waiting[0])
                self._waiting_bytes -= len(self._waiting.popleft())
        except Unavailable:
            return

    def _report(self, error: Unavailable) -> None:
        _log.warning("%s; records are kept in memory up to %d MiB and written later", error, BUFFER_BYTES >> 20)


class DataFolder:
    """The data half of a journal port, over a folder on a local disk."""

    def __init__(self, folder: Path, store: str) -> None:
        self._folder = folder
        self._store = store

    def open_data(self, header: DataHeader) -> DataWriter:
        return FileDataWriter(self._folder, header, self._store)

    def list_data(self) -> Sequence[DataSegment]:
        found: list[DataSegment] = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            live = is_live(path)
            header = _read_header(path)
            if header is not None:
                found.append(DataSegment(header, path.stat().st_size, live))
            elif not live:
                # A writer that died before its header was whole has acknowledged nothing.
                path.unlink(missing_ok=True)
        return found

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        try:
            content = read_segment(self._path(segment).read_bytes())
        except FileNotFoundError as error:
            raise NotFound(
                f"there is no data segment {segment}",
                code="journal.no_segment",
                hint="It has been sealed into blobs meanwhile: read it from there.",
            ) from error
        for ordinal, frame in enumerate(content.frames[start:], start):
            yield Record(ordinal, frame.payload)

    def drop_data(self, segment: str) -> None:
        path = self._path(segment)
        try:
            path.unlink(missing_ok=True)
            sync_folder(self._folder)
        except OSError as error:
            raise unavailable(path, error) from error

    def _path(self, segment: str) -> Path:
        return self._folder / f"{segment}{SUFFIX}"


def _read_header(path: Path) -> DataHeader | None:
    try:
        with path.open("rb") as file:
            content = read_segment(file.read(16 * 1024))
    except FileNotFoundError:
        return None
    return content.header.data if content.header else None
