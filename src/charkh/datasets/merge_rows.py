"""Merge the rows of two tables that were made from one: cell by cell with a key, row by row without; pure.

What one side changed is taken, what both changed alike is taken once, and what both changed otherwise is a conflict:
shown, never guessed. With a key these are: one cell with two new values, a row that one side deleted and the other
changed, a row that both added with other cells, and a column that one side removed and the other changed. Without a
key, a row whose number of copies both changed to other numbers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.merge_conflicts import ABSENT, Resolutions, conflict_frame, no_conflicts
from charkh.datasets.schema_diff import cells_as_text

PATH, PLACE = "__path__", "__place__"
"""Columns of each side: the file of a row, and its place in the table."""
_GROUP, _SIDE, _RANK = "__group__", "__side__", "__rank__"


@dataclass(frozen=True, slots=True, eq=False)
class MergedRows:
    """Rows as they are after the merge, and what nobody has decided.

    Attributes:
        rows: with their file in `PATH`, in the order of each file.
        conflicts: what is not decided, as `merge_conflicts` has it; empty when all is.
    """

    rows: pl.DataFrame
    conflicts: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Three tables, with the columns `PATH` and `PLACE` beside their own; a column has one type in all of them.

    Attributes:
        base: what both were made from.
        ours: one side.
        theirs: the other.
        ordered_by_ours: files whose rows keep the order of ours; the others keep that of theirs. What only the other
            side has comes at their end.
    """

    base: pl.DataFrame
    ours: pl.DataFrame
    theirs: pl.DataFrame
    ordered_by_ours: Collection[str]


def merge_rows(sides: Sides, key: Sequence[str], decided: Resolutions) -> MergedRows:
    """Merge three tables.

    Args:
        sides: the tables; no two rows of one have one key.
        key: the columns that tell rows apart, or none.
        decided: what a person has decided on conflicts.

    Raises:
        Invalid: without a key, the sides have other columns.
    """
    return _keyed(sides, list(key), decided) if key else _keyless(sides, decided)


class _Column:
    """The cells of one column on the three sides, by merged row."""

    def __init__(self, name: str, frames: Sequence[pl.DataFrame], places: Sequence[pl.Series]) -> None:
        self.name = name
        dtype = next(frame.schema[name] for frame in frames if name in frame.columns)
        self.has = [
            place.is_not_null()
            if name in frame.columns
            else pl.repeat(False, place.len(), dtype=pl.Boolean, eager=True)
            for frame, place in zip(frames, places, strict=True)
        ]
        self.cells = [
            frame[name].gather(place)
            if name in frame.columns and frame.height
            else pl.Series(name, [None] * place.len(), dtype=dtype)
            for frame, place in zip(frames, places, strict=True)
        ]
        base, ours, theirs = self.cells
        self.by_ours = self.has[1] & (~self.has[0] | ours.ne_missing(base))
        self.by_theirs = self.has[2] & (~self.has[0] | theirs.ne_missing(base))
        self.conflict = self.by_ours & self.by_theirs & ours.ne_missing(theirs)

    def merged(self) -> pl.Series:
        base, ours, theirs = self.cells
        cells = theirs.zip_with(~self.by_ours, ours)
        untouched = ~self.by_ours & ~self.by_theirs & self.has[0]
        return base.zip_with(untouched, cells).rename(self.name)


def _keyed(sides: Sides, key: list[str], decided: Resolutions) -> MergedRows:
    frames = (sides.base, sides.ours, sides.theirs)
    met = _met(frames, key)
    places = [met[name] for name in ("base", "ours", "theirs")]
    there = [place.is_not_null() for place in places]
    both = there[1] & there[2]
    keys = met.select(key)
    conflicts: list[pl.DataFrame] = []
    kept: list[pl.Series] = [keys[name] for name in key]
    edited = [pl.repeat(False, met.height, dtype=pl.Boolean, eager=True) for _ in range(2)]
    for name in _columns(frames, key):
        column = _Column(name, frames, places)
        edited[0] |= column.by_ours & column.has[0]
        edited[1] |= column.by_theirs & column.has[0]
        if not _keeps_column(column, sides, decided, conflicts):
            continue
        cells, open_conflicts = _decided_cells(column, keys, column.conflict & both, decided)
        kept.append(cells)
        conflicts.append(open_conflicts)
    deleted = [there[0] & ~there[side] for side in (1, 2)]
    stays = ~deleted[0] & ~deleted[1]
    apart = (deleted[0] & edited[1] & there[2], deleted[1] & edited[0] & there[1])
    stays, rows_apart = _decided_rows(keys, apart, stays, decided)
    conflicts.append(rows_apart)
    order = [name for name in merged_columns(frames) if name in {series.name for series in kept}]
    merged = pl.DataFrame(kept).select(order).with_columns(_home(frames, places, sides.ordered_by_ours))
    merged = merged.filter(stays & (there[1] | there[2])).sort(PATH, _SIDE, _RANK).drop(_SIDE, _RANK)
    return MergedRows(merged, pl.concat([no_conflicts(), *conflicts]))


