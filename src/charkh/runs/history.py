"""The history of a metric: its points from sealed blobs and open segments together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from charkh.core.errors import NotFound
from charkh.core.files import FileRef
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.index import SealedOf
from charkh.runs.indexed_blob import Read
from charkh.runs.live import open_segments
from charkh.runs.membership import writer_order
from charkh.runs.points import Series, collect_series
from charkh.runs.run import RunSealed, SeriesSummary, series_name
from charkh.runs.seal import MAX_SERIES
from charkh.runs.sealed_points import read_index, read_series

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from charkh.runs.points import Floats, Integers

WHOLE_BYTES = 1 << 20
"""A smaller blob is read whole; of a larger one only the index and the series that are asked for."""


class Point(NamedTuple):
    """One point: `time` is seconds since the epoch, `attempt` grows from one attempt of a writer to the next."""

    step: int
    time: float
    value: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one metric by one writer, in order of step, then of logging.

    Attributes:
        key: of the metric.
        context: such as `val`, or empty.
        writer: who logged them, such as the rank.
        steps: one for each point.
        times: seconds since the epoch.
        values: one for each point.
        attempts: which attempt logged it; later ones are greater.
    """

    key: str
    context: str
    writer: str
    steps: Integers
    times: Floats
    values: Floats
    attempts: Integers

    def __len__(self) -> int:
        return self.steps.size

    def points(self) -> list[Point]:
        """The points one by one."""
        columns = (self.steps.tolist(), self.times.tolist(), self.values.tolist(), self.attempts.tolist())
        return [Point(*each) for each in zip(*columns, strict=True)]


class _Part(NamedTuple):
    writer: str
    attempt: int
    segment: str
    series: Series


def metric_history(store: Store, run_id: str, key: str, *, context: str = "") -> Curve:
    """The points that show by default: of rank 0 or the only writer; of steps logged by two attempts, the later.

    Raises:
        NotFound: the run has no such metric.
        Corrupt: sealed points are not what their digest says.
    """
    curves = metric_histories(store, run_id, key, context=context)
    if not curves:
        known = ", ".join(sorted({each.name for each in metric_names(store, run_id)})[:10])
        raise NotFound(
            f"run {run_id} has no metric {series_name(key, context)!r}",
            code="run.no_metric",
            hint=f"It has: {known}." if known else "It has no metrics.",
        )
    return _latest_attempts(curves[0])


def metric_histories(store: Store, run_id: str, key: str, *, context: str = "") -> tuple[Curve, ...]:
    """Every point that every writer logged, one curve for each writer, rank 0 first; equal points count once."""
    by_writer: dict[str, list[_Part]] = {}
    for part in _parts(store, run_id, (key, context)):
        by_writer.setdefault(part.writer, []).append(part)
    return tuple(_curve(by_writer[writer]) for writer in sorted(by_writer, key=writer_order))


def metric_names(store: Store, run_id: str) -> tuple[SeriesSummary, ...]:
    """The summaries of every segment's metrics, sealed and open ones together."""
    opened = open_segments(store).get(run_id, [])
    sealed = store.queries.ask(SealedOf(run=run_id))
    done = {each.segment for each in sealed}
    found = [summary for each in sealed for summary in each.series]
    gone: set[str] = set()
    for each in opened:
        if each.header.segment not in done:
            series = _open_series(store, each, gone)
            found += [each.summary() for each in series]
    found += [summary for each in _sealed_meanwhile(store, run_id, gone) for summary in each.series]
    return tuple(found)


def _parts(store: Store, run_id: str, name: tuple[str, str]) -> Iterator[_Part]:
    # Open segments before the catalog: one that is sealed in between is met in both, never in neither.
    opened = open_segments(store).get(run_id, [])
    sealed = store.queries.ask(SealedOf(run=run_id))
    done = {each.segment for each in sealed}
    for each in sealed:
        for series in _sealed_series(store, each, name):
            yield _Part(each.writer, each.attempt, each.segment, series)
    gone: set[str] = set()
    for each in opened:
        if each.header.segment in done:
            continue
        for series in _open_series(store, each, gone):
            if series.name == name:
                yield _Part(each.header.writer, each.header.attempt, each.header.segment, series)
    for each in _sealed_meanwhile(store, run_id, gone):
        for series in _sealed_series(store, each, name):
            yield _Part(each.writer, each.attempt, each.segment, series)


