"""The operation lookup: columns of another table, found by keys."""

from collections.abc import Iterable
from typing import Literal

import polars as pl

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.expression_functions import INTEGER, OTHER
from charkh.datasets.expressions import kind_of, require_columns
from charkh.recipes.operations.columns import refuse_existing
from charkh.recipes.operations.operation import Behaviour, Step, Tables, Transform, listed

SMALL = 100
LARGE = 1_000_000
"""Up to `SMALL` rows are looked up one by one, in a table of up to `LARGE` rows; more are joined."""

_FOUND = "__found__"


class Lookup(Step, frozen=True, kw_only=True, tag="lookup"):
    """Add columns of another table, from its row with the same keys.

    `table` is a name under the recipe's `tables`; `on` is the table's key columns by this table's columns, and
    keys must be unique there; `columns` is the new names by the table's columns. A row whose keys are not
    found, or missing, gets nulls, or is an error with `"missing": "error"`.
    """

    table: str
    on: dict[str, str]
    columns: dict[str, str]
    missing: Literal["null", "error"] = "null"


def ready(operation: Lookup, tables: Tables) -> Transform:
    """Check and index the table once, for any number of calls."""
    if operation.table not in tables:
        raise NotFound(
            f"the table {operation.table!r} was not given",
            code="recipe.no_table",
            hint=f"Pass it in `tables`; given: {', '.join(sorted(tables)) or 'none'}.",
        )
    right = _prepared(operation, tables[operation.table])
    keys = list(_key_names(operation).values())
    index = _Index(right, keys)

    def transform(frame: pl.DataFrame) -> pl.DataFrame:
        require_columns(operation.on, frame.schema)
        refuse_existing(frame, list(operation.columns.values()))
        _refuse_unlike_keys(operation, frame, right)
        wanted = frame.select(
            _comparable(pl.col(name), frame.schema[name]).alias(key) for name, key in _keys(operation)
        )
        found = index.find(wanted) if frame.height <= SMALL and right.height <= LARGE else _join(wanted, right, keys)
        if operation.missing == "error":
            _refuse_missing(operation, frame, found)
        return frame.hstack(found.drop(_FOUND))

    return transform


def _join(wanted: pl.DataFrame, right: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return wanted.join(right, on=keys, how="left", maintain_order="left").drop(keys)


class _Index:
    """Rows of the table by their keys, for requests of a few rows: a join would hash the whole table each time."""

    def __init__(self, right: pl.DataFrame, keys: list[str]) -> None:
        self._right = right
        self._keys = keys
        self._places: dict[tuple[object, ...], int] | None = None

    def find(self, wanted: pl.DataFrame) -> pl.DataFrame:
        if self._places is None:
            self._places = {key: place for place, key in enumerate(self._right.select(self._keys).iter_rows())}
        places = [self._places.get(key) for key in wanted.iter_rows()]
        values = self._right.drop(self._keys)
        return values.select(pl.all().gather(pl.lit(pl.Series(places, dtype=pl.UInt32))))


def _prepared(operation: Lookup, table: pl.DataFrame) -> pl.DataFrame:
    """The keys, in comparable types, and the wanted columns under their new names."""
    require_columns([*operation.on.values(), *operation.columns], table.schema)
    keys = [
        _comparable(pl.col(operation.on[name]), table.schema[operation.on[name]]).alias(key)
        for name, key in _keys(operation)
    ]
    wanted = [pl.col(name).alias(new) for name, new in operation.columns.items()]
    prepared = table.select(*keys, *wanted, pl.lit(True).alias(_FOUND)).drop_nulls(list(_key_names(operation).values()))
    twice = prepared.filter(pl.struct(_key_names(operation).values()).is_duplicated())
    if len(twice):
        example = {operation.on[name]: twice[key][0] for name, key in _keys(operation)}
        raise Invalid(
            f"the table {operation.table!r} has {len(twice)} rows whose keys are not unique, such as {example}",
            code="recipe.keys_not_unique",
            hint="Look up by more columns, or deduplicate the table first.",
        )
    return prepared


def _key_names(operation: Lookup) -> dict[str, str]:
    return {name: f"__key{place}__" for place, name in enumerate(operation.on)}


def _keys(operation: Lookup) -> Iterable[tuple[str, str]]:
    return _key_names(operation).items()


def _comparable(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_integer():
        return column.cast(pl.Int64)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    return column.cast(pl.Datetime("us", dtype.time_zone)) if isinstance(dtype, pl.Datetime) else column


def _refuse_unlike_keys(operation: Lookup, frame: pl.DataFrame, right: pl.DataFrame) -> None:
    for name, key in _keys(operation):
        mine, theirs = frame.schema[name], right.schema[key]
        same = mine == theirs or (
            kind_of(mine) == kind_of(theirs) != OTHER and kind_of(mine) in {INTEGER, "text", "time"}
        )
        if not same and pl.Null not in {mine, theirs}:
            raise Invalid(
                f"column {name!r} holds {mine}, but {operation.on[name]!r} of {operation.table!r} holds {theirs}",
                code="recipe.wrong_kind",
                hint="A `cast` or `parse_time` step before this one makes them alike.",
                facts={"column": name},
            )


def _refuse_missing(operation: Lookup, frame: pl.DataFrame, found: pl.DataFrame) -> None:
    lost = found[_FOUND].is_null().arg_true()
    if len(lost):
        example = {name: frame[name][int(lost[0])] for name in operation.on}
        raise Invalid(
            f"{len(lost)} rows are not in {operation.table!r}, such as {example}",
            code="recipe.not_in_table",
            hint='Say "missing": "null" to leave the new columns empty there.',
            facts={"rows": len(lost)},
        )


def _validate(operation: Lookup) -> None:
    names = list(operation.columns.values())
    if not operation.on or not names or len(set(names)) != len(names):
        raise Invalid(
            "a lookup needs keys in `on` and distinct new names in `columns`",
            code="recipe.invalid_step",
            hint='Write e.g. "on": {"tailnum": "tailnum"}, "columns": {"year": "plane_year"}.',
        )


def _explain(operation: Lookup) -> str:
    keys = ", ".join(f"`{name}`" if name == key else f"`{name}` = `{key}`" for name, key in operation.on.items())
    rest = "an error" if operation.missing == "error" else "left empty"
    added = listed(list(operation.columns.values()))
    return f"Look up {added} in {operation.table!r} by {keys}; what is not found is {rest}."


BEHAVIOURS = (Behaviour(Lookup, ready, _explain, validate=_validate),)
