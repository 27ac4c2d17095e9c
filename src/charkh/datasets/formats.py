"""Which files are tables, by the end of their names, and how each is scanned; the one place that says so."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.dataset import Reading

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


def scan_csv(source: Source, path: str, reading: Reading, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """A CSV file whose columns and types are known."""
    return pl.scan_csv(
        source,
        separator=separator_of(path, reading),
        null_values=list(reading.nulls) or None,
        schema=dict(schema),
        low_memory=isinstance(source, Path),
    )
