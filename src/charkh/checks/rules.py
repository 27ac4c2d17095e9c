"""Which rows fail a rule: every row rule as one Polars expression, true where the row fails and never null."""

import datetime
from collections.abc import Mapping

import polars as pl

from charkh.checks.suite import (
    Bound,
    Condition,
    Increasing,
    Length,
    NotNull,
    OneOf,
    Pattern,
    Range,
    Rule,
    Unique,
)
from charkh.core.errors import Bug, Invalid
from charkh.datasets.expression_functions import (
    DATE,
    INTEGER,
    NUMBER,
    OTHER,
    TEXT,
    TIME,
    TRUTH,
    checked_pattern,
)
from charkh.datasets.expressions import compile_condition, kind_of

Schema = Mapping[str, pl.DataType]

KINDS = (INTEGER, "number", "text", "boolean", "date", "datetime")
"""What `dtype` may say beside Polars' own names; an integer column is a number, too."""


def failing(rule: Rule, schema: Schema) -> pl.Expr:
    """The rows that fail a row rule; its columns are there.

    Raises:
        Invalid: the rule cannot be applied to columns of these types.
    """
    if isinstance(rule, Range | OneOf | Pattern | Length | Increasing) and schema[rule.column] == pl.Null:
        return pl.lit(False)
    return _failing(rule, schema).fill_null(False)


def repeats(rule: Unique, schema: Schema) -> pl.Expr:
    """How many rows repeat an earlier one: much faster to count than to find."""
    key = pl.col(rule.columns[0]) if len(rule.columns) == 1 else pl.struct(rule.columns)
    nothing = pl.any_horizontal(missing(name, schema[name]) for name in rule.columns)
    return nothing.not_().sum() - key.filter(~nothing).n_unique()


def dtype_fits(dtype: pl.DataType, wanted: str) -> bool:
    """Whether a column's type is the one that a rule names, by Polars' name or by kind."""
    if str(dtype) == wanted or str(dtype).partition("(")[0] == wanted:
        return True
    kinds = {INTEGER: {"integer", "number"}, NUMBER: {"number"}, TRUTH: {"boolean"}, TIME: {"datetime"}}
    return wanted in kinds.get(kind_of(dtype), {kind_of(dtype)}) and wanted in KINDS


def missing(name: str, dtype: pl.DataType) -> pl.Expr:
    """Where a column has no value: null, or NaN."""
    column = pl.col(name)
    return column.is_null() | column.is_nan() if dtype.is_float() else column.is_null()


def _failing(rule: Rule, schema: Schema) -> pl.Expr:
    if isinstance(rule, NotNull):
        return pl.any_horizontal(missing(name, schema[name]) for name in rule.columns)
    if isinstance(rule, Unique):
        return _repeated(rule, schema)
    if isinstance(rule, Range):
        return _outside(rule, schema[rule.column])
    if isinstance(rule, OneOf):
        return _not_listed(rule, schema[rule.column])
    if isinstance(rule, Pattern):
        text = _text(rule.column, schema[rule.column])
        return ~text.str.contains(f"^(?:{checked_pattern(rule.pattern)})$")
    if isinstance(rule, Length):
        length = _text(rule.column, schema[rule.column]).str.len_chars()
        return (length < rule.min) | (length > rule.max) if rule.max is not None else length < rule.min
    if isinstance(rule, Condition):
        return ~compile_condition(rule.that, schema)
    if isinstance(rule, Increasing):
        return _falling(rule, schema[rule.column])
    raise Bug(f"{type(rule).__name__} is no row rule")


def _repeated(rule: Unique, schema: Schema) -> pl.Expr:
    key = pl.col(rule.columns[0]) if len(rule.columns) == 1 else pl.struct(rule.columns)
    nothing = pl.any_horizontal(missing(name, schema[name]) for name in rule.columns)
    return ~key.is_first_distinct() & ~nothing


def _outside(rule: Range, dtype: pl.DataType) -> pl.Expr:
    column, kind = pl.col(rule.column), kind_of(dtype)
    if kind not in {INTEGER, NUMBER, DATE, TIME}:
        raise _unfit(rule.column, dtype, "numbers, dates or times")
    low, high = (_bound(bound, kind, rule.column, dtype) for bound in (rule.min, rule.max))
    value = column.cast(pl.Datetime("us")) if kind == DATE else column
    outside = pl.lit(False)
    if low is not None:
        outside |= value < low
    if high is not None:
        outside |= value > high
    return outside | column.is_nan() if dtype.is_float() else outside


def _bound(bound: Bound | None, kind: str, column: str, dtype: pl.DataType) -> int | float | datetime.datetime | None:
    if bound is None or (kind in {INTEGER, NUMBER} and not isinstance(bound, str)):
        return bound if not isinstance(bound, str) else None
    if kind in {DATE, TIME} and isinstance(bound, str):
        try:
            moment = datetime.datetime.fromisoformat(bound)
        except ValueError:
            raise _unfit(column, dtype, f"what can be compared with {bound!r}") from None
        if isinstance(dtype, pl.Datetime) and dtype.time_zone and moment.tzinfo is None:
            return moment.replace(tzinfo=datetime.UTC)
        return moment
    raise _unfit(column, dtype, f"what can be compared with {bound!r}")


def _not_listed(rule: OneOf, dtype: pl.DataType) -> pl.Expr:
    column, kind = pl.col(rule.column), kind_of(dtype)
    first = rule.values[0]
    if isinstance(first, bool):
        fits, series = kind == TRUTH, pl.Series(rule.values, dtype=pl.Boolean)
    elif isinstance(first, str):
        fits, series = kind == TEXT, pl.Series(rule.values, dtype=pl.String)
        column = column.cast(pl.String) if dtype != pl.String and fits else column
    else:
        fits = kind in {INTEGER, NUMBER}
        whole = kind == INTEGER and all(isinstance(value, int) for value in rule.values)
        series = pl.Series(rule.values, dtype=pl.Int64 if whole else pl.Float64, strict=False)
        column = column.cast(series.dtype) if fits else column
    if not fits:
        raise _unfit(rule.column, dtype, f"values such as {first!r}")
    return ~column.is_in(series.implode())


def _falling(rule: Increasing, dtype: pl.DataType) -> pl.Expr:
    if kind_of(dtype) not in {INTEGER, NUMBER, DATE, TIME}:
        raise _unfit(rule.column, dtype, "numbers, dates or times")
    column = pl.col(rule.column)
    before = column.cum_max().forward_fill().shift(1)
    return column <= before if rule.strict else column < before


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    if kind_of(dtype) != TEXT:
        raise _unfit(name, dtype, "text")
    return pl.col(name) if dtype == pl.String else pl.col(name).cast(pl.String)


def _unfit(column: str, dtype: pl.DataType, wanted: str) -> Invalid:
    return Invalid(
        f"column {column!r} holds {dtype if kind_of(dtype) != OTHER else 'nested values'}, not {wanted}",
        code="check.wrong_kind",
        hint="A recipe's `cast` or `parse_time` step changes the type.",
    )
