"""From a score to a probability: by Platt's sigmoid, a spline, isotonic regression or as it is, whichever is best.

Isotonic regression by pooling adjacent violators (Ayer et al. 1955; Zadrozny & Elkan 2002), the sigmoid with Platt's
(1999) targets. All fit to counts by bin, so that refitting to a resample costs no pass over the rows. Which one is
decided by the log loss out of fold: a calibration that is judged on what it was fitted to looks perfect.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charkh.monitors.estimated.spline import fit_spline

Floats = npt.NDArray[np.float64]

GAIN = 2.0
"""Nats by which what bends must beat the sigmoid: the smoother one extends to scores that were rare before."""
_STEPS = 30


class Way(NamedTuple):
    """How to calibrate.

    Attributes:
        method: `platt`, `spline`, `isotonic` or `none`.
        stiffness: of the spline.
        price: nats by which it must be better than others.
    """

    method: str
    stiffness: float = 0.0
    price: float = 0.0


WAYS = (
    Way("platt"),
    *(Way("spline", stiffness, GAIN) for stiffness in (3.0, 0.3, 0.03)),
    Way("isotonic", price=GAIN),
    Way("none"),
)


class Calibration(NamedTuple):
    """A map from scores to probabilities.

    Attributes:
        method: `platt`, `spline`, `isotonic` or `none`.
        knots: ascending, scores of the isotonic map, or what the spline is over; between them both are linear.
        values: probabilities of the isotonic map, or log odds of the spline.
        slope, offset: of the sigmoid.
        logits: whether sigmoid and spline are over the logit of the score, not over the score.
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
        if self.method == "spline":
            return _sigmoid(np.interp(_line(scores, self.logits), self.knots, self.values))
        return scores


def fit(way: Way, scores: Floats, rows: Floats, positives: Floats, *, probable: bool) -> Calibration:
    """Fit to bins.

    Args:
        way: one of WAYS.
        scores: mean score by bin, ascending.
        rows: by bin.
        positives: of the rows, by bin.
        probable: whether scores are between 0 and 1.
    """
    return fit_each(way, scores, rows[np.newaxis], positives[np.newaxis], probable=probable)[0]


def fit_each(way: Way, scores: Floats, rows: Floats, positives: Floats, *, probable: bool) -> list[Calibration]:
    """Fit to each of several counts of the same bins, such as folds or resamples; counts are by bin, a row each."""
    nothing = np.zeros(0)
    if way.method == "none" or not len(rows):
        return [Calibration("none", nothing, nothing)] * len(rows)
    if way.method == "isotonic":
        pairs = zip(rows, positives, strict=True)
        return [
            Calibration("isotonic", *_isotonic(scores[some > 0], some[some > 0], up[some > 0])) for some, up in pairs
        ]
    filled = rows.sum(axis=0) > 0
    line, rows, targets = _line(scores[filled], probable), rows[:, filled], _targets(rows, positives)[:, filled]
    if way.method == "platt":
        slopes, offsets = _platt(line, rows, targets)
        return [
            Calibration("platt", nothing, nothing, slope, offset, probable)
            for slope, offset in zip(slopes.tolist(), offsets.tolist(), strict=True)
        ]
    knots, values = fit_spline(line, rows, targets, way.stiffness)
    return [Calibration("spline", knots, each, logits=probable) for each in values]


def choose(scores: Floats, rows: Floats, positives: Floats, *, probable: bool) -> tuple[Way, Floats]:
    """The way with the least log loss out of fold, and its probabilities out of fold.

    Args:
        scores: mean score by bin.
        rows: by fold and bin.
        positives: likewise.
        probable: whether scores are between 0 and 1, so that they may be taken as they are.
    """
    best, least, kept = WAYS[0], np.inf, np.zeros_like(rows)
    others, others_up = rows.sum(axis=0) - rows, positives.sum(axis=0) - positives
    for way in WAYS if probable else WAYS[:-1]:
        fitted = fit_each(way, scores, others, others_up, probable=probable)
        guess = np.stack([each(scores) for each in fitted])
        loss = way.price + log_loss(guess, rows, positives)
        if loss < least:
            best, least, kept = way, loss, guess
    return best, kept


def log_loss(guess: Floats, rows: Floats, positives: Floats) -> float:
    """In nats, summed over rows that were so guessed."""
    sure = np.clip(guess, 1e-6, 1 - 1e-6)
    return -float((positives * np.log(sure) + (rows - positives) * np.log1p(-sure)).sum())


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


def _targets(rows: Floats, positives: Floats) -> Floats:
    """Platt's: positives by bin, kept off 0 and all, so that separable classes have a solution."""
    hits = positives.sum(axis=1, keepdims=True)
    misses = rows.sum(axis=1, keepdims=True) - hits
    return positives * (hits + 1) / (hits + 2) + (rows - positives) / (misses + 2)


def _platt(line: Floats, rows: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of each count by Newton's method."""
    share = targets.sum(axis=1) / rows.sum(axis=1)
    slope, offset = np.zeros(len(rows)), np.log(share / (1 - share))
    for _ in range(_STEPS):
        guess = _sigmoid(slope[:, np.newaxis] * line + offset[:, np.newaxis])
        error, weight = targets - rows * guess, np.maximum(rows * guess * (1 - guess), 1e-12)
        a, b, c = weight @ line**2 + 1e-9, weight @ line, weight.sum(axis=1) + 1e-9
        up, rest, whole = error @ line, error.sum(axis=1), a * c - b**2
        steps = np.stack([(c * up - b * rest) / whole, (a * rest - b * up) / whole])
        slope, offset = slope + np.clip(steps[0], -5, 5), offset + np.clip(steps[1], -5, 5)
        if float(np.abs(steps).max()) < 1e-8:
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