def _sealed_series(store: Store, sealed: RunSealed, name: tuple[str, str]) -> Iterable[Series]:
    named = any((summary.key, summary.context) == name for summary in sealed.series)
    if not named and len(sealed.series) < MAX_SERIES:
        return
    read = _reader(store, sealed.blob)
    placed = read_index(read)
    for each in placed.index.series:
        if (each.summary.key, each.summary.context) == name:
            yield read_series(read, placed, each)


def _reader(store: Store, blob: FileRef) -> Read:
    if blob.size <= WHOLE_BYTES:
        whole = b"".join(store.vault.read(blob))
        return lambda start, length: whole[start : start + length]
    return lambda start, length: b"".join(store.vault.read(blob, start, length))


def _open_series(store: Store, segment: DataSegment, gone: set[str]) -> Sequence[Series]:
    """What an open segment holds; one that was sealed and dropped since it was listed joins `gone`."""
    try:
        return collect_series(record.payload for record in store.journal.read_data(segment.header.segment))[1]
    except NotFound:
        gone.add(segment.header.segment)
        return []


def _sealed_meanwhile(store: Store, run: str, segments: AbstractSet[str]) -> Sequence[RunSealed]:
    """What the catalog has by now of segments that were open a moment ago."""
    if not segments:
        return ()
    return [each for each in store.queries.ask(SealedOf(run=run)) if each.segment in segments]


def _curve(parts: list[_Part]) -> Curve:
    import numpy as np  # readers of points alone need it; see `charkh.runs.points`

    parts.sort(key=lambda part: (part.attempt, int(part.series.times[0]), part.segment))
    steps = np.concatenate([part.series.steps for part in parts])
    times = np.concatenate([part.series.times for part in parts])
    values = np.concatenate([part.series.values for part in parts])
    attempts = np.repeat(
        np.array([part.attempt for part in parts], np.int64), [part.series.steps.size for part in parts]
    )
    order = np.argsort(steps, kind="stable")
    order = order[_first_of_equal(steps[order], times[order], values[order])]
    name = parts[0].series.name
    return Curve(
        key=name.key,
        context=name.context,
        writer=parts[0].writer,
        steps=steps[order],
        times=times[order] / 1e6,
        values=values[order],
        attempts=attempts[order],
    )


def _first_of_equal(steps: Integers, times: Integers, values: Floats) -> npt.NDArray[np.bool_]:
    """Which points are not equal in step, time and value to an earlier one; `steps` are sorted."""
    import numpy as np  # see `_curve`

    kept = np.ones(steps.size, np.bool_)
    if steps.size < 2 or not (steps[1:] == steps[:-1]).any():
        return kept
    bits = values.view(np.int64)
    order = np.lexsort((bits, times, steps))
    columns = (steps[order], times[order], bits[order])
    same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    kept[order[1:][same]] = False
    return kept


def _latest_attempts(curve: Curve) -> Curve:
    """The curve without the points of steps that a later attempt logged again."""
    import numpy as np  # see `_curve`

    attempts = np.unique(curve.attempts)
    if attempts.size == 1:
        return curve
    latest = np.full(curve.steps.size, attempts[0])
    _, groups = np.unique(curve.steps, return_inverse=True)
    greatest = np.full(int(groups.max()) + 1, attempts[0])
    np.maximum.at(greatest, groups, curve.attempts)
    latest = greatest[groups]
    kept = curve.attempts == latest
    return Curve(
        key=curve.key,
        context=curve.context,
        writer=curve.writer,
        steps=curve.steps[kept],
        times=curve.times[kept],
        values=curve.values[kept],
        attempts=curve.attempts[kept],
    )
