"""What differs between two tables, row by row and cell by cell; exact, in memory, with Polars.

With a key, a row is the same row when its key is equal, and its other cells are compared; rows that share their key
are refused. Without one, tables are multisets of rows: a row that stands three times in one and once in the other was
removed twice. Missing values are equal to each other, and so are NaNs; 0.0 equals -0.0; a list or struct is equal when
everything in it is. Columns that only one table has are reported and not compared, but one that has the cells of
another under a new name is that one renamed; a column whose type changed is compared by value, numbers as numbers and
anything else as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import polars as pl

from charkh.datasets.schema_diff import (
    SchemaDiff,
    cells_as_text,
    comparable,
    diff_schemas,
    refuse_shared_keys,
    renamed_columns,
    require_key,
)

SAMPLES = 5
_PLACE, _GROUP, _COUNT, _OLD, _NEW = "__place__", "__group__", "__count__", "__old__", "__new__"
_NAN = "__nan__"


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
        guessed: the key was found in the rows, not named by anybody.
        unread: rows of both that were not read, because the files or the parts of files that hold them are equal.
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
    guessed: bool = False
    unread: int = 0

    @property
    def append_only(self) -> bool:
        """Whether the new table is the old one and more rows."""
        return not (self.removed or self.changed) and self.schema == SchemaDiff()


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
        guessed: the key was found in the rows, not named by anybody.
        unread: rows of both that were not read, because what holds them is equal.
    """

    key: tuple[str, ...]
    schema: SchemaDiff
    added: pl.DataFrame
    removed: pl.DataFrame
    old: pl.DataFrame
    new: pl.DataFrame
    unchanged: int
    cells: Mapping[str, int] = field(default_factory=dict[str, int])
    guessed: bool = False
    unread: int = 0

    @property
    def compared(self) -> int:
        """How many rows of the old table were compared."""
        return self.removed.height + self.old.height + self.unchanged - self.unread

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
            differs = self.old[name].ne_missing(self.new[name])
            old, new = self.old.filter(differs), self.new.filter(differs)
            if limit is not None:
                old, new = old.head(limit), new.head(limit)
            said = [
                pl.lit(name).alias("column"),
                cells_as_text(old[name]).alias("old"),
                cells_as_text(new[name]).alias("new"),
            ]
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
            added_sample=rows_as_text(self.added.head(samples)),
            removed_sample=rows_as_text(self.removed.head(samples)),
            changed_sample=rows_as_text(self.changed_cells(samples).head(samples)),
            guessed=self.guessed,
            unread=self.unread,
        )


