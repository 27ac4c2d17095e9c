"""What differs between the tables of two versions, row by row, without reading what is certainly equal."""

import dataclasses
from collections.abc import Sequence

from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.diff import diff_files
from charkh.datasets.file_cache import FileCache
from charkh.datasets.read import read_table, require_table
from charkh.datasets.row_diff import RowDiff, diff_rows
from charkh.ports.store import Store


def diff_versions(
    store: Store,
    old: DatasetVersion,
    new: DatasetVersion,
    *,
    key: Sequence[str] | None = None,
    cache: FileCache | None = None,
) -> RowDiff:
    """The rows that differ between two versions, of one dataset or of two.

    Without a key, files of equal content are not read: their rows are in both, however often they stand there.
    With a key, all rows are read, because a key must be told apart from every other.

    Raises:
        Invalid: one is no table, lacks a column of the key, or has two rows of one key.
        NotFound: the bytes of one are not here.
    """
    require_table(old)
    require_table(new)
    if key or old.made.reading != new.made.reading:
        return diff_rows(read_table(store, old, cache=cache), read_table(store, new, cache=cache), key=key)
    files = diff_files(store, old, new)
    changed = [each.path for each in files.changed]
    before = read_table(store, old, files=[*changed, *(each.path for each in files.removed)], cache=cache)
    after = read_table(store, new, files=[*changed, *(each.path for each in files.added)], cache=cache)
    diff = diff_rows(before, after)
    return dataclasses.replace(diff, unchanged=(old.made.rows or 0) - diff.removed.height)
