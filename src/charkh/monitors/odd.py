"""Odd rows: those that lie further in the tails of the reference than nearly all of its own rows.

The score is ECOD's (Li, Zhao, Hu, Botta, Ionescu and Chen, *ECOD: Unsupervised outlier detection using empirical
cumulative distribution functions*, 2022): the sum over the columns of -ln of the tail that a value lies in, to the
left, to the right, and to the side to which a column is skewed; the largest of the three. The tails come from the
sketch that drift is measured with. A category has the share of its rows for a tail, and a gap that of gaps.
"""

from functools import lru_cache
from typing import NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.monitors.sketches.numbers import NumberSketch, as_floats
from charkh.monitors.sketches.table import Batches, ColumnSketch, TableSketch, kind_of, sample_of

Floats = npt.NDArray[np.float64]

SHARE = 0.01
"""Of the reference's rows, those that are called odd."""
SAMPLE = 1 << 13
"""Rows of the reference at most from which the threshold is learned."""
FEWEST = 1000
"""With fewer rows to learn the threshold from, nothing is called odd."""
SCORED = 1 << 17
"""Rows that are scored at most in one collection, evenly over all."""


class OddRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many live rows are odd.

    Attributes:
        rows: that were scored.
        share: of them that are odd; about `SHARE` where nothing changed.
        threshold: score above which a row is odd.
        columns: for how many odd rows a column was what was oddest about them, the most often first.
    """

    rows: int
    share: float
    threshold: float
    columns: dict[str, int] = {}


def odd_rows(reference: TableSketch, live: pl.DataFrame) -> OddRows | None:
    """Score live rows; None where the reference is too small to say what is odd."""
    threshold = reference.odd
    if threshold is None or live.is_empty():
        return None
    rows = live.gather_every(-(-live.height // SCORED))
    names, left, right, auto = _tails(reference, rows)
    scores = _highest(left, right, auto)
    odd = scores > threshold
    most = (
        np.maximum(np.maximum(left, right), auto)[odd].argmax(axis=1) if names and odd.any() else np.zeros(0, np.intp)
    )
    counted = sorted(zip(*np.unique(most, return_counts=True), strict=True), key=lambda each: -int(each[1]))
    return OddRows(
        rows=rows.height,
        share=float(odd.mean()),
        threshold=threshold,
        columns={names[int(place)]: int(count) for place, count in counted},
    )


def scores_of(reference: TableSketch, rows: pl.DataFrame) -> Floats:
    """The score of each row: the higher, the odder. Columns that the reference lacks count for nothing."""
    _, left, right, auto = _tails(reference, rows)
    return _highest(left, right, auto)


def learned(sketch: TableSketch, batches: Batches) -> TableSketch:
    """The sketch of a reference with the score from which on a row is odd, learned from a sample of its rows."""
    return msgspec.structs.replace(sketch, odd=threshold_of(sketch, sample_of(batches(), SAMPLE)))


def threshold_of(reference: TableSketch, sample: pl.DataFrame) -> float | None:
    """The score that `SHARE` of the reference's own rows exceed; None with too few of them."""
    if sample.height < FEWEST:
        return None
    return float(np.quantile(scores_of(reference, sample), 1 - SHARE))


def _highest(left: Floats, right: Floats, auto: Floats) -> Floats:
    return np.maximum(np.maximum(left.sum(axis=1), right.sum(axis=1)), auto.sum(axis=1))


def _tails(reference: TableSketch, rows: pl.DataFrame) -> tuple[list[str], Floats, Floats, Floats]:
    """-ln of the tail of every value to the left, to the right, and to the column's longer side."""
    names = list[str]()
    found: tuple[list[Floats], list[Floats], list[Floats]] = ([], [], [])
    for column in reference.columns:
        if column.name not in rows.columns or kind_of(rows[column.name].dtype) != column.kind or not column.rows:
            continue
        if column.numbers is not None and column.numbers.known:
            tails = _number_tails(column.numbers, rows[column.name])
        elif column.categories is not None:
            share = _category_tail(column, rows[column.name])
            tails = (share, share, share)
        else:
            continue
        names.append(column.name)
        for kept, tail in zip(found, tails, strict=True):
            kept.append(tail)
    left, right, auto = (np.column_stack(kept) if kept else np.zeros((rows.height, 0)) for kept in found)
    return names, left, right, auto


class _Tables(NamedTuple):
    """What a column's tails are looked up in."""

    edges: Floats
    left: Floats
    right: Floats
    beyond: float
    gap: float
    skewed_left: bool


@lru_cache(maxsize=4096)
def _tables(sketch: NumberSketch) -> _Tables:
    counts, known = sketch.counts, sketch.known
    reached = np.cumsum(counts)
    # Half a row for what was never seen, so that no tail is empty.
    return _Tables(
        edges=sketch.at,
        left=-np.log(np.maximum(reached, 0.5) / known),
        right=-np.log(np.maximum(known - np.concatenate([[0], reached[:-1]]), 0.5) / known),
        beyond=float(-np.log(0.5 / known)),
        gap=float(-np.log(max(0.5, sketch.missing + sketch.infinite) / max(1, sketch.rows))),
        skewed_left=_skewed_left(sketch),
    )


def _number_tails(sketch: NumberSketch, column: pl.Series) -> tuple[Floats, Floats, Floats]:
    values, tables = as_floats(column), _tables(sketch)
    place = np.searchsorted(tables.edges, values, "left")
    low, high = tables.left[place], tables.right[place]
    # Within the outermost bins a value beyond all of the reference's is still told from one inside.
    low[values < sketch.least] = tables.beyond
    high[values > sketch.greatest] = tables.beyond
    absent = ~np.isfinite(values)
    low[absent] = high[absent] = tables.gap
    return low, high, (low if tables.skewed_left else high)


def _skewed_left(sketch: NumberSketch) -> bool:
    """Whether the mean lies below the median, which the sketch's centre is."""
    return float(sketch.totals.sum()) < 0


def _category_tail(column: ColumnSketch, values: pl.Series) -> Floats:
    sketch = column.categories
    if sketch is None:
        return np.zeros(len(values))
    rows = max(1, sketch.rows)
    shares = sketch.frame("rows").with_columns((-(pl.col("rows") / rows).log()).alias("tail"))
    asked = values.cast(pl.String).alias("value").to_frame()
    found = asked.join(shares, on="value", how="left", maintain_order="left")["tail"]
    unseen = float(-np.log(0.5 / rows)) if sketch.exact else float(-np.log(max(0.5, sketch.dropped) / rows))
    gap = float(-np.log(max(0.5, sketch.missing) / rows))
    tails = found.fill_null(unseen).set(values.is_null(), gap)
    return cast(Floats, tails.cast(pl.Float64).to_numpy())
