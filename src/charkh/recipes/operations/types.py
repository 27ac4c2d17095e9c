"""Operations that change what kind of value a column holds: cast, parse_time."""

import difflib
import re
from typing import Literal

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.expression_functions import (
    DATE,
    INTEGER,
    NOTHING,
    NUMBER,
    TEXT,
    TIME,
    TRUTH,
    reason_of,
)
from charkh.datasets.expressions import kind_of, require_columns
from charkh.recipes.operations.operation import Behaviour, OnError, Step, listed, plain, refuse_failures, require_kind

TYPES: dict[str, pl.DataType] = {
    str(dtype): dtype()
    for dtype in (
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
        *(pl.Float32, pl.Float64, pl.String, pl.Boolean, pl.Date),
    )
}
"""The types that `cast` knows, by the name that Polars and a dataset's schema give them."""

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_LARGEST = 2.0**63
_OFFSET = re.compile(r"%[:#]?z")


class Cast(Step, frozen=True, kw_only=True, tag="cast"):
    """Change the types of columns; `columns` is types by column, such as `{"dep_delay": "Int64"}`.

    A value that the new type cannot hold exactly (text that is no number, 1.5 as an integer) is an error, or null
    with `"on_error": "null"`.
    """

    columns: dict[str, str]
    on_error: OnError = "error"


class ParseTime(Step, frozen=True, kw_only=True, tag="parse_time"):
    """Read text as dates or times.

    `formats` are tried in order, in strftime notation (`%Y-%m-%d %H:%M`). A column that holds dates or times
    already is only brought to the wanted kind. `zone` names the time zone of written times that say none, such as
    `America/New_York`; times that say an offset (`%z`, in all formats or none), or carry a zone, are converted to it.
    """

    column: str
    formats: tuple[str, ...]
    into: str = ""
    to: Literal["datetime", "date"] = "datetime"
    zone: str = ""
    on_error: OnError = "error"