def diff_rows(
    old: pl.DataFrame,
    new: pl.DataFrame,
    *,
    key: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> RowDiff:
    """The rows that differ, in memory; `external_diff` has the same for tables that are larger.

    Args:
        old: the table before.
        new: the table after.
        key: columns that tell the rows of each table apart; None to compare them as multisets of rows.
        renamed: new names of the old table's columns, by old ones; found by their cells where it is not said.

    Raises:
        Invalid: a table lacks a column of the key, or two of its rows have one key; with an example.
    """
    names = list(dict.fromkeys(key or ()))
    if renamed is None:
        renamed = renamed_columns(old.lazy(), new.lazy(), names)
    old = old.rename(renamed)
    schema = diff_schemas(old.schema, new.schema, renamed)
    require_key(names, [("old", old.schema), ("new", new.schema)])
    common = [*names, *(name for name in old.columns if name in new.columns and name not in names)]
    casts = comparable(old.schema, new.schema, common)
    left, right = old.select([one for one, _ in casts]), new.select([other for _, other in casts])
    return _keyed(old, new, left, right, names, schema) if names else _keyless(old, new, left, right, schema)


def _keyed(
    old: pl.DataFrame,
    new: pl.DataFrame,
    left: pl.DataFrame,
    right: pl.DataFrame,
    key: list[str],
    schema: SchemaDiff,
) -> RowDiff:
    refuse_shared_keys(left.select(key), "old")
    refuse_shared_keys(right.select(key), "new")
    old_keys, new_keys = left.select(key).with_row_index(_OLD), right.select(key).with_row_index(_NEW)
    met = _meeting(old_keys, new_keys, key)
    in_old, in_new = met[_OLD], met[_NEW]
    before, after = left[in_old], right[in_new]
    differs = before.select(pl.col(name).ne_missing(after[name]) for name in left.columns if name not in key)
    counts = differs.sum().row(0, named=True) if differs.width else {}
    changed = differs.select(pl.any_horizontal(pl.all())).to_series() if differs.width else in_old.is_null()
    # Those that changed stand in the order of the old table; the join has none.
    places = changed.arg_true().gather(in_old.filter(changed).arg_sort())
    return RowDiff(
        key=tuple(key),
        schema=schema,
        added=_others(new, in_new),
        removed=_others(old, in_old),
        old=before[places],
        new=after[places],
        unchanged=met.height - int(changed.sum()),
        cells={name: int(count) for name, count in counts.items() if count},
    )


def _meeting(left: pl.DataFrame, right: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """The pairs of rows that are equal in columns, missing values and NaNs included.

    Polars' own join of one float column finds no NaN, so that NaN goes in a column beside it.
    """
    floats = [name for name in names if left.schema[name].is_float()]
    if not floats:
        return left.join(right, on=names, how="inner", nulls_equal=True)
    apart = [pl.col(name).is_nan().alias(f"{_NAN}{name}") for name in floats]
    sides = [frame.with_columns(*apart, pl.col(floats).fill_nan(None)) for frame in (left, right)]
    on = [*names, *(f"{_NAN}{name}" for name in floats)]
    return sides[0].join(sides[1], on=on, how="inner", nulls_equal=True)


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
    total = new.height
    in_old, in_new = _single_in_both(left, right)
    old, left = _others(old, in_old), _others(left, in_old)
    new, right = _others(new, in_new), _others(right, in_new)
    sided = [
        frame.lazy().with_columns(pl.lit(sign, pl.Int64).alias(_COUNT)) for frame, sign in ((left, -1), (right, 1))
    ]
    counted = pl.concat(sided).group_by(left.columns).agg(pl.col(_COUNT).sum()).filter(pl.col(_COUNT) != 0).collect()
    added = _surplus(new, right, counted.filter(pl.col(_COUNT) > 0))
    removed = _surplus(old, left, counted.filter(pl.col(_COUNT) < 0))
    return RowDiff((), schema, added, removed, left.clear(), right.clear(), total - added.height)


def _single_in_both(left: pl.DataFrame, right: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """The places of rows that stand once in both tables: found by their hashes, and then compared cell by cell.

    A row whose hash stands once is alone with its cells; what hashes cannot tell is left for who counts rows.
    """
    hashed = [
        frame.lazy()
        .select(pl.struct(pl.all()).hash().alias(_GROUP))
        .with_row_index(name)
        .filter(pl.col(_GROUP).is_unique())
        for frame, name in ((left, _OLD), (right, _NEW))
    ]
    met = hashed[0].join(hashed[1], on=_GROUP).collect()
    before, after = left[met[_OLD]], right[met[_NEW]]
    equal = before.select(
        pl.all_horizontal(pl.col(name).eq_missing(after[name]) for name in left.columns).alias(_GROUP)
    ).to_series()
    return met[_OLD].filter(equal), met[_NEW].filter(equal)


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
    met = _meeting(compared.with_row_index(_PLACE), numbered, compared.columns)
    last = met.select(_PLACE, _GROUP, pl.col(_COUNT).abs()).sort(_PLACE, descending=True)
    rank = pl.int_range(pl.len()).over(_GROUP)
    return frame[last.filter(rank < pl.col(_COUNT))[_PLACE].sort()]


def rows_as_text(frame: pl.DataFrame) -> tuple[dict[str, str | None], ...]:
    """Rows as JSON and people take them."""
    rows = frame.rows(named=True)
    return tuple({name: None if value is None else str(value) for name, value in row.items()} for row in rows)
