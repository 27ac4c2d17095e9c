"""Read a dataset's table: lazily with Polars, the types as the version says them, the rows in path order."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from charkh.core.errors import Corrupt, Invalid, NotFound
from charkh.core.files import TreeEntry
from charkh.core.redact import redact
from charkh.datasets.csv_file import read_header
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.dtypes import parse_dtype
from charkh.datasets.file_cache import FileCache
from charkh.datasets.formats import Source, format_of, scan_csv, scan_jsonl, separator_of
from charkh.datasets.table_cache import TableCache, is_rewritten
from charkh.ports.store import Store

Cache = FileCache | TableCache
"""Keeps files on disk: as they are, or texts as columns."""


def scan_table(
    store: Store, version: DatasetVersion, *, files: Collection[str] | None = None, cache: Cache | None = None
) -> pl.LazyFrame:
    """The table, to be read when it is collected.

    Args:
        store: where it lies.
        version: of the dataset.
        files: only the rows of these files; of none, the columns without rows.
        cache: keeps the files on disk; without it they are held in memory.

    Raises:
        Invalid: the dataset is no table.
        NotFound: it has no such file, or its bytes are not here.
        Corrupt: the bytes are not what their digest says, or no longer what they were when they were added.
    """
    require_table(version)
    if files is not None and not files:
        first = next(iter(store.vault.entries(version.made.tree.root)))
        return scan_table(store, version, files=[first.path], cache=cache).limit(0)
    return scan_entries(store, version, chosen_entries(store, version, files), cache)


def scan_entries(
    store: Store, version: DatasetVersion, wanted: Sequence[TreeEntry], cache: Cache | None
) -> pl.LazyFrame:
    """The rows of these files of a table, at least one, as in `scan_table`."""
    frames = [scan_entry(store, version, entry, cache) for entry in wanted]
    names = _column_order(version, frames[0])
    # A table that is too wide for its event has columns whose type the files say.
    how = "vertical" if is_whole(version) else "vertical_relaxed"
    return pl.concat([frame.select(names) for frame in frames], how=how)


def read_table(
    store: Store,
    version: DatasetVersion,
    *,
    columns: Sequence[str] | None = None,
    file: str | None = None,
    files: Collection[str] | None = None,
    cache: Cache | None = None,
) -> pl.DataFrame:
    """The table in memory.

    Args:
        store: where it lies.
        version: of the dataset.
        columns: only these, in this order.
        file: only the rows of this file.
        files: only the rows of these files.
        cache: keeps the files on disk.

    Raises:
        Invalid: the dataset is no table, or has no such column.
        NotFound: it has no such file, or its bytes are not here.
        Corrupt: the bytes are not what their digest says, or no longer what they were when they were added.
    """
    lazy = scan_table(store, version, files=files if file is None else [file], cache=cache)
    if columns is not None:
        there = lazy.collect_schema().names()
        missing = [name for name in columns if name not in there]
        if missing:
            raise Invalid(
                f"{version.ref} has no column {missing[0]!r}",
                code="dataset.no_column",
                hint=f"It has: {', '.join(there[:50])}.",
            )
        lazy = lazy.select(columns)
    return collect_table(version, lazy)


def collect_table(version: DatasetVersion, lazy: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a scan of the version, in memory.

    Raises:
        Corrupt: they can no longer be read as they were when they were added.
    """
    try:
        return lazy.collect()
    except PolarsError as error:
        raise _unreadable(version, error) from error


def require_table(version: DatasetVersion) -> None:
    """Refuse a dataset that is no table, with `Invalid`."""
    if version.made.kind != "table":
        raise Invalid(
            f"{version.ref} has files that are no table",
            code="dataset.not_a_table",
            hint=f"Get them with `charkh dataset checkout {version.ref} FOLDER`.",
        )


def chosen_entries(store: Store, version: DatasetVersion, files: Collection[str] | None) -> list[TreeEntry]:
    """The version's files, all or those of these paths, in path order.

    Raises:
        NotFound: there is no such file.
    """
    entries: Iterable[TreeEntry] = store.vault.entries(version.made.tree.root)
    if files is None:
        return list(entries)
    found = [entry for entry in entries if entry.path in files]
    if len(found) < len(set(files)):
        missing = sorted(set(files) - {entry.path for entry in found})
        raise NotFound(
            f"{version.ref} has no file {missing[0]}",
            code="dataset.no_such_file",
            hint=f"`charkh dataset show {version.ref} --files` lists them.",
        )
    return found


def source_of(store: Store, entry: TreeEntry, cache: Cache | None) -> Source:
    """The content of a file: a path in the cache, or the bytes."""
    if cache is None:
        return b"".join(store.vault.read(entry.file))
    files = cache.files if isinstance(cache, TableCache) else cache
    return files.path_of(store.vault, entry)