def merged_columns(frames: Sequence[pl.DataFrame]) -> list[str]:
    """The columns that the base or a side has, in the order of the side that changed them, where only one did."""
    base, ours, theirs = ([name for name in frame.columns if name not in {PATH, PLACE}] for frame in frames)
    first = theirs if ours == base else ours if theirs == base else base
    return list(dict.fromkeys([*first, *base, *ours, *theirs]))


def _met(frames: Sequence[pl.DataFrame], key: list[str]) -> pl.DataFrame:
    """Every key once, and the row of each side that has it."""
    base, ours, theirs = (
        frame.select(key).with_row_index(name) for frame, name in zip(frames, ("base", "ours", "theirs"), strict=True)
    )
    met = ours.join(theirs, on=key, how="full", coalesce=True, nulls_equal=True)
    return met.join(base, on=key, how="full", coalesce=True, nulls_equal=True, maintain_order="left")


def _columns(frames: Sequence[pl.DataFrame], key: Sequence[str]) -> list[str]:
    """Those that do not tell the rows."""
    return [name for name in merged_columns(frames) if name not in key]


def _keeps_column(column: _Column, sides: Sides, decided: Resolutions, conflicts: list[pl.DataFrame]) -> bool:
    """Whether a column that a side removed stays: not, unless the other side changed it and somebody decided so."""
    if column.name not in sides.base.columns:
        return True
    ours_has, theirs_has = column.name in sides.ours.columns, column.name in sides.theirs.columns
    if ours_has and theirs_has:
        return True
    changed = (column.by_ours & column.has[0]).sum() or (column.by_theirs & column.has[0]).sum()
    if not changed or not (ours_has or theirs_has):
        return False
    said = f"{changed} cells changed"
    cells = ("", said if ours_has else ABSENT, said if theirs_has else ABSENT)
    conflict = conflict_frame(1, kind="column", column=column.name, cells=cells)
    take = decided.of(conflict)[0].item()
    if take not in {"ours", "theirs"}:
        conflicts.append(conflict)
        return True
    return ours_has if take == "ours" else theirs_has


def _decided_cells(
    column: _Column, keys: pl.DataFrame, conflict: pl.Series, decided: Resolutions
) -> tuple[pl.Series, pl.DataFrame]:
    """The column after the merge, and its conflicts that nobody decided."""
    cells = column.merged()
    texts = [cells_as_text(each.filter(conflict)) for each in column.cells]
    kinds = pl.select(
        pl.when(column.has[0].filter(conflict)).then(pl.lit("cell")).otherwise(pl.lit("added"))
    ).to_series()
    frame = conflict_frame(keys.filter(conflict), kind=kinds, column=column.name, cells=texts)
    if frame.is_empty():
        return cells, frame
    takes, values = decided.of(frame)
    places = conflict.arg_true()
    for side, name in ((0, "base"), (1, "ours"), (2, "theirs")):
        chosen = places.filter((takes == name).fill_null(False))
        cells = cells.scatter(chosen, column.cells[side].gather(chosen))
    written = (takes == "value").fill_null(False)
    if written.any():
        cells = cells.scatter(
            places.filter(written), _parsed(values.filter(written), column.cells[0].dtype, column.name)
        )
    return cells, frame.filter(takes.is_null())


def _parsed(values: pl.Series, dtype: pl.DataType, name: str) -> pl.Series:
    try:
        return values.str.json_decode(dtype) if dtype.is_nested() else values.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"a value that was decided on for {name!r} is no {dtype}",
            code="merge.value",
            hint="Write a value of the column's type, or take ours, theirs or base.",
        ) from error


def _decided_rows(
    keys: pl.DataFrame,
    apart: tuple[pl.Series, pl.Series],
    stays: pl.Series,
    decided: Resolutions,
) -> tuple[pl.Series, pl.DataFrame]:
    """Which rows stay, when one side deleted what the other changed."""
    conflict = apart[0] | apart[1]
    by_ours = apart[0].filter(conflict)
    said = [
        pl.select(pl.when(deleted).then(pl.lit(ABSENT)).otherwise(pl.lit("changed"))).to_series()
        for deleted in (by_ours, ~by_ours)
    ]
    frame = conflict_frame(keys.filter(conflict), kind="deleted", column="", cells=("", *said))
    if frame.is_empty():
        return stays, frame
    takes, _ = decided.of(frame)
    holder = by_ours.replace_strict({True: "theirs", False: "ours"}, return_dtype=pl.String)
    chosen = conflict.arg_true().filter((takes == holder).fill_null(False))
    return stays.scatter(chosen, True), frame.filter(~takes.is_in(["ours", "theirs"]).fill_null(False))


