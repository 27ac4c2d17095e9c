"""Column types as text and back: what stands in an event must be read the same by every later charkh."""

import ast
from typing import Any

import polars as pl

MAX_TEXT = 200
"""Longer texts of nested types are cut to the name of the outermost."""

_SIMPLE: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        pl.Array,
        pl.Binary,
        pl.Boolean,
        pl.Categorical,
        pl.Date,
        pl.Datetime,
        pl.Decimal,
        pl.Duration,
        pl.Float32,
        pl.Float64,
        pl.Int8,
        pl.Int16,
        pl.Int32,
        pl.Int64,
        pl.Int128,
        pl.List,
        pl.Null,
        pl.String,
        pl.Struct,
        pl.Time,
        pl.UInt8,
        pl.UInt16,
        pl.UInt32,
        pl.UInt64,
    )
}
_PARAMETRIC = {"Array", "List", "Struct", "Decimal", "Datetime", "Duration"}


def dtype_text(dtype: pl.DataType) -> str:
    """A type as it stands in an event, such as `Int64` or `Datetime('us', 'UTC')`.

    The categories of an Enum are content of the file, not of the event: it is just `Enum`.
    """
    if isinstance(dtype, pl.Datetime):
        zone = f", '{dtype.time_zone}'" if dtype.time_zone else ""
        return f"Datetime('{dtype.time_unit}'{zone})"
    if isinstance(dtype, pl.Duration):
        return f"Duration('{dtype.time_unit}')"
    text = str(dtype)
    if isinstance(dtype, pl.Enum) or len(text) > MAX_TEXT:
        return type(dtype).__name__
    return text


def parse_dtype(text: str) -> pl.DataType | None:
    """The type that `dtype_text` wrote; None when the text does not say it whole."""
    try:
        built = _build(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, KeyError):
        return None
    return built if isinstance(built, pl.DataType) else None


def _build(node: ast.expr) -> Any:
    """Evaluate the few shapes that types are written in; anything else is a ValueError."""
    match node:
        case ast.Name(id=name):
            if name in _PARAMETRIC:
                raise ValueError(name)
            return _SIMPLE[name]()
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            named = {keyword.arg: _build(keyword.value) for keyword in keywords if keyword.arg}
            return _SIMPLE[name](*(_build(each) for each in arguments), **named)
        case ast.Dict(keys=keys, values=values):
            return {_text(key): _build(value) for key, value in zip(keys, values, strict=True)}
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_build(item) for item in items)
        case ast.Constant(value=value):
            return value
        case _:
            raise ValueError(ast.dump(node))


def _text(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("a field without a name")


def widest(first: pl.DataType, second: pl.DataType) -> pl.DataType | None:
    """The one type that holds the values of both columns as they are, or None when there is none.

    A column without any value fits everything; numbers widen; a date widens to a time of day on that date.
    """
    if first == second or second == pl.Null:
        return first
    if first == pl.Null:
        return second
    if first.is_numeric() and second.is_numeric():
        empty = [pl.DataFrame(schema={"x": dtype}) for dtype in (first, second)]
        wide = pl.concat(empty, how="vertical_relaxed").schema["x"]
        return None if wide.is_decimal() else wide
    if {type(first), type(second)} == {pl.Date, pl.Datetime}:
        return first if isinstance(first, pl.Datetime) else second
    return None
