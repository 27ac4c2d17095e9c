"""A search condition as SQL over the tables of runs; `charkh.runs.query.matches` says the same of one run."""

from collections.abc import Callable, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    and_,
    case,
    cast,
    collate,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from charkh.core.clock import reading_at
from charkh.core.errors import Bug
from charkh.runs.patterns import as_glob, as_like, folded, pattern_of
from charkh.runs.project import DEFAULT_NAME, DEFAULT_PROJECT
from charkh.runs.project_tables import projects
from charkh.runs.query import PATTERNS, All, Any_, Comparison, Condition, Field, Not, Scalar, compare
from charkh.runs.run import LOST_AFTER_SECONDS, SCHEDULED
from charkh.runs.tables import artifacts, links, metrics, params, replaced_tags, runs, segments, tags

FEW = 2000
"""Fewer holders of a field than this are listed; more are looked up run by run, in the order of the answer."""

Clause = ColumnElement[bool]
Rows = Select[*tuple[Any, ...]]
_METRIC_COLUMNS = {"metrics": metrics.c.last, "low": metrics.c.low, "high": metrics.c.high}
_WORD_COLUMNS: dict[str, ColumnElement[Any]] = {
    "id": runs.c.id,
    "name": func.nullif(func.coalesce(runs.c.new_name, runs.c.name), ""),
    "group": func.nullif(runs.c.run_group, ""),
    "parent": func.nullif(runs.c.parent, ""),
    "user": func.nullif(runs.c.user, ""),
    "actor": func.nullif(runs.c.actor, ""),
    "commit": func.nullif(runs.c.commit_id, ""),
    "branch": func.nullif(runs.c.branch, ""),
    "script": func.nullif(runs.c.script, ""),
    "dirty": runs.c.dirty,
    "created": runs.c.created,
    "lost_records": func.coalesce(runs.c.lost, 0),
}


def is_over() -> Clause:
    """Whether a run has ended and has not been taken up again since."""
    return and_(_told_last(), runs.c.status != SCHEDULED)


def _told_last() -> Clause:
    """Whether the last that was heard of a run is how it ended, or that it waits."""
    return and_(runs.c.ended_stamp.is_not(None), runs.c.resumed_stamp < runs.c.ended_stamp)


def status_column(now: float) -> ColumnElement[str]:
    """The status of a run none of whose segments is held open; `now` is seconds since the epoch."""
    return status_since(literal(fresh_since(now)))


def status_since(fresh: ColumnElement[str]) -> ColumnElement[str]:
    """The same, for the stamp behind which a run is not lost yet."""
    # When it was recorded, not when it began: what is taken over from elsewhere may have begun long ago.
    heard_of = runs.c.resumed_stamp >= fresh
    return case((_told_last(), runs.c.status), (heard_of, literal("running")), else_=literal("lost"))


def fresh_since(now: float) -> str:
    """The stamp behind which a run of which nothing was heard since is not lost yet."""
    return f"{reading_at(max(0.0, now - LOST_AFTER_SECONDS)):016x}"


def current_tags() -> Rows:
    """Run, name, value and stamp of the tags that nothing replaces."""
    seen = exists().where(replaced_tags.c.event == tags.c.event, replaced_tags.c.name == tags.c.name)
    return select(tags).where(not_(seen))


def clause(connection: Connection, condition: Condition | None, now: float) -> Clause:
    """The condition on `run` rows; the connection is asked how many runs each comparison lets through."""
    if condition is None:
        return true()
    if isinstance(condition, All):
        return and_(*(clause(connection, each, now) for each in condition.conditions))
    if isinstance(condition, Any_):
        return or_(*(clause(connection, each, now) for each in condition.conditions))
    if isinstance(condition, Not):
        return not_(clause(connection, condition.condition, now))
    if condition.field.family == "text":
        return _text(connection, condition, now)
    if condition.field == _PROJECT:
        return runs.c.project.in_(_projects(connection, condition))
    if condition.field.family == "run":
        return _word(connection, condition, now)
    held = _is_held(connection, _holders(connection, condition))
    return not_(held) if condition.operator == "is null" else held


_PROJECT = Field("run", "project")


def _is_held(connection: Connection, holders: Rows) -> Clause:
    """Whether the run is among the holders: a few are listed first, of many each run is looked up by itself."""
    some = holders.limit(FEW).subquery()
    if (connection.execute(select(func.count()).select_from(some)).scalar() or 0) < FEW:
        return runs.c.id.in_(holders)
    return holders.where(holders.selected_columns[0] == runs.c.id).correlate(runs).exists()


