"""Meters of several processes in one mapped table of numbers: a slot a process, one writer a slot, sums for a reader.

The file has no name: whoever starts the processes makes it and hands its descriptor down, and the kernel frees it with
the last of them, however they ended. A process takes the first slot that nobody holds; the one that replaces a dead
process finds that slot and counts on. Nothing is named after a process id, so nothing is left behind.

A slot holds a log of descriptions (what each series is, in the order of their making) and a row of float64 values.
Whoever reads needs no lock: a description is complete before the length of the log says that it is there.
"""

import mmap
import os
import struct
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.meters import Combine, Counter, Family, Gauge, Histogram, Kind
from charkh.stores.meters_merge import Row, Series, families
from charkh.stores.meters_series import EXEMPLAR, FileCounter, FileGauge, FileHistogram, Ring, check_series
from charkh.stores.slots import free_slot, take_slot

SLOTS = 64
HEAD = 64
"""Bytes at the begin of a slot: length of the descriptions, numbers used, exemplars used, process id."""
NAMES = 2 << 20
NUMBERS = 1 << 16
EXEMPLARS = 1 << 13
SLOT = HEAD + NAMES + 8 * NUMBERS + EXEMPLAR * EXEMPLARS
SECONDS = 2.0
"""How long a process waits for a slot: a reader holds a dead one's for a moment."""

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<QQQQ")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Series).decode
_Key = tuple[str, tuple[tuple[str, str], ...]]


def open_table() -> int:
    """A new table without a name, as the descriptor to hand to every process (`pass_fds`); sparse until it is used."""
    with tempfile.TemporaryFile(prefix="charkh-meters-", dir=memory_folder()) as file:
        os.ftruncate(file.fileno(), SLOT * SLOTS)
        return os.dup(file.fileno())


def memory_folder() -> str | None:
    """Where files are kept in memory: a page of a mapped file on a disk can be held up while it is written back."""
    folder = "/dev/shm"  # noqa: S108 (the file has no name in it)
    return folder if os.access(folder, os.W_OK) else None


