"""What differs between two tables, row by row and cell by cell; exact, in memory, with Polars.

With a key, a row is the same row when its key is equal, and its other cells are compared. Without one, tables are
multisets of rows: a row that stands three times in one and once in the other was removed twice. Missing values
are equal to each other, and so are NaNs. Columns that only one table has are reported and not compared; a column
whose type changed is compared by value, numbers as numbers and anything else as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.dtypes import dtype_text

SAMPLES = 5
_PLACE, _GROUP, _COUNT, _OLD, _NEW = "__place__", "__group__", "__count__", "__old__", "__new__"


class RetypedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of both tables with another type."""

    name: str
    old: str
    new: str


class SchemaDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that differ: only in the new table, only in the old, and in both with another type."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[RetypedColumn, ...] = ()


class RowDiffSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A bounded account of a `RowDiff`, for JSON and for people.

    Attributes:
        key: the columns that tell rows apart; empty where rows are a multiset.
        schema: the columns that differ.
        added: rows that only the new table has.
        removed: rows that only the old table has.
        changed: rows of one key with other cells.
        unchanged: rows of both.
        cells: how many cells changed, by column.
        added_sample: the first added rows, as text.
        removed_sample: the first removed rows, as text.
        changed_sample: the first changed cells: the key, `column`, `old` and `new`, as text.
    """

    key: tuple[str, ...]
    schema: SchemaDiff
    added: int
    removed: int
    changed: int
    unchanged: int
    cells: dict[str, int]
    added_sample: tuple[dict[str, str | None], ...]
    removed_sample: tuple[dict[str, str | None], ...]
    changed_sample: tuple[dict[str, str | None], ...]


@dataclass(frozen=True, slots=True, eq=False)
class RowDiff:
    """The difference between two tables.

    Attributes:
        key: the columns that tell rows apart, or empty.
        schema: the columns that differ.
        added: rows that only the new table has, with all its columns.
        removed: rows that only the old table has, with all its columns.
        old: the changed rows as they were: key and common columns.
        new: the same rows, in the same order, as they are.
        unchanged: how many rows are in both.
        cells: how many cells changed, by column; columns without a change are not named.
    """

    key: tuple[str, ...]
    schema: SchemaDiff
    added: pl.DataFrame
    removed: pl.DataFrame
    old: pl.DataFrame
    new: pl.DataFrame
    unchanged: int
    cells: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def same(self) -> bool:
        """Whether rows and columns are equal."""
        return not (self.added.height or self.removed.height or self.old.height or self.schema != SchemaDiff())

    def changed_cells(self, limit: int | None = None) -> pl.DataFrame:
        """The changed cells, one a row: the key, then `column`, `old` and `new` as text.

        Args:
            limit: at most so many for each column.
        """
        parts: list[pl.DataFrame] = []
        for name in self.cells:
            differs = _differs(self.old[name], self.new[name])
            old, new = self.old.filter(differs), self.new.filter(differs)
            if limit is not None:
                old, new = old.head(limit), new.head(limit)
            said = [pl.lit(name).alias("column"), _as_text(old[name]).alias("old"), _as_text(new[name]).alias("new")]
            parts.append(old.select([*self.key, *said]))
        if parts:
            return pl.concat(parts)
        text = dict.fromkeys(["column", "old", "new"], pl.String)
        return pl.DataFrame(schema={**{name: self.old.schema[name] for name in self.key}, **text})

    def summary(self, samples: int = SAMPLES) -> RowDiffSummary:
        """Counts, and at most `samples` rows of each sort."""
        return RowDiffSummary(
            key=self.key,
            schema=self.schema,
            added=self.added.height,
            removed=self.removed.height,
            changed=self.old.height,
            unchanged=self.unchanged,
            cells=dict(self.cells),
            added_sample=_shown(self.added.head(samples)),
            removed_sample=_shown(self.removed.head(samples)),
            changed_sample=_shown(self.changed_cells(samples).head(samples)),
        )


def diff_rows(old: pl.DataFrame, new: pl.DataFrame, *, key: Sequence[str] | None = None) -> RowDiff:
    """The rows that differ.

    Args:
        old: the table before.
        new: the table after.
        key: columns that tell the rows of each table apart; None to compare them as multisets of rows.

    Raises:
        Invalid: a table lacks a column of the key, or two of its rows have one key; with an example.
    """
    common = [name for name in old.columns if name in new.columns]
    schema = _schema_diff(old, new, common)
    left, right = _comparable(old.select(common), new.select(common))
    if not key:
        return _keyless(old, new, left, right, schema)
    return _keyed(old, new, left, right, list(dict.fromkeys(key)), schema)


def guess_key(old: pl.DataFrame, new: pl.DataFrame) -> str | None:
    """The first column that tells the rows of both tables apart, without gaps; None when no single one does."""
    for name in old.columns:
        if name in new.columns and all(_tells_apart(frame[name]) for frame in (old, new)):
            return name
    return None


def _tells_apart(column: pl.Series) -> bool:
    unfit = column.dtype.is_nested() or column.dtype.is_float() or column.null_count()
    return not unfit and column.n_unique() == column.len()


def _schema_diff(old: pl.DataFrame, new: pl.DataFrame, common: Sequence[str]) -> SchemaDiff:
    return SchemaDiff(
        added=tuple(name for name in new.columns if name not in old.columns),
        removed=tuple(name for name in old.columns if name not in new.columns),
        retyped=tuple(
            RetypedColumn(name=name, old=dtype_text(old.schema[name]), new=dtype_text(new.schema[name]))
            for name in common
            if old.schema[name] != new.schema[name]
        ),
    )


def _comparable(old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both tables with equal types that can be grouped: nested cells as JSON, others as they are if they can."""
    exprs: list[tuple[pl.Expr, pl.Expr]] = []
    for name in old.columns:
        first, second = old.schema[name], new.schema[name]
        exprs.append((_compared(name, first, second), _compared(name, second, first)))
    return old.select([each for each, _ in exprs]), new.select([each for _, each in exprs])


