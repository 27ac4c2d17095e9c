"""Which rows fail a rule: every row rule as one Polars expression, true where the row fails and never null."""

import datetime
from collections.abc import Mapping

import msgspec
import polars as pl

from charkh.checks.row_rules import (
    Condition,
    ForeignKey,
    Increasing,
    Length,
    NoneOf,
    NotNull,
    OneOf,
    Outliers,
    Parses,
    Pattern,
    Range,
    RowRule,
    Unique,
)
from charkh.checks.rule import Bound, RuleBase
from charkh.core.errors import Invalid
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
Lookups = Mapping[str, pl.DataFrame]

KINDS = (INTEGER, "number", "text", "boolean", "date", "datetime")
"""What `dtype` may say beside Polars' own names; an integer column is a number, too."""
ORDERED = frozenset({INTEGER, NUMBER, DATE, TIME})
_MAD_OF_NORMAL = 1.4826


def failing(rule: RowRule, schema: Schema, lookups: Lookups | None = None) -> pl.Expr:
    """The rows that fail a row rule; its columns are there.

    Args:
        rule: what is checked.
        schema: of the table.
        lookups: the tables that foreign keys point to, by reference.

    Raises:
        Invalid: the rule cannot be applied to columns of these types.
    """
    if _is_empty(rule, schema):
        return pl.lit(False)
    only = applies(rule, schema)
    failed = _failing(rule, schema, lookups or {}, only).fill_null(False)
    return failed if only is None else failed & only


def applies(rule: RuleBase, schema: Schema) -> pl.Expr | None:
    """The rows that a rule looks at; None for all."""
    return compile_condition(rule.when, schema).fill_null(False) if rule.when else None


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


def listed(name: str, values: tuple[bool | int | float | str, ...], dtype: pl.DataType) -> tuple[pl.Expr, pl.Series]:
    """A column and values that can be compared with it.

    Raises:
        Invalid: they are of another kind.
    """
    column, kind, first = pl.col(name), kind_of(dtype), values[0]
    if isinstance(first, bool):
        fits, series = kind == TRUTH, pl.Series(values, dtype=pl.Boolean)
    elif isinstance(first, str) and kind in {DATE, TIME}:
        moments = [_moment(str(value), name, dtype) for value in values]
        return (column.cast(pl.Datetime("us")) if kind == DATE else column), pl.Series(moments)
    elif isinstance(first, str):
        fits, series = kind == TEXT, pl.Series(values, dtype=pl.String)
        column = column.cast(pl.String) if dtype != pl.String and fits else column
    else:
        fits = kind in {INTEGER, NUMBER}
        whole = kind == INTEGER and all(isinstance(value, int) for value in values)
        series = pl.Series(values, dtype=pl.Int64 if whole else pl.Float64, strict=False)
        column = column.cast(series.dtype) if fits else column
    if not fits:
        raise unfit(name, dtype, f"values such as {first!r}")
    return column, series


def unfit(column: str, dtype: pl.DataType, wanted: str) -> Invalid:
    """That a column's type is none that the rule can be applied to."""
    return Invalid(
        f"column {column!r} holds {dtype if kind_of(dtype) != OTHER else 'nested values'}, not {wanted}",
        code="check.wrong_kind",
        hint="A recipe's `cast` or `parse_time` step changes the type.",
    )


def _is_empty(rule: RowRule, schema: Schema) -> bool:
    """Whether the column has no value at all, so that no row can fail."""
    if isinstance(rule, NotNull | Condition | Unique | ForeignKey):
        return False
    return schema[rule.column] == pl.Null


def _failing(rule: RowRule, schema: Schema, lookups: Lookups, only: pl.Expr | None) -> pl.Expr:
    match rule:
        case NotNull():
            return pl.any_horizontal(missing(name, schema[name]) for name in rule.columns)
        case Unique():
            return _repeated(rule, schema, only)
        case Range():
            return _outside(rule, schema[rule.column])
        case OneOf() | NoneOf():
            column, series = listed(rule.column, rule.values, schema[rule.column])
            found = column.is_in(series.implode())
            return ~found if isinstance(rule, OneOf) else found
        case Pattern():
            return _unmatched(rule, schema[rule.column])
        case Length():
            length = _text(rule.column, schema[rule.column]).str.len_chars()
            return (length < rule.min) | (length > rule.max) if rule.max is not None else length < rule.min
        case Condition():
            return ~compile_condition(rule.that, schema)
        case Increasing():
            return _falling(rule, schema, only)
        case Parses():
            return _unreadable(rule, schema[rule.column])
        case ForeignKey():
            return _unknown(rule, schema, lookups)
        case Outliers():
            return _far(rule, schema[rule.column], only)


def _repeated(rule: Unique, schema: Schema, only: pl.Expr | None) -> pl.Expr:
    nothing = pl.any_horizontal(missing(name, schema[name]) for name in rule.columns)
    key = [pl.col(name) for name in dict.fromkeys((*rule.by, *rule.columns))]
    if only is not None:
        # Rows that are not looked at must not be the first of their key either.
        key.append(only.alias("\0"))
    whole = key[0] if len(key) == 1 else pl.struct(key)
    repeated = whole.is_duplicated() if rule.alone else ~whole.is_first_distinct()
    return repeated & ~nothing


