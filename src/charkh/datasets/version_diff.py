"""What differs between the tables of two versions, row by row, without reading what is certainly equal."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.diff import ChangedFile, diff_files
from charkh.datasets.external_diff import PartedDiff, diff_scans, memory_limit
from charkh.datasets.formats import format_of
from charkh.datasets.grown import growth_of
from charkh.datasets.keys import guess_key
from charkh.datasets.read import Cache, collect_table, is_whole, require_table, scan_file, scan_table
from charkh.datasets.row_diff import RowDiff, diff_rows
from charkh.datasets.schema_diff import refuse_shared_keys, require_key
from charkh.datasets.sniff import columns_of
from charkh.ports.store import Store

_EXPANSION = {"csv": 2, "jsonl": 2, "parquet": 6}
"""Bytes in memory for a byte of a file, about."""


class _Sides(NamedTuple):
    """What is left to compare of two versions, and what their files prove.

    Attributes:
        old: rows of the old version that may not be in the new one.
        new: rows of the new version that may not be in the old one.
        size: bytes that both have in memory, about.
        whole: all rows of both.
        grows: every file of the old version is in the new one, as it was or with more rows at its end.
    """

    old: pl.LazyFrame
    new: pl.LazyFrame
    size: int
    whole: bool
    grows: bool


def diff_versions(
    store: Store,
    old: DatasetVersion,
    new: DatasetVersion,
    *,
    key: Sequence[str] | None = None,
    guess: bool = False,
    cache: Cache | None = None,
    scratch: Path | None = None,
    memory: int | None = None,
) -> RowDiff | PartedDiff:
    """The rows that differ between two versions, of one dataset or of two.

    Files of equal content are not read, nor the old rows of text files that only grew: their rows are in both. With a
    key, only the columns of the key are read of them, because a key must be told apart from every other.

    Args:
        store: where they lie.
        old: the version before.
        new: the version after.
        key: columns that tell rows apart; None to compare tables as multisets of rows.
        guess: without a key, look for one; where the files prove that the new version is the old one and more rows,
            none is needed.
        cache: keeps files on disk.
        scratch: folder for tables that are larger than `memory`; without it, all is compared in memory.
        memory: bytes that the tables may have in memory; a part of the machine's by default.

    Raises:
        Invalid: one is no table, lacks a column of the key, or has two rows of one key.
        NotFound: the bytes of one are not here.
    """
    require_table(old)
    require_table(new)
    sides = _sides(store, old, new, cache, keyed=bool(key))
    guessed = False
    if guess and not key and not sides.grows:
        key = guess_key(scan_table(store, old, cache=cache), scan_table(store, new, cache=cache))
        guessed = bool(key)
        if guessed:
            sides = _sides(store, old, new, cache, keyed=True)
    if key and not sides.whole and not guessed:
        for version, which in ((old, "old"), (new, "new")):
            lazy = scan_table(store, version, cache=cache)
            require_key(key, [(which, lazy.collect_schema())])
            refuse_shared_keys(collect_table(version, lazy.select(key)), which)
    limit = memory_limit() if memory is None else memory
    if scratch is not None and sides.size > limit:
        parts = -(-2 * sides.size // max(limit, 1))
        diff = diff_scans(sides.old, sides.new, key=key, scratch=scratch, parts=parts)
    else:
        diff = diff_rows(collect_table(old, sides.old), collect_table(new, sides.new), key=key)
    unread = 0 if sides.whole else max(0, (old.made.rows or 0) - diff.compared)
    return dataclasses.replace(diff, unchanged=diff.unchanged + unread, unread=unread, guessed=guessed)


def _sides(store: Store, old: DatasetVersion, new: DatasetVersion, cache: Cache | None, *, keyed: bool) -> _Sides:
    if old.made.reading != new.made.reading or (keyed and old.made.schema != new.made.schema):
        before, after = (scan_table(store, version, cache=cache) for version in (old, new))
        entries = [entry for each in (old, new) for entry in store.vault.entries(each.made.tree.root)]
        size = sum(_size_in_memory(entry.path, entry.file.size) for entry in entries)
        return _Sides(before, after, size, whole=True, grows=False)
    files = diff_files(store, old, new)
    grown = [(each, tail) for each in files.changed if (tail := _tail(store, old, new, each)) is not None]
    told = {each.path for each, _ in grown}
    changed = [each for each in files.changed if each.path not in told]
    gone = [*((each.path, each.old) for each in changed), *((each.path, each.file) for each in files.removed)]
    come = [*((each.path, each.new) for each in changed), *((each.path, each.file) for each in files.added)]
    before = [scan_table(store, old, files=[path for path, _ in gone], cache=cache)] if gone else []
    after = [scan_table(store, new, files=[path for path, _ in come], cache=cache)] if come and not grown else []
    if grown:
        parts = {each.path: tail for each, tail in grown}
        parts |= {path: scan_table(store, new, files=[path], cache=cache) for path, _ in come}
        after = [parts[path] for path in sorted(parts)]
    left = sum(_size_in_memory(path, file.size) for path, file in [*gone, *come])
    left += sum(_size_in_memory(each.path, each.new.size - each.old.size) for each, _ in grown)
    return _Sides(
        pl.concat(before) if before else _without_rows(store, old, new, after, cache),
        pl.concat(after, how="vertical_relaxed") if after else _without_rows(store, new, old, before, cache),
        left,
        whole=False,
        grows=not gone and old.made.schema == new.made.schema,
    )


def _size_in_memory(path: str, size: int) -> int:
    return size * _EXPANSION.get(format_of(path) or "", 2)


def _tail(store: Store, old: DatasetVersion, new: DatasetVersion, each: ChangedFile) -> pl.LazyFrame | None:
    """The rows that a text file has gained, where it is proved that it only gained rows; else None."""
    if old.made.schema != new.made.schema or not is_whole(new):
        return None
    types = columns_of(new.made.schema)
    if any(dtype is None or dtype.is_nested() for dtype in types.values()):
        return None
    growth = growth_of(store.vault, each.path, each.old, each.new)
    if growth is None:
        return None
    tail = scan_file(new, each.path, growth.header + b"".join(store.vault.read(each.new, growth.start)))
    names = tail.collect_schema().names()
    # A line of JSON need not have every field; a name that had to be redacted in the event is the file's own.
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in names]
    return tail.with_columns(lacking).select(list(types)) if lacking else tail


def _without_rows(
    store: Store, version: DatasetVersion, other: DatasetVersion, rows: Sequence[pl.LazyFrame], cache: Cache | None
) -> pl.LazyFrame:
    """The columns of a version of which no row is compared, without reading it where the other says the same."""
    if version.made.schema != other.made.schema or not is_whole(version):
        return scan_table(store, version, files=(), cache=cache)
    if rows:
        return pl.LazyFrame(schema=rows[0].collect_schema())
    return pl.LazyFrame(schema={name: dtype or pl.Null() for name, dtype in columns_of(version.made.schema).items()})
