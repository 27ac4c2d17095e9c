"""A search condition as SQL over the tables of runs."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
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
from charkh.runs.query import All, Any_, Comparison, Condition, Field, Not, Scalar
from charkh.runs.run import LOST_AFTER_SECONDS, SCHEDULED
from charkh.runs.tables import metrics, params, replaced_tags, runs, tags

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
    "actor": runs.c.actor,
    "commit": func.nullif(runs.c.commit_id, ""),
    "branch": func.nullif(runs.c.branch, ""),
    "error": func.nullif(runs.c.error, ""),
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
    # When it was recorded, not when it began: what is taken over from elsewhere may have begun long ago.
    fresh = runs.c.resumed_stamp >= f"{reading_at(max(0.0, now - LOST_AFTER_SECONDS)):016x}"
    return case((_told_last(), runs.c.status), (fresh, literal("running")), else_=literal("lost"))


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
    if condition.field.family == "run":
        return _word(condition, now)
    held = _is_held(connection, _holders(condition))
    return not_(held) if condition.operator == "is null" else held


def _is_held(connection: Connection, holders: Rows) -> Clause:
    """Whether the run is among the holders: a few are listed first, of many each run is looked up by itself."""
    some = holders.limit(FEW).subquery()
    if (connection.execute(select(func.count()).select_from(some)).scalar() or 0) < FEW:
        return runs.c.id.in_(holders)
    return holders.where(holders.selected_columns[0] == runs.c.id).correlate(runs).exists()


def order_column(field: Field, now: float) -> tuple[ColumnElement[Any], Rows | None]:
    """What to sort by, and the rows to join by their column `run`, where it is no column of the run itself."""
    if field.family == "run":
        return word_column(field.name, now), None
    if field.family == "params":
        held = select(params.c.run, params.c.number, params.c.text).where(params.c.name == field.name)
    elif field.family == "tags":
        held = _shown_tags(field.name)
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
        return case((is_over(), runs.c.ended - runs.c.created), else_=None)
    return _WORD_COLUMNS[name]


def _word(condition: Comparison, now: float) -> Clause:
    column = word_column(condition.field.name, now)
    if condition.operator == "is null":
        return column.is_(None)
    if condition.operator == "is not null":
        return column.is_not(None)
    # Of a missing value even the negation must not hold, as everywhere in the grammar.
    return and_(column.is_not(None), _compared(column, condition.operator, condition.values))


def _holders(condition: Comparison) -> Rows:
    """The runs that have the field and whose value compares as it should."""
    field, operator, values = condition.field, condition.operator, condition.values
    present = operator in {"is null", "is not null"}
    if field.family == "params":
        held = select(params.c.run).where(params.c.name == field.name)
        # Null is no value; a comparison by size implies that, and then finds all it needs in an index.
        held = held if operator in {"<", "<=", ">", ">="} else held.where(params.c.value != "null")
        return held if present else held.where(_compared_param(operator, values))
    if field.family == "tags":
        shown = _shown_tags(field.name).subquery()
        held = select(shown.c.run)
        return held if present else held.where(_compared(shown.c.text, operator, values))
    held = select(metrics.c.run).where(metrics.c.name == field.name)
    column = _METRIC_COLUMNS[field.family]
    return held if present else held.where(column.is_not(None), _compared(column, operator, values))


def _shown_tags(name: str) -> Rows:
    """Run and text of a tag: of several values that were set apart, the latest."""
    current = current_tags().where(tags.c.name == name).subquery()
    latest = select(current.c.run, func.max(current.c.stamp).label("stamp")).group_by(current.c.run).subquery()
    return (
        select(current.c.run, current.c.value.label("text"))
        .join(latest, and_(current.c.run == latest.c.run, current.c.stamp == latest.c.stamp))
        .where(current.c.value.is_not(None))
    )


def _compared_param(operator: str, values: Sequence[Scalar]) -> Clause:
    if operator in {"in", "not in", "==", "!="}:
        equal = or_(*(_equal_param(value) for value in values))
        known = or_(params.c.number.is_not(None), params.c.value != "NaN")
        return equal if operator in {"in", "=="} else and_(not_(func.coalesce(equal, false())), known)
    value = values[0]
    if isinstance(value, bool):
        return false()
    return _compared(params.c.text if isinstance(value, str) else params.c.number, operator, values)


def _equal_param(value: Scalar) -> Clause:
    if isinstance(value, bool):
        return params.c.value == ("true" if value else "false")
    column = params.c.text if isinstance(value, str) else params.c.number
    return func.coalesce(column == value, false())


def _compared(column: ColumnElement[Any], operator: str, values: Sequence[Scalar]) -> Clause:
    if operator == "in":
        return column.in_(values)
    if operator == "not in":
        return column.not_in(values)
    value = values[0]
    if operator == "~":
        return func.lower(column).contains(str(value).lower(), autoescape=True)
    answers: dict[str, ColumnElement[bool]] = {
        "==": column == value,
        "!=": column != value,
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
    }
    return answers[operator]
