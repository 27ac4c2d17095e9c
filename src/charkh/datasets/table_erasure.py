"""A file of a table without some of its rows: text keeps every other byte as it is, Parquet is written anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Corrupt
from charkh.datasets.formats import Format

BLOCK = 16 * 1024 * 1024
_ROW = "__row__"

Rows = npt.NDArray[np.int64]
Range = tuple[int, int]
Scan = Callable[[Path], pl.LazyFrame]
"""Reads a file of the table's format as the table is read."""


class Removed(NamedTuple):
    """What was written instead of a file.

    Attributes:
        rows: how many rows it lacks.
        left: how many it has.
        ranges: the stretches of bytes that are gone, in order; None where the file was written anew.
    """

    rows: int
    left: int
    ranges: tuple[Range, ...] | None


def matching_rows(lazy: pl.LazyFrame, condition: pl.Expr) -> Rows:
    """The numbers of the rows that meet the condition, from 0."""
    numbered = lazy.select(condition.alias("hit")).with_row_index(_ROW).filter(pl.col("hit")).select(_ROW)
    return numbered.collect(engine="streaming")[_ROW].cast(pl.Int64).to_numpy()


def remove_rows(source: Path, target: Path, kind: Format, rows: Rows, scan: Scan, separator: str) -> Removed:
    """Write the file without these rows.

    Args:
        source: the file.
        target: where the other one goes.
        kind: the format of both.
        rows: numbers of rows, from 0, in order.
        scan: reads either.
        separator: between the fields of a CSV file that has to be written anew.

    Raises:
        Corrupt: what was written does not have the other rows, and no others.
    """
    height = int(scan(source).select(pl.len()).collect().item())
    left = height - len(rows)
    ranges = None if kind == "parquet" else _text_ranges(source, kind, rows, height)
    if ranges is not None:
        _copy_without(source, target, ranges)
        if _is_right(source, target, kind, rows, left, scan):
            return Removed(len(rows), left, ranges)
    _write_anew(source, target, kind, rows, separator, scan)
    if not _is_right(source, target, kind, rows, left, scan):
        raise Corrupt(
            f"a {kind} file without {len(rows)} of its rows does not read back as the others",
            code="dataset.not_removed",
            hint="Nothing was changed. Please report this; until then, delete the versions that have the file.",
        )
    return Removed(len(rows), left, None)


def _text_ranges(source: Path, kind: Format, rows: Rows, height: int) -> tuple[Range, ...] | None:
    """The bytes of the rows; None where the file's records are not its rows."""
    data: npt.NDArray[np.uint8] = np.memmap(source, np.uint8, "r")
    ends = record_ends(data, quoted=kind == "csv")
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    if kind == "csv":
        starts, ends = starts[1:], ends[1:]
    else:
        lines = np.array([bool(data[a:b].tobytes().strip()) for a, b in zip(starts, ends, strict=True)], bool)
        starts, ends = starts[lines], ends[lines]
    if len(starts) != height:
        return None
    ranges: list[Range] = []
    for first, last in zip(starts[rows].tolist(), ends[rows].tolist(), strict=True):
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((first, last))
    return tuple(ranges)


def record_ends(data: npt.NDArray[np.uint8], *, quoted: bool) -> npt.NDArray[np.int64]:
    """Where each record of a text ends, one past its line feed; `quoted`: a line feed between quotes ends none.

    RFC 4180: a quote inside of quotes is written twice, so a record ends where the quotes so far are even.
    """
    found: list[npt.NDArray[np.int64]] = []
    quotes = 0
    for begin in range(0, len(data), BLOCK):
        block = data[begin : begin + BLOCK]
        feeds = np.flatnonzero(block == ord("\n"))
        if quoted:
            marks = np.flatnonzero(block == ord('"'))
            even = (np.searchsorted(marks, feeds) + quotes) % 2 == 0
            feeds, quotes = feeds[even], quotes + len(marks)
        found.append(feeds.astype(np.int64) + begin + 1)
    ends = np.concatenate(found) if found else np.zeros(0, np.int64)
    if len(data) and (not len(ends) or ends[-1] != len(data)):
        ends = np.append(ends, len(data))
    return ends


def _copy_without(source: Path, target: Path, ranges: tuple[Range, ...]) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        position = 0
        for first, last in (*ranges, (source.stat().st_size, 0)):
            reading.seek(position)
            wanted = first - position
            while wanted and (data := reading.read(min(wanted, BLOCK))):
                writing.write(data)
                wanted -= len(data)
            position = last


def _write_anew(source: Path, target: Path, kind: Format, rows: Rows, separator: str, scan: Scan) -> None:
    if kind == "parquet":
        kept = pl.read_parquet(source, glob=False).with_row_index(_ROW)
        said = {name: text for name, text in pl.read_parquet_metadata(source).items() if name != "ARROW:schema"}
        kept = kept.filter(~pl.col(_ROW).is_in(pl.Series(rows, dtype=pl.UInt32).implode())).drop(_ROW)
        # What pandas says of its index is of a range of rows that is no more.
        said.pop("pandas", None)
        kept.write_parquet(target, compression="zstd", metadata=said or None)
        return
    frame: Any = scan(source).collect().with_row_index(_ROW)
    frame = frame.filter(~pl.col(_ROW).is_in(pl.Series(rows, dtype=pl.UInt32).implode())).drop(_ROW)
    if kind == "csv":
        frame.write_csv(target, separator=separator)
    else:
        frame.write_ndjson(target)


def _is_right(source: Path, target: Path, kind: Format, rows: Rows, left: int, scan: Scan) -> bool:
    """Whether the other file has just the other rows."""
    if kind == "jsonl" and not left:
        return not target.read_bytes().strip()
    if int(scan(target).select(pl.len()).collect().item()) != left:
        return False
    if kind == "jsonl":
        return True
    cells = pl.struct(pl.all()).hash(seed=1)
    before = scan(source).select(cells.alias("cells")).collect()["cells"]
    after = scan(target).select(cells.alias("cells")).collect()["cells"]
    kept = np.ones(len(before), bool)
    kept[rows] = False
    return before.filter(pl.Series(kept)).equals(after)
