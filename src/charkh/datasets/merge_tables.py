"""Merge the tables of two versions: which rows have to be looked at, and which files the result is written into.

Files that are equal on all sides are not read. Where every other one is CSV, cells are compared and written as the text
that they are, so that nobody's way of writing a number changes; else by the types of the versions. A file whose rows
come out as one side has them is that side's file, byte for byte.
"""

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.csv_file import read_csv_shape, read_header
from charkh.datasets.dataset import Column, DatasetVersion
from charkh.datasets.dtypes import widest
from charkh.datasets.formats import format_of, scan_csv, separator_of
from charkh.datasets.keys import guess_key, is_key
from charkh.datasets.merge_conflicts import Resolutions
from charkh.datasets.merge_files import Entries, touched
from charkh.datasets.merge_rows import PATH, PLACE, Sides, merge_rows
from charkh.datasets.read import Cache, collect_table, scan_entry, scan_table, source_of
from charkh.datasets.schema_diff import refuse_shared_keys, require_key
from charkh.datasets.sniff import columns_of, schema_of
from charkh.ports.store import Store

_CALLED = ("base", "our", "their")
Three = tuple[DatasetVersion, DatasetVersion, DatasetVersion]


class MergedTable(NamedTuple):
    """A table after the merge.

    Attributes:
        entries: its files.
        conflicts: what is not decided.
        key: the columns that told rows apart, or none.
        guessed: the key was found in the rows.
        columns: of the table.
        rows: of the table.
        heights: the rows of each file that was looked at.
    """

    entries: list[TreeEntry]
    conflicts: pl.DataFrame
    key: tuple[str, ...]
    guessed: bool
    columns: tuple[Column, ...]
    rows: int
    heights: Mapping[str, int]


def merge_tables(
    store: Store,
    sides: Three,
    trees: Sequence[Entries],
    key: tuple[str, ...] | None,
    decided: Resolutions,
    cache: Cache | None,
) -> MergedTable:
    """Merge the tables of two versions.

    Args:
        store: where they lie.
        sides: what both were made from, one version and the other.
        trees: their files by path.
        key: columns that tell rows apart; None to look for them, none to count equal rows.
        decided: what was decided on conflicts.
        cache: keeps files on disk.

    Raises:
        Invalid: a side lacks a column of the key or has two rows of one key, or types of a column cannot be joined.
    """
    guessed = key is None
    key = _guessed(store, sides, cache) if key is None else _checked(store, sides, key, cache)
    base, ours, theirs = trees
    who = touched(base, ours, theirs)
    looked_at = who.by_ours | who.by_theirs
    as_text = all(format_of(path) == "csv" for path in looked_at)
    frames = [
        _rows(store, version, [tree[path] for path in sorted(looked_at) if path in tree], cache, as_text=as_text)
        for version, tree in zip(sides, trees, strict=True)
    ]
    if not as_text:
        frames = _of_one_type(frames)
    merged = merge_rows(Sides(frames[0], frames[1], frames[2], who.by_ours), key, decided)
    parts = {str(path): rows.drop(PATH) for (path,), rows in merged.rows.partition_by(PATH, as_dict=True).items()}
    written = _Written(store, sides, trees, frames, merged.rows.drop(PATH).clear())
    entries = {path: entry for path, entry in base.items() if path not in looked_at}
    for path in looked_at:
        entry = None if merged.conflicts.height else written.entry(path, parts.get(path))
        if entry is not None:
            entries[path] = entry
    rest = (sides[1].made.rows or 0) - frames[1].height
    columns = _types(sides, merged.rows.drop(PATH).schema, written.types, as_text=as_text)
    return MergedTable(
        entries=list(entries.values()),
        conflicts=merged.conflicts,
        key=key,
        guessed=guessed and bool(key),
        columns=schema_of(columns),
        rows=rest + merged.rows.height,
        heights={path: rows.height for path, rows in parts.items()},
    )


def _guessed(store: Store, sides: Three, cache: Cache | None) -> tuple[str, ...]:
    base, ours, theirs = (scan_table(store, version, cache=cache) for version in sides)
    key = guess_key(ours, theirs)
    return key if key and set(key) <= set(base.collect_schema().names()) and is_key(base, key) else ()


def _checked(store: Store, sides: Three, key: tuple[str, ...], cache: Cache | None) -> tuple[str, ...]:
    for version, called in zip(sides, _CALLED, strict=True):
        lazy = scan_table(store, version, cache=cache)
        require_key(key, [(called, lazy.collect_schema())])
        if key:
            refuse_shared_keys(collect_table(version, lazy.select(key)), called)
    return key


