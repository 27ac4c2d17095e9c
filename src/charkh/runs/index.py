"""Runs' part of the catalog: the questions about runs, and how they are answered.

Nothing here decodes points: what a search needs of a metric stands in the fact that sealed it. What
segments that are still open say is laid over the answers by `charkh.runs.live`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, not_, or_, select

from charkh.core.events import Edge
from charkh.core.files import FileRef
from charkh.ports.projections import Description, Projection, Query
from charkh.runs.columns import COLUMN_ANSWERS
from charkh.runs.gather import gather_runs, portions
from charkh.runs.project_index import PROJECT_ANSWERS, PROJECT_DECISIONS, portray_project
from charkh.runs.project_tables import projects
from charkh.runs.query import Condition, Order
from charkh.runs.run import (
    Artifact,
    LargeValue,
    ParamConflict,
    Run,
    RunParams,
    RunProvenance,
    RunSealed,
    RunStarted,
    json_text,
)
from charkh.runs.search_sql import clause, current_tags, order_column
from charkh.runs.tables import (
    KINDS,
    METADATA,
    artifacts,
    fold,
    goals,
    links,
    metrics,
    param_events,
    params,
    runs,
    segments,
    step_and_time,
    tags,
)

IDS_AT_ONCE = 500
_decode_started = msgspec.msgpack.Decoder(RunStarted).decode
_decode_provenance = msgspec.msgpack.Decoder(RunProvenance).decode
_decode_params = msgspec.msgpack.Decoder(RunParams).decode
_decode_sealed = msgspec.msgpack.Decoder(RunSealed).decode
_decode_file = msgspec.msgpack.Decoder(FileRef).decode


class RunsByIds(Query[tuple[Run, ...]], frozen=True, kw_only=True):
    """The runs with these ids, deleted ones included; `now` is seconds since the epoch."""

    runs: tuple[str, ...]
    now: float


MOST_LIKE = 20
MOST_NAMES = 2000


class RunsLike(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Ids of runs that begin with `prefix`, or that have this name; at most `MOST_LIKE`, newest first.

    `deleted` tells whether those in the trash are meant, and only they.
    """

    prefix: str
    deleted: bool = False


class FindRuns(Query[tuple[Run, ...]], frozen=True, kw_only=True):
    """The first `limit` runs behind the first `offset` that meet a condition.

    Attributes:
        where: the condition; None for every run.
        order: keys of the order; runs without a field come last.
        limit: how many at most.
        without: ids of runs that the caller looks at itself.
        now: seconds since the epoch: what tells a running run from a lost one.
        offset: how many are left out before.
        deleted: those in the trash instead; None for both.
        projects: ids of the projects that are looked through; empty for all.
    """

    where: Condition | None
    order: tuple[Order, ...]
    limit: int
    without: tuple[str, ...] = ()
    now: float
    offset: int = 0
    deleted: bool | None = False
    projects: tuple[str, ...] = ()


