"""The catalog tables of runs, and how each kind of event folds into them.

Every fold is a join: rows are added, the earliest or latest is kept, or the greater of two values is.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    case,
)

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.ports.folding import add_rows, insert_into, insert_rows, keep_rows
from charkh.runs.membership import writer_order
from charkh.runs.project import DEFAULT_PROJECT
from charkh.runs.project_tables import METADATA, PROJECT_FOLDS
from charkh.runs.run import (
    ARTIFACT_KIND,
    ARTIFACT_REMOVED_KIND,
    DELETED_KIND,
    ENDED_KIND,
    LINKED_KIND,
    PARAMS_KIND,
    PROVENANCE_KIND,
    RENAMED_KIND,
    RESTORED_KIND,
    SEALED_KIND,
    STARTED_KIND,
    TAGGED_KIND,
    TRASHED_KIND,
    RunArtifact,
    RunArtifactRemoved,
    RunDeleted,
    RunEnded,
    RunLinked,
    RunParams,
    RunProvenance,
    RunRenamed,
    RunRestored,
    RunSealed,
    RunStarted,
    RunTagged,
    RunTrashed,
    SeriesSummary,
    json_text,
    series_name,
)

Row = dict[str, Any]

runs = Table(
    "run",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, index=True),
    Column("new_name", String),
    Column("renamed_stamp", String),
    Column("project", String),
    Column("user", String),
    Column("run_group", String, index=True),
    Column("parent", String, index=True),
    Column("started", LargeBinary),
    Column("created", Float),
    Column("actor", String),
    Column("stamp", String),
    Column("resumed_stamp", String),
    Column("status", String),
    Column("error", String),
    Column("lost", Integer),
    Column("ended", Float),
    Column("ended_stamp", String),
    Column("provenance", LargeBinary),
    Column("commit_id", String),
    Column("branch", String),
    Column("dirty", Boolean(create_constraint=False)),
    Column("script", String),
    Column("provenance_stamp", String),
    Column("deleted", Float),
    Column("deleted_stamp", String),
    Column("purged", Float),
    Column("purged_stamp", String),
    Index("run_created", "created", "stamp"),
    Index("run_in_project", "project", "created"),
)
"""A run by id. Facts about it may come in any order, so that all but its id may be missing."""

# Few runs are renamed or deleted: for the others these indices cost nothing. To say the same to PostgreSQL would load
# its dialect into every script that records a run.
for _name, _column in (("run_deleted", runs.c.deleted), ("run_new_name", runs.c.new_name)):
    Index(_name, _column, sqlite_where=_column.is_not(None))

params = Table(
    "run_param",
    METADATA,
    Column("run", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Float),
    Column("text", String),
    Column("value", String, nullable=False),
    Column("large", LargeBinary),
    Column("stamp", String, nullable=False),
    Index("run_param_number", "name", "number"),
    Index("run_param_text", "name", "text"),
    sqlite_with_rowid=False,
)
"""The first value of each param."""

param_events = Table(
    "run_param_event",
    METADATA,
    Column("event", String, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
"""Everything that was ever said about params: where the conflicts are."""

tags = Table(
    "run_tag",
    METADATA,
    Column("run", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("event", String, primary_key=True),
    Column("value", String),
    Column("large", LargeBinary),
    Column("stamp", String, nullable=False),
    Index("run_tag_value", "name", "value"),
    sqlite_with_rowid=False,
)
replaced_tags = Table(
    "run_tag_replaced",
    METADATA,
    Column("event", String, primary_key=True),
    Column("name", String, primary_key=True),
    sqlite_with_rowid=False,
)
"""Tags that a later decision has seen and superseded, by the event that set them."""

metrics = Table(
    "run_metric",
    METADATA,
    Column("run", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("last", Float),
    Column("rank", String, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Index("run_metric_last", "name", "last"),
    sqlite_with_rowid=False,
)
"""By series name: the value that shows, and the smallest and greatest that anybody logged. NaN is NULL."""

segments = Table(
    "run_segment",
    METADATA,
    Column("segment", String, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("place", String, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("brief", String, nullable=False),
    Column("stamp", String, nullable=False),
)
"""Sealed segments; `brief` is a JSON object: by series name its count, smallest step and the value there."""

goals = Table(
    "run_goal",
    METADATA,
    Column("name", String, primary_key=True),
    Column("goal", String, primary_key=True),
)
"""Which values of a metric were ever said to be the better ones."""

artifacts = Table(
    "run_artifact",
    METADATA,
    Column("run", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("file", LargeBinary),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
    Index("run_artifact_path", "path"),
)

links = Table(
    "run_link",
    METADATA,
    Column("run", String, primary_key=True),
    Column("source", String, primary_key=True),
    Column("relation", String, primary_key=True),
    Column("target", String, primary_key=True),
    Index("run_link_target", "target"),
)

_encode = msgspec.msgpack.Encoder().encode
_GREATEST_STEP = 1 << 63


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Fold events of this room's kinds, whatever their order and grouping."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    for kind, found in by_kind.items():
        _FOLDS[kind](connection, found)


def shown_rank(writer: str, attempt: int, summary: SeriesSummary, segment: str) -> str:
    """Orders the values of one metric: the greatest shows.

    Rank 0 before rank 1, a process before those it started; then the greatest step; of one step the later
    attempt, and the later point.
    """
    order, mark = _order_of(writer)
    return _rank(order, f"{attempt:016x}", summary, segment + mark)


def _rank(order: str, attempt: str, summary: SeriesSummary, end: str) -> str:
    step, moment = summary.last_step + _GREATEST_STEP, int(summary.last_time * 1e6)
    return f"{order}{step:016x}{attempt}{moment if moment > 0 else 0:016x}{end}"


def step_and_time(rank: str) -> tuple[int, float]:
    """The greatest step, and seconds since the epoch of the latest point, that a `shown_rank` says."""
    step = int(rank[_STEP_AT : _STEP_AT + 16], 16) - _GREATEST_STEP
    return step, int(rank[_TIME_AT : _TIME_AT + 16], 16) / 1e6


_STEP_AT = 32
"""Behind the two numbers of the writer's order stand step, attempt and time, 16 digits each."""

