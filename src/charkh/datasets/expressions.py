"""Expressions over tables: a tree of `charkh.core.expressions` as a Polars expression, checked against the columns.

Every function looks at one row alone, so that a live request and a whole table give the same values. What has no
value (a division by zero, the logarithm of a negative number, the 31st of June) is null; NaN counts as null.
"""

import difflib
from collections.abc import Iterable, Mapping

import polars as pl

from charkh.core.errors import Invalid
from charkh.core.expressions import Column, Expression, Literal, parse_expression
from charkh.datasets.expression_functions import (
    DATE,
    INTEGER,
    NOTHING,
    NUMBER,
    OTHER,
    SPAN,
    TEXT,
    TIME,
    TRUTH,
    Typed,
    call_function,
)


def compile_expression(text: str, schema: Mapping[str, pl.DataType]) -> Typed:
    """The expression in `text` over a table with these columns.

    Raises:
        Invalid: it cannot be read, names a column that is not there, or applies a function to the wrong kind.
    """
    return _compile(parse_expression(text), schema)


def compile_condition(text: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """As `compile_expression`, for what must be true or false.

    Raises:
        Invalid: as there, or it gives another kind of value.
    """
    typed = compile_expression(text, schema)
    if typed.kind not in {TRUTH, NOTHING}:
        raise Invalid(
            f"{text!r} gives {'an' if typed.kind[0] in 'aeiou' else 'a'} {typed.kind}, not a truth value",
            code="expression.not_a_condition",
            hint="Compare it with something, such as 'distance > 100'.",
        )
    return typed.expr.cast(pl.Boolean)


def require_columns(names: Iterable[str], schema: Mapping[str, pl.DataType]) -> None:
    """Refuse names that are no column, naming the nearest that is.

    Raises:
        Invalid: there is no such column.
    """
    for name in names:
        if name not in schema:
            nearest = difflib.get_close_matches(name, list(schema), n=1, cutoff=0.5)
            known = ", ".join(list(schema)[:30])
            raise Invalid(
                f"there is no column {name!r}",
                code="table.no_column",
                hint=f"Did you mean {nearest[0]!r}?" if nearest else f"The columns are: {known}.",
                facts={"column": name},
            )


def kind_of(dtype: pl.DataType) -> str:
    """The kind of value that a column of this type holds."""
    if dtype.is_integer():
        return INTEGER
    if dtype.is_numeric():
        return NUMBER
    for shape, kind in (
        ((pl.String, pl.Categorical, pl.Enum), TEXT),
        ((pl.Boolean,), TRUTH),
        ((pl.Date,), DATE),
        ((pl.Datetime,), TIME),
        ((pl.Duration,), SPAN),
        ((pl.Null,), NOTHING),
    ):
        if isinstance(dtype, shape):
            return kind
    return OTHER


def _compile(node: Expression, schema: Mapping[str, pl.DataType]) -> Typed:
    if isinstance(node, Literal):
        return _literal(node)
    if isinstance(node, Column):
        require_columns([node.name], schema)
        return _column(node.name, schema[node.name])
    return call_function(node, [_compile(argument, schema) for argument in node.arguments])


def _literal(node: Literal) -> Typed:
    if node.value is None:
        return Typed(pl.lit(None), NOTHING)
    if isinstance(node.value, bool):
        return Typed(pl.lit(node.value), TRUTH)
    if isinstance(node.value, int):
        return Typed(pl.lit(node.value, dtype=pl.Int64), INTEGER)
    if isinstance(node.value, float):
        return Typed(pl.lit(node.value, dtype=pl.Float64), NUMBER)
    return Typed(pl.lit(node.value, dtype=pl.String), TEXT)


def _column(name: str, dtype: pl.DataType) -> Typed:
    kind, column = kind_of(dtype), pl.col(name)
    if kind == INTEGER:
        return Typed(column if dtype == pl.Int64 else column.cast(pl.Int64), kind)
    if kind == NUMBER:
        return Typed((column if dtype == pl.Float64 else column.cast(pl.Float64)).fill_nan(None), kind)
    if kind == TEXT and dtype != pl.String:
        return Typed(column.cast(pl.String), kind)
    return Typed(column, kind)
