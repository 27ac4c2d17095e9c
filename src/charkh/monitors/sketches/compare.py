"""Two sketches over the same edges, compared: bins for PSI and chi-square, distances with a bound of their error."""

import math
from typing import NamedTuple

import numpy as np

from charkh.monitors.bins import FEWEST, CategoryBins, NumberBins, joined_categories
from charkh.monitors.sketches.bins import Counts, Floats
from charkh.monitors.sketches.categories import CategorySketch
from charkh.monitors.sketches.numbers import NumberSketch


class Distance(NamedTuple):
    """A distance from bins, and how much larger the exact one can be."""

    value: float
    error: float


def number_bins_of(reference: NumberSketch, live: NumberSketch, bins: int) -> NumberBins:
    """What `bins.number_bins` says of two columns, from their sketches; PSI's bins are counted exactly."""
    empty = np.zeros(1, np.int64)
    rows = reference.known, live.known
    if not min(rows):
        return NumberBins(empty, empty, reference.rows, live.rows, *rows, 0.0, 0.0)
    old, new = reference.counts, live.counts
    wanted = max(2, min(bins, min(rows) // FEWEST))
    ks, moved = kolmogorov_smirnov_of(reference, live), wasserstein_of(reference, live)
    chosen = _coarse(reference, wanted)
    return NumberBins(
        reference=np.add.reduceat(old, chosen),
        live=np.add.reduceat(new, chosen),
        reference_all=reference.rows,
        live_all=live.rows,
        reference_rows=rows[0],
        live_rows=rows[1],
        ks=ks.value,
        wasserstein=moved.value,
        ks_error=ks.error,
        wasserstein_error=moved.error,
    )


def category_bins_of(reference: CategorySketch, live: CategorySketch, categories: int) -> CategoryBins:
    """What `bins.category_bins` says of two columns, from their sketches.

    Where one side has let categories go, the rest is one bin, and nothing is called new: it may be among them.
    """
    found = joined_categories(reference.frame("old"), live.frame("new"), reference.rows, live.rows, categories)
    if reference.exact and live.exact:
        return found
    rest = np.array([reference.dropped, live.dropped])
    return found._replace(
        reference=_with_rest(found.reference, int(rest[0])),
        live=_with_rest(found.live, int(rest[1])),
        reference_rows=reference.known,
        live_rows=live.known,
        new=found.new if reference.exact else 0,
        new_categories=found.new_categories if reference.exact else 0,
        singletons=found.singletons,
    )


def kolmogorov_smirnov_of(reference: NumberSketch, live: NumberSketch) -> Distance:
    """The largest distance of the two distribution functions at the edges.

    Between two edges with distances D and D' the functions can differ by at most min(D' + q, D + p), where p and q
    are what reference and live rows have there, for neither function falls; so the error is known and not assumed.
    """
    p, q = _shares(reference), _shares(live)
    gap = np.concatenate([[0.0], np.cumsum(p - q)])
    between = ~_single(reference)
    reached = float(np.abs(gap).max())
    above = np.minimum(gap[1:] + q, gap[:-1] + p)[between]
    below = np.minimum(p - gap[1:], q - gap[:-1])[between]
    most = max(float(above.max(initial=0.0)), float(below.max(initial=0.0)))
    return Distance(min(1.0, reached), max(0.0, min(1.0, most) - reached))


def wasserstein_of(reference: NumberSketch, live: NumberSketch) -> Distance:
    """The mean distance between equal quantiles, in standard deviations of the reference (or its unit without any).

    It is the area between the distribution functions. The signed area of a bin follows from its counts and sums
    without any error; where the functions may cross inside, at most its width times the smaller share is missed.
    """
    unit, center = reference.unit, reference.center
    p, q = _shares(reference), _shares(live)
    least, greatest = min(reference.least, live.least), max(reference.greatest, live.greatest)
    bounds = (np.clip(np.concatenate([[least], reference.at, [greatest]]), least, greatest) - center) / unit
    width = np.diff(bounds)
    area = _inner(reference, bounds) - _inner(live, bounds)
    gap = np.concatenate([[0.0], np.cumsum(p - q)])
    signed = gap[:-1] * width + area
    highest, lowest = np.minimum(gap[1:] + q, gap[:-1] + p), np.maximum(gap[1:] - p, gap[:-1] - q)
    crosses = (highest > 0) & (lowest < 0) & ~_single(reference)
    missed = float((width * np.minimum(p, q))[crosses].sum())
    spread = reference.deviation
    scale = 1 / spread if spread > 0 else unit
    value, error = float(np.abs(signed).sum()) * scale, missed * scale
    return Distance(value, error) if math.isfinite(value + error) else Distance(0.0, math.inf)


def _inner(sketch: NumberSketch, bounds: Floats) -> Floats:
    """In each bin, the integral of the distribution function beyond its value at the bin's beginning."""
    return (sketch.counts * bounds[1:] - sketch.totals) / sketch.known


def _shares(sketch: NumberSketch) -> Floats:
    return sketch.counts / sketch.known


def _single(sketch: NumberSketch) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Bins that hold one number alone, between which nothing can be missed."""
    edges = sketch.at
    single = np.zeros(len(edges) + 1, np.bool_)
    if len(edges):
        single[1:-1] = np.nextafter(edges[:-1], np.inf) >= edges[1:]
    return single


def coarse_edges(reference: NumberSketch, bins: int) -> Floats:
    """Upper edges of about so many bins of equal size in the reference, all but the last."""
    return reference.at[_coarse(reference, bins)[1:] - 1] if reference.known else np.zeros(0)


def _coarse(reference: NumberSketch, bins: int) -> Counts:
    """The first fine bin of each of about so many bins of equal size in the reference."""
    counts = reference.counts
    reached = np.cumsum(counts)
    ends = np.searchsorted(reached, (np.arange(1, bins) * reference.known) // bins, "right")
    edges = reference.at
    inner = np.unique(np.minimum(ends, len(edges) - 1)) + 1
    starts = np.concatenate([[0], inner])
    if len(inner) < bins - 1:
        # With ties, what lies below the reference's least gets a bin of its own, so that leaving it is seen.
        first = int(np.flatnonzero(counts)[0])
        starts = np.union1d(starts, [first])
    return starts[starts < len(counts)]


def _with_rest(counts: Counts, rest: int) -> Counts:
    changed = counts.copy()
    changed[-1] += rest
    return changed
