"""What segments that are not sealed yet say: laid over the catalog's answers, and never folded into it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from charkh.core.errors import NotFound
from charkh.core.refs import parse_subject
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.index import SealedOf
from charkh.runs.points import CONTENT, collect_series
from charkh.runs.query import Field
from charkh.runs.run import Run, SeriesSummary
from charkh.runs.tables import shown_rank

REMEMBERED = 256
CREATED = Field("run", "created")


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and of each metric the smallest and greatest value that anybody logged."""

    run: Run
    low: dict[str, float] = {}
    high: dict[str, float] = {}

    def lookup(self, field: Field) -> Any:
        """The value of a field of a search; None where the run has none."""
        run = self.run
        if field.family == "run":
            return _word(run, field.name)
        families: dict[str, Mapping[str, Any]] = {
            "params": run.params,
            "tags": run.tags,
            "metrics": run.metrics,
            "low": self.low,
            "high": self.high,
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
    alive = any(each.live for each in segments)
    if alive and not run.over:
        run = msgspec.structs.replace(run, status="running")
    sealed = store.queries.ask(SealedOf(run=run.id))
    done = {each.segment for each in sealed}
    parts = [(each.writer, each.attempt, each.segment, each.series) for each in sealed]
    for each in segments:
        if each.header.segment not in done:
            header = each.header
            parts.append((header.writer, header.attempt, header.segment, _summaries(store, each)))
    last: dict[str, tuple[str, float]] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for writer, attempt, segment, series in parts:
        for summary in series:
            name = summary.name
            rank = shown_rank(writer, attempt, summary, segment)
            if name not in last or rank > last[name][0]:
                last[name] = (rank, summary.last)
            low[name] = _least((low.get(name), summary.low))
            high[name] = -_least((-high[name] if name in high else None, -summary.high))
    shown = {name: last[name][1] for name in sorted(last)}
    return Known(run=msgspec.structs.replace(run, metrics=shown), low=low, high=high)


def _least(values: Iterable[float | None]) -> float:
    """The least of the values that are numbers; NaN where none is."""
    known = [value for value in values if value is not None and value == value]
    return min(known, default=float("nan"))


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
        "error": run.error,
        "created": run.created,
        "ended": run.ended,
        "duration": run.seconds,
        "lost_records": run.lost_records,
    }
    return None if words[name] == "" else words[name]


_remembered: dict[tuple[str, int], tuple[SeriesSummary, ...]] = {}
"""Summaries by segment and size: what a segment says only changes as it grows."""


def _summaries(store: Store, segment: DataSegment) -> tuple[SeriesSummary, ...]:
    key = (segment.header.segment, segment.size)
    if key not in _remembered:
        try:
            _, series = collect_series(record.payload for record in store.journal.read_data(segment.header.segment))
        except NotFound:
            # It was sealed and dropped since it was listed; whoever asks next finds it in the catalog.
            return ()
        while len(_remembered) >= REMEMBERED:
            _remembered.pop(next(iter(_remembered)))
        _remembered[key] = tuple(each.summary() for each in series)
    return _remembered[key]
