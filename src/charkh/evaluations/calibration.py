"""Whether probabilities mean what they say: reliability bins of equal size, and the Brier score's parts. Pure."""

import math

import numpy as np

from charkh.core.metrics import Floats, brier
from charkh.evaluations.evaluation import Bin, Calibration

BINS = 10
WILSON_Z = 1.959963984540054
"""Quantile of the normal distribution for 95 %."""


def calibration_of(truth: Floats, scores: Floats, bins: int = BINS) -> Calibration:
    """Reliability of probabilities in bins of equal size; rows of one probability stay in one bin.

    Args:
        truth: 0/1, at least one row.
        scores: probabilities of 1.
        bins: how many bins at most.
    """
    order = np.argsort(scores, kind="stable")
    y, p = truth[order], scores[order]
    last = p[np.array(_cuts(len(p), bins)) - 1]
    ends = np.unique(np.searchsorted(p, last, "right")).tolist()
    parts = [_bin(y[start:end], p[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    shares = np.array([part.rows for part in parts]) / len(p)
    predicted = np.array([part.predicted for part in parts])
    observed = np.array([part.observed for part in parts])
    base = float(y.mean())
    return Calibration(
        brier=brier(y, p),
        ece=float(shares @ np.abs(predicted - observed)),
        reliability=float(shares @ (predicted - observed) ** 2),
        resolution=float(shares @ (observed - base) ** 2),
        uncertainty=base * (1 - base),
        bins=tuple(parts),
    )


def _cuts(rows: int, bins: int) -> list[int]:
    """Ends of the bins, at least one row each."""
    count = min(bins, rows)
    return [round(rows * (number + 1) / count) for number in range(count)]


def _bin(y: Floats, p: Floats) -> Bin:
    observed, rows = float(y.mean()), len(y)
    low, high = wilson(observed, rows)
    return Bin(rows=rows, predicted=float(p.mean()), observed=observed, low=low, high=high)


def wilson(share: float, rows: int, z: float = WILSON_Z) -> tuple[float, float]:
    """The Wilson (1927) interval of a share seen in so many rows."""
    centre = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
