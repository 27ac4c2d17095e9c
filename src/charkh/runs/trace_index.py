"""Traces' part of the catalog: a row for each, and one for each batch of its spans, however many they are."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    or_,
    select,
)

from charkh.core.events import Event, body_of
from charkh.core.files import FileRef
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Description, Projection, Query
from charkh.runs.trace import (
    ASSESSED_KIND,
    DELETED_KIND,
    LINKED_KIND,
    SPANS_KIND,
    TAGGED_KIND,
    TRACE_KIND,
    SpansLogged,
    Trace,
    TraceAssessed,
    TraceDeleted,
    TraceLinked,
    TraceLogged,
    TraceTagged,
)

IDS_AT_ONCE = 500

METADATA = MetaData()
traces = Table(
    "run_trace",
    METADATA,
    Column("id", String, primary_key=True),
    Column("project", String, nullable=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
    Index("run_trace_by_time", "project", "began_ms", "id"),
)
spans = Table(
    "run_trace_spans",
    METADATA,
    Column("trace", String, primary_key=True),
    Column("content", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
tags = Table(
    "run_trace_tag",
    METADATA,
    Column("trace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String),
    Column("whole", LargeBinary),
    Column("stamp", String, nullable=False),
)
assessments = Table(
    "run_trace_assessment",
    METADATA,
    Column("trace", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
linked = Table(
    "run_trace_run",
    METADATA,
    Column("trace", String, primary_key=True),
    Column("run", String, primary_key=True, index=True),
)
gone = Table("run_trace_gone", METADATA, Column("trace", String, primary_key=True))

_trace = msgspec.msgpack.Decoder(TraceLogged).decode
_spans = msgspec.msgpack.Decoder(SpansLogged).decode
_file = msgspec.msgpack.Decoder(FileRef).decode
_assessed = msgspec.msgpack.Decoder(TraceAssessed).decode


class TracesByIds(Query[tuple[Trace, ...]], frozen=True, kw_only=True):
    """The traces with these ids that are there, in the order in which they are asked for."""

    traces: tuple[str, ...]


class TracesIn(Query[tuple[Trace, ...]], frozen=True, kw_only=True):
    """Traces of some projects by the time at which they began, the newest first unless `rising`; of one time by id.

    Attributes:
        projects: ids.
        limit: how many at most.
        rising: the oldest first.
        after: begin behind the trace with this time and id.
        since_ms, until_ms: began in this time, both included.
        run: belongs to this run; any where it is empty.
    """

    projects: tuple[str, ...]
    limit: int
    rising: bool = False
    after: tuple[int, str] | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    run: str = ""


class SpansOf(Query[dict[str, tuple[SpansLogged, ...]]], frozen=True, kw_only=True):
    """By trace, the batches of its spans in the order in which they came."""

    traces: tuple[str, ...]


def traces_by_ids(connection: Connection, query: TracesByIds) -> tuple[Trace, ...]:
    found: dict[str, TraceLogged] = {}
    for some in _portions(query.traces):
        rows = connection.execute(select(traces.c.body).where(traces.c.id.in_(some), _there())).scalars()
        found |= {body.trace: body for body in map(_trace, rows)}
    wanted = [found[each] for each in dict.fromkeys(query.traces) if each in found]
    return _whole(connection, wanted)


def traces_in(connection: Connection, query: TracesIn) -> tuple[Trace, ...]:
    began, identifier = traces.c.began_ms, traces.c.id
    conditions: list[Any] = [traces.c.project.in_(query.projects), _there()]
    if query.since_ms is not None:
        conditions.append(began >= query.since_ms)
    if query.until_ms is not None:
        conditions.append(began <= query.until_ms)
    if query.run:
        belongs = select(linked.c.trace).where(linked.c.run == query.run)
        conditions.append(or_(traces.c.run == query.run, identifier.in_(belongs)))
    if query.after is not None:
        moment, last = query.after
        beyond = began > moment if query.rising else began < moment
        conditions.append(or_(beyond, and_(began == moment, identifier > last)))
    order = (began.asc() if query.rising else began.desc(), identifier)
    statement = select(traces.c.body).where(*conditions).order_by(*order).limit(query.limit)
    return _whole(connection, list(map(_trace, connection.execute(statement).scalars())))


def spans_of(connection: Connection, query: SpansOf) -> dict[str, tuple[SpansLogged, ...]]:
    found: dict[str, list[SpansLogged]] = {}
    for some in _portions(query.traces):
        statement = select(spans.c.body).where(spans.c.trace.in_(some)).order_by(spans.c.trace, spans.c.stamp)
        for body in map(_spans, connection.execute(statement).scalars()):
            found.setdefault(body.trace, []).append(body)
    return {trace: tuple(several) for trace, several in found.items()}


def portray(connection: Connection, identifier: str) -> Description | None:
    found = traces_by_ids(connection, TracesByIds(traces=(identifier,)))
    if not found:
        return None
    logged = found[0].logged
    lines = [("name", logged.name), ("state", logged.state.replace("_", " "))]
    if logged.duration_ms is not None:
        lines.append(("took", f"{logged.duration_ms} ms"))
    return Description(title=identifier, lines=tuple(lines))


def _whole(connection: Connection, logged: Sequence[TraceLogged]) -> tuple[Trace, ...]:
    """Traces with what was said of them later."""
    labels: dict[str, dict[str, str | None]] = {}
    whole: dict[str, dict[str, FileRef]] = {}
    judged: dict[str, list[TraceAssessed]] = {}
    belongs: dict[str, list[str]] = {}
    for some in _portions([each.trace for each in logged]):
        for row in connection.execute(select(tags).where(tags.c.trace.in_(some))):
            labels.setdefault(row.trace, {})[row.name] = row.value
            if row.whole is not None:
                whole.setdefault(row.trace, {})[row.name] = _file(row.whole)
        for body in map(
            _assessed, connection.execute(select(assessments.c.body).where(assessments.c.trace.in_(some))).scalars()
        ):
            if not body.removed:
                judged.setdefault(body.trace, []).append(body)
        for row in connection.execute(select(linked).where(linked.c.trace.in_(some)).order_by(linked.c.run)):
            belongs.setdefault(row.trace, []).append(row.run)
    return tuple(
        Trace(
            logged=each,
            tags={name: value for name, value in (each.tags | labels.get(each.trace, {})).items() if value is not None},
            long_tags=whole.get(each.trace, {}),
            assessments=tuple(sorted(judged.get(each.trace, ()), key=lambda body: (body.created_ms, body.assessment))),
            runs=tuple(dict.fromkeys([*([each.run] if each.run else []), *belongs.get(each.trace, ())])),
        )
        for each in logged
    )


def _there() -> Any:
    return traces.c.id.not_in(select(gone.c.trace))


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Fold events of this part's kinds, whatever their order and grouping."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    _fold_traces(connection, by_kind.get(TRACE_KIND, ()))
    _fold_spans(connection, by_kind.get(SPANS_KIND, ()))
    _fold_tags(connection, by_kind.get(TAGGED_KIND, ()))
    _fold_assessments(connection, by_kind.get(ASSESSED_KIND, ()))
    links = [body_of(event, TraceLinked) for event in by_kind.get(LINKED_KIND, ())]
    add_rows(connection, linked, [{"trace": body.trace, "run": body.run} for body in links])
    dead = sorted({body_of(event, TraceDeleted).trace for event in by_kind.get(DELETED_KIND, ())})
    add_rows(connection, gone, [{"trace": trace} for trace in dead])


def _fold_traces(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {
            "id": body.trace,
            "project": body.project,
            "began_ms": body.began_ms,
            "run": body.run,
            "body": bytes(event.body),
            # What was concluded from spans never goes before what a client said.
            "stamp": f"{'0' if body.inferred else '1'}{event.stamp}",
        }
        for event, body in ((event, body_of(event, TraceLogged)) for event in events)
    ]
    keep_rows(connection, traces, rows, stamp="stamp")


def _fold_spans(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {"trace": body.trace, "content": body.content.held, "body": bytes(event.body), "stamp": event.stamp}
        for event, body in ((event, body_of(event, SpansLogged)) for event in events)
    ]
    keep_rows(connection, spans, rows, stamp="stamp", keep="earliest")


def _fold_tags(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {"trace": body.trace, "name": name, "value": value, "whole": _packed(body.long.get(name)), "stamp": event.stamp}
        for event, body in ((event, body_of(event, TraceTagged)) for event in events)
        for name, value in body.tags.items()
    ]
    keep_rows(connection, tags, rows, stamp="stamp")


def _packed(file: FileRef | None) -> bytes | None:
    return None if file is None else msgspec.msgpack.encode(file)


def _fold_assessments(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {"trace": body.trace, "id": body.assessment, "body": bytes(event.body), "stamp": event.stamp}
        for event, body in ((event, body_of(event, TraceAssessed)) for event in events)
    ]
    keep_rows(connection, assessments, rows, stamp="stamp")


PROJECTION = Projection(
    name="run_trace",
    version=1,
    tables=METADATA,
    kinds=frozenset({TRACE_KIND, SPANS_KIND, TAGGED_KIND, ASSESSED_KIND, LINKED_KIND, DELETED_KIND}),
    fold=fold,
    answers={TracesByIds: traces_by_ids, TracesIn: traces_in, SpansOf: spans_of},
    portraits={"trace": portray},
)
