"""Conflicts of a merge as a table: shown with both values, written out, decided on by a person, and read again.

A line has `row` (the key as JSON, or the whole row where there is no key), `conflict` (one of `KINDS`), `column` (or
the path of a file), what stands in `base`, `ours` and `theirs`, who made the two, and two cells to fill in: `take` says
`ours`, `theirs` or `base`, or `value` for what stands in `value`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from charkh.core.errors import Invalid, NotFound

KINDS = ("cell", "added", "deleted", "column", "copies", "file")
"""One cell with two new values; a cell of a row that both added; a row that one deleted and the other changed; a column
that one removed and the other changed; a row of which both changed the number; a file with two new contents."""
ABSENT = "(not there)"
TAKES = ("ours", "theirs", "base", "value")
_TOLD = ("row", "conflict", "column")
SCHEMA = (*_TOLD, "base", "ours", "theirs")


def no_conflicts() -> pl.DataFrame:
    """A table of conflicts without a line."""
    return pl.DataFrame([pl.Series(name, [], dtype=pl.String) for name in SCHEMA])


def conflict_frame(
    rows: pl.DataFrame | int, *, kind: str | pl.Series, column: str | pl.Series, cells: Sequence[str | pl.Series]
) -> pl.DataFrame:
    """Conflicts of one sort.

    Args:
        rows: the columns that tell the rows, or how many conflicts there are that are about no row.
        kind: of each, or of all.
        column: that they are in, of each or of all; or empty.
        cells: of the base, ours and theirs, as text.
    """
    count = rows if isinstance(rows, int) else rows.height
    if not count:
        return no_conflicts()
    said = "" if isinstance(rows, int) else rows.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    given = zip(SCHEMA, (said, kind, column, *cells), strict=True)
    return pl.DataFrame(
        [
            value.cast(pl.String).rename(name)
            if isinstance(value, pl.Series)
            else pl.Series(name, [value] * count, dtype=pl.String)
            for name, value in given
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Resolutions:
    """What a person has decided.

    Attributes:
        lines: decided conflicts, each with `take` and perhaps `value`; None where none was.
        take: for every conflict that no line decides: a side, or empty to leave it open.
    """

    lines: pl.DataFrame | None = None
    take: str = ""

    def of(self, conflicts: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """For each conflict what to take, null where that is open, and the value to write."""
        if self.lines is None:
            empty = pl.Series("value", [None] * conflicts.height, dtype=pl.String)
            return pl.Series("take", [self.take or None] * conflicts.height, dtype=pl.String), empty
        met = conflicts.select(_TOLD).join(self.lines, on=list(_TOLD), how="left", maintain_order="left")
        takes = met["take"]
        return takes.fill_null(self.take) if self.take else takes, met["value"]

    def swapped(self) -> "Resolutions":
        """The same, seen from the other side."""
        other = {"ours": "theirs", "theirs": "ours"}
        lines = None if self.lines is None else self.lines.with_columns(pl.col("take").replace(other))
        return Resolutions(lines, other.get(self.take, ""))


def swap_sides(conflicts: pl.DataFrame) -> pl.DataFrame:
    """Conflicts seen from the other side."""
    return conflicts.rename({"ours": "theirs", "theirs": "ours"}).select(SCHEMA)


def read_resolutions(path: Path, take: str = "") -> Resolutions:
    """The decisions in a CSV file that a merge wrote and a person filled in; lines without a `take` are open.

    Raises:
        NotFound: there is no such file.
        Invalid: it is no such table, or a line takes something else.
    """
    try:
        table = pl.read_csv(path, infer_schema=False).with_columns(pl.col(pl.String).fill_null(""))
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file {path}", code="merge.no_file", hint="Let the merge write it: -o conflicts.csv"
        ) from error
    except PolarsError as error:
        raise Invalid(f"{path} is no CSV file: {error}", code="merge.resolutions", hint=_HINT) from error
    missing = [name for name in (*_TOLD, "take", "value") if name not in table.columns]
    if missing:
        raise Invalid(f"{path} has no column {missing[0]!r}", code="merge.resolutions", hint=_HINT)
    lines = table.select(*_TOLD, pl.col("take").str.strip_chars(), "value").filter(pl.col("take") != "")
    wrong = lines.filter(~pl.col("take").is_in(TAKES))
    if wrong.height:
        raise Invalid(
            f"{path} takes {wrong['take'][0]!r}, which is none of {', '.join(TAKES)}",
            code="merge.resolutions",
            hint=_HINT,
        )
    return Resolutions(lines.unique(_TOLD, keep="last", maintain_order=True), take)


_HINT = "Write the conflicts with -o conflicts.csv, fill in `take`, and give that file back."
