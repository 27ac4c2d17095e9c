"""Whether a difference can be chance where rows of one block, such as a day, share what made them.

A test that takes rows as independent finds everything significant then. Here whole blocks are dealt anew to reference
and live rows, so many times, and p = (k + 1) / (P + 1) for the k of P times in which the difference was as large
(Phipson and Smyth, *Permutation p-values should never be zero*, 2010). Blocks must be exchangeable: a trend over many
of them is found as the change that it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.monitors.sketches.compare import coarse_edges
from charkh.monitors.sketches.table import ColumnSketch, TableSketch

Floats = npt.NDArray[np.float64]

MOST_BLOCKS = 5000
"""Blocks on both sides together; more are not dealt."""
MOST_DEALS = 50_000
DEALS_AT_ONCE = 1000
MOST_CATEGORIES = 20
SEED = 20_101_031


class Blocks(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of every block of one side.

    Attributes:
        names: of the blocks.
        counts: by column, one row a block: values at most each edge, or of each category; then values, then gaps.
    """

    names: tuple[str, ...]
    counts: dict[str, list[list[int]]]


def count_blocks(
    batches: Iterable[pl.DataFrame], block: str, reference: TableSketch, columns: Sequence[str], bins: int
) -> Blocks:
    """Count every block of a table in one reading, in bins that the reference's sketch fixes."""
    wanted = {name: _counts_of(column, bins) for name in columns if (column := reference.column(name)) is not None}
    parts = list[pl.DataFrame]()
    for batch in batches:
        there = {name: expressions for name, expressions in wanted.items() if name in batch.columns}
        asked = [
            expression.cast(pl.Int64).alias(f"{place}.{number}")
            for place, expressions in enumerate(there.values())
            for number, expression in enumerate(expressions)
        ]
        parts.append(batch.lazy().group_by(pl.col(block).cast(pl.String).alias("block")).agg(asked).collect())
        if len(parts) > 16:
            parts = [_together(parts)]
    whole = _together(parts).drop_nulls("block").sort("block")
    counts = {
        name: whole.select(f"{place}.{number}" for number in range(len(expressions))).to_numpy().tolist()
        for place, (name, expressions) in enumerate(wanted.items())
        if f"{place}.0" in whole.columns
    }
    return Blocks(names=tuple(whole["block"].to_list()), counts=counts)


class BlockP(msgspec.Struct, frozen=True, kw_only=True):
    """How often blocks that were dealt anew differed as much, by test."""

    psi: float
    ks: float
    missing: float


def deals_needed(tests: int, level: float) -> int:
    """Deals in which a p-value can be small enough to be found among so many tests."""
    return min(MOST_DEALS, max(999, math.ceil(2 * tests / level)))


def can_tell(reference: int, live: int, tests: int, level: float) -> bool:
    """Whether so few blocks can be dealt in enough ways for a p-value that is found among so many tests."""
    return 1 < reference + live <= MOST_BLOCKS and math.comb(reference + live, live) >= tests / level


def permuted(
    reference: Blocks, live: Blocks, ordered: Mapping[str, bool], deals: int, seed: int = SEED
) -> dict[str, BlockP]:
    """The p-values of each column.

    Args:
        reference: counts of its blocks.
        live: counts of the live blocks.
        ordered: the columns, and whether they are numbers, whose counts are cumulative.
        deals: how often blocks are dealt anew.
        seed: of the dealing; the same for all columns, whose blocks are dealt together.
    """
    random = np.random.default_rng(seed)
    mine, theirs = len(live.names), len(reference.names)
    counts = {
        name: np.concatenate([np.array(reference.counts[name], np.float64), np.array(live.counts[name], np.float64)])
        for name in ordered
        if name in reference.counts and name in live.counts
    }
    dealt = np.zeros((1, theirs + mine))
    dealt[0, theirs:] = 1
    seen = {name: _differences(each, dealt, ordered[name]) for name, each in counts.items()}
    as_large = {name: np.zeros(3) for name in counts}
    for begin in range(0, deals, DEALS_AT_ONCE):
        dealt = random.permuted(np.tile(dealt[:1], (min(DEALS_AT_ONCE, deals - begin), 1)), axis=1)
        for name, each in counts.items():
            as_large[name] += (_differences(each, dealt, ordered[name]) >= seen[name] * (1 - 1e-12)).sum(axis=0)
    return {
        name: BlockP(**dict(zip(("psi", "ks", "missing"), ((each + 1) / (deals + 1)).tolist(), strict=True)))
        for name, each in as_large.items()
    }


def _counts_of(column: ColumnSketch, bins: int) -> list[pl.Expr]:
    value = pl.col(column.name)
    if column.numbers is not None:
        value = value.cast(pl.Float64)
        known = value.is_finite().fill_null(False)
        edges = coarse_edges(column.numbers, bins).tolist()
        return [*((known & (value <= edge)).sum() for edge in edges), known.sum(), known.not_().sum()]
    texts = column.categories.values[:MOST_CATEGORIES] if column.categories is not None else ()
    value = value.cast(pl.String)
    return [*((value == text).sum() for text in texts), value.count(), value.null_count()]


def _together(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if not parts:
        return pl.DataFrame(schema={"block": pl.String})
    return pl.concat(parts).group_by("block").agg(pl.all().sum())


def _differences(counts: Floats, dealt: Floats, is_ordered: bool) -> Floats:
    """Of each deal: Pearson's statistic, the largest distance of the cumulative shares, the change in gaps."""
    whole = counts.sum(axis=0)
    live = dealt @ counts
    rest = whole - live
    (a, b), (n, m) = ((side[:, :-2] for side in (rest, live)), (side[:, -2:-1] for side in (rest, live)))
    with np.errstate(divide="ignore", invalid="ignore"):
        old, new = np.nan_to_num(a / n), np.nan_to_num(b / m)
        ks = np.abs(old - new).max(axis=1, initial=0.0) if is_ordered else np.zeros(len(dealt))
        statistic = _pearson(*((_in_bins(side, rows, is_ordered)) for side, rows in ((a, n), (b, m))))
        gaps = np.abs(
            np.nan_to_num(rest[:, -1] / rest[:, -2:].sum(axis=1))
            - np.nan_to_num(live[:, -1] / live[:, -2:].sum(axis=1))
        )
    return np.column_stack([statistic, ks, gaps])


def _in_bins(counts: Floats, rows: Floats, is_ordered: bool) -> Floats:
    """Cumulative counts as counts of bins, or those of categories with the rest."""
    if is_ordered:
        return np.diff(np.concatenate([np.zeros_like(rows), counts, rows], axis=1), axis=1)
    return np.concatenate([counts, rows - counts.sum(axis=1, keepdims=True)], axis=1)


def _pearson(a: Floats, b: Floats) -> Floats:
    n, m = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
    difference = a * np.sqrt(m / n) - b * np.sqrt(n / m)
    return np.nan_to_num(np.nan_to_num(difference**2 / (a + b)).sum(axis=1))
