"""How steady a score is: block by block within one evaluation, and over several evaluations of a recipe. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np

from charkh.core.metrics import METRICS
from charkh.evaluations.evaluation import BlockScore, Evaluation
from charkh.evaluations.measure import known
from charkh.evaluations.sample import Sample

MAX_BLOCKS = 400
"""Blocks that are listed one by one; with more of them the listing is left out."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over several evaluations, such as retrainings with other seeds.

    Attributes:
        metric: its name.
        count: evaluations that have it.
        mean: of the values.
        std: standard deviation with one degree of freedom taken; None for a single value.
        low: the smallest value.
        high: the greatest value.
    """

    metric: str
    count: int
    mean: float
    std: float | None
    low: float
    high: float


def by_block(sample: Sample, metric: str, threshold: float) -> tuple[BlockScore, ...]:
    """The metric in each block, in the order of the blocks; empty for independent rows or too many blocks.

    Args:
        sample: the rows.
        metric: name of the metric.
        threshold: score from which a row counts as positive, for the accuracy of two classes.
    """
    if sample.independent or len(sample.labels) > MAX_BLOCKS:
        return ()
    scores = (sample.scores >= threshold).astype(np.float64) if metric == "accuracy" else sample.scores
    listed: list[BlockScore] = []
    for number, label in enumerate(sample.labels):
        mask = sample.blocks == number
        rows = int(np.count_nonzero(mask))
        value = known(METRICS[metric](sample.truth[mask], scores[mask])) if rows else None
        listed.append(BlockScore(block=label, rows=rows, value=value))
    return tuple(listed)


def spread(evaluations: Sequence[Evaluation]) -> tuple[Spread, ...]:
    """How far the metrics of several evaluations lie apart, in the order of the first evaluation."""
    values: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for score in evaluation.made.scores:
            if score.value is not None:
                values.setdefault(score.metric, []).append(score.value)
    return tuple(
        Spread(
            metric=metric,
            count=len(found),
            mean=float(np.mean(found)),
            std=float(np.std(found, ddof=1)) if len(found) > 1 else None,
            low=min(found),
            high=max(found),
        )
        for metric, found in values.items()
    )
