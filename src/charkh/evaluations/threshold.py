"""What follows from a threshold: confusion, precision and recall at one, and the curves over all of them. Pure."""

import numpy as np

from charkh.core.metrics import Floats
from charkh.evaluations.evaluation import OperatingPoint

CURVE_POINTS = 101

Curve = tuple[tuple[float, float], ...]


def operating_point(truth: Floats, scores: Floats, threshold: float) -> OperatingPoint:
    """Call rows positive whose score is at least `threshold`; a quotient without a denominator is None."""
    called, positive = scores >= threshold, truth > 0
    true_positives = int(np.count_nonzero(called & positive))
    false_positives = int(np.count_nonzero(called & ~positive))
    false_negatives = int(np.count_nonzero(~called & positive))
    true_negatives = len(truth) - true_positives - false_positives - false_negatives
    return OperatingPoint(
        threshold=threshold,
        true_positives=true_positives,
        false_positives=false_positives,
        true_negatives=true_negatives,
        false_negatives=false_negatives,
        precision=_quotient(true_positives, true_positives + false_positives),
        recall=_quotient(true_positives, true_positives + false_negatives),
        specificity=_quotient(true_negatives, true_negatives + false_positives),
        f1=_quotient(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
    )


def curves(truth: Floats, scores: Floats) -> tuple[Curve, Curve]:
    """Points of the ROC curve (false positive rate, recall) and of (recall, precision), at most `CURVE_POINTS` each.

    Empty where a class is absent.
    """
    order = np.argsort(-scores, kind="stable")
    y, s = truth[order], scores[order]
    ends = np.flatnonzero(np.append(s[1:] != s[:-1], True))
    found, called = np.cumsum(y)[ends], ends + 1.0
    positives, negatives = float(y.sum()), float(len(y) - y.sum())
    if not positives or not negatives:
        return (), ()
    places = np.unique(np.linspace(0, len(ends) - 1, min(CURVE_POINTS - 1, len(ends))).round().astype(int))
    recall, precision = found / positives, found / called
    false_rate = (called - found) / negatives
    roc = [(0.0, 0.0), *((float(false_rate[place]), float(recall[place])) for place in places)]
    return tuple(roc), tuple((float(recall[place]), float(precision[place])) for place in places)


def _quotient(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
