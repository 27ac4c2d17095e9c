"""Operations on values: set_null, fill, map, bin, derive."""

import itertools
import math
from collections.abc import Mapping
from typing import Literal

import polars as pl

from charkh.core.errors import Invalid
from charkh.core.expressions import parse_expression
from charkh.datasets.expression_functions import INTEGER, NUMBER, TEXT, TRUTH
from charkh.datasets.expressions import compile_expression, kind_of, require_columns
from charkh.recipes.operations.operation import Behaviour, Step, listed, plain, require_kind

Value = bool | int | float | str


class SetNull(Step, frozen=True, kw_only=True, tag="set_null"):
    """Make the spellings of "nothing is known" missing: `NA`, `-`, `-999`.

    Texts count for columns of text, numbers for columns of numbers. Without `columns`, every such column.
    """

    values: tuple[int | float | str, ...]
    columns: tuple[str, ...] = ()


class Fill(Step, frozen=True, kw_only=True, tag="fill"):
    """Put a constant where a value is missing; `columns` is values by column."""

    columns: dict[str, Value]


class MapValues(Step, frozen=True, kw_only=True, tag="map"):
    """Replace whole values; `values` is new values by the text of old ones, all new ones of one kind.

    `otherwise` says what becomes of values that are not named: `keep` (needs text for text, or the same kind),
    `null` or `error`. Missing values stay missing.
    """

    column: str
    values: dict[str, Value]
    into: str = ""
    otherwise: Literal["keep", "null", "error"] = "keep"


class Bin(Step, frozen=True, kw_only=True, tag="bin"):
    """Put numbers into bins between ascending `edges`: below the first, between two, from the last on.

    An edge belongs to the bin above it. `labels` has one more entry than `edges`; by default they say the range.
    """

    column: str
    edges: tuple[float, ...]
    into: str = ""
    labels: tuple[str, ...] = ()


class Derive(Step, frozen=True, kw_only=True, tag="derive"):
    """Compute a column, new or in place of the one with its name, from an expression over the row."""

    column: str
    value: str


