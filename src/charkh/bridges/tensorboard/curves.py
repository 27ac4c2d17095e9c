"""Precision and recall by threshold, and what else is counted from labels and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid

LEAST = 1e-7
"""What divides where nothing was predicted, as TensorBoard's own summary has it."""


def count_pr_curve(
    labels: npt.NDArray[Any], predictions: npt.NDArray[Any], thresholds: int, weights: Any = None
) -> npt.NDArray[np.float64]:
    """Six rows over evenly spaced thresholds from 0 to 1: TP, FP, TN, FN, precision, recall.

    Args:
        labels: truth, 0 or 1.
        predictions: from 0 to 1.
        thresholds: how many.
        weights: of each label; 1 by default.

    Raises:
        Invalid: labels and predictions differ in number.
    """
    truth, guessed = labels.ravel().astype(bool), predictions.ravel().astype(np.float64)
    if truth.size != guessed.size or thresholds < 2:
        raise Invalid(
            f"{truth.size} labels and {guessed.size} predictions at {thresholds} thresholds make no curve",
            code="tensorboard.bad_curve",
            hint="Give one prediction for each label, and at least two thresholds.",
        )
    weight = (
        np.ones(truth.size) if weights is None else np.broadcast_to(np.asarray(weights, float), labels.shape).ravel()
    )
    places = np.clip(np.floor(np.nan_to_num(guessed) * (thresholds - 1)).astype(np.int64), 0, thresholds - 1)
    hits = np.bincount(places, weight * truth, thresholds)[::-1].cumsum()[::-1]
    misses = np.bincount(places, weight * ~truth, thresholds)[::-1].cumsum()[::-1]
    rows = (hits, misses, misses[0] - misses, hits[0] - hits)
    return np.stack([*rows, hits / np.maximum(LEAST, hits + misses), hits / np.maximum(LEAST, hits[0])])
