"""Metrics on a sample, their intervals, and the paired comparison with the champion. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charkh.core.errors import Invalid
from charkh.core.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    Floats,
    block_bootstrap,
    interval,
    win_probability,
)
from charkh.evaluations.evaluation import Comparison, Score, Task
from charkh.evaluations.sample import Sample

BINARY = frozenset({"auc", "average_precision", "log_loss", "brier"})
OF_PROBABILITIES = frozenset({"log_loss", "brier"})
REGRESSION = frozenset({"rmse", "mae", "r2"})
USUAL: dict[Task, tuple[str, ...]] = {"binary": ("auc", "log_loss", "brier"), "regression": ("rmse", "mae", "r2")}
"""The metrics of a task when none are named."""


class Drawing(NamedTuple):
    """How resamples are drawn, and from which probability on a row counts as positive."""

    rounds: int = 1000
    confidence: float = 0.95
    seed: int = 0
    threshold: float = 0.5


def task_of(sample: Sample, metrics: Sequence[str]) -> Task:
    """What kind of truth it is: by the metrics that are named, else by its values.

    Raises:
        Invalid: a metric is unknown, or metrics of both kinds are named.
    """
    for name in metrics:
        if name not in METRICS:
            known = ", ".join(METRICS)
            raise Invalid(f"there is no metric {name!r}", code="evaluation.no_metric", hint=f"Metrics are: {known}.")
    binary, regression = BINARY & set(metrics), REGRESSION & set(metrics)
    if binary and regression:
        raise Invalid(
            f"{min(binary)} is for two classes and {min(regression)} for numbers",
            code="evaluation.mixed_metrics",
            hint="Name metrics of one kind.",
        )
    if regression:
        return "regression"
    two_classes = bool(np.all((sample.truth == 0) | (sample.truth == 1)))
    return "binary" if binary or two_classes else "regression"


def are_probabilities(scores: Floats) -> bool:
    """Whether every score lies between 0 and 1."""
    return bool(np.all((scores >= 0) & (scores <= 1)))


def check_probabilities(sample: Sample, metrics: Sequence[str]) -> None:
    """Refuse a metric of probabilities on scores that are none.

    Raises:
        Invalid: a score of the candidate or of the champion lies outside 0 to 1.
    """
    named = [name for name in metrics if name in OF_PROBABILITIES]
    for who, scores in (("predictions", sample.scores), ("predictions of the champion", sample.rival)):
        if named and scores is not None and not are_probabilities(scores):
            raise Invalid(
                f"the {who} lie outside 0 to 1, and {named[0]} needs probabilities",
                code="evaluation.not_probabilities",
                hint="Give the probability of the positive class, or name metrics=('auc',) for other scores.",
            )


def score_all(
    sample: Sample, metrics: Sequence[str], task: Task, drawing: Drawing, prefix: str = ""
) -> tuple[tuple[Score, ...], tuple[Comparison, ...]]:
    """Each metric with its interval, and its comparison with the champion where there is one.

    Args:
        sample: the rows.
        metrics: names.
        task: what kind of truth it is.
        drawing: how resamples are drawn.
        prefix: of the compared facts' names, such as `slice(origin=JFK).`.
    """
    scores: list[Score] = []
    comparisons: list[Comparison] = []
    for metric in metrics:
        mine = _resampled(sample, sample.scores, metric, task, drawing)
        score = _score(metric, mine, drawing)
        scores.append(score)
        if sample.rival is not None:
            theirs = _resampled(sample, sample.rival, metric, task, drawing)
            comparisons.append(_comparison(prefix, metric, mine, theirs, drawing))
    return tuple(scores), tuple(comparisons)


class _Resampled(NamedTuple):
    value: float
    rounds: Floats


def _resampled(sample: Sample, predictions: Floats, metric: str, task: Task, drawing: Drawing) -> _Resampled:
    measure = METRICS[metric]
    if metric == "accuracy" and task == "binary":
        predictions = (predictions >= drawing.threshold).astype(np.float64)
    value = measure(sample.truth, predictions)
    rounds = block_bootstrap(measure, sample.truth, predictions, sample.blocks, drawing.rounds, drawing.seed)
    return _Resampled(value, rounds)


def _score(metric: str, found: _Resampled, drawing: Drawing) -> Score:
    bounds = interval(found.rounds, drawing.confidence)
    finite = found.rounds[~np.isnan(found.rounds)]
    return Score(
        metric=metric,
        value=known(found.value),
        low=known(bounds.low),
        high=known(bounds.high),
        std=known(float(np.std(finite))) if len(finite) else None,
    )


def _comparison(prefix: str, metric: str, mine: _Resampled, theirs: _Resampled, drawing: Drawing) -> Comparison:
    differences = mine.rounds - theirs.rounds
    bounds = interval(differences, drawing.confidence)
    return Comparison(
        fact=f"{prefix}{metric}",
        metric=metric,
        candidate=known(mine.value),
        champion=known(theirs.value),
        difference=known(mine.value - theirs.value),
        low=known(bounds.low),
        high=known(bounds.high),
        win_probability=known(win_probability(differences, lower_is_better=metric in LOWER_IS_BETTER)),
    )


def known(value: float) -> float | None:
    """The value, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None