def _compared(name: str, dtype: pl.DataType, other: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Null and other != pl.Null:
        return column.cast(pl.String if _needs_text(other) else other)
    if dtype.is_nested():
        return pl.struct(column).struct.json_encode().alias(name)
    if dtype == other or other == pl.Null:
        return column.cast(pl.String) if _needs_text(dtype) else column
    if dtype.is_numeric() and other.is_numeric():
        whole = dtype.is_integer() and other.is_integer()
        return column.cast(pl.Int128 if whole else pl.Float64)
    return column.cast(pl.String)


def _needs_text(dtype: pl.DataType) -> bool:
    """Whether cells of two tables can only be compared as text: each has categories of its own, or a shape."""
    return dtype.is_nested() or isinstance(dtype, pl.Categorical | pl.Enum)


def _keyed(
    old: pl.DataFrame,
    new: pl.DataFrame,
    left: pl.DataFrame,
    right: pl.DataFrame,
    key: list[str],
    schema: SchemaDiff,
) -> RowDiff:
    for frame, which in ((old, "old"), (new, "new")):
        missing = next((name for name in key if name not in frame.columns), None)
        if missing is not None:
            raise Invalid(
                f"the {which} table has no column {missing!r}",
                code="diff.no_column",
                hint=f"It has: {', '.join(frame.columns[:50])}.",
            )
    _refuse_duplicates(left.select(key), "old")
    _refuse_duplicates(right.select(key), "new")
    old_keys, new_keys = left.select(key).with_row_index(_OLD), right.select(key).with_row_index(_NEW)
    met = old_keys.join(new_keys, on=key, how="inner", nulls_equal=True, maintain_order="left")
    in_old, in_new = met[_OLD], met[_NEW]
    cells: dict[str, int] = {}
    changed = pl.repeat(False, met.height, dtype=pl.Boolean, eager=True)
    for name in left.columns:
        if name not in key:
            differs = _differs(left[name].gather(in_old), right[name].gather(in_new))
            count = int(differs.sum())
            if count:
                cells[name] = count
                changed = changed | differs
    common = [*key, *(name for name in left.columns if name not in key)]
    return RowDiff(
        key=tuple(key),
        schema=schema,
        added=_others(new, in_new),
        removed=_others(old, in_old),
        old=left.select(common)[in_old.filter(changed)],
        new=right.select(common)[in_new.filter(changed)],
        unchanged=met.height - int(changed.sum()),
        cells=cells,
    )


def _refuse_duplicates(keys: pl.DataFrame, which: str) -> None:
    twice = keys.is_duplicated()
    if twice.any():
        example: dict[str, Any] = keys.filter(twice).row(0, named=True)
        shown = ", ".join(f"{name}={value!r}" for name, value in example.items())
        raise Invalid(
            f"{int(twice.sum())} rows of the {which} table share their key with another, for example {shown}",
            code="diff.duplicate_key",
            hint="Name more columns of the key, or compare without one.",
            facts={"example": {name: str(value) for name, value in example.items()}},
        )


def _others(frame: pl.DataFrame, places: pl.Series) -> pl.DataFrame:
    """The rows that are not at `places`, in their order."""
    if places.len() == frame.height:
        return frame.clear()
    elsewhere = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True).scatter(places, False)
    return frame.filter(elsewhere)


def _keyless(
    old: pl.DataFrame, new: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame, schema: SchemaDiff
) -> RowDiff:
    """Count each distinct row in both tables; what one has more often is added or removed."""
    if not left.width:
        return RowDiff((), schema, new, old, old.clear(), new.clear(), 0)
    sided = [
        frame.lazy().with_columns(pl.lit(sign, pl.Int64).alias(_COUNT)) for frame, sign in ((left, -1), (right, 1))
    ]
    counted = pl.concat(sided).group_by(left.columns).agg(pl.col(_COUNT).sum()).filter(pl.col(_COUNT) != 0).collect()
    added = _surplus(new, right, counted.filter(pl.col(_COUNT) > 0))
    removed = _surplus(old, left, counted.filter(pl.col(_COUNT) < 0))
    return RowDiff((), schema, added, removed, left.clear(), right.clear(), new.height - added.height)


def _surplus(frame: pl.DataFrame, compared: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """The last occurrences of what this side has more often, in their order.

    Args:
        frame: the rows as they are.
        compared: the same rows as they are compared.
        more: distinct rows, and how many more this side has, with a sign.
    """
    if more.is_empty():
        return frame.clear()
    numbered = more.with_row_index(_GROUP)
    met = compared.with_row_index(_PLACE).join(numbered, on=compared.columns, how="inner", nulls_equal=True)
    last = met.select(_PLACE, _GROUP, pl.col(_COUNT).abs()).sort(_PLACE, descending=True)
    rank = pl.int_range(pl.len()).over(_GROUP)
    return frame[last.filter(rank < pl.col(_COUNT))[_PLACE].sort()]


def _differs(old: pl.Series, new: pl.Series) -> pl.Series:
    return old.ne_missing(new)


def _as_text(column: pl.Series) -> pl.Series:
    return column.cast(pl.String, strict=False)


def _shown(frame: pl.DataFrame) -> tuple[dict[str, str | None], ...]:
    rows = frame.rows(named=True)
    return tuple({name: None if value is None else str(value) for name, value in row.items()} for row in rows)
