"""Classifier two-sample test (Lopez-Paz & Oquab 2017): can a classifier tell live rows from the reference?

Each half of the groups is scored by a classifier that was fitted to the other half, so no row, and no row of the same
group, was seen in fitting. Within a half the labels of the groups are permuted; the classifier does not depend on them,
so its p-value is exact. Twice the smaller one is a p-value however both depend on each other (Bonferroni).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from charkh.monitors.permutation import Chance, Groups, permute

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

Fit = Callable[[Rows, Floats], Callable[[Rows], Floats]]
"""Fit a classifier to rows (by number) and labels; it gives scores for other rows."""

FEWEST = 4
"""Groups of either side, below which there is no half to learn from and one to judge."""


def domain(groups: Groups, fit: Fit, *, rounds: int, seed: int = 0) -> Chance | None:
    """The AUC of a cross-fitted domain classifier; None where a side has too few groups.

    Args:
        groups: rows of both sides; halves are made of whole groups.
        fit: makes a classifier; it gets numbers of rows as in `groups.rows`.
        rounds: permutations in each half.
        seed: of the halves and permutations.
    """
    live = groups.live
    if min(np.count_nonzero(live), np.count_nonzero(~live)) < FEWEST:
        return None
    half = _halves(live, seed)
    found = list[Chance]()
    for held in (0, 1):
        judged = half[groups.codes] == held
        scores = fit(groups.rows[~judged], live[groups.codes[~judged]].astype(np.float64))(groups.rows[judged])
        mine = np.flatnonzero(half == held)
        codes = np.searchsorted(mine, groups.codes[judged])
        found.append(_judged(scores, codes, live[mine], rounds, seed + held))
    value = sum(each.value for each in found) / len(found)
    p, least = (min(1.0, 2 * min(each)) for each in ([each.p for each in found], [each.least for each in found]))
    return Chance(value, p, 0.5, least)


def fisher(rows: Floats) -> Fit:
    """Fisher's linear discriminant with a ridge, for many numeric columns such as an embedding."""

    def fit(chosen: Rows, labels: Floats) -> Callable[[Rows], Floats]:
        x: Floats = rows[chosen]
        middle: Floats = x.mean(axis=0)
        x = x - middle
        share = float(labels.mean())
        # Both classes weigh alike, so that the larger side does not set the covariance.
        weight: Floats = np.where(labels > 0, 0.5 / max(share, 1e-9), 0.5 / max(1 - share, 1e-9))
        spread: Floats = (x * weight[:, np.newaxis]).T @ x / len(x)
        ridge = 0.01 * float(spread.diagonal().mean()) + 1e-12
        toward: npt.NDArray[Any] = np.linalg.solve(
            spread + ridge * np.eye(len(spread)), x.T @ (weight * (2 * labels - 1)) / len(x)
        )
        return lambda others: np.asarray((rows[others] - middle) @ toward, np.float64)

    return fit


def _judged(scores: Floats, codes: Rows, live: npt.NDArray[np.bool_], rounds: int, seed: int) -> Chance:
    """AUC of each labelling from pairs of groups would be quadratic; from rank sums it is a product."""
    order, ranks = np.argsort(scores, kind="stable"), np.empty(len(scores))
    ordered = scores[order]
    first = np.searchsorted(ordered, ordered, "left")
    last = np.searchsorted(ordered, ordered, "right")
    ranks[order] = (first + last + 1) / 2
    sums, counts = np.bincount(codes, ranks, len(live)), np.bincount(codes, minlength=len(live)).astype(np.float64)

    def auc(labels: Floats) -> Floats:
        some = labels @ counts
        return (labels @ sums - some * (some + 1) / 2) / (some * (counts.sum() - some))

    return permute(auc, live, rounds=rounds, seed=seed)


def _halves(live: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.intp]:
    """By group the half that it is in; each has as many of either side."""
    random = np.random.default_rng(seed)
    half = np.zeros(len(live), np.intp)
    for side in (live, ~live):
        there = random.permutation(np.flatnonzero(side))
        half[there[::2]] = 1
    return half
