"""Categories counted in bounded memory: every one as long as there are few, the most common ones beyond."""

import msgspec
import polars as pl

CATEGORIES = 20_000
"""Different categories that are told apart; beyond, the rarest are only a number of rows."""


class CategorySketch(msgspec.Struct, frozen=True, kw_only=True):
    """One column of categories.

    Attributes:
        values: the categories.
        sizes: rows of each.
        rows: all rows.
        missing: without a value.
        dropped: rows of categories that were let go because there were too many; 0 where all is exact.
    """

    values: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    rows: int = 0
    missing: int = 0
    dropped: int = 0

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def exact(self) -> bool:
        """Whether no category was let go."""
        return self.dropped == 0

    def frame(self, count: str) -> pl.DataFrame:
        """`value` and the rows of each, in a column of this name."""
        return pl.DataFrame(
            {"value": self.values, count: self.sizes}, schema={"value": pl.String, count: pl.Int64}, strict=False
        )


class CategoryCounter:
    """Counts batches of a column; its memory is bounded by `CATEGORIES`, not by the rows."""

    def __init__(self, start: CategorySketch | None = None) -> None:
        begun = start or CategorySketch()
        self._counted = begun.frame("rows")
        self._rows, self._missing, self._dropped = begun.rows, begun.missing, begun.dropped

    def add(self, column: pl.Series) -> None:
        """Count one more batch."""
        self._rows += len(column)
        self._missing += column.null_count()
        named = column.alias("value").to_frame().lazy().drop_nulls()
        found = named.group_by("value").agg(pl.len().cast(pl.Int64).alias("rows"))
        # Counted as they are and only then turned into texts: there are far fewer categories than rows.
        self._merge(found.with_columns(pl.col("value").cast(pl.String)).collect(engine="streaming"))

    def absorb(self, other: CategorySketch) -> None:
        """Add what was counted elsewhere."""
        self._rows += other.rows
        self._missing += other.missing
        self._dropped += other.dropped
        self._merge(other.frame("rows"))

    def _merge(self, found: pl.DataFrame) -> None:
        together = pl.concat([self._counted, found]).group_by("value").agg(pl.col("rows").sum())
        if together.height > CATEGORIES:
            ordered = together.sort("rows", "value", descending=[True, False])
            together = ordered.head(CATEGORIES)
            self._dropped += int(ordered["rows"].sum()) - int(together["rows"].sum())
        self._counted = together

    def done(self) -> CategorySketch:
        """What was counted, the most common first."""
        ordered = self._counted.sort("rows", "value", descending=[True, False])
        return CategorySketch(
            values=tuple(ordered["value"].to_list()),
            sizes=tuple(ordered["rows"].to_list()),
            rows=self._rows,
            missing=self._missing,
            dropped=self._dropped,
        )


def merge_categories(first: CategorySketch, second: CategorySketch) -> CategorySketch:
    """Both together."""
    counter = CategoryCounter(first)
    counter.absorb(second)
    return counter.done()