def _rows(
    store: Store, version: DatasetVersion, entries: Sequence[TreeEntry], cache: Cache | None, *, as_text: bool
) -> pl.DataFrame:
    """The rows of some files, with their file and place."""
    names = [column.name for column in version.made.schema]
    # What stands for a missing value stays the text that it is.
    as_written = msgspec.structs.replace(version.made.reading, nulls=())
    parts: list[pl.LazyFrame] = []
    for entry in entries:
        if as_text:
            source = source_of(store, entry, cache)
            header = read_header(source, entry.path, version.made.reading)
            texts = dict.fromkeys(header, pl.String())
            lazy = scan_csv(source, entry.path, as_written, texts)
        else:
            lazy = scan_entry(store, version, entry, cache)
        parts.append(lazy.with_columns(pl.lit(entry.path).alias(PATH)))
    if not parts:
        types = columns_of(version.made.schema)
        schema = {name: pl.String() if as_text else (types[name] or pl.Null()) for name in names}
        return pl.DataFrame(schema={**schema, PATH: pl.String, PLACE: pl.get_index_type()})
    order = [name for name in parts[0].collect_schema().names() if name != PATH]
    table = pl.concat([part.select(*order, PATH) for part in parts], how="vertical_relaxed")
    return collect_table(version, table.with_row_index(PLACE).select(*order, PATH, PLACE))


def _of_one_type(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    types: dict[str, pl.DataType] = {}
    for frame in frames:
        for name, dtype in frame.schema.items():
            wide = widest(types.get(name, dtype), dtype)
            if wide is None:
                raise Invalid(
                    f"the column {name!r} is {types[name]} on one side and {dtype} on the other",
                    code="merge.types",
                    hint="Give it one type on both sides, and add that first.",
                )
            types[name] = wide
    return [frame.cast({name: types[name] for name in frame.columns}) for frame in frames]


class _Written:
    """The files of the result, as they are made one after another.

    Attributes:
        types: for each column of the CSV files that were written anew, the types that their texts look like.
    """

    def __init__(
        self,
        store: Store,
        sides: Three,
        trees: Sequence[Entries],
        frames: Sequence[pl.DataFrame],
        empty: pl.DataFrame,
    ) -> None:
        self.types: dict[str, list[pl.DataType]] = {}
        self._store = store
        self._reading = sides[1].made.reading
        self._trees = trees
        self._empty = empty
        self._parts = [
            {str(path): rows.drop(PATH, PLACE) for (path,), rows in frame.partition_by(PATH, as_dict=True).items()}
            for frame in frames
        ]
        self._names = [[name for name in frame.columns if name not in {PATH, PLACE}] for frame in frames]

    def entry(self, path: str, rows: pl.DataFrame | None) -> TreeEntry | None:
        """The file at a path of the result: that of a side where it has these rows, or a new one; None for none."""
        base, ours, theirs = (tree.get(path) for tree in self._trees)
        if rows is None and (ours is None or theirs is None) and base is not None:
            return None
        wanted = self._empty if rows is None else rows
        for side, there in ((1, ours), (2, theirs), (0, base)):
            if there is not None and self._names[side] == wanted.columns:
                had = self._parts[side].get(path)
                if wanted.equals(had) if had is not None else not wanted.height:
                    return there
        like = ours or theirs or base
        if like is None:
            return None
        return TreeEntry(path, self._put(path, wanted, like.file), like.executable)

    def _put(self, path: str, rows: pl.DataFrame, like: FileRef) -> FileRef:
        buffer = io.BytesIO()
        match format_of(path):
            case "parquet":
                rows.write_parquet(buffer)
            case "jsonl":
                rows.write_ndjson(buffer)
            case _:
                begin = b"".join(self._store.vault.read(like, 0, min(like.size, 65536)))
                line = begin.partition(b"\n")[0]
                rows.write_csv(
                    buffer,
                    separator=separator_of(path, self._reading),
                    line_terminator="\r\n" if line.endswith(b"\r") else "\n",
                    include_bom=begin.startswith(b"\xef\xbb\xbf"),
                )
                self._look_at(path, buffer.getvalue())
        return self._store.vault.put_bytes(buffer.getvalue(), path)

    def _look_at(self, path: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            disk = Path(folder) / "table.csv"
            disk.write_bytes(content)
            for name, dtype in read_csv_shape(disk, path, self._reading).columns.items():
                self.types.setdefault(name, []).append(dtype)


def _types(
    sides: Three, schema: Mapping[str, pl.DataType], written: Mapping[str, Sequence[pl.DataType]], *, as_text: bool
) -> dict[str, pl.DataType]:
    """The type of each column: one that holds what both sides have, and what was written anew."""
    known = [columns_of(version.made.schema) for version in sides[1:]]
    found: dict[str, pl.DataType] = {}
    for name, dtype in schema.items():
        types = [each for side in known if (each := side.get(name)) is not None]
        types += list(written.get(name, ())) if as_text else [dtype]
        joined = types[0] if types else dtype
        for each in types[1:]:
            # Texts that look like something else to one colleague are texts.
            joined = widest(joined, each) or pl.String()
        found[name] = joined
    return found