def cast(operation: Cast, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(operation.columns, frame.schema)
    changed = {name: TYPES[wanted] for name, wanted in operation.columns.items() if frame.schema[name] != TYPES[wanted]}
    converted = frame.select(
        _convert(pl.col(name), name, frame.schema[name], dtype).alias(name) for name, dtype in changed.items()
    )
    for name, dtype in changed.items():
        refuse_failures(name, frame[name], converted[name], operation.on_error, str(dtype))
    return frame.with_columns(converted.get_columns())


def parse_time(operation: ParseTime, frame: pl.DataFrame) -> pl.DataFrame:
    column = operation.column
    require_columns([column], frame.schema)
    require_kind(frame, column, {TEXT, INTEGER, DATE, TIME})
    dtype = frame.schema[column]
    if kind_of(dtype) in {DATE, TIME}:
        parsed, zone = pl.col(column), dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    else:
        text = pl.col(column).cast(pl.String).str.strip_chars()
        parsed = pl.coalesce(text.str.to_datetime(each, strict=False, time_unit="us") for each in operation.formats)
        zone = "UTC" if all(_OFFSET.search(each) for each in operation.formats) else None
    if operation.zone and zone:
        parsed = parsed.dt.convert_time_zone(operation.zone)
    elif operation.zone:
        parsed = parsed.cast(pl.Datetime("us")).dt.replace_time_zone(
            operation.zone, ambiguous="null", non_existent="null"
        )
    moment = pl.Datetime("us", operation.zone or zone)
    parsed = parsed.dt.date() if operation.to == "date" else parsed.cast(moment)
    result = frame.select(parsed.alias(column)).to_series()
    wanted = f"{operation.to} written as {' or '.join(operation.formats)}"
    refuse_failures(column, frame[column], result, operation.on_error, wanted)
    return frame.with_columns(result.alias(operation.into or column))


def _convert(value: pl.Expr, name: str, before: pl.DataType, after: pl.DataType) -> pl.Expr:
    """`value` in the new type, null where that cannot hold it."""
    kind = kind_of(before)
    if kind == NOTHING:
        return value.cast(after)
    if after == pl.String:
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S") if kind == TIME else value.cast(pl.String)
    if after == pl.Date and kind == TIME:
        return value.dt.date()
    text = value.cast(pl.String).str.strip_chars()
    if after == pl.Boolean and kind in {TEXT, INTEGER, NUMBER}:
        word = text.str.to_lowercase() if kind == TEXT else value.cast(pl.Float64)
        true, false = (_TRUE, _FALSE) if kind == TEXT else ((1.0,), (0.0,))
        return pl.when(word.is_in(true)).then(True).when(word.is_in(false)).then(False)
    if after.is_float() and kind in {TEXT, INTEGER, NUMBER, TRUTH}:
        return text.cast(after, strict=False).fill_nan(None) if kind == TEXT else value.cast(after)
    if after.is_integer() and kind == TEXT:
        exact = pl.coalesce(text.cast(pl.Int64, strict=False), _integral(text.cast(pl.Float64, strict=False)))
        return exact.cast(after, strict=False)
    if after.is_integer() and kind in {INTEGER, NUMBER, TRUTH}:
        return (_integral(value) if kind == NUMBER else value).cast(after, strict=False)
    raise Invalid(
        f"column {name!r} holds {before}, which is not cast to {after}",
        code="recipe.wrong_kind",
        hint="Text becomes a date or time by `parse_time`.",
        facts={"column": name},
    )


def _integral(number: pl.Expr) -> pl.Expr:
    whole = (number == number.floor()) & (number.abs() < _LARGEST)
    return pl.when(whole).then(number.cast(pl.Int64, strict=False))


def _validate_cast(operation: Cast) -> None:
    for name in operation.columns.values():
        if name not in TYPES:
            nearest = difflib.get_close_matches(name, list(TYPES), n=1, cutoff=0.5)
            raise Invalid(
                f"there is no type {name!r}",
                code="recipe.unknown_type",
                hint=f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(TYPES)}.",
            )


def _validate_parse_time(operation: ParseTime) -> None:
    if not operation.formats:
        raise Invalid("`formats` is empty", code="recipe.invalid_step", hint='Write "formats": ["%Y-%m-%d"].')
    if len({bool(_OFFSET.search(each)) for each in operation.formats}) > 1:
        raise Invalid(
            "some of the formats read an offset (%z) and some do not",
            code="recipe.invalid_step",
            hint="Make two steps of it, each into a column of its own, and `derive` the result.",
        )
    sample = pl.Series(["2013-01-31"], dtype=pl.String)
    try:
        for each in operation.formats:
            sample.str.to_datetime(each, strict=False)
        if operation.zone:
            pl.Series([0]).cast(pl.Datetime("us", operation.zone))
            sample.str.to_datetime("%Y-%m-%d").dt.replace_time_zone(operation.zone)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise Invalid(
            f"the format or zone cannot be used: {reason_of(error)}",
            code="recipe.invalid_step",
            hint="Formats are strftime's, such as %Y-%m-%dT%H:%M:%S; zones are names such as America/New_York.",
        ) from error


def _explain_cast(operation: Cast) -> str:
    parts = ", ".join(f"`{name}` as {dtype}" for name, dtype in operation.columns.items())
    return f"Read {parts}; what cannot be read is {'an error' if operation.on_error == 'error' else 'missing'}."


def _explain_parse_time(operation: ParseTime) -> str:
    zone = f" in {operation.zone}" if operation.zone else ""
    into = f" into {listed([operation.into])}" if operation.into else ""
    return f"Read `{operation.column}` as a {operation.to}{zone}, written {' or '.join(operation.formats)}{into}."


BEHAVIOURS = (
    Behaviour(Cast, plain(cast), _explain_cast, validate=_validate_cast),
    Behaviour(ParseTime, plain(parse_time), _explain_parse_time, validate=_validate_parse_time),
)