_TIME_AT = 64


def place_of(writer: str) -> str:
    """Orders the writers of a run: the greatest shows."""
    order, mark = _order_of(writer)
    return order + mark


def _encode_json(value: Any) -> str:
    """JSON, null for the floats that it cannot say."""
    return msgspec.json.encode(value).decode()


@lru_cache(maxsize=1024)
def _order_of(writer: str) -> tuple[str, str]:
    first, second, name = writer_order(writer)
    return f"{_inverted(first)}{_inverted(second + 1)}", name if first == 1 << 62 else ""


def param_row(run: str, name: str, value: Any, stamp: str, large: bytes | None = None) -> Row:
    """A param as it is searched: numbers by value, texts by text, everything else by its JSON."""
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return {
        "run": run,
        "name": name,
        "number": None if number is None or math.isnan(number) else number,
        "text": value.replace("\0", "\ufffd") if isinstance(value, str) else None,
        "value": json_text(value) if large is None else "",
        "large": large,
        "stamp": stamp,
    }


def _fold_started(connection: Connection, events: Sequence[Event]) -> None:
    bodies = [(event, body_of(event, RunStarted)) for event in events]
    rows = [
        {
            "id": body.run,
            "name": body.name,
            "project": body.project or DEFAULT_PROJECT,
            "user": body.user or event.actor.partition("@")[0],
            "run_group": body.group,
            "parent": body.parent,
            "started": bytes(event.body),
            "created": body.began or seconds(event.clock),
            "actor": event.actor,
            "stamp": event.stamp,
        }
        for event, body in bodies
    ]
    keep_rows(connection, runs, rows, stamp="stamp", keep="earliest")
    again = [{"id": body.run, "resumed_stamp": event.stamp} for event, body in bodies]
    keep_rows(connection, runs, again, stamp="resumed_stamp")
    said = {(name, goal) for _, body in bodies for name, goal in body.goals.items()}
    add_rows(connection, goals, [{"name": name, "goal": goal} for name, goal in sorted(said)])


