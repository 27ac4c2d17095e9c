"""Where single rows came from: their file and their batch."""

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from charkh.datasets.batches import batch_refs, batch_rows
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.expressions import compile_condition, require_columns
from charkh.datasets.read import Cache, collect_table, scan_table
from charkh.datasets.row_diff import rows_as_text
from charkh.ports.store import Store

_ROW = "__row__"


class BlamedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row, and where it came from.

    Attributes:
        row: its number in the table, from 1.
        file: the file that it stands in.
        row_of_file: its number among the rows of the file, from 1; a header is no row.
        batch: the reference of the version that brought it.
        version: the id of that version.
        actor: who added it.
        created: seconds since the epoch when it was added.
        message: what was said about it.
        sources: where it came from.
        cells: the row, as text.
    """

    row: int
    file: str
    row_of_file: int
    batch: str
    version: str
    actor: str
    created: float
    message: str
    sources: tuple[str, ...]
    cells: dict[str, str | None]


class _Placed(NamedTuple):
    path: str
    first: int
    first_of_file: int
    version: DatasetVersion


def blame(
    store: Store,
    version: DatasetVersion,
    where: str,
    *,
    columns: Sequence[str] = (),
    limit: int | None = 20,
    cache: Cache | None = None,
) -> tuple[BlamedRow, ...]:
    """The rows of a version that meet a condition, and which file and which addition each came from.

    Args:
        store: where the version lies.
        version: of the dataset.
        where: a condition in the grammar of `charkh.core.expressions`.
        columns: cells that are told; all by default.
        limit: rows at most.
        cache: keeps files on disk.

    Raises:
        Invalid: the dataset is no table, or the condition cannot be read or names a column that is not there.
    """
    lazy = scan_table(store, version, cache=cache)
    schema = lazy.collect_schema()
    found = lazy.with_row_index(_ROW).filter(compile_condition(where, schema))
    rows = collect_table(version, found if limit is None else found.head(limit))
    told = batch_rows(store, version, cache=cache)
    refs = batch_refs(store, list({each.version.id: each.version for each in told}.values()))
    placed: list[_Placed] = []
    first = 0
    for each in told:
        placed.append(_Placed(each.path, first, each.first, each.version))
        first += each.past - each.first
    cells = rows_as_text(rows.select(list(columns) or list(schema)))
    return tuple(_blamed(place, cells_of, placed, refs) for place, cells_of in zip(rows[_ROW], cells, strict=True))


def _blamed(row: int, cells: dict[str, str | None], placed: Sequence[_Placed], refs: dict[str, str]) -> BlamedRow:
    there = placed[bisect.bisect_right(placed, row, key=lambda each: each.first) - 1]
    made = there.version.made
    return BlamedRow(
        row=row + 1,
        file=there.path,
        row_of_file=row - there.first + there.first_of_file + 1,
        batch=refs[there.version.id],
        version=there.version.id,
        actor=there.version.actor,
        created=there.version.created,
        message=made.message,
        sources=made.sources,
        cells=cells,
    )


def rows_where(
    table: pl.LazyFrame, *, where: str = "", columns: Sequence[str] = (), limit: int | None = None
) -> pl.LazyFrame:
    """Some rows and columns of a table.

    Raises:
        Invalid: the condition cannot be read, or a column is not there.
    """
    schema = table.collect_schema()
    if where:
        table = table.filter(compile_condition(where, schema))
    if columns:
        require_columns(columns, schema)
        table = table.select(columns)
    return table if limit is None else table.head(limit)
