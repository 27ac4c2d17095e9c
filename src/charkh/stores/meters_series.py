"""The meters of one slot: a number, a row of numbers, and the exemplars of a histogram's buckets.

A count is one read and one write of a number with no call between them: CPython lets another thread run only where a
function is called or a loop goes round, so no count is lost, and a meter needs no lock.
"""

import itertools
import math
import mmap
import re
import struct
import time
from bisect import bisect_left
from collections.abc import Mapping

import msgspec

from charkh.core.errors import Invalid
from charkh.ports.meters import Combine, Exemplar, Kind

EXEMPLAR = 152
"""Bytes of an exemplar: a number that is odd while it is written, time, value, two lengths, then the texts."""
TEXT = 120
EVERY = 1.0
"""Seconds for which the exemplar of a bucket stays."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_BODY = struct.Struct("<ddHH")


class Series(msgspec.Struct, frozen=True, array_like=True):
    """What one series is.

    Attributes:
        name: of its family.
        kind: of meter.
        help: of its family.
        labels: by name.
        buckets: upper bounds of a histogram.
        combine: how a gauge of several processes is one number.
        at: its first number in the slot.
        shown: its first exemplar in the slot.
    """

    name: str
    kind: Kind
    help: str
    labels: dict[str, str]
    buckets: tuple[float, ...] = ()
    combine: Combine = "sum"
    at: int = 0
    shown: int = 0


class FileCounter:
    """See `charkh.ports.meters.Counter`."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: "memoryview[float]", at: int) -> None:
        self._numbers = numbers
        self._at = at

    def add(self, n: float = 1.0, /) -> None:
        """See `charkh.ports.meters.Counter`."""
        self._numbers[self._at] += n


class FileGauge:
    """See `charkh.ports.meters.Gauge`."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: "memoryview[float]", at: int) -> None:
        self._numbers = numbers
        self._at = at

    def set(self, value: float, /) -> None:
        """See `charkh.ports.meters.Gauge`."""
        self._numbers[self._at] = value


class FileHistogram:
    """See `charkh.ports.meters.Histogram`; a bucket has its own observations alone, readers add them up."""

    __slots__ = ("_at", "_buckets", "_next", "_numbers", "_ring", "_shown", "_sum")

    def __init__(self, numbers: "memoryview[float]", series: Series, ring: "Ring") -> None:
        self._numbers = numbers
        self._buckets = series.buckets
        self._at = series.at
        self._sum = series.at + len(series.buckets) + 1
        self._ring = ring
        self._shown = series.shown
        self._next = [0.0] * (len(series.buckets) + 1)

    def observe(self, value: float, prediction: str = "", trace: str = "", /) -> None:
        """See `charkh.ports.meters.Histogram`."""
        bucket = bisect_left(self._buckets, value)
        numbers, at, total = self._numbers, self._at + bucket, self._sum
        numbers[at] += 1.0
        numbers[total] += value
        if prediction or trace:
            now = time.monotonic()
            if now >= self._next[bucket]:
                self._next[bucket] = now + EVERY
                self._ring.write(self._shown + bucket, value, prediction, trace)


class Ring:
    """The exemplars of a slot, each behind a number that is odd while it is written (a sequence lock)."""

    __slots__ = ("_begin", "_map")

    def __init__(self, table: mmap.mmap, begin: int) -> None:
        self._map = table
        self._begin = begin

    def write(self, index: int, value: float, prediction: str, trace: str) -> None:
        """Keep the latest; texts that are together too long for one are left out from the left."""
        first, second = prediction.encode(), trace.encode()
        if len(first) + len(second) > TEXT:
            first = b""
        if len(second) > TEXT:
            return
        at = self._begin + EXEMPLAR * index
        (number,) = struct.unpack_from("<Q", self._map, at)
        struct.pack_into("<Q", self._map, at, number | 1)
        _BODY.pack_into(self._map, at + 8, time.time(), value, len(first), len(second))
        begin = at + 8 + _BODY.size
        self._map[begin : begin + len(first) + len(second)] = first + second
        struct.pack_into("<Q", self._map, at, (number | 1) + 1)

    def read(self, index: int) -> Exemplar | None:
        """The latest; None where there is none, or where it is being written just now."""
        at = self._begin + EXEMPLAR * index
        (number,) = struct.unpack_from("<Q", self._map, at)
        if not number or number & 1:
            return None
        when, value, first, second = _BODY.unpack_from(self._map, at + 8)
        begin = at + 8 + _BODY.size
        texts = self._map[begin : begin + min(TEXT, first + second)]
        if struct.unpack_from("<Q", self._map, at)[0] != number:
            return None
        labels: Mapping[str, str] = {"prediction_id": texts[:first].decode(), "trace_id": texts[first:].decode()}
        return Exemplar({name: text for name, text in labels.items() if text}, value, when)


def check_series(wanted: Series, known: tuple[Kind, tuple[float, ...]] | None) -> None:
    """Refuse what would make the whole page unreadable.

    Args:
        wanted: the new series.
        known: kind and buckets of the series with its name that are there, or None.

    Raises:
        Invalid: a name or label is none, the bounds do not rise, or the name means another meter.
    """
    labels = [label for label in wanted.labels if not _LABEL.fullmatch(label) or label == "le"]
    if not _NAME.fullmatch(wanted.name) or labels or wanted.name.endswith(("_total", "_bucket", "_sum", "_count")):
        raise _invalid(
            f"{wanted.name}{labels or ''} is no name of a meter", "Letters, digits and _; units in the name."
        )
    bounds = wanted.buckets
    if any(low >= high for low, high in itertools.pairwise(bounds)) or not all(map(math.isfinite, bounds)):
        raise _invalid(f"the buckets of {wanted.name} do not rise", "Give finite upper bounds in rising order.")
    if known is not None and known != (wanted.kind, wanted.buckets):
        raise _invalid(f"{wanted.name} is a {known[0]} with other buckets or of another kind", "Take another name.")


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, code="meters.invalid", hint=hint)