def scan_entry(store: Store, version: DatasetVersion, entry: TreeEntry, cache: Cache | None) -> pl.LazyFrame:
    """One file of the table, from its columns where the cache has or keeps them; else as `scan_file`.

    Raises:
        NotFound: its bytes are not here.
        Corrupt: they are not what their digest says, or no longer what they were when they were added.
        Unavailable: the cache's folder cannot be written.
    """
    if not isinstance(cache, TableCache) or not is_rewritten(entry):
        return scan_file(version, entry.path, source_of(store, entry, cache))
    return pl.scan_parquet(columns_on_disk(store, version, entry, cache), glob=False)


def columns_on_disk(store: Store, version: DatasetVersion, entry: TreeEntry, cache: TableCache) -> Path:
    """A Parquet file with the rows of a file of the table: that file itself, or its columns in the cache.

    Raises:
        NotFound, Corrupt, Unavailable: as `scan_entry`.
    """
    if format_of(entry.path) == "parquet":
        return cache.files.path_of(store.vault, entry)
    there = cache.find(store, version, entry)
    if there is not None:
        return there
    rows = scan_file(version, entry.path, source_of(store, entry, cache))
    try:
        return cache.keep(store, version, entry, rows)
    except PolarsError as error:
        raise _unreadable(version, error) from error


def scan_file(version: DatasetVersion, path: str, source: Source) -> pl.LazyFrame:
    """One file of the table, its columns typed as the version says; the order of columns is the file's."""
    types = {column.name: parse_dtype(column.dtype) for column in version.made.schema}
    try:
        match format_of(path):
            case "csv":
                return _scan_csv(version, path, source, types)
            case "parquet":
                lazy = pl.scan_parquet(source, glob=False)
            case _:
                lazy = _scan_lines(version, source)
        return _cast(lazy, types)
    except PolarsError as error:
        raise _unreadable(version, error) from error


def _scan_csv(
    version: DatasetVersion, path: str, source: Source, types: Mapping[str, pl.DataType | None]
) -> pl.LazyFrame:
    reading = version.made.reading
    header = read_header(source, path, reading)
    known = {name: types.get(redact(name)) for name in header}
    if None in known.values():
        # Beyond what an event holds the file has to say its types; this reads all of it.
        inferred = pl.scan_csv(
            source,
            separator=separator_of(path, reading),
            null_values=list(reading.nulls) or None,
            infer_schema_length=None,
            try_parse_dates=True,
            glob=False,
        ).collect_schema()
        known = {name: known[name] or dtype for name, dtype in zip(header, inferred.dtypes(), strict=True)}
    typed = {name: dtype for name, dtype in known.items() if dtype is not None}
    empty = [name for name, dtype in typed.items() if dtype == pl.Null]
    lazy = scan_csv(source, path, reading, {**typed, **dict.fromkeys(empty, pl.String())})
    return lazy.with_columns(pl.lit(None).alias(name) for name in empty) if empty else lazy


def _scan_lines(version: DatasetVersion, source: Source) -> pl.LazyFrame:
    """JSON Lines say their columns by themselves, unless the rows that had one were erased: then the version does."""
    empty = not source if isinstance(source, bytes) else not source.stat().st_size
    lazy = pl.LazyFrame(height=0) if empty else scan_jsonl(source)
    names = {redact(name) for name in lazy.collect_schema().names()}
    gone = [column for column in version.made.schema if column.name not in names]
    return lazy.with_columns(pl.lit(None, parse_dtype(column.dtype) or pl.Null()).alias(column.name) for column in gone)


def _cast(lazy: pl.LazyFrame, types: Mapping[str, pl.DataType | None]) -> pl.LazyFrame:
    """Widen what another file of the same table made wider."""
    casts: list[pl.Expr] = []
    for name, dtype in lazy.collect_schema().items():
        wanted = types.get(redact(name))
        if wanted is not None and wanted != dtype:
            casts.append(pl.col(name).cast(wanted))
    return lazy.with_columns(casts) if casts else lazy


def _column_order(version: DatasetVersion, first: pl.LazyFrame) -> list[str]:
    """The file's own names, in the order that the version says; later ones in the file's order."""
    place = {column.name: number for number, column in enumerate(version.made.schema)}
    names = first.collect_schema().names()
    return sorted(names, key=lambda name: place.get(redact(name), len(place)))


def is_whole(version: DatasetVersion) -> bool:
    """Whether the version says the type of every column."""
    schema = version.made.schema
    return len(schema) == version.made.columns and all(parse_dtype(column.dtype) is not None for column in schema)


def _unreadable(version: DatasetVersion, error: PolarsError) -> Corrupt:
    return Corrupt(
        f"the table of {version.ref} cannot be read: {str(error).partition(chr(10))[0]}",
        code="dataset.unreadable",
        hint="Run `charkh fsck`; if the bytes are whole, this Polars reads them otherwise than when they were added.",
    )