class FileMeters:
    """See `charkh.ports.meters.Meters`.

    A descriptor must not be opened twice in one process: closing one would let go of the slot of the other.

    Args:
        table: a descriptor that `open_table` made here or in the parent; a table of this process alone without one.

    Raises:
        Unavailable: every slot is held.
    """

    def __init__(self, table: int | None = None) -> None:
        self.table = open_table() if table is None else table
        self._map = mmap.mmap(self.table, SLOT * SLOTS)
        self._made: dict[_Key, Counter | Gauge | Histogram] = {}
        self._kinds: dict[str, tuple[Kind, tuple[float, ...]]] = {}
        self._slot = self._take()
        self._begin = self._slot * SLOT
        numbers = self._begin + HEAD + NAMES
        self._numbers = memoryview(self._map)[numbers : numbers + 8 * NUMBERS].cast("d")
        self._ring = Ring(self._map, numbers + 8 * NUMBERS)
        self._length, self._used, self._shown, _ = _HEADER.unpack_from(self._map, self._begin)
        self._resume()

    def close(self) -> None:
        """Let go of the slot; what was counted is read as long as another process has the table."""
        os.close(self.table)

    def counter(self, name: str, help: str, labels: Mapping[str, str] = {}, /) -> Counter:
        """See `charkh.ports.meters.Meters`."""
        made = self._series(Series(name, "counter", help, dict(labels)))
        assert isinstance(made, FileCounter)
        return made

    def gauge(self, name: str, help: str, labels: Mapping[str, str] = {}, /, *, combine: Combine = "sum") -> Gauge:
        """See `charkh.ports.meters.Meters`."""
        made = self._series(Series(name, "gauge", help, dict(labels), combine=combine))
        assert isinstance(made, FileGauge)
        return made

    def histogram(
        self, name: str, help: str, labels: Mapping[str, str] = {}, /, *, buckets: Sequence[float]
    ) -> Histogram:
        """See `charkh.ports.meters.Meters`."""
        made = self._series(Series(name, "histogram", help, dict(labels), tuple(buckets)))
        assert isinstance(made, FileHistogram)
        return made

    def read(self) -> Iterable[Family]:
        """See `charkh.ports.meters.Meters`."""
        return families(row for slot in range(SLOTS) for row in self._rows(slot))

    def alive(self) -> list[int]:
        """The ids of the processes that hold a slot, this one among them."""
        return [
            _HEADER.unpack_from(self._map, slot * SLOT)[3]
            for slot in range(SLOTS)
            if slot == self._slot or self._is_held(slot)
        ]

    def _take(self) -> int:
        deadline = time.monotonic() + SECONDS
        while True:
            for slot in range(SLOTS):
                if take_slot(self.table, slot):
                    struct.pack_into("<Q", self._map, slot * SLOT + 24, os.getpid())
                    return slot
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{SLOTS} processes share the table of meters already",
                    code="meters.no_slot",
                    hint="Start fewer workers.",
                )
            time.sleep(0.01)

    def _is_held(self, slot: int) -> bool:
        if not _HEADER.unpack_from(self._map, slot * SLOT)[3] or take_slot(self.table, slot):
            free_slot(self.table, slot)
            return False
        return True

    def _resume(self) -> None:
        """Go on with the series of a process that had this slot and is gone; its gauges say nothing any more."""
        for series in _described(self._map, self._begin, self._length):
            self._bind(series)
            if series.kind == "gauge":
                self._numbers[series.at] = float("nan")

    def _series(self, wanted: Series) -> Counter | Gauge | Histogram:
        key = (wanted.name, tuple(sorted(wanted.labels.items())))
        found = self._made.get(key)
        if found is None or self._kinds[wanted.name] != (wanted.kind, wanted.buckets):
            check_series(wanted, self._kinds.get(wanted.name))
            return self._describe(wanted)
        return found

    def _describe(self, wanted: Series) -> Counter | Gauge | Histogram:
        size = len(wanted.buckets) + 2 if wanted.kind == "histogram" else 1
        shown = len(wanted.buckets) + 1 if wanted.kind == "histogram" else 0
        series = msgspec.structs.replace(wanted, at=self._used, shown=self._shown)
        record = _encode(series)
        end = self._length + _LENGTH.size + len(record)
        if end > NAMES or self._used + size > NUMBERS or self._shown + shown > EXEMPLARS:
            raise Invalid(
                f"there is no room for another series of {wanted.name}",
                code="meters.full",
                hint="A label with many values makes a series of each; restart to begin anew.",
            )
        at = self._begin + HEAD + self._length
        self._map[at : at + _LENGTH.size] = _LENGTH.pack(len(record))
        self._map[at + _LENGTH.size : at + _LENGTH.size + len(record)] = record
        if series.kind == "gauge":
            self._numbers[series.at] = float("nan")
        self._length, self._used, self._shown = end, self._used + size, self._shown + shown
        # The length comes last: a reader believes what lies below it.
        struct.pack_into("<QQ", self._map, self._begin + 8, self._used, self._shown)
        struct.pack_into("<Q", self._map, self._begin, self._length)
        return self._bind(series)

    def _bind(self, series: Series) -> Counter | Gauge | Histogram:
        self._kinds[series.name] = (series.kind, series.buckets)
        made: Counter | Gauge | Histogram
        if series.kind == "counter":
            made = FileCounter(self._numbers, series.at)
        elif series.kind == "gauge":
            made = FileGauge(self._numbers, series.at)
        else:
            made = FileHistogram(self._numbers, series, self._ring)
        self._made[(series.name, tuple(sorted(series.labels.items())))] = made
        return made

    def _rows(self, slot: int) -> Iterable[Row]:
        begin = slot * SLOT
        length, _, _, process = _HEADER.unpack_from(self._map, begin)
        if not process:
            return
        alive = slot == self._slot or self._is_held(slot)
        numbers = begin + HEAD + NAMES
        ring = Ring(self._map, numbers + 8 * NUMBERS)
        for series in _described(self._map, begin, length):
            if series.kind == "gauge" and not alive:
                continue
            size = len(series.buckets) + 2 if series.kind == "histogram" else 1
            values = struct.unpack_from(f"={size}d", self._map, numbers + 8 * series.at)
            shown = range(series.shown, series.shown + size - 1) if series.kind == "histogram" else ()
            yield Row(series, values, [ring.read(at) for at in shown])


def _described(table: mmap.mmap, begin: int, length: int) -> Iterable[Series]:
    at, end = begin + HEAD, begin + HEAD + length
    while at < end:
        (size,) = _LENGTH.unpack_from(table, at)
        at += _LENGTH.size
        yield _decode(table[at : at + size])
        at += size
