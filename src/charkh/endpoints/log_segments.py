"""The data segments of a prediction log, one after another, and the thread that writes what comes quickly.

A record that comes alone is written at once. Of those that follow within `PAUSE` one write is made, beside the
requests: the disk, its syncs and the end of a full segment keep nobody waiting. A process that is killed loses what
came within the last pause.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from charkh.core.errors import CharkhError
from charkh.endpoints.losses import Losses
from charkh.ports.journal import DataWriter

PAUSE = 0.01
"""Seconds between two writes."""
AGAIN = 1.0
"""Seconds after which a disk that refused is asked again."""
MAX_WAITING = 32 * 1024 * 1024
"""Bytes that wait for a disk; what comes then is not recorded."""
AT_ONCE = 2 * 1024 * 1024
"""Bytes that a writer gets with one call: less than it keeps where the disk refuses."""
LONG = 16 * 1024
"""Bytes of a record that no request waits for."""

_log = logging.getLogger("charkh")


class Place(NamedTuple):
    """Where a record stands, or will stand."""

    segment: str
    ordinal: int


class _Segment:
    """A segment that is written to, and what waits for it."""

    def __init__(self, writer: DataWriter) -> None:
        self.writer = writer
        self.opened = time.monotonic()
        self.records = 0
        self.bytes = 0
        self.lost = 0
        self.waiting: list[bytes] = []


class LogSegments:
    """Appends records to data segments; shared between the threads of one process.

    A segment is begun with its first record, and closed when it is large or old, so that it can be sealed while
    records go on.

    Args:
        begin: begins a segment.
        rotate_bytes: a segment with more bytes is closed.
        rotate_seconds: a segment that is older is closed with the next record.
        apart: whether a thread of its own writes what comes quickly; else each record is written when it comes.
        losses: told of records that are in no segment.

    Attributes:
        losses: the same.
    """

    def __init__(
        self,
        begin: Callable[[], DataWriter],
        *,
        rotate_bytes: int,
        rotate_seconds: float,
        apart: bool,
        losses: Losses,
    ) -> None:
        self._begin = begin
        self.losses = losses
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._apart = apart
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._current: _Segment | None = None
        self._ended: list[_Segment] = []
        self._waiting = 0
        self._written = 0.0
        self._closed = False

    def append(self, record: bytes) -> Place | None:
        """Append one record; None where it is not taken.

        Raises:
            CharkhError: no segment can be begun.
        """
        with self._lock:
            if self._closed:
                return None
            if self._waiting + len(record) > MAX_WAITING:
                self._lose()
                return None
            now = time.monotonic()
            segment = self._segment(now)
            place = Place(segment.writer.segment, segment.records)
            if self._is_alone(segment, record, now):
                self._written = now
                if segment.writer.append(record) < 0:
                    self._account(segment)
                    return None
                if self._apart and segment.writer.waiting:
                    self._call()
                elif self.losses.going_on and not segment.writer.waiting:
                    self.losses.over()
            else:
                segment.waiting.append(record)
                self._waiting += len(record)
                self._call()
            segment.records += 1
            segment.bytes += len(record)
            return place

    def flush(self) -> None:
        """Write what waits, as far as the disk goes along: whoever reads the segments sees it."""
        self._write()

    def close(self) -> None:
        """Write what waits and let go of the segments, ready to be sealed; nothing is taken afterwards."""
        with self._lock:
            self._closed = True
            self._end()
        self._wake.set()
        self._write()

    def _segment(self, now: float) -> _Segment:
        found = self._current
        if found is not None and (found.bytes > self._rotate_bytes or now - found.opened > self._rotate_seconds):
            self._end()
            if self._apart:
                self._call()
            else:
                self._close(self._ended.pop())
            found = None
        if found is None:
            found = self._current = _Segment(self._begin())
        return found

    def _is_alone(self, segment: _Segment, record: bytes, now: float) -> bool:
        """Whether a record is written at once: none came just before it, and none waits that it would overtake."""
        if not self._apart:
            return True
        quiet = now - self._written > PAUSE and len(record) < LONG
        return quiet and not self._waiting and not segment.writer.waiting

    def _end(self) -> None:
        if self._current is not None:
            self._ended.append(self._current)
            self._current = None

    def _call(self) -> None:
        """Have the thread write soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="charkh-log", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._closed:
                return
            time.sleep(PAUSE)
            self._wake.clear()
            if not self._write():
                time.sleep(AGAIN)
                self._wake.set()

    def _write(self) -> bool:
        """Write what waits and close what has ended; False where the disk refuses."""
        with self._writing:
            with self._lock:
                ended, self._ended = self._ended, []
                segments = ended if self._current is None else [*ended, self._current]
            refused = [segment for segment in segments if not self._hand_over(segment)]
            for segment in ended:
                if segment not in refused or self._closed:
                    self._close(segment)
            with self._lock:
                self._written = time.monotonic()
                if not self._closed:
                    self._ended = [segment for segment in ended if segment in refused] + self._ended
            if not refused:
                self.losses.over()
            return not refused

    def _hand_over(self, segment: _Segment) -> bool:
        """Give a segment's writer what waits for it; False as soon as it keeps what it got for want of room.

        What comes meanwhile is for the next time: a thread that runs after each record takes the interpreter from
        those who answer.
        """
        writer = segment.writer
        if writer.waiting:
            writer.append_many(())
        left = len(segment.waiting)
        while left > 0 and (self._closed or not writer.waiting):
            with self._lock:
                records = _first(segment.waiting)
                del segment.waiting[: len(records)]
            left -= len(records)
            writer.append_many(records)
            self._account(segment)
            # They stay counted until they are written: none that comes meanwhile may overtake them.
            with self._lock:
                self._waiting -= sum(map(len, records))
        return not writer.waiting

    def _account(self, segment: _Segment) -> None:
        """Count what a segment's writer has let go of for want of room."""
        lost = segment.writer.lost - segment.lost
        if lost:
            segment.lost += lost
            self._lose(lost)

    def _lose(self, number: int = 1) -> None:
        self.losses.begin(f"more than {MAX_WAITING >> 20} MiB of them wait for the disk")
        self.losses.add(number)

    def _close(self, segment: _Segment) -> None:
        try:
            segment.writer.close()
        except CharkhError as error:
            _log.warning("the prediction segment %s was not closed cleanly: %s", segment.writer.segment, error)
            self.losses.add(segment.writer.waiting)


def _first(waiting: Sequence[bytes]) -> Sequence[bytes]:
    """As many of the first records as a writer gets at once, and at least one."""
    size = 0
    for count, record in enumerate(waiting):
        size += len(record)
        if count and size > AT_ONCE:
            return waiting[:count]
    return list(waiting)
