"""Runs put together from rows of their tables: a page of them is some thousand rows, so statements are made once."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, String, bindparam, func, select

from charkh.core.files import FileRef
from charkh.runs.project_tables import projects
from charkh.runs.run import LargeValue, Run, RunProvenance, RunStarted, from_json_text
from charkh.runs.search_sql import current_tags, fresh_since, is_over, status_since
from charkh.runs.tables import metrics, params, runs

IDS_AT_ONCE = 500
Statement = Select[*tuple[Any, ...]]

_decode_started = msgspec.msgpack.Decoder(RunStarted).decode
_decode_provenance = msgspec.msgpack.Decoder(RunProvenance).decode
_decode_file = msgspec.msgpack.Decoder(FileRef).decode
_encode_ids = msgspec.json.Encoder().encode


def gather_runs(connection: Connection, ids: Sequence[str], now: float) -> tuple[Run, ...]:
    """The runs with these ids, in this order; ids that no run was started with are left out.

    Args:
        connection: of the catalog.
        ids: of runs, deleted ones too.
        now: seconds since the epoch: what tells a running run from a lost one.
    """
    found: dict[str, Run] = {}
    for portion in portions(ids):
        found.update(_gathered(connection, portion, now))
    return tuple(found[identifier] for identifier in ids if identifier in found)


def portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids, as many at once as a statement takes."""
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


class _Statements(NamedTuple):
    """What is asked about the runs of the bind `ids`; rows of one run stand together."""

    runs: Statement
    params: Statement
    metrics: Statement
    tags: Statement
    gone: Statement


@cache
def _statements(dialect: str) -> _Statements:
    tags = current_tags().subquery()
    return _Statements(
        runs=select(
            runs.c.id,
            runs.c.started,
            runs.c.provenance,
            func.coalesce(runs.c.new_name, runs.c.name, ""),
            runs.c.project,
            runs.c.user,
            runs.c.created,
            runs.c.actor,
            runs.c.stamp,
            runs.c.ended,
            runs.c.error,
            func.coalesce(runs.c.lost, 0),
            runs.c.deleted,
            runs.c.purged,
            runs.c.purged_stamp,
            is_over(),
            status_since(bindparam("fresh", type_=String)),
        ).where(_is_asked_for(runs.c.id, dialect), runs.c.stamp.is_not(None)),
        params=select(params.c.run, params.c.name, params.c.value, params.c.large)
        .where(_is_asked_for(params.c.run, dialect))
        .order_by(params.c.run, params.c.name),
        metrics=select(metrics.c.run, metrics.c.name, metrics.c.last)
        .where(_is_asked_for(metrics.c.run, dialect))
        .order_by(metrics.c.run, metrics.c.name),
        tags=select(tags.c.run, tags.c.name, tags.c.value, tags.c.large)
        .where(_is_asked_for(tags.c.run, dialect))
        .order_by(tags.c.run, tags.c.name, tags.c.stamp),
        gone=select(projects.c.id, projects.c.deleted).where(projects.c.deleted.is_not(None)),
    )


def _is_asked_for(named: ColumnElement[str], dialect: str) -> ColumnElement[bool]:
    if dialect == "sqlite":
        # One bind, so that the text of the statement is the same for any number of runs.
        each = func.json_each(bindparam("ids", type_=String)).table_valued("value", name="asked")
        return named.in_(select(each.c.value))
    return named.in_(bindparam("ids", expanding=True))


def _gathered(connection: Connection, ids: Sequence[str], now: float) -> Iterator[tuple[str, Run]]:
    dialect = connection.dialect.name
    ask = _statements(dialect)
    asked: dict[str, Any] = {"ids": _encode_ids(ids).decode() if dialect == "sqlite" else list(ids)}
    said = _params(_rows(connection, ask.params, asked))
    shown = _metrics(_rows(connection, ask.metrics, asked))
    tags, long_tags = _tags(_rows(connection, ask.tags, asked))
    gone: dict[str, float] = dict(_rows(connection, ask.gone))
    rows = _rows(connection, ask.runs, {**asked, "fresh": fresh_since(now)})
    for row in rows:
        run, started, provenance, name, project, user, created, actor, stamp, *later = row
        ended, error, lost, deleted, purged, purged_stamp, over, status = later
        if deleted is None:
            deleted = gone.get(project, purged)
        yield (
            run,
            Run(
                started=_decode_started(started),
                over=bool(over),
                status=status,
                name=name,
                project=project,
                user=user,
                created=created,
                actor=actor,
                stamp=stamp,
                ended=ended if over else None,
                params=said.get(run, {}),
                tags=tags.get(run, {}),
                large_tags=long_tags.get(run, {}),
                metrics=shown.get(run, {}),
                provenance=None if provenance is None else _decode_provenance(provenance),
                error=(error or "") if over else "",
                lost_records=lost,
                deleted=deleted,
                purged=purged_stamp is not None,
            ),
        )


def _rows(connection: Connection, statement: Statement, asked: dict[str, Any] | None = None) -> Sequence[Any]:
    """The rows as the driver gives them: of texts, floats and bytes there is nothing to convert, and they are many."""
    cursor = connection.execute(statement, asked).cursor
    return cursor.fetchall() if cursor is not None else ()


def _params(rows: Sequence[tuple[str, str, str, bytes | None]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    last, mine = "", dict[str, Any]()
    for run, name, text, large in rows:
        if run != last:
            last, mine = run, {}
            found[run] = mine
        mine[name] = from_json_text(text) if large is None else LargeValue(file=_decode_file(large))
    return found


def _metrics(rows: Sequence[tuple[str, str, float | None]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    last, mine = "", dict[str, float]()
    for run, name, value in rows:
        if run != last:
            last, mine = run, {}
            found[run] = mine
        mine[name] = float("nan") if value is None else value
    return found


def _tags(
    rows: Sequence[tuple[str, str, str | None, bytes | None]],
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, FileRef]]]:
    """By run, what its tags say, and the whole of the long ones; of several values of one tag the latest counts."""
    found: dict[str, dict[str, str]] = {}
    long: dict[str, dict[str, FileRef]] = {}
    for run, name, value, large in rows:
        mine, mine_long = found.setdefault(run, {}), long.setdefault(run, {})
        mine.pop(name, None)
        mine_long.pop(name, None)
        if value is not None:
            mine[name] = value
        if large is not None:
            mine_long[name] = _decode_file(large)
    return found, long
