"""Confidence-based performance estimation (CBPE): what calibrated scores lead to expect, before any truth is known.

A row with a calibrated probability p is a true positive with probability p if it is predicted positive, and so on;
the expected confusion, and the expected pairs of the AUC, are sums over rows (Kivimäki et al. 2025, *Confidence-based
estimators for predictive performance in model monitoring*, JAIR; Białek et al. 2024, arXiv:2401.08348). It holds while
P(y | score) is that of the reference: under shifts of the inputs that the score tells, not when the concept changes.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charkh.monitors.estimated.calibration import Calibration, choose, fit, fit_each, folds_of, log_loss
from charkh.monitors.estimated.scores import ScoreSketch, edges_of, means, sketch_scores

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

FOLDS = 10
"""So many that the choice of a calibration does not hang on how blocks fell into folds."""
ROUNDS = 200
METRICS = ("auc", "accuracy", "precision", "recall", "f1", "brier", "rate")


class Band(NamedTuple):
    """An estimate and its interval."""

    value: float
    low: float
    high: float


class Calibrated(NamedTuple):
    """What a reference with truth teaches; live rows are estimated from it and their sketch alone.

    Attributes:
        edges: of the bins of scores.
        calibration: fitted to the whole reference.
        resampled: fitted to resamples of its blocks, for the interval.
        cut: the first bin that is predicted positive.
        probable: whether scores are between 0 and 1.
        spread: by metric, how much wider intervals are because rows of a block are alike; 1 for rows that are not.
        realised: metrics of the reference by its truth.
        expected: the same by calibrations that were fitted to its other folds, to see what estimates are worth.
        loss: log loss of the calibration out of fold, summed over rows.
        rows: of the reference.
    """

    edges: Floats
    calibration: Calibration
    resampled: tuple[Calibration, ...]
    cut: int
    probable: bool
    spread: Mapping[str, float]
    realised: dict[str, float]
    expected: dict[str, float]
    loss: float
    rows: int

    def loss_of(self, scores: Floats, truth: Floats) -> float:
        """The log loss of this calibration of other rows, summed over them."""
        return log_loss(self.calibration(scores), np.ones(len(scores)), truth)

    def sketch(self, scores: Floats) -> ScoreSketch:
        """Count scores of live rows; the sketches of batches add up."""
        return sketch_scores(scores, self.edges)


def calibrate(
    scores: Floats,
    truth: Floats,
    blocks: Codes | None = None,
    *,
    threshold: float = 0.5,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Calibrated:
    """Learn from rows whose truth is known and that the model was not fitted to.

    Args:
        scores: greater for the positive class.
        truth: 0 or 1.
        blocks: of each row, counted from 0: rows of a block share what made them. Without, rows do not.
        threshold: from which on a row is predicted positive.
        rounds: resamples for the intervals.
        seed: of folds and resamples.
    """
    edges = edges_of(scores, threshold)
    probable = bool(((scores >= 0) & (scores <= 1)).all())
    whole = sketch_scores(scores, edges)
    middles, codes, bins = means(whole), np.searchsorted(edges, scores, "right"), len(edges) + 1
    cut = int(np.searchsorted(edges, threshold, "right"))
    fold = folds_of(np.arange(len(scores)) if blocks is None else blocks, FOLDS, seed)
    rows, hits = (_table(fold, codes, part, FOLDS, bins) for part in (np.ones(len(scores)), truth))
    way, held_out = choose(middles, rows, hits, probable=probable)
    score = _measure(whole, cut, probable)
    up = hits.sum(axis=0)[np.newaxis]
    expected = (rows * held_out).sum(axis=0)[np.newaxis]
    random = np.random.default_rng(seed)
    counts = rows.sum(axis=0)
    alone = random.poisson(up, (rounds, bins)), random.poisson(counts - up, (rounds, bins))
    drawn, drawn_up = (alone[0] + alone[1]).astype(np.float64), alone[0].astype(np.float64)
    spread = dict[str, float]()
    if blocks is not None:
        drawn, drawn_up = _by_block(blocks, codes, truth, bins, rounds, random)
        row_by_row = score(alone[0].astype(np.float64), (alone[0] + alone[1]).astype(np.float64))
        spread = _spread(score(drawn_up, drawn), row_by_row)
    two = (drawn_up.sum(axis=1) > 0) & (drawn_up.sum(axis=1) < drawn.sum(axis=1))
    return Calibrated(
        edges=edges,
        calibration=fit(way, middles, counts, up[0], probable=probable),
        resampled=tuple(fit_each(way, middles, drawn[two], drawn_up[two], probable=probable)),
        cut=cut,
        probable=probable,
        spread=spread,
        realised=_plain(score(up, counts[np.newaxis])),
        expected=_plain(score(expected, counts[np.newaxis])),
        loss=log_loss(held_out, rows, hits),
        rows=len(scores),
    )


def estimate(known: Calibrated, live: ScoreSketch, *, confidence: float = 0.95, seed: int = 0) -> dict[str, Band]:
    """The expected metrics of live rows with the interval in which the realised ones are to be expected.

    The interval has both that the calibration is of finitely many rows and that outcomes are drawn: with the truth,
    the metric of these rows lies in it as often as `confidence` says, as long as P(y | score) has not changed.
    """
    middles, counts = means(live), np.array(live.counts, np.float64)
    score = _measure(live, known.cut, known.probable)
    sure = np.clip(known.calibration(middles), 0, 1)
    values = score((counts * sure)[np.newaxis], counts[np.newaxis])
    random = np.random.default_rng(seed)
    maybe = np.clip(np.stack([each(middles) for each in known.resampled] or [sure]), 0, 1)
    drawn = random.binomial(np.array(live.counts), maybe).astype(np.float64)
    simulated = score(drawn, counts[np.newaxis])
    tail, bands = (1 - confidence) / 2, dict[str, Band]()
    coarse = _coarseness(counts * sure, counts * (1 - sure))
    for name, value in _plain(values).items():
        some = simulated[name][np.isfinite(simulated[name])]
        if not len(some):
            continue
        low, high = (float(each) for each in np.quantile(some, [tail, 1 - tail]))
        wider, more = known.spread.get(name, 1.0), coarse if name == "auc" else 0.0
        low, high = value - wider * max(0.0, value - low) - more, value + wider * max(0.0, high - value) + more
        bands[name] = Band(value, max(0.0, low), min(1.0, high))
    return bands


_Score = Callable[[Floats, Floats], dict[str, Floats]]


def _measure(sketch: ScoreSketch, cut: int, probable: bool) -> _Score:
    """Metrics from positives and rows by bin, a row of bins for each resample."""
    sums, squares = np.array(sketch.sums), np.array(sketch.squares)
    per_row = np.maximum(np.array(sketch.counts), 1)

    def score(up: Floats, rows: Floats) -> dict[str, Floats]:
        down = rows - up
        below = np.cumsum(down, axis=1) - down / 2
        all_up, all_down, total = (each.sum(axis=1) for each in (up, down, up + down))
        hit, false = up[:, cut:].sum(axis=1), down[:, cut:].sum(axis=1)
        found = {
            "auc": _ratio((up * below).sum(axis=1), all_up * all_down),
            "accuracy": _ratio(hit + all_down - false, total),
            "precision": _ratio(hit, hit + false),
            "recall": _ratio(hit, all_up),
            "f1": _ratio(2 * hit, hit + false + all_up),
            "rate": _ratio(all_up, total),
        }
        if probable:
            errors = rows * (squares / per_row) - 2 * up * (sums / per_row) + up
            found["brier"] = _ratio(errors.sum(axis=1), total)
        return found

    return score


def _coarseness(up: Floats, down: Floats) -> float:
    """How far the AUC can be off because pairs within one bin count half."""
    pairs = float(up.sum() * down.sum())
    return float(up @ down) / 2 / pairs if pairs > 0 else 0.0


def _by_block(
    blocks: Codes, codes: Codes, truth: Floats, bins: int, rounds: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    count = int(blocks.max()) + 1
    rows, hits = (_table(blocks, codes, part, count, bins) for part in (np.ones(len(codes)), truth))
    draws = random.multinomial(count, np.full(count, 1 / count), rounds).astype(np.float64)
    return draws @ rows, draws @ hits


def _spread(blocked: dict[str, Floats], alone: dict[str, Floats]) -> dict[str, float]:
    wider = {name: float(np.nanstd(blocked[name]) / max(float(np.nanstd(alone[name])), 1e-12)) for name in blocked}
    return {name: max(1.0, value) for name, value in wider.items() if np.isfinite(value)}


def _table(rows: Codes, columns: Codes, weights: Floats, height: int, width: int) -> Floats:
    return np.bincount(rows * width + columns, weights, height * width).reshape(height, width).astype(np.float64)


def _ratio(some: Floats, whole: Floats) -> Floats:
    return np.divide(some, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _plain(found: dict[str, Floats]) -> dict[str, float]:
    return {name: float(values[0]) for name, values in found.items() if np.isfinite(values[0])}
