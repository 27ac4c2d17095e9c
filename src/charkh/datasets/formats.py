"""Which files are tables, by the end of their names, and how each is scanned; the one place that says so."""

import glob
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from charkh.core.errors import Invalid
from charkh.datasets.dataset import Reading

if TYPE_CHECKING:
    import polars as pl

Format = Literal["csv", "parquet", "jsonl"]
Source = Path | bytes
"""A file on disk, or its content."""

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def format_of(path: str) -> Format | None:
    """The format that a file's name says, or None when it is no table."""
    return _FORMATS.get(PurePosixPath(path).suffix.lower())


def separator_of(path: str, reading: Reading) -> str:
    """What stands between the fields of this text file."""
    return "\t" if path.lower().endswith(".tsv") else reading.separator


def checked_reading(reading: Reading) -> Reading:
    """A reading that can be carried out.

    Raises:
        Invalid: the separator is not one ASCII character, or one that a field needs itself.
    """
    separator = reading.separator
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n\x01':
        raise Invalid(
            f"{separator!r} cannot separate fields",
            code="dataset.separator",
            hint="Give one ASCII character, such as ',' ';' or '|'.",
        )
    return reading


def scan_csv(
    source: Source | list[Path],
    path: str,
    reading: Reading,
    schema: "Mapping[str, pl.DataType]",
    *,
    paths_in: str | None = None,
) -> "pl.LazyFrame":
    """CSV files whose columns and types are known.

    Args:
        source: one file, or several on disk.
        path: what the first is called in the dataset.
        reading: how they are read.
        schema: their columns.
        paths_in: name of one more column, with the place on disk of each row's file.
    """
    # Here, because files that are no tables are told by their names alone, in half the time.
    import polars as pl

    return pl.scan_csv(
        source,
        separator=separator_of(path, reading),
        null_values=list(reading.nulls) or None,
        schema=dict(schema),
        low_memory=not isinstance(source, bytes),
        include_file_paths=paths_in,
        glob=False,
    )


def scan_jsonl(source: Source) -> "pl.LazyFrame":
    """A JSON Lines file; every line is looked at, because a field that first appears far down must not be lost."""
    import polars as pl

    # Unlike its siblings, this scan takes every path for a pattern.
    exact = Path(glob.escape(str(source))) if isinstance(source, Path) else source
    return pl.scan_ndjson(exact, infer_schema_length=None)