class ChildRuns(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Ids of the undeleted runs that are a part of `parent`, oldest first."""

    parent: str


class LatestPoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A metric's value that shows, and its step; `time` is seconds since the epoch of the latest point beside it."""

    name: str
    value: float
    step: int
    time: float


class LatestOf(Query[dict[str, tuple[LatestPoint, ...]]], frozen=True, kw_only=True):
    """By run, what shows of the metrics of its sealed segments, by name."""

    runs: tuple[str, ...]


class ArtifactsOf(Query[tuple[Artifact, ...]], frozen=True, kw_only=True):
    """The files that a run left, by path; `path` asks for the one that stands there."""

    run: str
    path: str = ""


class LinksOf(Query[tuple[Edge, ...]], frozen=True, kw_only=True):
    """The links that a run stated itself: what it used, and what it made."""

    run: str


class SealedOf(Query[tuple[RunSealed, ...]], frozen=True, kw_only=True):
    """The sealed segments of a run, in order of writer, attempt and segment."""

    run: str


class SealedOfRuns(Query[dict[str, tuple[RunSealed, ...]]], frozen=True, kw_only=True):
    """By run, the same of several; runs without a sealed segment are left out."""

    runs: tuple[str, ...]


class ParamConflicts(Query[tuple[ParamConflict, ...]], frozen=True, kw_only=True):
    """The params of a run that were given several values, by name."""

    run: str


class SealedAmong(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Those of these segments that have been sealed."""

    segments: tuple[str, ...]


class WerePurged(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Those of these runs that have been deleted for good."""

    runs: tuple[str, ...]


class TrashedRuns(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Ids of the runs in the trash, alone or with their project, since before `moment` (seconds since the epoch)."""

    moment: float


class RunCounts(Query[dict[str, int]], frozen=True, kw_only=True):
    """How many runs each project has, by its id; with `deleted`, of those in the trash."""

    deleted: bool = False


class KnownNames(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """The names that runs have of a family (`params`, `metrics` or `tags`), by name; at most `MOST_NAMES`."""

    family: str


class GoalsOf(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """`max`, `min`, or both: which values of a metric were ever said to be the better ones."""

    metric: str


class TagEvents(Query[dict[str, tuple[str, ...]]], frozen=True, kw_only=True):
    """By tag name, ids of the events that set what nothing replaces yet."""

    run: str


def runs_by_ids(connection: Connection, query: RunsByIds) -> tuple[Run, ...]:
    return gather_runs(connection, query.runs, query.now)


def runs_like(connection: Connection, query: RunsLike) -> tuple[str, ...]:
    begins = runs.c.id.startswith(query.prefix, autoescape=True)
    first = and_(runs.c.new_name.is_(None), runs.c.name == query.prefix)
    named = or_(begins, first, runs.c.new_name == query.prefix)
    statement = select(runs.c.id).where(_present(connection, deleted=query.deleted), named)
    return tuple(connection.execute(statement.order_by(runs.c.stamp.desc()).limit(MOST_LIKE)).scalars())


def find_runs(connection: Connection, query: FindRuns) -> tuple[Run, ...]:
    where = and_(_present(connection, deleted=query.deleted), clause(connection, query.where, query.now))
    if query.projects:
        where = and_(where, runs.c.project.in_(query.projects))
    if query.without:
        where = and_(where, runs.c.id.not_in(query.without))
    found = list(_ordered_ids(connection, where, query.order, query.offset + query.limit, query.now))
    return gather_runs(connection, found[query.offset :], query.now)


def child_runs(connection: Connection, query: ChildRuns) -> tuple[str, ...]:
    statement = select(runs.c.id).where(_present(connection), runs.c.parent == query.parent).order_by(runs.c.stamp)
    return tuple(connection.execute(statement).scalars())


def artifacts_of(connection: Connection, query: ArtifactsOf) -> tuple[Artifact, ...]:
    statement = select(artifacts).where(artifacts.c.run == query.run, artifacts.c.file.is_not(None))
    if query.path:
        statement = statement.where(artifacts.c.path == query.path)
    statement = statement.order_by(artifacts.c.path)
    return tuple(
        Artifact(path=row.path, file=_decode_file(row.file), at=row.at) for row in connection.execute(statement)
    )


def links_of(connection: Connection, query: LinksOf) -> tuple[Edge, ...]:
    statement = select(links).where(links.c.run == query.run).order_by(*links.c)
    return tuple(Edge(row.source, row.relation, row.target) for row in connection.execute(statement))


def sealed_of(connection: Connection, query: SealedOf) -> tuple[RunSealed, ...]:
    rows = connection.execute(select(segments.c.body).where(segments.c.run == query.run)).scalars()
    return tuple(sorted(map(_decode_sealed, rows), key=lambda each: (each.writer, each.attempt, each.segment)))


def sealed_of_runs(connection: Connection, query: SealedOfRuns) -> dict[str, tuple[RunSealed, ...]]:
    found: dict[str, list[RunSealed]] = {}
    for ids in portions(query.runs):
        for body in connection.execute(select(segments.c.body).where(segments.c.run.in_(ids))).scalars():
            sealed = _decode_sealed(body)
            found.setdefault(sealed.run, []).append(sealed)
    return {
        run: tuple(sorted(several, key=lambda each: (each.writer, each.attempt, each.segment)))
        for run, several in found.items()
    }


def param_conflicts(connection: Connection, query: ParamConflicts) -> tuple[ParamConflict, ...]:
    statement = select(param_events.c.body).where(param_events.c.run == query.run).order_by(param_events.c.stamp)
    said: dict[str, dict[str, Any]] = {}
    for body in map(_decode_params, connection.execute(statement).scalars()):
        for name, value in body.values.items():
            said.setdefault(name, {}).setdefault(json_text(value), value)
        for name, file in body.large.items():
            said.setdefault(name, {}).setdefault(file.digest, LargeValue(file=file))
    conflicts = ((name, list(values.values())) for name, values in sorted(said.items()) if len(values) > 1)
    return tuple(ParamConflict(name=name, shown=first, others=tuple(rest)) for name, (first, *rest) in conflicts)


def latest_of(connection: Connection, query: LatestOf) -> dict[str, tuple[LatestPoint, ...]]:
    found: dict[str, list[LatestPoint]] = {}
    for ids in portions(query.runs):
        shown = select(metrics.c.run, metrics.c.name, metrics.c.last, metrics.c.rank).where(metrics.c.run.in_(ids))
        for run, name, last, rank in connection.execute(shown.order_by(metrics.c.run, metrics.c.name)).all():
            value = float("nan") if last is None else last
            found.setdefault(run, []).append(LatestPoint(name, value, *step_and_time(rank)))
    return {run: tuple(points) for run, points in found.items()}


def sealed_among(connection: Connection, query: SealedAmong) -> tuple[str, ...]:
    found: list[str] = []
    for ids in portions(query.segments):
        found += connection.execute(select(segments.c.segment).where(segments.c.segment.in_(ids))).scalars()
    return tuple(found)


def were_purged(connection: Connection, query: WerePurged) -> tuple[str, ...]:
    found: list[str] = []
    for ids in portions(query.runs):
        gone = runs.c.purged_stamp.is_not(None)
        found += connection.execute(select(runs.c.id).where(runs.c.id.in_(ids), gone)).scalars()
    return tuple(found)


def trashed_runs(connection: Connection, query: TrashedRuns) -> tuple[str, ...]:
    alone = and_(runs.c.deleted.is_not(None), runs.c.deleted < query.moment)
    with_project = runs.c.project.in_(select(projects.c.id).where(projects.c.deleted < query.moment))
    statement = select(runs.c.id).where(runs.c.stamp.is_not(None), runs.c.purged_stamp.is_(None))
    return tuple(connection.execute(statement.where(or_(alone, with_project)).order_by(runs.c.id)).scalars())


def run_counts(connection: Connection, query: RunCounts) -> dict[str, int]:
    statement = select(runs.c.project, func.count()).where(_present(connection, deleted=query.deleted))
    return {row[0]: row[1] for row in connection.execute(statement.group_by(runs.c.project))}


def known_names(connection: Connection, query: KnownNames) -> tuple[str, ...]:
    """One step through the index a name, however many runs have it."""
    table, column = _NAMED[query.family]
    found: list[str] = []
    last = ""
    while len(found) < MOST_NAMES:
        statement = select(column).where(column > last).order_by(column).limit(1)
        following = connection.execute(statement.select_from(table)).scalar()
        if following is None:
            break
        found.append(following)
        last = following
    return tuple(found)


_NAMED = {"params": (params, params.c.name), "metrics": (metrics, metrics.c.name), "tags": (tags, tags.c.name)}


def goals_of(connection: Connection, query: GoalsOf) -> tuple[str, ...]:
    statement = select(goals.c.goal).where(goals.c.name == query.metric).order_by(goals.c.goal)
    return tuple(connection.execute(statement).scalars())


def tag_events(connection: Connection, query: TagEvents) -> dict[str, tuple[str, ...]]:
    current = current_tags().subquery()
    statement = select(current.c.name, current.c.event).where(current.c.run == query.run).order_by(current.c.event)
    found: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(statement):
        found[row.name] = (*found.get(row.name, ()), row.event)
    return found


def portray(connection: Connection, identifier: str) -> Description | None:
    found = gather_runs(connection, [identifier], 0.0)
    if not found:
        return None
    run = found[0]
    provenance = run.provenance
    lines = [
        ("status", run.status if run.over else "not ended"),
        ("started by", run.actor),
        *(_provenance_lines(provenance) if provenance is not None else ()),
        *((f"param {name}", _shown(value)) for name, value in sorted(run.params.items())),
        *((f"metric {name}", f"{value:.6g}") for name, value in sorted(run.metrics.items())),
        *((("deleted", "its bytes may be gone" if run.purged else "in the trash"),) if run.deleted is not None else ()),
    ]
    return Description(title=run.name or f"run:{identifier[:12]}", lines=tuple(lines))


def _provenance_lines(known: RunProvenance) -> Sequence[tuple[str, str]]:
    """Where the code came from and what it ran on; what was typed stays bytes, named by digest."""
    patch = f"{known.patch.size} bytes, {known.patch.digest[:12]}" if known.patch is not None else ""
    environment = known.environment.digest[:12] if known.environment is not None else ""
    script = f"{known.script.size} bytes, {known.script.digest[:12]}" if known.script is not None else ""
    lines = [
        ("commit", known.commit),
        ("branch", known.branch),
        ("remote", known.remote),
        ("uncommitted patch", patch or ("none" if known.dirty is False else "")),
        ("script", script),
        ("environment", f"Python {known.python}, packages {environment}" if environment else known.python),
        ("machine", f"{known.platform}, {known.cpus} processors" if known.platform else ""),
    ]
    return [(label, value) for label, value in lines if value]


def _shown(value: Any) -> str:
    if isinstance(value, LargeValue):
        return f"{value.file.size} bytes"
    return value if isinstance(value, str) else json_text(value)


def _present(connection: Connection, *, deleted: bool | None = False) -> ColumnElement[bool]:
    """The runs that show; with `deleted` those in the trash, with None both. What was purged is in neither."""
    known = and_(runs.c.stamp.is_not(None), runs.c.purged_stamp.is_(None))
    if deleted is None:
        return known
    gone = tuple(connection.execute(select(projects.c.id).where(projects.c.deleted.is_not(None))).scalars())
    trashed = runs.c.deleted.is_not(None)
    if gone:
        # Of a run that is not known to the end no project is known either.
        trashed = or_(trashed, runs.c.project.in_(gone))
    return and_(known, trashed if deleted else not_(trashed))


def _ordered_ids(
    connection: Connection, where: ColumnElement[bool], order: Sequence[Order], limit: int, now: float
) -> Iterator[str]:
    """Ids in order. Where the first key lies in another table, the runs that have it come first, by its index."""
    column, held = order_column(connection, order[0].field, now)
    if held is None:
        # Missing values last, without a sort where the column's own index gives the order.
        keys: list[ColumnElement[Any]] = [column.desc() if order[0].descending else column.asc()]
        if order[0].field.name == "created" and len(order) == 1:
            # The stamp tells runs of one moment apart.
            keys.append(runs.c.stamp.desc() if order[0].descending else runs.c.stamp.asc())
            yield from connection.execute(select(runs.c.id).where(where).order_by(*keys).limit(limit)).scalars()
            return
        if order[0].field.name != "created":
            keys.insert(0, column.is_(None))
        yield from connection.execute(
            _sorted(connection, select(runs.c.id).where(where), keys, order[1:], limit, now)
        ).scalars()
        return
    rows = held.subquery()
    keys = _sort_keys(rows, order[0].descending)
    has = or_(*(each.is_not(None) for each in _value_columns(rows)))
    first = select(runs.c.id).join(rows, rows.c.run == runs.c.id).where(where, has)
    found = list(connection.execute(_sorted(connection, first, keys, order[1:], limit, now)).scalars())
    yield from found
    if len(found) < limit:
        without = select(runs.c.id).where(where, runs.c.id.not_in(select(rows.c.run).where(has)))
        rest = _sorted(connection, without, [], order[1:], limit - len(found), now)
        yield from connection.execute(rest).scalars()


def _sorted(
    connection: Connection, statement: Select[Any], keys: list[Any], more: Sequence[Order], limit: int, now: float
) -> Select[Any]:
    for each in more:
        column, held = order_column(connection, each.field, now)
        if held is None:
            if each.field.name == "created":
                # As with a first key: behind the stamp nothing is left to order.
                stamped = [value.desc() if each.descending else value.asc() for value in (column, runs.c.stamp)]
                return statement.order_by(*keys, *stamped).limit(limit)
            keys += [column.is_(None), column.desc() if each.descending else column.asc()]
            continue
        rows = held.subquery()
        statement = statement.join(rows, rows.c.run == runs.c.id, isouter=True)
        keys += [and_(*(value.is_(None) for value in _value_columns(rows))), *_sort_keys(rows, each.descending)]
    return statement.order_by(*keys, runs.c.stamp.desc()).limit(limit)


def _value_columns(rows: Any) -> list[ColumnElement[Any]]:
    return [rows.c[name] for name in ("number", "text") if name in rows.c]


def _sort_keys(rows: Any, descending: bool) -> list[Any]:
    """Numbers before texts, whichever way the order goes; one column alone is sorted by its index."""
    columns = _value_columns(rows)
    keys = [each.desc() if descending else each.asc() for each in columns]
    return keys if len(keys) == 1 else [columns[0].is_(None), *keys]


PROJECTION = Projection(
    name="run",
    version=5,
    tables=METADATA,
    kinds=KINDS,
    fold=fold,
    answers={
        RunsByIds: runs_by_ids,
        RunsLike: runs_like,
        FindRuns: find_runs,
        ChildRuns: child_runs,
        ArtifactsOf: artifacts_of,
        LinksOf: links_of,
        SealedOf: sealed_of,
        SealedOfRuns: sealed_of_runs,
        LatestOf: latest_of,
        ParamConflicts: param_conflicts,
        SealedAmong: sealed_among,
        WerePurged: were_purged,
        TrashedRuns: trashed_runs,
        TagEvents: tag_events,
        GoalsOf: goals_of,
        KnownNames: known_names,
        RunCounts: run_counts,
        **PROJECT_ANSWERS,
        **COLUMN_ANSWERS,
    },
    portraits={"run": portray, "project": portray_project},
    decisions=PROJECT_DECISIONS,
)
