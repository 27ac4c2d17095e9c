"""What differs between two tables that are larger than memory: both are cut by their keys, and the parts compared.

Rows that can be equal fall into one part, because a row's part follows from the hash of its key, or of the whole row
where there is no key. So the answer is that of `row_diff`, in the memory of one part of each table. One row that stands
very often without a key is all in one part.
"""

import os
import shutil
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from charkh.core.ids import new_id
from charkh.datasets.row_diff import SAMPLES, RowDiffSummary, diff_rows, rows_as_text
from charkh.datasets.schema_diff import SchemaDiff, comparable, diff_schemas, renamed_columns, require_key

MOST_PARTS = 256
"""So many files are open at once at most while a table is cut."""
_STALE = 86400.0
_PART = "__part__"
_OLD_ROW, _NEW_ROW = "__old_row__", "__new_row__"


class ScratchFolder:
    """A folder that goes when nobody holds this object any more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)


@dataclass(frozen=True, slots=True, eq=False)
class PartedDiff:
    """The difference between two tables, lying on disk until this object is let go.

    Attributes:
        key: the columns that tell rows apart, or empty.
        schema: the columns that differ.
        added: rows that only the new table has, in its order.
        removed: rows that only the old table has, in its order.
        cell_changes: the changed cells, as `changed_cells` has them.
        counts: how many rows are `added`, `removed` and `changed`.
        unchanged: how many rows are in both.
        folder: where it lies.
        cells: how many cells changed, by column.
        guessed: the key was found in the rows.
        unread: rows of both that were not read, because what holds them is equal.
    """

    key: tuple[str, ...]
    schema: SchemaDiff
    added: pl.LazyFrame
    removed: pl.LazyFrame
    cell_changes: pl.LazyFrame
    counts: Mapping[str, int]
    unchanged: int
    folder: ScratchFolder
    cells: Mapping[str, int] = field(default_factory=dict[str, int])
    guessed: bool = False
    unread: int = 0

    @property
    def compared(self) -> int:
        """How many rows of the old table were compared."""
        return self.counts["removed"] + self.counts["changed"] + self.unchanged - self.unread

    @property
    def same(self) -> bool:
        """Whether rows and columns are equal."""
        differing = self.counts["added"] + self.counts["removed"] + self.counts["changed"]
        return not differing and self.schema == SchemaDiff()

    def changed_cells(self) -> pl.LazyFrame:
        """The changed cells, one a row: the key, then `column`, `old` and `new` as text; in no order."""
        return self.cell_changes

    def summary(self, samples: int = SAMPLES) -> RowDiffSummary:
        """Counts, and at most `samples` rows of each sort."""
        sampled = [rows_as_text(part.head(samples).collect()) for part in (self.added, self.removed, self.cell_changes)]
        return RowDiffSummary(
            key=self.key,
            schema=self.schema,
            added=self.counts["added"],
            removed=self.counts["removed"],
            changed=self.counts["changed"],
            unchanged=self.unchanged,
            cells=dict(self.cells),
            added_sample=sampled[0],
            removed_sample=sampled[1],
            changed_sample=sampled[2],
            guessed=self.guessed,
            unread=self.unread,
        )


def diff_scans(
    old: pl.LazyFrame, new: pl.LazyFrame, *, key: Sequence[str] | None = None, scratch: Path, parts: int
) -> PartedDiff:
    """The rows that differ.

    Args:
        old: the table before.
        new: the table after.
        key: columns that tell the rows of each table apart; None to compare them as multisets of rows.
        scratch: a folder with room for both tables; what is left behind there by a killed process goes after a day.
        parts: into how many parts the tables are cut.

    Raises:
        Invalid: a table lacks a column of the key, or two of its rows have one key; with an example.
    """
    names = list(dict.fromkeys(key or ()))
    renamed = renamed_columns(old, new, names)
    old = old.rename(renamed)
    before, after = old.collect_schema(), new.collect_schema()
    require_key(names, [("old", before), ("new", after)])
    common = names or [name for name in before if name in after]
    held = _scratch_folder(scratch)
    folder = held.path
    casts = comparable(before, after, common)
    count = min(max(parts, 1), MOST_PARTS) if casts else 1
    _cut(old, [one for one, _ in casts], folder / "old", _OLD_ROW, count)
    _cut(new, [other for _, other in casts], folder / "new", _NEW_ROW, count)
    counts, cells = Counter[str](), Counter[str]()
    for part in range(count):
        _compare_part(folder, part, (before, after), names, counts, cells)
    return PartedDiff(
        key=tuple(names),
        schema=diff_schemas(before, after, renamed),
        added=_in_order(folder, "added", _NEW_ROW, count),
        removed=_in_order(folder, "removed", _OLD_ROW, count),
        cell_changes=pl.scan_parquet([folder / f"changed-{part}.parquet" for part in range(count)]),
        counts={name: counts[name] for name in ("added", "removed", "changed")},
        unchanged=counts["unchanged"],
        folder=held,
        cells={name: cells[name] for name in before if cells[name]},
    )


def _scratch_folder(scratch: Path) -> ScratchFolder:
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in scratch.glob("diff-*"):
        if left.stat().st_mtime < time.time() - _STALE:
            shutil.rmtree(left, ignore_errors=True)
    folder = scratch / f"diff-{new_id()}"
    folder.mkdir()
    return ScratchFolder(folder)


def _cut(table: pl.LazyFrame, hashed: Sequence[pl.Expr], folder: Path, row: str, parts: int) -> None:
    """Write a table's rows into `parts` files, those with equal hashes into one, each in the table's order."""
    part = pl.struct(hashed).hash() % parts if hashed else pl.lit(0, pl.UInt64)
    table.with_row_index(row).with_columns(part.alias(_PART)).sink_parquet(
        pl.PartitionBy(folder, key=_PART, include_key=False),
        compression="lz4",
        statistics=False,
        mkdir=True,
        engine="streaming",
    )


def _compare_part(
    folder: Path,
    part: int,
    schemas: tuple[pl.Schema, pl.Schema],
    key: Sequence[str],
    counts: Counter[str],
    cells: Counter[str],
) -> None:
    before = _read_part(folder / "old", part, schemas[0], _OLD_ROW)
    after = _read_part(folder / "new", part, schemas[1], _NEW_ROW)
    diff = diff_rows(before, after, key=key, renamed={})
    diff.added.write_parquet(folder / f"added-{part}.parquet", compression="lz4")
    diff.removed.write_parquet(folder / f"removed-{part}.parquet", compression="lz4")
    diff.changed_cells().write_parquet(folder / f"changed-{part}.parquet", compression="lz4")
    counts.update(
        added=diff.added.height, removed=diff.removed.height, changed=diff.old.height, unchanged=diff.unchanged
    )
    cells.update(diff.cells)
    for side in ("old", "new"):
        shutil.rmtree(folder / side / f"{_PART}={part}", ignore_errors=True)


def _read_part(folder: Path, part: int, schema: pl.Schema, row: str) -> pl.DataFrame:
    files = sorted((folder / f"{_PART}={part}").glob("*.parquet"))
    if not files:
        return pl.DataFrame(schema={row: pl.get_index_type(), **schema})
    return pl.read_parquet(files, hive_partitioning=False)


def _in_order(folder: Path, what: str, row: str, parts: int) -> pl.LazyFrame:
    """The rows of all parts as they stood in their table."""
    waiting = [pl.scan_parquet(folder / f"{what}-{part}.parquet") for part in range(parts)]
    while len(waiting) > 1:
        # By pairs, so that the plan is as deep as the logarithm of their number.
        pairs = zip(waiting[::2], waiting[1::2], strict=False)
        odd = waiting[-1:] if len(waiting) % 2 else []
        waiting = [one.merge_sorted(other, row) for one, other in pairs] + odd
    return waiting[0].drop(row)


def memory_limit() -> int:
    """Bytes of tables that are compared in memory: an eighth of the machine's, or of what its group may use."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        bound = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        bound = "max"
    return min(physical, int(bound) if bound.isdigit() else physical) // 8