def _fold_ended(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {
            "id": body.run,
            "status": body.status,
            "error": body.error,
            "lost": body.lost,
            "ended": body.moment or seconds(event.clock),
            "ended_stamp": event.stamp,
        }
        for event, body in ((event, body_of(event, RunEnded)) for event in events)
    ]
    keep_rows(connection, runs, rows, stamp="ended_stamp")


def _fold_provenance(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {
            "id": body.run,
            "provenance": bytes(event.body),
            "commit_id": body.commit,
            "branch": body.branch,
            "dirty": body.dirty,
            "script": body.program,
            "provenance_stamp": event.stamp,
        }
        for event, body in ((event, body_of(event, RunProvenance)) for event in events)
    ]
    keep_rows(connection, runs, rows, stamp="provenance_stamp", keep="earliest")


def _fold_renamed(connection: Connection, events: Sequence[Event]) -> None:
    bodies = [(event, body_of(event, RunRenamed)) for event in events]
    rows = [{"id": body.run, "new_name": body.name, "renamed_stamp": event.stamp} for event, body in bodies]
    keep_rows(connection, runs, rows, stamp="renamed_stamp")


def _fold_trashed(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {"id": body_of(event, RunTrashed).run, "deleted": seconds(event.clock), "deleted_stamp": event.stamp}
        for event in events
    ]
    keep_rows(connection, runs, rows, stamp="deleted_stamp")


