"""What table rules measure: aggregates of one Polars query, and what is found in their values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from charkh.checks.masks import Schema, applies, dtype_fits, listed, missing, unfit
from charkh.checks.table_rules import ColumnExists, Columns, Fresh, Includes, Measured, RowCount
from charkh.core.quantities import parse_duration
from charkh.datasets.expression_functions import DATE, INTEGER, NUMBER, TIME
from charkh.datasets.expressions import kind_of

AggregateRule = ColumnExists | Columns | RowCount | Measured | Includes | Fresh
Values = Mapping[str, Any]

_SHOWN = 5
_OF_NUMBERS = frozenset({"mean", "median", "std", "variance", "sum", "quantile", "zero_share", "min", "max"})


@dataclass(frozen=True, slots=True)
class Measure:
    """What a table rule asks of a table.

    Attributes:
        values: aggregates by name, each one value for the table or for a group of its rows.
        judge: what is wrong, in a sentence, given the values; empty when the rule holds.
    """

    values: dict[str, pl.Expr]
    judge: Callable[[Values], str]


def measure(rule: AggregateRule, schema: Schema, moment: datetime) -> Measure:
    """Compile a table rule; its columns are there.

    Raises:
        Invalid: it cannot be applied to columns of these types.
    """
    match rule:
        case ColumnExists():
            dtype = schema[rule.column]
            fits = not rule.dtype or dtype_fits(dtype, rule.dtype)
            finding = "" if fits else f"column {rule.column!r} holds {dtype}, not {rule.dtype}"
            return Measure({}, lambda _: finding)
        case Columns():
            found = _columns_finding(rule, list(schema))
            return Measure({}, lambda _: found)
        case RowCount():
            only = applies(rule, schema)
            return Measure(
                {"rows": pl.len() if only is None else only.sum()}, lambda values: _rows_finding(rule, values["rows"])
            )
        case Measured():
            return _statistic(rule, schema)
        case Includes():
            return _includes(rule, schema)
        case Fresh():
            return _freshness(rule, schema, moment)


def _columns_finding(rule: Columns, names: Sequence[str]) -> str:
    if len(names) < rule.min:
        return f"the table has {len(names)} columns, fewer than {rule.min}"
    if rule.max is not None and len(names) > rule.max:
        return f"the table has {len(names)} columns, more than {rule.max}"
    more = [name for name in names if rule.only and name not in rule.only]
    if more:
        return f"the table has columns that are not listed: {', '.join(more[:_SHOWN])}"
    less = [name for name in rule.only if name not in names]
    if less:
        return f"the table lacks the columns {', '.join(less[:_SHOWN])}"
    if rule.ordered and tuple(names) != rule.ordered:
        place = next((n for n, pair in enumerate(zip(names, rule.ordered, strict=False)) if pair[0] != pair[1]), None)
        if place is None:
            return f"the table has {len(names)} columns, not {len(rule.ordered)}"
        return f"column {place + 1} is {names[place]!r}, not {rule.ordered[place]!r}"
    return ""


def _rows_finding(rule: RowCount, rows: int) -> str:
    if rows < rule.min:
        return f"the table has {rows:,} rows, fewer than {rule.min:,}"
    if rule.max is not None and rows > rule.max:
        return f"the table has {rows:,} rows, more than {rule.max:,}"
    return ""


def _statistic(rule: Measured, schema: Schema) -> Measure:
    dtype = schema[rule.column]
    if rule.of in _OF_NUMBERS and kind_of(dtype) not in {INTEGER, NUMBER}:
        raise unfit(rule.column, dtype, "numbers")
    only = applies(rule, schema)
    value = _aggregate(rule, schema, only)
    return Measure({"value": value}, lambda values: _bounds_finding(rule, values["value"]))


def _aggregate(rule: Measured, schema: Schema, only: pl.Expr | None) -> pl.Expr:
    dtype = schema[rule.column]
    column = pl.col(rule.column)
    gap = missing(rule.column, dtype)
    if only is not None:
        column, gap = column.filter(only), gap.filter(only)
    known = column.fill_nan(None).drop_nulls() if dtype.is_float() else column.drop_nulls()
    if rule.of == "null_share":
        return gap.mean()
    if rule.of == "correlation":
        return _correlation(rule, schema, only)
    simple: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "mean": lambda each: each.mean(),
        "median": lambda each: each.median(),
        "std": lambda each: each.std(),
        "variance": lambda each: each.var(),
        "sum": lambda each: each.cast(pl.Float64).sum(),
        "min": lambda each: each.min(),
        "max": lambda each: each.max(),
        "quantile": lambda each: each.quantile(rule.quantile, "linear"),
        "zero_share": lambda each: (each == 0).mean(),
        "distinct": lambda each: each.n_unique(),
        "distinct_share": lambda each: each.n_unique() / each.len(),
        "unique_share": lambda each: (_counts(each) == 1).sum() / each.len(),
        "top_share": lambda each: _counts(each).max() / each.len(),
        "entropy": lambda each: _counts(each).entropy(base=2, normalize=True),
    }
    return simple[rule.of](known)


def _counts(column: pl.Expr) -> pl.Expr:
    """How often each value stands there; Polars' own `unique_counts` fails beside other aggregates while streaming."""
    return column.value_counts(name="count").struct.field("count")


