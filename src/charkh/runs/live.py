"""What segments that are not sealed yet say: laid over the catalog's answers, and never folded into it.

A run may stay open for hours while others search: of a segment that was looked at before only the records that were
added since are read.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from charkh.core.errors import NotFound
from charkh.core.refs import parse_subject
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.index import SealedOf, SealedOfRuns
from charkh.runs.membership import CLIENT_WRITER
from charkh.runs.points import CONTENT, collect_series
from charkh.runs.project import DEFAULT_NAME
from charkh.runs.query import SETS, Field
from charkh.runs.run import LargeValue, Run, RunSealed, SeriesSummary, json_text
from charkh.runs.tables import place_of, shown_rank

REMEMBERED = 4096
"""Segments of which what was read is kept in mind."""

CREATED = Field("run", "created")


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and what else a search can ask of it.

    Attributes:
        run: the run.
        low: of each metric the smallest value that anybody logged.
        high: of each metric the greatest value that anybody logged.
        first: of each metric the value at the smallest step, of the writer that shows.
        counts: of each metric how many points there are.
        used: the subjects that the run used.
        artifacts: the paths of the files that it left.
        project: name of its project.
    """

    run: Run
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    first: dict[str, float] = {}
    counts: dict[str, int] = {}
    used: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    project: str = DEFAULT_NAME

    def lookup(self, field: Field) -> Any:
        """The value of a field of a search; None where the run has none."""
        run = self.run
        if field.family == "run":
            return self.project if field.name == "project" else _word(run, field.name)
        if field.family == "told":
            return _told(run.params.get(field.name))
        if field.family in SETS:
            written = (run.name, run.started.group, *run.tags.values())
            found = {"used": self.used, "artifact": self.artifacts, "text": tuple(filter(None, written))}
            return found[field.family] or None
        families: dict[str, Mapping[str, Any]] = {
            "params": run.params,
            "tags": run.tags,
            "metrics": run.metrics,
            "low": self.low,
            "high": self.high,
            "first": self.first,
            "count": self.counts,
        }
        return families[field.family].get(field.name)

    def sort_lookup(self, field: Field) -> Any:
        """The same for an order; the stamp tells runs of one millisecond apart, as in the catalog."""
        return f"{self.run.created:024.9f}{self.run.stamp}" if field == CREATED else self.lookup(field)


def open_segments(store: Store) -> dict[str, list[DataSegment]]:
    """The points segments that are not dropped yet, by id of their run."""
    found: dict[str, list[DataSegment]] = {}
    for each in store.journal.list_data():
        if each.header.content == CONTENT:
            found.setdefault(parse_subject(each.header.subject).id, []).append(each)
    return found


def with_segments(store: Store, run: Run, segments: Sequence[DataSegment]) -> Known:
    """A run together with what its open segments say."""
    return with_many(store, [run], {run.id: segments})[0]


def with_many(store: Store, runs: Sequence[Run], segments: Mapping[str, Sequence[DataSegment]]) -> list[Known]:
    """The same for many runs, with one question to the catalog."""
    sealed = store.queries.ask(SealedOfRuns(runs=tuple(run.id for run in runs)))
    return [_known(store, run, segments.get(run.id, ()), sealed.get(run.id, ())) for run in runs]


def shown_series(
    store: Store, segments: Sequence[DataSegment], sealed: Sequence[RunSealed]
) -> dict[str, SeriesSummary]:
    """By name, the summary that has the value which shows, of a run's open and sealed segments together."""
    best: dict[str, tuple[str, SeriesSummary]] = {}
    for writer, attempt, segment, series in _parts(store, segments, sealed):
        for summary in series:
            rank = shown_rank(writer, attempt, summary, segment)
            if summary.name not in best or rank > best[summary.name][0]:
                best[summary.name] = (rank, summary)
    return {name: best[name][1] for name in sorted(best)}


def _known(store: Store, run: Run, segments: Sequence[DataSegment], sealed: Sequence[RunSealed]) -> Known:
    if any(each.live for each in segments) and not run.over:
        run = msgspec.structs.replace(run, status="running")
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    first: dict[str, tuple[str, int, int, str, float]] = {}
    counts: dict[str, int] = {}
    for writer, attempt, segment, series in _parts(store, segments, sealed):
        for summary in series:
            name = summary.name
            counts[name] = counts.get(name, 0) + summary.count
            place = (place_of(writer), -summary.first_step, -attempt, segment)
            if name not in first or place > first[name][:4]:
                first[name] = (*place, _finite(summary.first))
            low[name] = _least((low.get(name), summary.low))
            high[name] = -_least((-high[name] if name in high else None, -summary.high))
    shown = {name: each.last for name, each in shown_series(store, segments, sealed).items()}
    return Known(
        run=msgspec.structs.replace(run, metrics=shown),
        low=low,
        high=high,
        first={name: each[4] for name, each in first.items()},
        counts=counts,
    )


