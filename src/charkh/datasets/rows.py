"""Which file a row of the table came from."""

import bisect
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from charkh.core.errors import NotFound
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.read import Cache, chosen_entries, require_table, scan_entry
from charkh.ports.store import Store


class FileRows(NamedTuple):
    """The rows `first` (inclusive, from 0) to `past` (exclusive) of the table are those of the file `path`."""

    path: str
    first: int
    past: int


def file_rows(store: Store, version: DatasetVersion, *, cache: Cache | None = None) -> tuple[FileRows, ...]:
    """Where the rows of each file stand in the table, in path order.

    Raises:
        Invalid: the dataset is no table.
    """
    require_table(version)
    entries = chosen_entries(store, version, None)
    if len(entries) == 1:
        return (FileRows(entries[0].path, 0, version.made.rows or 0),)
    placed: list[FileRows] = []
    first = 0
    for entry in entries:
        counted = scan_entry(store, version, entry, cache).select(pl.len())
        past = first + int(counted.collect(engine="streaming").item())
        placed.append(FileRows(entry.path, first, past))
        first = past
    return tuple(placed)


def file_of_row(placed: Sequence[FileRows], row: int) -> FileRows:
    """The file that a row of the table (from 0) came from.

    Raises:
        NotFound: the table has no such row.
    """
    place = bisect.bisect_right([rows.past for rows in placed], row)
    if row < 0 or place == len(placed):
        raise NotFound(
            f"the table has no row {row}", code="dataset.no_row", hint="Rows are counted from 0 in path order."
        )
    return placed[place]
