"""Whether files make one table, and which: their common columns, types and rows."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from charkh.core.errors import Invalid
from charkh.datasets.csv_file import TableFile, read_csv_rows, read_csv_shape
from charkh.datasets.dataset import Column, Reading
from charkh.datasets.dtypes import dtype_text, parse_dtype, widest
from charkh.datasets.formats import format_of, scan_jsonl
from charkh.datasets.known_shapes import KnownShapes
from charkh.datasets.walk import LocalFile

MANY = 32
"""From so many further files on, small ones are parsed together."""
_HINT = "Add them as datasets of their own, or keep them as plain files (`--files`)."


class TableShape(NamedTuple):
    """The table that several files make, and how many rows each of them has."""

    columns: dict[str, pl.DataType]
    rows: Mapping[str, int]


def is_text(paths: Iterable[str]) -> bool:
    """Whether every one of these files is CSV, whose types are what its texts look like."""
    return all(format_of(path) == "csv" for path in paths)


def read_shape(files: Sequence[LocalFile], reading: Reading, known: KnownShapes | None = None) -> TableShape:
    """The table that these files make.

    Args:
        files: by path.
        reading: how text is read.
        known: shapes of files that did not change; what is found out about the others is added.

    Raises:
        Invalid: one of them cannot be read as a table, or their columns differ.
    """
    known = known or KnownShapes(reading, {})
    first, *others = files
    columns, count = _file_shape(first, reading, known)
    rows = {first.path: count}
    if len(others) >= MANY and is_text(rows) and is_text(file.path for file in others):
        counted = _count_rows(others, reading, columns, known)
        if counted is not None:
            return TableShape(columns, {**rows, **counted})
    for file in others:
        shape = _file_shape(file, reading, known)
        columns = joined_columns(columns, first.path, shape.columns, file.path, text=is_text([file.path]))
        rows[file.path] = shape.rows
    return TableShape(columns, rows)


def _file_shape(file: LocalFile, reading: Reading, known: KnownShapes) -> TableFile:
    shape = known.found(file.path)
    if shape is None:
        shape = read_file_shape(file.disk, file.path, reading)
        known.learn(file.path, shape.columns, shape.rows)
    return shape


def _count_rows(
    files: Sequence[LocalFile], reading: Reading, columns: Mapping[str, pl.DataType], known: KnownShapes
) -> dict[str, int] | None:
    """The rows of many files of known columns; None where they have to be looked at one by one."""
    rows = {file.path: known.rows(file.path, columns) for file in files}
    fresh = [file for file in files if rows[file.path] is None]
    counted = read_csv_rows([(file.path, file.disk) for file in fresh], reading, columns) if fresh else {}
    if counted is None:
        return None
    for path, count in counted.items():
        known.learn(path, columns, count, checked=True)
    return {path: counted[path] if count is None else count for path, count in rows.items()}


def read_file_shape(disk: Path, path: str, reading: Reading) -> TableFile:
    """The columns and rows of one file.

    Raises:
        Invalid: it is empty or not what its name says.
    """
    kind = format_of(path)
    if kind == "csv":
        return read_csv_shape(disk, path, reading)
    if not disk.stat().st_size:
        raise Invalid(f"{path} is empty", code="dataset.empty_file", hint="Leave it out.")
    try:
        lazy = pl.scan_parquet(disk, glob=False) if kind == "parquet" else scan_jsonl(disk)
        schema = lazy.collect_schema()
        # Lines of JSON are parsed whole; a Parquet file knows its rows.
        counted = lazy.select(pl.len()) if kind == "parquet" else lazy.select(pl.all().null_count(), _rows=pl.len())
        return TableFile(dict(schema), counted.collect(engine="streaming").row(0)[-1])
    except PolarsError as error:
        number = 0 if kind == "parquet" else _no_object(disk)
        reason = f"line {number} is no JSON object" if number else str(error).partition("\n")[0]
        raise Invalid(
            f"{path} cannot be read as {'Parquet' if kind == 'parquet' else 'JSON Lines'}: {reason}",
            code="dataset.not_a_table",
            hint="Mend the file, or keep it as a plain file (`--files`).",
        ) from error


def _no_object(disk: Path) -> int:
    """The number of the first line, from 1, that is no JSON object; 0 where every one is."""
    with disk.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            except msgspec.DecodeError:
                if line.strip():
                    return number
    return 0


def joined_columns(
    known: Mapping[str, pl.DataType], where: str, more: Mapping[str, pl.DataType], path: str, *, text: bool
) -> dict[str, pl.DataType]:
    """The columns of both, in the order of `known`.

    Args:
        known: the columns so far.
        where: what they belong to.
        more: the columns of another file.
        path: of that file.
        text: it is CSV: a text column stays one when all of its texts look like numbers or dates there.

    Raises:
        Invalid: one lacks a column of the other, or a column has types that no one type holds.
    """
    for name in [*(name for name in known if name not in more), *(name for name in more if name not in known)]:
        has, lacks = (where, path) if name in known else (path, where)
        raise Invalid(
            f"{lacks} has no column {name!r}, which {has} has",
            code="dataset.schemas_differ",
            hint=_HINT,
            facts={"column": name},
        )
    joined: dict[str, pl.DataType] = {}
    for name, dtype in known.items():
        wide = dtype if text and dtype == pl.String else widest(dtype, more[name])
        if wide is None:
            raise Invalid(
                f"the column {name!r} is {dtype_text(dtype)} in {where} and {dtype_text(more[name])} in {path}",
                code="dataset.schemas_differ",
                hint=f"If a text such as NA means missing, name it as a null text. {_HINT}",
                facts={"column": name},
            )
        joined[name] = wide
    return joined


def schema_of(columns: Mapping[str, pl.DataType]) -> tuple[Column, ...]:
    """Columns as they stand in events."""
    return tuple(Column(name, dtype_text(dtype)) for name, dtype in columns.items())


def columns_of(schema: Sequence[Column]) -> dict[str, pl.DataType | None]:
    """Columns as events say them; None for a type whose text was cut."""
    return {column.name: parse_dtype(column.dtype) for column in schema}
