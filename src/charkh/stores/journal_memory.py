"""A journal in memory: for tests and throw-away workspaces; it dies with the process."""

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from charkh.core.errors import Locked, NotFound
from charkh.core.frames import encode_frames
from charkh.core.ids import new_id
from charkh.ports.journal import Batch, Cursor, DataHeader, DataSegment, DataWriter, Record


class MemoryDataWriter:
    """Appends to one data segment in memory."""

    lost = 0
    waiting = 0

    def __init__(self, header: DataHeader) -> None:
        self.header = header
        self.records: list[bytes] = []
        self.live = True
        self._lock = threading.Lock()

    @property
    def segment(self) -> str:
        return self.header.segment

    def take_waiting(self) -> Sequence[bytes]:
        return ()

    def append(self, payload: bytes) -> int:
        with self._lock:
            self.records.append(payload)
            return len(self.records) - 1

    def append_many(self, payloads: Sequence[bytes]) -> None:
        with self._lock:
            self.records.extend(payloads)

    def flush(self) -> None:
        """Nothing to do: memory has no disk behind it."""

    def close(self) -> None:
        self.live = False


class MemoryJournal:
    """The journal port over a list."""

    def __init__(self) -> None:
        self._segment = new_id()
        self._payloads: list[bytes] = []
        self._data: dict[str, MemoryDataWriter] = {}
        self._lock = threading.RLock()

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        del durable
        encode_frames(payloads)
        self._payloads.extend(payloads)

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        start, end = cursor.get(self._segment, 0), len(self._payloads)
        if start < end:
            yield Batch(self._segment, self._payloads[start:end], {self._segment: end})

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        return self._exclusive(timeout)

    @contextmanager
    def _exclusive(self, timeout: float) -> Generator[None]:
        if not self._lock.acquire(timeout=timeout):
            raise Locked("another thread holds the journal", hint="Wait for it and call again.")
        try:
            yield
        finally:
            self._lock.release()

    def open_data(self, header: DataHeader) -> DataWriter:
        writer = self._data[header.segment] = MemoryDataWriter(header)
        return writer

    def list_data(self) -> Sequence[DataSegment]:
        return [
            DataSegment(writer.header, sum(map(len, writer.records)), writer.live) for writer in self._data.values()
        ]

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        if segment not in self._data:
            raise NotFound(f"there is no data segment {segment}", code="journal.no_segment")
        for ordinal, payload in enumerate(self._data[segment].records[start:], start):
            yield Record(ordinal, payload)

    def drop_data(self, segment: str) -> None:
        self._data.pop(segment, None)

    def close(self) -> None:
        """Nothing to seal."""