def _fold_restored(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = [
        {"id": body_of(event, RunRestored).run, "deleted": None, "deleted_stamp": event.stamp} for event in events
    ]
    keep_rows(connection, runs, rows, stamp="deleted_stamp")


def _fold_deleted(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {"id": body_of(event, RunDeleted).run, "purged": seconds(event.clock), "purged_stamp": event.stamp}
        for event in events
    ]
    keep_rows(connection, runs, rows, stamp="purged_stamp", keep="earliest")


def _fold_params(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    bodies = [(event, body_of(event, RunParams)) for event in events]
    for event, body in bodies:
        run, stamp = body.run, event.stamp
        rows += [param_row(run, name, value, stamp) for name, value in body.values.items()]
        rows += [param_row(run, name, None, stamp, _encode(file)) for name, file in body.large.items()]
    keep_rows(connection, params, rows, stamp="stamp", keep="earliest")
    said = [
        {"event": event.id, "run": body.run, "body": bytes(event.body), "stamp": event.stamp} for event, body in bodies
    ]
    add_rows(connection, param_events, said)


def _fold_tagged(connection: Connection, events: Sequence[Event]) -> None:
    set_now: list[Row] = []
    replaced: list[Row] = []
    for event in events:
        body = body_of(event, RunTagged)
        for name, value in body.tags.items():
            row = {"run": body.run, "name": name, "event": event.id, "value": value, "stamp": event.stamp}
            set_now.append({**row, "large": _encode(body.large[name]) if name in body.large else None})
        for name, earlier in body.replaces.items():
            replaced += [{"event": identifier, "name": name} for identifier in earlier]
    add_rows(connection, tags, set_now)
    add_rows(connection, replaced_tags, replaced)


def _fold_artifacts(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {
            "run": body.run,
            "path": body.path,
            "file": _encode(body.file),
            "at": seconds(event.clock),
            "stamp": event.stamp,
        }
        for event, body in ((event, body_of(event, RunArtifact)) for event in events)
    ]
    keep_rows(connection, artifacts, rows, stamp="stamp")


def _fold_removed(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = [
        {"run": body.run, "path": body.path, "file": None, "at": seconds(event.clock), "stamp": event.stamp}
        for event, body in ((event, body_of(event, RunArtifactRemoved)) for event in events)
    ]
    keep_rows(connection, artifacts, rows, stamp="stamp")


def _fold_links(connection: Connection, events: Sequence[Event]) -> None:
    rows = [
        {"run": body_of(event, RunLinked).run, "source": edge.source, "relation": edge.relation, "target": edge.target}
        for event in events
        for edge in event.edges
    ]
    add_rows(connection, links, rows)


def _fold_sealed(connection: Connection, events: Sequence[Event]) -> None:
    bodies = [(event, body_of(event, RunSealed)) for event in events]
    named = [[(series_name(each.key, each.context), each) for each in body.series] for _, body in bodies]
    # Two sealers that did not see each other may have packed one segment's points with two versions of zstd.
    rows = [
        {
            "segment": body.segment,
            "run": body.run,
            "body": bytes(event.body),
            "place": place_of(body.writer),
            "attempt": body.attempt,
            "brief": _encode_json({name: (each.count, each.first_step, each.first) for name, each in series}),
            "stamp": event.stamp,
        }
        for (event, body), series in zip(bodies, named, strict=True)
    ]
    keep_rows(connection, segments, rows, stamp="stamp", keep="earliest")
    said = zip(bodies, named, strict=True)
    _keep_metrics(connection, [row for (_, body), series in said for row in _metric_rows(body, series)])


def _metric_rows(body: RunSealed, series: Sequence[tuple[str, SeriesSummary]]) -> list[Row]:
    run, attempt = body.run, f"{body.attempt:016x}"
    order, mark = _order_of(body.writer)
    end = body.segment + mark
    return [
        {
            "run": run,
            "name": name,
            "last": _finite(each.last),
            "rank": _rank(order, attempt, each, end),
            "low": _finite(each.low),
            "high": _finite(each.high),
        }
        for name, each in series
    ]


def _keep_metrics(connection: Connection, rows: Sequence[Row]) -> None:
    """Upsert: the value of the greatest rank stays, beside the smallest and the greatest of all."""
    if not rows:
        return
    statement = insert_into(connection, metrics)
    old, new = metrics.c, statement.excluded
    better = new.rank > old.rank
    low = case((old.low.is_(None), new.low), (new.low < old.low, new.low), else_=old.low)
    high = case((old.high.is_(None), new.high), (new.high > old.high, new.high), else_=old.high)
    statement = statement.on_conflict_do_update(
        index_elements=["run", "name"],
        set_={
            "last": case((better, new.last), else_=old.last),
            "rank": case((better, new.rank), else_=old.rank),
            "low": low,
            "high": high,
        },
    )
    insert_rows(connection, statement, rows)


def _finite(value: float) -> float | None:
    """NaN, which differs from itself, has no order, and SQLite has none."""
    return value if value == value else None


def _inverted(number: int) -> str:
    return f"{(1 << 63) - number:016x}"


_FOLDS = {
    STARTED_KIND: _fold_started,
    ENDED_KIND: _fold_ended,
    PROVENANCE_KIND: _fold_provenance,
    PARAMS_KIND: _fold_params,
    TAGGED_KIND: _fold_tagged,
    ARTIFACT_KIND: _fold_artifacts,
    ARTIFACT_REMOVED_KIND: _fold_removed,
    LINKED_KIND: _fold_links,
    SEALED_KIND: _fold_sealed,
    RENAMED_KIND: _fold_renamed,
    TRASHED_KIND: _fold_trashed,
    RESTORED_KIND: _fold_restored,
    DELETED_KIND: _fold_deleted,
    **PROJECT_FOLDS,
}
KINDS = frozenset(_FOLDS)