def _home(
    frames: Sequence[pl.DataFrame], places: Sequence[pl.Series], ordered_by_ours: Collection[str]
) -> list[pl.Expr | pl.Series]:
    """The file that each row goes to, and its place there."""
    base, ours, theirs = (
        frame[PATH].gather(place) if frame.height else pl.Series(PATH, [None] * place.len(), dtype=pl.String)
        for frame, place in zip(frames, places, strict=True)
    )
    # A row that one side moved to another file goes there.
    moved = theirs.zip_with((ours == base).fill_null(False) & theirs.is_not_null(), ours)
    home = moved.zip_with(moved.is_not_null(), theirs).rename(PATH)
    leads = home.is_in(list(ordered_by_ours))
    in_ours, in_theirs = (ours == home).fill_null(False), (theirs == home).fill_null(False)
    led = (leads & in_ours) | (~leads & in_theirs)
    from_ours = (leads & in_ours) | (~leads & ~in_theirs)
    rank = [
        frame[PLACE].gather(place)
        if frame.height
        else pl.Series(PLACE, [None] * place.len(), dtype=pl.get_index_type())
        for frame, place in zip(frames[1:], places[1:], strict=True)
    ]
    return [home, (~led).cast(pl.Int8).rename(_SIDE), rank[0].zip_with(from_ours, rank[1]).rename(_RANK)]


def _keyless(sides: Sides, decided: Resolutions) -> MergedRows:
    frames = (sides.base, sides.ours, sides.theirs)
    columns = [name for name in sides.base.columns if name != PLACE]
    if any({*frame.columns} - {PLACE} != {*columns} for frame in frames):
        raise Invalid(
            "the columns of the two sides differ, and rows without a key cannot be told apart then",
            code="merge.needs_key",
            hint="Name the columns that tell rows apart: --key a,b.",
        )
    counted = [
        frame.lazy().select(
            *columns, *(pl.lit(int(side == name), pl.Int64).alias(name) for name in ("base", "ours", "theirs"))
        )
        for frame, side in zip(frames, ("base", "ours", "theirs"), strict=True)
    ]
    groups = pl.concat(counted).group_by(columns, maintain_order=True).sum().with_row_index(_GROUP).collect()
    by_ours, by_theirs = groups["ours"] - groups["base"], groups["theirs"] - groups["base"]
    conflict = (by_ours != 0) & (by_theirs != 0) & (by_ours != by_theirs)
    apart = groups.filter(conflict)
    cells = tuple(apart[name].cast(pl.String) for name in ("base", "ours", "theirs"))
    frame = conflict_frame(apart.select(columns).rename({PATH: "file"}), kind="copies", column="", cells=cells)
    target = groups["theirs"].zip_with(by_ours == 0, groups["ours"])
    if not frame.is_empty():
        takes, _ = decided.of(frame)
        places = conflict.arg_true()
        for name in ("base", "ours", "theirs"):
            chosen = places.filter((takes == name).fill_null(False))
            target = target.scatter(chosen, groups[name].gather(chosen))
        frame = frame.filter(takes.is_null())
    merged = _copies(sides, groups.with_columns(target.alias("target")), columns)
    return MergedRows(merged, frame)


def _copies(sides: Sides, groups: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """As many copies of each row as it has now: the first of the side that leads in its file, then the other's last."""
    leads = pl.col(PATH).is_in(list(sides.ordered_by_ours))
    numbered = [
        frame.join(
            groups.select(_GROUP, "target", "ours", "theirs", *columns),
            on=columns,
            nulls_equal=True,
            maintain_order="left",
        ).with_columns(
            pl.int_range(pl.len()).over(_GROUP).alias("__copy__"),
            (leads if side == "ours" else ~leads).alias("__leads__"),
            pl.when(leads).then("ours").otherwise("theirs").alias("__leading__"),
        )
        for frame, side in ((sides.ours, "ours"), (sides.theirs, "theirs"))
    ]
    taken: list[pl.DataFrame] = []
    for frame in numbered:
        first = frame.filter(pl.col("__leads__") & (pl.col("__copy__") < pl.col("target")))
        behind = frame.filter(
            ~pl.col("__leads__")
            & (pl.col("__copy__") >= pl.len().over(_GROUP) - (pl.col("target") - pl.col("__leading__")).clip(0))
        )
        taken += [first.with_columns(pl.lit(0).alias(_SIDE)), behind.with_columns(pl.lit(1).alias(_SIDE))]
    return pl.concat(taken).sort(PATH, _SIDE, PLACE).select([*(name for name in columns if name != PATH), PATH])