def _outside(rule: Range, dtype: pl.DataType) -> pl.Expr:
    column, kind = pl.col(rule.column), kind_of(dtype)
    if kind not in ORDERED:
        raise unfit(rule.column, dtype, "numbers, dates or times")
    low, high, above, below = (
        _bound(bound, kind, rule.column, dtype) for bound in (rule.min, rule.max, rule.above, rule.below)
    )
    value = column.cast(pl.Datetime("us")) if kind == DATE else column
    outside = [
        *([value < low] if low is not None else []),
        *([value > high] if high is not None else []),
        *([value <= above] if above is not None else []),
        *([value >= below] if below is not None else []),
        *([column.is_nan()] if dtype.is_float() else []),
    ]
    found = outside[0]
    for each in outside[1:]:
        found |= each
    return found


def _bound(bound: Bound | None, kind: str, column: str, dtype: pl.DataType) -> int | float | datetime.datetime | None:
    if bound is None or (kind in {INTEGER, NUMBER} and not isinstance(bound, str)):
        return bound if not isinstance(bound, str) else None
    if kind in {DATE, TIME} and isinstance(bound, str):
        return _moment(bound, column, dtype)
    raise unfit(column, dtype, f"what can be compared with {bound!r}")


def _moment(text: str, column: str, dtype: pl.DataType) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise unfit(column, dtype, f"what can be compared with {text!r}") from None
    if isinstance(dtype, pl.Datetime) and dtype.time_zone and moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment


def _unmatched(rule: Pattern, dtype: pl.DataType) -> pl.Expr:
    text, pattern = _text(rule.column, dtype), checked_pattern(rule.pattern)
    found = text.str.contains(pattern if rule.anywhere else f"^(?:{pattern})$")
    return found if rule.absent else ~found


def _falling(rule: Increasing, schema: Schema, only: pl.Expr | None) -> pl.Expr:
    dtype = schema[rule.column]
    if kind_of(dtype) not in ORDERED:
        raise unfit(rule.column, dtype, "numbers, dates or times")
    column = pl.col(rule.column)
    if only is not None:
        column = pl.when(only).then(column)
    order = pl.col(rule.order).arg_sort() if rule.order else None
    if order is not None:
        column = column.gather(order)
    reached = (column.cum_min() if rule.decreasing else column.cum_max()).forward_fill().shift(1)
    wrong = column > reached if rule.decreasing else column < reached
    wrong = wrong | (column == reached) if rule.strict else wrong
    wrong = wrong if order is None else wrong.gather(order.arg_sort())
    return wrong.over(rule.by) if rule.by else wrong


def _unreadable(rule: Parses, dtype: pl.DataType) -> pl.Expr:
    text = _text(rule.column, dtype)
    if rule.kind == "json":
        return ~text.map_elements(_is_json, return_dtype=pl.Boolean)
    if rule.kind == "date":
        read = text.str.to_date(rule.format or None, strict=False)
    elif rule.kind == "datetime":
        read = text.str.to_datetime(rule.format or None, strict=False, ambiguous="earliest")
    else:
        read = text.str.strip_chars().cast(pl.Int64 if rule.kind == "integer" else pl.Float64, strict=False)
    return text.is_not_null() & read.is_null()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _unknown(rule: ForeignKey, schema: Schema, lookups: Lookups) -> pl.Expr:
    there = lookups.get(rule.to)
    columns = rule.to_columns or rule.columns
    if there is None or any(name not in there.schema for name in columns):
        lacks = f"no column {next(n for n in columns if n not in there.schema)!r}" if there is not None else "not here"
        raise Invalid(f"{rule.to}: {lacks}", code="check.no_reference", hint="Name a dataset that has the columns.")
    nothing = pl.any_horizontal(missing(name, schema[name]) for name in rule.columns)
    try:
        keys = there.select(
            pl.col(far).cast(schema[near]).alias(near) for near, far in zip(rule.columns, columns, strict=True)
        )
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"the key of {rule.to} is of another type", code="check.wrong_kind", hint="Cast one of them in a recipe."
        ) from error
    key = pl.col(rule.columns[0]) if len(rule.columns) == 1 else pl.struct(rule.columns)
    known = keys.drop_nulls().unique()
    values = known.to_series() if len(rule.columns) == 1 else known.to_struct("key")
    return ~key.is_in(values.implode()) & ~nothing


def _far(rule: Outliers, dtype: pl.DataType, only: pl.Expr | None) -> pl.Expr:
    if kind_of(dtype) not in {INTEGER, NUMBER}:
        raise unfit(rule.column, dtype, "numbers")
    column = pl.col(rule.column).cast(pl.Float64).fill_nan(None)
    if only is not None:
        column = pl.when(only).then(column)
    distance = (column - column.median()).abs()
    spread = _MAD_OF_NORMAL * distance.median()
    far = (distance > rule.deviations * spread) & (spread > 0)
    return far.over(rule.by) if rule.by else far


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    if kind_of(dtype) != TEXT:
        raise unfit(name, dtype, "text")
    return pl.col(name) if dtype == pl.String else pl.col(name).cast(pl.String)
