"""What the catalog knows of many runs as plain rows: what tables are made of, without a struct for each run."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, func, literal, select

from charkh.ports.projections import Query, Reply
from charkh.runs.project import DEFAULT_NAME
from charkh.runs.project_tables import projects
from charkh.runs.search_sql import current_tags, status_column, word_column
from charkh.runs.tables import artifacts, links, metrics, params, runs

Name = Literal["runs", "params", "metrics", "tags", "artifacts", "used"]
Rows = list[tuple[Any, ...]]
Statement = Select[*tuple[Any, ...]]


class RunRows(Query[Rows], frozen=True, kw_only=True):
    """The rows of one table of the runs that are not deleted, in the order of `COLUMNS`; no column is computed here.

    Attributes:
        table: which.
        now: seconds since the epoch: what tells a running run from a lost one.
        without: ids of runs that the caller looks at itself.
    """

    table: Name
    now: float
    without: tuple[str, ...] = ()


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "runs": (
        "run",
        "name",
        "project",
        "group",
        "parent",
        "status",
        "user",
        "created",
        "ended",
        "commit",
        "branch",
        "dirty",
        "script",
        "error",
    ),
    "params": ("run", "name", "number", "text", "value"),
    "metrics": ("run", "name", "last", "min", "max"),
    "tags": ("run", "name", "value"),
    "artifacts": ("run", "path", "added"),
    "used": ("run", "relation", "subject"),
}


def run_rows(connection: Connection, query: RunRows) -> Rows:
    statement = _STATEMENTS[query.table](query.now)
    gone = select(projects.c.id).where(projects.c.deleted.is_not(None))
    known = and_(runs.c.stamp.is_not(None), runs.c.deleted.is_(None), runs.c.purged_stamp.is_(None))
    statement = statement.where(known, runs.c.project.not_in(gone))
    if query.without:
        statement = statement.where(runs.c.id.not_in(query.without))
    return [tuple(row) for row in connection.execute(statement).all()]


def _runs(now: float) -> Statement:
    words = ("commit", "branch", "dirty", "script", "error")
    named = projects.c.id == runs.c.project
    return (
        select(
            runs.c.id,
            word_column("name", now),
            func.coalesce(projects.c.new_name, projects.c.name, literal(DEFAULT_NAME)),
            *(word_column(name, now) for name in ("group", "parent")),
            status_column(now),
            word_column("user", now),
            runs.c.created,
            word_column("ended", now),
            *(word_column(name, now) for name in words),
        )
        .join(projects, named, isouter=True)
        .order_by(runs.c.created, runs.c.stamp)
    )


def _params(_now: float) -> Statement:
    shown = func.coalesce(params.c.text, params.c.value)
    return select(params.c.run, params.c.name, params.c.number, params.c.text, shown).join(
        runs, runs.c.id == params.c.run
    )


def _metrics(_now: float) -> Statement:
    columns = (metrics.c.run, metrics.c.name, metrics.c.last, metrics.c.low, metrics.c.high)
    return select(*columns).join(runs, runs.c.id == metrics.c.run)


def _tags(_now: float) -> Statement:
    shown = current_tags().subquery()
    newest = select(shown.c.run, shown.c.name, shown.c.value).join(runs, runs.c.id == shown.c.run)
    return newest.where(shown.c.value.is_not(None)).order_by(shown.c.run, shown.c.name, shown.c.stamp)


def _artifacts(_now: float) -> Statement:
    return select(artifacts.c.run, artifacts.c.path, artifacts.c.at).join(runs, runs.c.id == artifacts.c.run)


def _used(_now: float) -> Statement:
    own = links.c.source == literal("run:").concat(links.c.run)
    return select(links.c.run, links.c.relation, links.c.target).join(runs, runs.c.id == links.c.run).where(own)


_STATEMENTS = {
    "runs": _runs,
    "params": _params,
    "metrics": _metrics,
    "tags": _tags,
    "artifacts": _artifacts,
    "used": _used,
}
COLUMN_ANSWERS: Mapping[type[Query[Any]], Reply] = {RunRows: run_rows}
