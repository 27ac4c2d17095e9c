"""The counts that every drift measure is computed from, of two columns in memory: exact, and sorted whole."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FEWEST = 5
"""Rows that a bin should have on either side for its chi-square to be one (Cochran 1954)."""
EXACT = 20_000
"""With more values than that on both sides together, the distance is looked up at `GRID` quantiles of either."""
GRID = 1024


class NumberBins(NamedTuple):
    """A numeric column on both sides; what is not finite counts as missing.

    The errors say how much larger the exact distances can be; 0 where they are exact.
    """

    reference: Counts
    live: Counts
    reference_all: int
    live_all: int
    reference_rows: int
    live_rows: int
    ks: float
    wasserstein: float
    ks_error: float = 0.0
    wasserstein_error: float = 0.0

    @property
    def missing_reference(self) -> float:
        return _share(self.reference_all - self.reference_rows, self.reference_all)

    @property
    def missing_live(self) -> float:
        return _share(self.live_all - self.live_rows, self.live_all)

    def few(self, least: int) -> bool:
        """Whether either side has fewer values."""
        return min(self.reference_rows, self.live_rows) < least


class CategoryBins(NamedTuple):
    """A column of categories on both sides; the last bin holds what is rare or new.

    `new` counts live values that the reference lacks, in `new_categories` categories; `singletons` counts the
    categories that the reference has once.
    """

    reference: Counts
    live: Counts
    reference_all: int
    live_all: int
    reference_rows: int
    live_rows: int
    new: int
    new_categories: int
    singletons: int

    @property
    def missing_reference(self) -> float:
        return _share(self.reference_all - self.reference_rows, self.reference_all)

    @property
    def missing_live(self) -> float:
        return _share(self.live_all - self.live_rows, self.live_all)

    def few(self, least: int) -> bool:
        """Whether either side has fewer values."""
        return min(self.reference_rows, self.live_rows) < least


def number_bins(reference: pl.Series, live: pl.Series, bins: int, *, exact: bool = False) -> NumberBins:
    """Count both sides in bins of equal size in the reference; fewer bins where there are few rows.

    With `exact`, the distances are exact however many values there are.
    """
    old, new = _sorted(reference), _sorted(live)
    empty = np.zeros(1, np.int64)
    if not len(old) or not len(new):
        return NumberBins(empty, empty, len(reference), len(live), len(old), len(new), 0.0, 0.0)
    edges = _edges(old, max(2, min(bins, min(len(old), len(new)) // FEWEST)))
    near = exact or len(old) + len(new) <= EXACT
    ks, moved = distances(old, new) if exact else (kolmogorov_smirnov(old, new), wasserstein(old, new))
    return NumberBins(
        reference=_counted(old, edges),
        live=_counted(new, edges),
        reference_all=len(reference),
        live_all=len(live),
        reference_rows=len(old),
        live_rows=len(new),
        ks=ks,
        wasserstein=moved,
        ks_error=0.0 if near else 1 / GRID,
    )


def distances(old: Floats, new: Floats) -> tuple[float, float]:
    """The exact Kolmogorov-Smirnov and Wasserstein distances of sorted values, the second as `wasserstein` has it.

    The second is the area between the distribution functions.
    """
    at = np.sort(np.concatenate([old, new]))
    gap = np.abs(np.searchsorted(old, at, "right") / len(old) - np.searchsorted(new, at, "right") / len(new))
    unit = float(np.abs(at[[0, -1]]).max()) or 1.0
    moved = float(np.dot(gap[:-1], np.diff(at / unit)))
    spread = _deviation(old, unit)
    return float(gap.max()), moved / spread if spread > 0 else moved * unit


def kolmogorov_smirnov(old: Floats, new: Floats) -> float:
    """The largest distance of the two distribution functions of sorted values.

    Exact up to `EXACT` values; beyond, at quantiles, at most 1/`GRID` too small.
    """
    if len(old) + len(new) <= EXACT:
        at = np.concatenate([old, new])
    else:
        at = np.concatenate([_quantiles(old, GRID), _quantiles(new, GRID), old[-1:], new[-1:]])
    gap = np.searchsorted(old, at, "right") / len(old) - np.searchsorted(new, at, "right") / len(new)
    return float(np.abs(gap).max())


def wasserstein(old: Floats, new: Floats) -> float:
    """The mean distance between `GRID` equal quantiles of sorted values, in standard deviations of the first.

    Where the first does not vary, in the column's own unit.
    """
    # In units of the largest value, so that squares do not overflow.
    unit = float(np.abs([old[0], old[-1], new[0], new[-1]]).max()) or 1.0
    moved = float(np.abs(_quantiles(old, GRID) / unit - _quantiles(new, GRID) / unit).mean())
    spread = _deviation(old, unit)
    return moved / spread if spread > 0 else moved * unit


def category_bins(reference: pl.Series, live: pl.Series, categories: int) -> CategoryBins:
    """Count both sides by category; those that are rare on either side become one bin."""
    old, new = _by_value(reference, "old"), _by_value(live, "new")
    return joined_categories(old, new, len(reference), len(live), categories)


def joined_categories(
    old: pl.DataFrame, new: pl.DataFrame, reference_all: int, live_all: int, categories: int
) -> CategoryBins:
    """As `category_bins`, of counts by `value`: `old` and `new` rows of each."""
    joined = old.join(new, on="value", how="full", coalesce=True).fill_null(0).sort("old", "value", descending=True)
    counts = joined.select("old", "new").to_numpy().astype(np.int64)
    rows = (int(counts[:, 0].sum()), int(counts[:, 1].sum()))
    unseen = counts[:, 0] == 0
    together = counts.sum(axis=1)
    least = min(rows) / max(1, sum(rows))
    apart = ~unseen & (together * least >= FEWEST)
    apart[categories:] = False
    rest = counts[~apart].sum(axis=0, keepdims=True)
    binned = np.concatenate([counts[apart], rest])
    return CategoryBins(
        reference=binned[:, 0],
        live=binned[:, 1],
        reference_all=reference_all,
        live_all=live_all,
        reference_rows=rows[0],
        live_rows=rows[1],
        new=int(counts[unseen, 1].sum()),
        new_categories=int(np.count_nonzero(unseen)),
        singletons=int(np.count_nonzero(counts[:, 0] == 1)),
    )


def _by_value(series: pl.Series, count: str) -> pl.DataFrame:
    values = series.drop_nulls().cast(pl.String).alias("value")
    return values.value_counts(name=count).cast({count: pl.Int64})


def _sorted(series: pl.Series) -> Floats:
    values: npt.NDArray[Any] = series.cast(pl.Float64).to_numpy()
    finite = np.isfinite(values)
    return np.sort(values if finite.all() else values[finite])


def _edges(old: Floats, bins: int) -> Floats:
    """Upper edges of all bins but the last; with ties also one below the least, so that leaving it is seen."""
    inner = np.unique(old[(np.arange(1, bins) * len(old)) // bins])
    return inner if len(inner) == bins - 1 else np.concatenate([[np.nextafter(old[0], -np.inf)], inner])


def _counted(ordered: Floats, edges: Floats) -> Counts:
    below = np.searchsorted(ordered, edges, "right")
    return np.diff(np.concatenate([[0], below, [len(ordered)]])).astype(np.int64)


def _deviation(ordered: Floats, unit: float) -> float:
    # Of equal values, whose mean is rounded, NumPy gives a deviation that is tiny and not 0.
    return float((ordered / unit).std()) if ordered[0] < ordered[-1] else 0.0


def _quantiles(ordered: Floats, count: int) -> Floats:
    return ordered[((np.arange(count) + 0.5) * len(ordered) / count).astype(np.intp)]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