def set_null(operation: SetNull, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(operation.columns, frame.schema)
    texts = [value for value in operation.values if isinstance(value, str)]
    numbers = [float(value) for value in operation.values if not isinstance(value, str)]
    emptied: list[pl.Expr] = []
    for name in operation.columns or frame.columns:
        kind = kind_of(frame.schema[name])
        if kind == TEXT and texts:
            emptied.append(pl.when(pl.col(name).cast(pl.String).is_in(texts).not_()).then(pl.col(name)).alias(name))
        elif kind in {INTEGER, NUMBER} and numbers:
            known = pl.col(name).cast(pl.Float64).is_in(numbers).not_()
            emptied.append(pl.when(known).then(pl.col(name)).alias(name))
    return frame.with_columns(emptied)


def fill(operation: Fill, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(operation.columns, frame.schema)
    filled: list[pl.Expr] = []
    for name, value in operation.columns.items():
        require_kind(frame, name, _KINDS_OF_VALUES[type(value)])
        dtype = frame.schema[name]
        target = _TYPES_OF_VALUES[type(value)] if dtype == pl.Null else dtype
        column = pl.col(name).fill_nan(None) if dtype.is_float() else pl.col(name).cast(target)
        filled.append(column.fill_null(pl.lit(value).cast(target)).alias(name))
    return frame.with_columns(filled)


_KINDS_OF_VALUES: dict[type, set[str]] = {bool: {TRUTH}, int: {INTEGER, NUMBER}, float: {NUMBER}, str: {TEXT}}
_TYPES_OF_VALUES: dict[type, pl.DataType] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
}


def map_values(operation: MapValues, frame: pl.DataFrame) -> pl.DataFrame:
    column = operation.column
    require_columns([column], frame.schema)
    require_kind(frame, column, {TEXT, INTEGER, TRUTH})
    text = pl.col(column).cast(pl.String)
    target = _target_of(operation.values)
    kept: pl.Expr = pl.lit(None, dtype=target)
    if operation.otherwise == "keep":
        if target not in {pl.String, frame.schema[column]} and frame.schema[column] != pl.Null:
            raise Invalid(
                f"column {column!r} holds {frame.schema[column]}, which cannot be kept beside {target}",
                code="recipe.wrong_kind",
                hint='Say "otherwise": "null", or map to values of the same kind.',
                facts={"column": column},
            )
        kept = pl.col(column).cast(target)
    names, values = list(operation.values), pl.Series(list(operation.values.values()), dtype=target)
    mapped = text.replace_strict(names, values, default=kept, return_dtype=target)
    if operation.otherwise == "error":
        _refuse_unnamed(frame[column], names)
    return frame.with_columns(mapped.alias(operation.into or column))


def _refuse_unnamed(series: pl.Series, names: list[str]) -> None:
    strange = series.filter(series.is_not_null() & ~series.cast(pl.String).is_in(names))
    if len(strange):
        raise Invalid(
            f"column {series.name!r} has {len(strange)} values that are not mapped, such as {strange[0]!r}",
            code="recipe.unmapped_value",
            hint='Add them to `values`, or say "otherwise": "keep" or "null".',
            facts={"column": series.name, "values": len(strange)},
        )


def _target_of(values: Mapping[str, Value]) -> pl.DataType:
    kinds = {type(value) for value in values.values()}
    if kinds == {int, float}:
        kinds = {float}
    return _TYPES_OF_VALUES[kinds.pop()]


def bin_values(operation: Bin, frame: pl.DataFrame) -> pl.DataFrame:
    column = operation.column
    require_columns([column], frame.schema)
    require_kind(frame, column, {INTEGER, NUMBER})
    labels = operation.labels or _ranges(operation.edges)
    number = pl.col(column).cast(pl.Float64).fill_nan(None)
    label: pl.Expr = pl.when(number < operation.edges[0]).then(pl.lit(labels[0]))
    for edge, name in zip(operation.edges[1:], labels[1:-1], strict=True):
        label = label.when(number < edge).then(pl.lit(name))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    label = label.when(number.is_not_null()).then(pl.lit(labels[-1]))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    return frame.with_columns(label.alias(operation.into or column))  # pyright: ignore[reportUnknownArgumentType]


def _ranges(edges: tuple[float, ...]) -> tuple[str, ...]:
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    return (f"below {edges[0]:g}", *between, f"{edges[-1]:g} and more")


def derive(operation: Derive, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(compile_expression(operation.value, frame.schema).expr.alias(operation.column))


def _validate_bin(operation: Bin) -> None:
    edges = operation.edges
    ascending = all(low < high for low, high in itertools.pairwise(edges))
    if not edges or not ascending or not all(map(math.isfinite, edges)):
        raise Invalid("`edges` must be ascending numbers", code="recipe.invalid_step", hint='Write "edges": [6, 12].')
    if operation.labels and len(operation.labels) != len(edges) + 1:
        raise Invalid(
            f"{len(edges)} edges make {len(edges) + 1} bins, but there are {len(operation.labels)} labels",
            code="recipe.invalid_step",
            hint="Give one label more than edges, or none.",
        )


def _validate_map(operation: MapValues) -> None:
    kinds = {type(value) for value in operation.values.values()}
    if not kinds or (len(kinds) > 1 and kinds != {int, float}):
        raise Invalid(
            "the new values must be all text, all numbers or all true and false",
            code="recipe.invalid_step",
            hint='Write e.g. "values": {"EWR": "Newark", "LGA": "LaGuardia"}.',
        )


def _explain_set_null(operation: SetNull) -> str:
    where = listed(operation.columns) if operation.columns else "every column"
    return f"Treat {', '.join(repr(value) for value in operation.values)} in {where} as missing."


def _explain_fill(operation: Fill) -> str:
    return f"Fill gaps: {', '.join(f'`{name}` with {value!r}' for name, value in operation.columns.items())}."


def _explain_map(operation: MapValues) -> str:
    first = ", ".join(f"{old!r} to {new!r}" for old, new in list(operation.values.items())[:3])
    more = f" and {len(operation.values) - 3} more" if len(operation.values) > 3 else ""
    rest = {"keep": "other values stay", "null": "other values become missing", "error": "other values are an error"}
    into = f" into `{operation.into}`" if operation.into else ""
    return f"Map `{operation.column}`{into}: {first}{more}; {rest[operation.otherwise]}."


def _explain_bin(operation: Bin) -> str:
    labels = operation.labels or _ranges(operation.edges)
    into = f" as `{operation.into}`" if operation.into else ""
    return f"Put `{operation.column}`{into} into {len(labels)} bins: {', '.join(labels)}."


BEHAVIOURS = (
    Behaviour(SetNull, plain(set_null), _explain_set_null),
    Behaviour(Fill, plain(fill), _explain_fill),
    Behaviour(MapValues, plain(map_values), _explain_map, validate=_validate_map),
    Behaviour(Bin, plain(bin_values), _explain_bin, validate=_validate_bin),
    Behaviour(
        Derive,
        plain(derive),
        lambda step: f"Compute `{step.column}` as {step.value}.",
        validate=lambda step: (parse_expression(step.value), None)[1],
    ),
)