def _correlation(rule: Measured, schema: Schema, only: pl.Expr | None) -> pl.Expr:
    sides: list[pl.Expr] = []
    for name in (rule.column, rule.other):
        if kind_of(schema[name]) not in {INTEGER, NUMBER}:
            raise unfit(name, schema[name], "numbers")
        side = pl.col(name).cast(pl.Float64).fill_nan(None)
        sides.append(side if only is None else pl.when(only).then(side))
    both = sides[0].is_not_null() & sides[1].is_not_null()
    return pl.corr(sides[0].filter(both), sides[1].filter(both))


def _bounds_finding(rule: Measured, value: float | None) -> str:
    name = f"{rule.of.replace('_', ' ')} of {rule.column!r}"
    name = f"{rule.quantile:g} {name}" if rule.of == "quantile" else name
    if value is None or value != value:
        return f"{name} is not known: there are no values" if value is None else f"{name} is no number"
    for wrong, words, bound in (
        (rule.min is not None and value < rule.min, "less than", rule.min),
        (rule.max is not None and value > rule.max, "more than", rule.max),
        (rule.above is not None and value <= rule.above, "not above", rule.above),
        (rule.below is not None and value >= rule.below, "not below", rule.below),
    ):
        if wrong:
            return f"{name} is {value:.6g}, {words} {bound:g}"
    return ""


def _includes(rule: Includes, schema: Schema) -> Measure:
    column, series = listed(rule.column, rule.values, schema[rule.column])
    only = applies(rule, schema)
    column = column if only is None else column.filter(only)
    if rule.most_common:
        top = column.drop_nulls().mode()
        values = {"found": top.is_in(series.implode()).any()}
        return Measure(
            values, lambda found: "" if found["found"] else f"the most common value of {rule.column!r} is not listed"
        )
    values = {f"v{place}": (column == value).any() for place, value in enumerate(series)}

    def finding(found: Values) -> str:
        absent = [str(value) for place, value in enumerate(rule.values) if not found[f"v{place}"]]
        more = ", …" if len(absent) > _SHOWN else ""
        return f"column {rule.column!r} lacks {', '.join(absent[:_SHOWN])}{more}" if absent else ""

    return Measure(values, finding)


def _freshness(rule: Fresh, schema: Schema, moment: datetime) -> Measure:
    dtype = schema[rule.column]
    if kind_of(dtype) not in {DATE, TIME}:
        raise unfit(rule.column, dtype, "dates or times")
    only = applies(rule, schema)
    column = pl.col(rule.column) if only is None else pl.col(rule.column).filter(only)
    return Measure({"newest": column.max()}, lambda values: _staleness(rule, values["newest"], moment))


def _staleness(rule: Fresh, newest: date | datetime | None, moment: datetime) -> str:
    if newest is None:
        return f"column {rule.column!r} has no value"
    if not isinstance(newest, datetime):
        newest = datetime(newest.year, newest.month, newest.day) + timedelta(days=1)
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment - newest <= timedelta(seconds=parse_duration(rule.within)):
        return ""
    return f"the newest value of {rule.column!r} is {newest:%Y-%m-%d %H:%M}, older than {rule.within}"