def order_column(connection: Connection, field: Field, now: float) -> tuple[ColumnElement[Any], Rows | None]:
    """What to sort by, and the rows to join by their column `run`, where it is no column of the run itself."""
    if field.family == "run":
        return word_column(field.name, now), None
    if field.family == "params":
        held = select(params.c.run, params.c.number, params.c.text).where(params.c.name == field.name)
    elif field.family == "told":
        held = select(params.c.run, _told_param().label("text"))
        held = held.where(params.c.name == field.name, params.c.value != "null")
    elif field.family == "tags":
        held = _shown_tags(field.name)
    elif field.family in {"first", "count"}:
        held = _brief(connection, field)
    else:
        held = select(metrics.c.run, _METRIC_COLUMNS[field.family].label("number")).where(metrics.c.name == field.name)
    return literal(None), held


def word_column(name: str, now: float) -> ColumnElement[Any]:
    """The run's own word as a column."""
    if name == "status":
        return status_column(now)
    if name == "ended":
        return case((is_over(), runs.c.ended), else_=None)
    if name == "duration":
        taken = runs.c.ended - runs.c.created
        return case((is_over(), case((taken > 0, taken), else_=0.0)), else_=None)
    if name == "error":
        return case((is_over(), func.nullif(runs.c.error, "")), else_=None)
    if name == "project":
        named = select(func.coalesce(projects.c.new_name, projects.c.name)).where(projects.c.id == runs.c.project)
        return func.coalesce(named.correlate(runs).scalar_subquery(), DEFAULT_NAME)
    return _WORD_COLUMNS[name]


def _word(connection: Connection, condition: Comparison, now: float) -> Clause:
    column = word_column(condition.field.name, now)
    if condition.operator == "is null":
        return column.is_(None)
    if condition.operator == "is not null":
        return column.is_not(None)
    # Of a missing value even the negation must not hold, as everywhere in the grammar.
    return and_(column.is_not(None), _compared(connection, column, condition.operator, condition.values))


def _text(connection: Connection, condition: Comparison, now: float) -> Clause:
    """What is written for people about the run: its name, its group, its tags."""
    operator, values = condition.operator, condition.values
    present = [Comparison(Field("run", name), operator, values) for name in ("name", "group")]
    shown = current_tags().where(tags.c.value.is_not(None)).subquery()
    held = select(shown.c.run)
    if operator in {"is null", "is not null"}:
        words = [_word(connection, Comparison(each.field, "is not null"), now) for each in present]
        found = or_(*words, runs.c.id.in_(held))
        return not_(found) if operator == "is null" else found
    labelled = held.where(_compared(connection, shown.c.value, operator, values))
    return or_(*(_word(connection, each, now) for each in present), _is_held(connection, labelled))


def _projects(connection: Connection, condition: Comparison) -> Sequence[str]:
    """Ids of the projects whose name meets the condition: they are few, and a run has always one."""
    statement = select(projects.c.id, func.coalesce(projects.c.new_name, projects.c.name))
    names = {DEFAULT_PROJECT: DEFAULT_NAME}
    names.update({row[0]: row[1] for row in connection.execute(statement) if row[1] is not None})
    if condition.operator in {"is null", "is not null"}:
        return tuple(names) if condition.operator == "is not null" else ()
    return tuple(each for each, name in names.items() if compare(name, condition.operator, condition.values))


def _holders(connection: Connection, condition: Comparison) -> Rows:
    """The runs that have the field and whose value compares as it should."""
    field, operator, values = condition.field, condition.operator, condition.values
    present = operator in {"is null", "is not null"}
    if field.family in {"params", "told"}:
        held = select(params.c.run).where(params.c.name == field.name)
        sized = field.family == "params" and operator in {"<", "<=", ">", ">="}
        # Null is no value; a comparison by size implies that, and then finds all it needs in an index.
        held = held if sized else held.where(params.c.value != "null")
        if present:
            return held
        if field.family == "told":
            return held.where(_compared(connection, _told_param(), operator, values))
        return held.where(_compared_param(connection, operator, values))
    if field.family in {"first", "count"}:
        rows = _brief(connection, field).subquery()
        return _numbers(connection, select(rows.c.run), rows.c.number, condition)
    if field.family in _METRIC_COLUMNS:
        held = select(metrics.c.run).where(metrics.c.name == field.name)
        return _numbers(connection, held, _METRIC_COLUMNS[field.family], condition)
    held, column = _texts(field)
    return held if present else held.where(_compared(connection, column, operator, values))


