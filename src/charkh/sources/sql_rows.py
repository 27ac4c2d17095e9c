"""Rows of a query as frames, in the types of the database."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.dtypes import dtype_text, parse_dtype, widest

MAX_PRECISION = 38
UTC_TIME = pl.Datetime("us", "UTC")

_POSTGRES: Mapping[int, pl.DataType] = {
    16: pl.Boolean(),
    17: pl.Binary(),
    19: pl.String(),
    20: pl.Int64(),
    21: pl.Int16(),
    23: pl.Int32(),
    25: pl.String(),
    26: pl.Int64(),
    114: pl.String(),
    700: pl.Float32(),
    701: pl.Float64(),
    1005: pl.List(pl.Int16()),
    1007: pl.List(pl.Int32()),
    1009: pl.List(pl.String()),
    1015: pl.List(pl.String()),
    1016: pl.List(pl.Int64()),
    1022: pl.List(pl.Float64()),
    1042: pl.String(),
    1043: pl.String(),
    1082: pl.Date(),
    1083: pl.Time(),
    1114: pl.Datetime("us"),
    1184: UTC_TIME,
    1186: pl.Duration("us"),
    2950: pl.String(),
    3802: pl.String(),
}
"""Polars types by the object ids of PostgreSQL's own types (its catalog pg_type); what is not here, values tell."""
_NUMERIC = 1700
_JSON = frozenset({114, 3802})

_PLAIN: Mapping[type, pl.DataType] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    bytes: pl.Binary(),
    date: pl.Date(),
    time: pl.Time(),
    timedelta: pl.Duration("us"),
}


class Declared(NamedTuple):
    """What the database says of a result's columns: the types that are known, and those that hold JSON."""

    types: Mapping[str, pl.DataType]
    json: frozenset[str]


def declared_types(dialect: str, description: Sequence[Any]) -> Declared:
    """What the database says of a result's columns.

    Args:
        dialect: SQLAlchemy's name of it.
        description: the cursor's, as PEP 249 has it.
    """
    if dialect != "postgresql":
        return Declared({}, frozenset())
    known: dict[str, pl.DataType] = {}
    for column in description:
        precision, scale = column[4], column[5]
        if column[1] in _POSTGRES:
            known[column[0]] = _POSTGRES[column[1]]
        elif column[1] == _NUMERIC and precision and precision <= MAX_PRECISION and scale is not None and scale >= 0:
            known[column[0]] = pl.Decimal(precision, scale)
    return Declared(known, frozenset(column[0] for column in description if column[1] in _JSON))


def frame_of(names: Sequence[str], rows: Sequence[Sequence[Any]], declared: Declared) -> pl.DataFrame:
    """Rows as a frame.

    Args:
        names: of the columns.
        rows: as the driver gives them.
        declared: what is known of the types; the values tell the others.

    Raises:
        Invalid: a column holds values of several kinds, or one that no type holds.
    """
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return pl.DataFrame([_series(name, values, declared) for name, values in zip(names, columns, strict=True)])


def common_types(frames: Iterable[Mapping[str, pl.DataType]], known: Mapping[str, str]) -> dict[str, pl.DataType]:
    """The types that hold the values of all parts of a result.

    Args:
        frames: the types of each part.
        known: the types of an earlier result, as text; where a number's fitted into those, it is kept in them.

    Raises:
        Invalid: a column has types that no one type holds.
    """
    joined: dict[str, pl.DataType] = {}
    for types in frames:
        for name, dtype in types.items():
            joined[name] = _wider(name, joined[name], dtype) if name in joined else dtype
    return {name: _fitted(dtype, parse_dtype(known.get(name, ""))) for name, dtype in joined.items()}


def _fitted(dtype: pl.DataType, earlier: pl.DataType | None) -> pl.DataType:
    """The earlier type where that holds the values as well."""
    if isinstance(earlier, pl.Decimal) and isinstance(dtype, pl.Decimal):
        return earlier if dtype.scale <= earlier.scale else dtype
    return earlier if earlier is not None and dtype == pl.Null else dtype


def types_as_text(types: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Types as a state keeps them."""
    return {name: dtype_text(dtype) for name, dtype in types.items()}


def _wider(name: str, first: pl.DataType, second: pl.DataType) -> pl.DataType:
    if isinstance(first, pl.Decimal) and isinstance(second, pl.Decimal):
        return pl.Decimal(MAX_PRECISION, max(first.scale, second.scale))
    wide = widest(first, second)
    if wide is None:
        raise _mixed(name, [str(first), str(second)])
    return wide


def _series(name: str, values: Sequence[Any], declared: Declared) -> pl.Series:
    plain: list[Any] = [_as_json(value) if name in declared.json else _plain(value) for value in values]
    dtype = declared.types.get(name) or _type_of(name, plain)
    try:
        return pl.Series(name, plain, dtype=dtype)
    except (pl.exceptions.PolarsError, TypeError, OverflowError, ValueError) as error:
        raise Invalid(
            f"the column {name!r} holds a value that {dtype} cannot: {str(error).partition(chr(10))[0][:200]}",
            code="source.value",
            hint="Cast it in the query, such as CAST(x AS text).",
        ) from error


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """A value as Polars takes it; what has no type there is text."""
    if isinstance(value, dict):
        return _as_json(value)
    if isinstance(value, UUID):
        return str(value)
    return bytes(value) if isinstance(value, memoryview | bytearray) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _type_of(name: str, values: Sequence[Any]) -> pl.DataType:
    kinds: set[Any] = {type(value) for value in values if value is not None}
    if not kinds:
        return pl.Null()
    if kinds == {int, float}:
        return pl.Float64()
    if kinds <= {int, Decimal} and Decimal in kinds:
        return pl.Decimal(MAX_PRECISION, max(_scale(value) for value in values))
    if len(kinds) > 1:
        raise _mixed(name, [kind.__name__ for kind in kinds])
    (kind,) = kinds
    if kind is datetime:
        aware = {value.tzinfo is not None for value in values if value is not None}
        if len(aware) > 1:
            raise _mixed(name, ["times with a zone", "times without"])
        return UTC_TIME if True in aware else pl.Datetime("us")
    if kind is list:
        return pl.Series(values).dtype
    if kind not in _PLAIN:
        raise Invalid(
            f"the column {name!r} holds values of the type {kind.__name__}",
            code="source.value",
            hint="Cast it in the query, such as CAST(x AS text).",
        )
    return _PLAIN[kind]


def _scale(value: int | Decimal | None) -> int:
    """Digits behind the point."""
    if not isinstance(value, Decimal) or not value.is_finite():
        return 0
    return max(0, -int(value.as_tuple().exponent))


def _mixed(name: str, kinds: Sequence[str]) -> Invalid:
    return Invalid(
        f"the column {name!r} holds values of several kinds: {', '.join(sorted(kinds))}",
        code="source.mixed_types",
        hint="Cast it to one in the query, such as CAST(x AS text).",
    )
