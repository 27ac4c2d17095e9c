"""Metric points: the record that `log` appends, and the columns that a segment of records becomes.

One call of `log` is one record, `[time, step, values]` or `[time, step, values, context]`
(docs/formats/runs.md). NumPy is imported by whoever reads points; writing them needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from charkh.core.errors import Corrupt
from charkh.runs.run import SeriesSummary

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

CONTENT = "points"
MAX_SECONDS = 2**62 / 1e6
"""Times of points lie between this and its negative, so that they fit 64 bits as microseconds."""


class PointsRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record: what one call logged.

    Attributes:
        time: seconds since the epoch.
        step: as the caller gave it, or counted.
        values: by key of the metric.
        context: such as `val`; empty where the caller named none.
    """

    time: float
    step: int
    values: dict[str, float]
    context: str = ""


encode_record = msgspec.msgpack.Encoder().encode
"""Encodes `(time, step, values)` or `(time, step, values, context)`."""

_decode = msgspec.msgpack.Decoder(PointsRecord).decode


_values_of: Callable[[dict[str, float]], Iterable[float]] = dict[str, float].values


class SeriesName(NamedTuple):
    """A metric inside a run."""

    key: str
    context: str


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one metric in one segment, in the order in which they were logged.

    Attributes:
        name: key and context.
        steps: one for each point.
        times: microseconds since the epoch.
        values: one for each point.
    """

    name: SeriesName
    steps: Integers
    times: Integers
    values: Floats

    def last(self, *, by_time: bool = False) -> int:
        """Which point shows: at the greatest step, and of several there the one that `summary` says."""
        import numpy as np  # see `summary`

        last = self.steps.size - 1 - int(np.argmax(self.steps[::-1]))
        if not by_time:
            return last
        tied = np.flatnonzero(self.steps == self.steps[last])
        return int(tied[np.lexsort((self.values[tied], self.times[tied]))[-1]])

    def summary(self, *, by_time: bool = False) -> SeriesSummary:
        """What a search needs to know of it.

        Args:
            by_time: of several points at the greatest step the one with the latest time shows, then the one with the
                greatest value, instead of the one that was logged last: clients may send theirs in any order.
        """
        import numpy as np  # `charkh.run()` imports this module; NumPy would double its start-up time

        last = self.last(by_time=by_time)
        finite = self.values[~np.isnan(self.values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (float("nan"), float("nan"))
        return SeriesSummary(
            key=self.name.key,
            context=self.name.context,
            count=self.steps.size,
            first_step=int(self.steps.min()),
            last_step=int(self.steps[last]),
            last=float(self.values[last]),
            low=low,
            high=high,
            first_time=float(self.times.min()) / 1e6,
            last_time=float(self.times.max()) / 1e6,
            first=float(self.values[int(np.argmin(self.steps))]),
        )


class _Together:
    """Records that logged exactly the same metrics: a table with one row for each record."""

    def __init__(self, names: tuple[str, ...], context: str) -> None:
        self.names = names
        self.context = context
        self.ordinals: list[int] = []
        self.times: list[float] = []
        self.steps: list[int] = []
        self.rows: list[dict[str, float]] = []


def collect_series(payloads: Iterable[bytes]) -> tuple[int, list[Series]]:
    """The number of records, and the series they hold, in order of their first point.

    Series that were logged together share their arrays of steps and times.

    Raises:
        Corrupt: a record is none.
    """
    tables: dict[tuple[str, ...], _Together] = {}
    ordinal = -1
    for ordinal, payload in enumerate(payloads):
        time, step, values, context = _fields(payload)
        names = (context, *values)
        table = tables.get(names)
        if table is None:
            table = tables[names] = _Together(names[1:], context)
        table.ordinals.append(ordinal)
        table.times.append(time)
        table.steps.append(step)
        table.rows.append(values)
    # A run without points ends without loading NumPy.
    return ordinal + 1, _series_of(list(tables.values())) if tables else []


def _fields(payload: bytes) -> tuple[float, int, dict[str, float], str]:
    try:
        record = _decode(payload)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"a metric record cannot be read: {error}", code="run.bad_record") from error
    return record.time, record.step, record.values, record.context


def _series_of(tables: list[_Together]) -> list[Series]:
    import numpy as np  # see `Series.summary`

    holders: dict[SeriesName, list[tuple[int, int]]] = {}
    matrices: list[Floats] = []
    for number, table in enumerate(tables):
        width = len(table.names)
        cells = chain.from_iterable(map(_values_of, table.rows))
        matrix = np.fromiter(cells, np.float64, len(table.rows) * width).reshape(len(table.rows), width)
        matrices.append(np.ascontiguousarray(matrix.T))
        for column, key in enumerate(table.names):
            holders.setdefault(SeriesName(key, table.context), []).append((number, column))
    shared: dict[tuple[int, ...], tuple[Integers, Integers, Integers]] = {}
    found: list[Series] = []
    for name, parts in holders.items():
        numbers = tuple(number for number, _ in parts)
        if numbers not in shared:
            shared[numbers] = _axes([tables[number] for number in numbers])
        order, steps, times = shared[numbers]
        values = np.concatenate([matrices[number][column] for number, column in parts])
        found.append(Series(name, steps, times, values if len(parts) == 1 else values[order]))
    return found


def _axes(tables: list[_Together]) -> tuple[Integers, Integers, Integers]:
    """The order by ordinal of the tables' rows laid end to end, and steps and times in that order."""
    import numpy as np  # see `Series.summary`

    ordinals = np.array([each for table in tables for each in table.ordinals], np.int64)
    seconds = np.array([each for table in tables for each in table.times], np.float64)
    try:
        steps = np.array([each for table in tables for each in table.steps], np.int64)
    except OverflowError as error:
        raise Corrupt("a metric record has a step beyond 64 bits", code="run.bad_record") from error
    # NaN is not less than anything either.
    if not (np.abs(seconds) < MAX_SECONDS).all():
        raise Corrupt("a metric record has a time that is no moment", code="run.bad_record")
    order = np.argsort(ordinals, kind="stable")
    return order, steps[order], np.rint(seconds[order] * 1e6).astype(np.int64)