def _texts(field: Field) -> tuple[Rows, ColumnElement[Any]]:
    """Who has texts of a family, and the column they stand in."""
    if field.family == "tags":
        shown = _shown_tags(field.name).subquery()
        return select(shown.c.run), shown.c.text
    if field.family == "artifact":
        return select(artifacts.c.run).where(artifacts.c.file.is_not(None)), artifacts.c.path
    if field.family == "used":
        return select(links.c.run).where(links.c.source == literal("run:").concat(links.c.run)), links.c.target
    raise Bug(f"{field} has to be resolved before it is searched for")


def _numbers(connection: Connection, held: Rows, column: ColumnElement[Any], condition: Comparison) -> Rows:
    if condition.operator in {"is null", "is not null"}:
        return held
    return held.where(column.is_not(None), _compared(connection, column, condition.operator, condition.values))


def _brief(connection: Connection, field: Field) -> Rows:
    """Run and number of what only the summaries of its segments say: how many points, and the first of them."""
    if connection.dialect.name == "postgresql":
        # Here, because it loads asyncio, and a script with a store in a folder should not wait for that.
        from sqlalchemy.dialects.postgresql import JSONB

        part = func.jsonb_each(cast(segments.c.brief, JSONB)).table_valued("key", "value", name="part")
        places = [cast(func.jsonb_extract_path_text(part.c.value, str(place)), Float) for place in range(3)]
    else:
        part = func.json_each(segments.c.brief).table_valued("key", "value", name="part")
        places = [func.json_extract(part.c.value, f"$[{place}]") for place in range(3)]
    count, first_step, first = places
    named = segments.join(part, part.c.key == field.name)
    if field.family == "count":
        statement = select(segments.c.run, cast(func.sum(count), Float).label("number"))
        return statement.select_from(named).group_by(segments.c.run)
    order = (segments.c.place.desc(), first_step, segments.c.attempt, segments.c.segment.desc())
    ranked = select(
        segments.c.run,
        cast(first, Float).label("number"),
        func.row_number().over(partition_by=segments.c.run, order_by=order).label("rank"),
    )
    rows = ranked.select_from(named).subquery()
    return select(rows.c.run, rows.c.number).where(rows.c.rank == 1)


def _shown_tags(name: str) -> Rows:
    """Run and text of a tag: of several values that were set apart, the latest."""
    current = current_tags().where(tags.c.name == name).subquery()
    latest = select(current.c.run, func.max(current.c.stamp).label("stamp")).group_by(current.c.run).subquery()
    return (
        select(current.c.run, current.c.value.label("text"))
        .join(latest, and_(current.c.run == latest.c.run, current.c.stamp == latest.c.stamp))
        .where(current.c.value.is_not(None))
    )


def _told_param() -> ColumnElement[str]:
    """A param as the text that shows."""
    return func.coalesce(params.c.text, params.c.value)


def _compared_param(connection: Connection, operator: str, values: Sequence[Scalar]) -> Clause:
    if operator in {"in", "not in", "==", "!="}:
        equal = or_(*(_equal_param(value) for value in values))
        known = or_(params.c.number.is_not(None), params.c.value != "NaN")
        return equal if operator in {"in", "=="} else and_(not_(func.coalesce(equal, false())), known)
    value = values[0]
    if isinstance(value, bool):
        return false()
    column = params.c.text if isinstance(value, str) else params.c.number
    return and_(column.is_not(None), _compared(connection, column, operator, values))


def _equal_param(value: Scalar) -> Clause:
    if isinstance(value, bool):
        return params.c.value == ("true" if value else "false")
    column = params.c.text if isinstance(value, str) else params.c.number
    return func.coalesce(column == value, false())


def _compared(connection: Connection, column: ColumnElement[Any], operator: str, values: Sequence[Scalar]) -> Clause:
    if operator == "in":
        return column.in_(values)
    if operator == "not in":
        return column.not_in(values)
    value = values[0]
    if operator in PATTERNS:
        return _fits(connection, column, operator, str(value))
    if isinstance(value, bool) and operator not in {"==", "!="}:
        return false()
    return _COMPARE[operator](column, value)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


def _fits(connection: Connection, column: ColumnElement[Any], operator: str, wanted: str) -> Clause:
    """A pattern in the dialect's own words; both tell only A to Z from a to z, whatever the database's language."""
    pattern = pattern_of(operator, wanted if operator == "like" else folded(wanted))
    if connection.dialect.name == "postgresql":
        text = column if operator == "like" else func.lower(collate(column, "C"))
        return text.like(as_like(pattern), escape="\\")
    if operator == "like":
        return column.op("glob", is_comparison=True)(as_glob(pattern))
    return column.like(as_like(pattern), escape="\\")