def _parts(
    store: Store, segments: Sequence[DataSegment], sealed: Sequence[RunSealed]
) -> list[tuple[str, int, str, Sequence[SeriesSummary]]]:
    done = {each.segment for each in sealed}
    parts: list[tuple[str, int, str, Sequence[SeriesSummary]]] = [
        (each.writer, each.attempt, each.segment, each.series) for each in sealed
    ]
    for each in segments:
        header = each.header
        if header.segment not in done:
            parts.append((header.writer, header.attempt, header.segment, open_summaries(store, each)))
    return parts


def _least(values: Iterable[float | None]) -> float:
    """The least of the values that are numbers; NaN where none is."""
    known = [value for value in values if value is not None and value == value]
    return min(known, default=float("nan"))


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan


def _told(value: Any) -> str | None:
    """A param as the text that shows; of one that is kept as bytes none."""
    if isinstance(value, LargeValue):
        return ""
    return value if value is None or isinstance(value, str) else json_text(value)


def _word(run: Run, name: str) -> Any:
    provenance = run.provenance
    words: dict[str, Any] = {
        "id": run.id,
        "name": run.name,
        "group": run.started.group,
        "parent": run.started.parent,
        "status": run.status,
        "actor": run.actor,
        "commit": provenance.commit if provenance is not None else "",
        "branch": provenance.branch if provenance is not None else "",
        "script": provenance.program if provenance is not None else "",
        "dirty": provenance.dirty if provenance is not None else None,
        "user": run.user,
        "error": run.error,
        "created": run.created,
        "ended": run.ended,
        "duration": run.seconds,
        "lost_records": run.lost_records,
    }
    return None if words[name] == "" else words[name]


class _Grown:
    """What was read of a growing segment so far."""

    __slots__ = ("lasts", "ordinal", "series", "size")

    def __init__(self) -> None:
        self.size = 0
        self.ordinal = 0
        self.lasts: dict[tuple[str, str], tuple[int, float, float]] = {}
        self.series: dict[tuple[str, str], SeriesSummary] = {}


_grown: OrderedDict[str, _Grown] = OrderedDict()
_growing = threading.Lock()


def open_summaries(store: Store, segment: DataSegment) -> tuple[SeriesSummary, ...]:
    """The summaries of an open segment's metrics, in order of their first point.

    Raises:
        Corrupt: a record is none.
    """
    identifier = segment.header.segment
    with _growing:
        known = _grown.get(identifier)
        if known is None:
            known = _grown[identifier] = _Grown()
            if len(_grown) > REMEMBERED:
                _grown.popitem(last=False)
        _grown.move_to_end(identifier)
        if known.size != segment.size:
            try:
                added = [record.payload for record in store.journal.read_data(identifier, known.ordinal)]
            except NotFound:
                # It was sealed and dropped since it was listed.
                return _sealed_meanwhile(store, segment)
            _grow(known, added, by_time=segment.header.writer == CLIENT_WRITER)
            known.size = segment.size
        return tuple(known.series.values())


def _sealed_meanwhile(store: Store, segment: DataSegment) -> tuple[SeriesSummary, ...]:
    """What the catalog has by now of a segment that was open a moment ago; nothing of one that was purged."""
    run = parse_subject(segment.header.subject).id
    sealed = store.queries.ask(SealedOf(run=run))
    return next((each.series for each in sealed if each.segment == segment.header.segment), ())


def _grow(known: _Grown, added: Sequence[bytes], *, by_time: bool) -> None:
    for each in collect_series(added)[1] if added else ():
        summary = each.summary(by_time=by_time)
        earlier = known.series.get(each.name)
        place = each.last(by_time=by_time)
        point = (int(each.steps[place]), float(each.times[place]) if by_time else 0.0, float(each.values[place]))
        before = known.lasts.get(each.name)
        later = before is None or (point >= before if by_time else point[0] >= before[0])
        if later:
            known.lasts[each.name] = point
        known.series[each.name] = summary if earlier is None else merged(earlier, summary, later=later)
    known.ordinal += len(added)


def merged(old: SeriesSummary, new: SeriesSummary, *, later: bool) -> SeriesSummary:
    """The summary of a metric's points in two parts of a segment; `later` where it is the second's last that shows."""
    return SeriesSummary(
        key=old.key,
        context=old.context,
        count=old.count + new.count,
        first_step=min(old.first_step, new.first_step),
        last_step=max(old.last_step, new.last_step),
        last=new.last if later else old.last,
        low=_least((old.low, new.low)),
        high=-_least((-old.high, -new.high)),
        first_time=min(old.first_time, new.first_time),
        last_time=max(old.last_time, new.last_time),
        first=new.first if new.first_step < old.first_step else old.first,
    )
