"""From a score to a probability: isotonic regression, Platt's sigmoid, or the score as it is, whichever is best.

Isotonic regression by pooling adjacent violators (Ayer et al. 1955; Zadrozny & Elkan 2002), the sigmoid with Platt's
(1999) targets. All fit to counts by bin, so that refitting to a resample costs no pass over the rows. Which one is
decided by the log loss out of fold: a calibration that is judged on what it was fitted to looks perfect.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

METHODS = ("platt", "isotonic", "none")
_GAIN = 2.0
"""Nats by which the isotonic map must beat the sigmoid: the smoother one extends to scores that were rare before."""
_STEPS = 30


class Calibration(NamedTuple):
    """A map from scores to probabilities.

    Attributes:
        method: `isotonic`, `platt` or `none`.
        knots: scores, ascending, of the isotonic map; between them it is linear.
        values: its probabilities.
        slope, offset: of the sigmoid over the logit of the score, or over the score.
        logits: whether it is over the logit.
    """

    method: str
    knots: Floats
    values: Floats
    slope: float = 1.0
    offset: float = 0.0
    logits: bool = True

    def __call__(self, scores: Floats) -> Floats:
        if self.method == "isotonic":
            return np.interp(scores, self.knots, self.values)
        if self.method == "platt":
            return _sigmoid(self.slope * _line(scores, self.logits) + self.offset)
        return scores


def fit(method: str, scores: Floats, rows: Floats, positives: Floats, *, probable: bool) -> Calibration:
    """Fit a method to bins.

    Args:
        method: one of METHODS.
        scores: mean score by bin, ascending.
        rows: by bin.
        positives: of the rows, by bin.
        probable: whether scores are between 0 and 1.
    """
    filled = rows > 0
    scores, rows, positives = scores[filled], rows[filled], positives[filled]
    nothing = np.zeros(0)
    if method == "isotonic":
        return Calibration("isotonic", *_isotonic(scores, rows, positives))
    if method == "platt":
        slope, offset = _platt(_line(scores, probable), rows, positives)
        return Calibration("platt", nothing, nothing, slope, offset, probable)
    return Calibration("none", nothing, nothing)


def choose(scores: Floats, rows: Floats, positives: Floats, *, probable: bool) -> tuple[str, Floats]:
    """The method with the least log loss out of fold, and its probabilities out of fold.

    Args:
        scores: mean score by bin.
        rows: by fold and bin.
        positives: likewise.
        probable: whether scores are between 0 and 1, so that they may be taken as they are.
    """
    best, least, kept = "", np.inf, np.zeros_like(rows)
    for method in METHODS if probable else METHODS[:2]:
        guess = np.stack(
            [
                fit(method, scores, rows.sum(axis=0) - mine, positives.sum(axis=0) - hits, probable=probable)(scores)
                for mine, hits in zip(rows, positives, strict=True)
            ]
        )
        sure = np.clip(guess, 1e-6, 1 - 1e-6)
        price = _GAIN if method == "isotonic" else 0.0
        loss = price - float((positives * np.log(sure) + (rows - positives) * np.log1p(-sure)).sum())
        if loss < least:
            best, least, kept = method, loss, guess
    return best, kept


def _isotonic(scores: Floats, rows: Floats, positives: Floats) -> tuple[Floats, Floats]:
    """Pools in which the share of positives does not fall, as mean scores and shares."""
    pools = list[list[float]]()
    for score, count, hits in zip(scores.tolist(), rows.tolist(), positives.tolist(), strict=True):
        pool = [count, hits, score * count]
        while pools and pools[-1][1] * pool[0] >= pool[1] * pools[-1][0]:
            before = pools.pop()
            pool = [pool[0] + before[0], pool[1] + before[1], pool[2] + before[2]]
        pools.append(pool)
    table = np.array(pools)
    return table[:, 2] / table[:, 0], table[:, 1] / table[:, 0]


def _platt(line: Floats, rows: Floats, positives: Floats) -> tuple[float, float]:
    """Slope and offset by Newton's method; targets are kept off 0 and 1 so that separable classes have a solution."""
    hits = float(positives.sum())
    misses = float(rows.sum()) - hits
    high, low = (hits + 1) / (hits + 2), 1 / (misses + 2)
    target = positives * high + (rows - positives) * low
    slope, offset = 0.0, float(np.log((hits + 1) / (misses + 1)))
    for _ in range(_STEPS):
        guess = _sigmoid(slope * line + offset)
        error, weight = target - rows * guess, np.maximum(rows * guess * (1 - guess), 1e-12)
        up = np.array([error @ line, error.sum()])
        spread = np.array([[weight @ line**2, weight @ line], [weight @ line, weight.sum()]])
        step = np.linalg.solve(spread + 1e-9 * np.eye(2), up)
        slope, offset = slope + float(np.clip(step[0], -5, 5)), offset + float(np.clip(step[1], -5, 5))
        if float(np.abs(step).max()) < 1e-8:
            break
    return slope, offset


def _line(scores: Floats, logits: bool) -> Floats:
    if not logits:
        return scores
    sure = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(sure / (1 - sure))


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))


def folds_of(codes: Sequence[int] | npt.NDArray[np.intp], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """The fold of each row: rows of one block are in one fold."""
    blocks = np.asarray(codes)
    of_block = np.random.default_rng(seed).permutation(int(blocks.max()) + 1) % folds
    return of_block[blocks]
