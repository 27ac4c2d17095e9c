"""How far two vectors of counts over the same bins are apart; each function names its formula."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def stability_index(reference: Sequence[int] | Counts, live: Sequence[int] | Counts) -> float:
    """PSI of two vectors of counts over the same bins, in nats: sum (p-q) ln(p/q), half a row added to every bin."""
    p, q = _smoothed(np.asarray(reference)), _smoothed(np.asarray(live))
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: Sequence[int] | Counts, live: Sequence[int] | Counts) -> float:
    """Jensen-Shannon distance of two vectors of counts over the same bins: 0 for equal, 1 for disjoint."""
    p, q = (np.asarray(counts) / max(1, int(np.sum(counts))) for counts in (reference, live))
    return math.sqrt(max(0.0, _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2))


def chi_square(reference: Sequence[int] | Counts, live: Sequence[int] | Counts) -> float:
    """Pearson's statistic of the 2 x B table of counts: are both of one distribution?"""
    a, b = np.asarray(reference, np.float64), np.asarray(live, np.float64)
    both = a + b
    filled = both > 0
    difference = a[filled] * math.sqrt(b.sum() / a.sum()) - b[filled] * math.sqrt(a.sum() / b.sum())
    return float((difference**2 / both[filled]).sum())


def greatest_change(reference: Sequence[int] | Counts, live: Sequence[int] | Counts) -> float:
    """The L-infinity distance: the greatest change of one bin's share, 0 to 1."""
    p, q = (np.asarray(counts) / max(1, int(np.sum(counts))) for counts in (reference, live))
    return float(np.abs(p - q).max()) if len(p) else 0.0


def _smoothed(counts: Counts) -> Floats:
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def _entropy(shares: Floats) -> float:
    """In bits."""
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
