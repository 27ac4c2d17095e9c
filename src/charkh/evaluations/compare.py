"""Two evaluations side by side. Pure."""

import msgspec

from charkh.core.metrics import LOWER_IS_BETTER
from charkh.evaluations.evaluation import Evaluation, Score


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One metric in two evaluations.

    Attributes:
        metric: its name.
        first: in the first evaluation, or None where it was not asked for.
        second: in the second.
        difference: first minus second, or None.
        better: `first`, `second`, or empty where they are equal or one is unknown.
        overlap: the intervals overlap, so that these numbers alone decide nothing; None where one is unknown.
        win_probability: of the first against the second, where they were compared on the same rows; else None.
    """

    metric: str
    first: Score | None
    second: Score | None
    difference: float | None
    better: str
    overlap: bool | None
    win_probability: float | None = None


class SideBySide(msgspec.Struct, frozen=True, kw_only=True):
    """Two evaluations compared.

    Attributes:
        first: the first one.
        second: the second one.
        same_data: both are on one dataset version.
        same_rows: both scored the very same truth, row by row.
        differences: metric by metric.
    """

    first: Evaluation
    second: Evaluation
    same_data: bool
    same_rows: bool
    differences: tuple[Difference, ...]


def compare(first: Evaluation, second: Evaluation) -> SideBySide:
    """The metrics of two evaluations, and whether it is fair to compare them."""
    names = dict.fromkeys(score.metric for evaluation in (first, second) for score in evaluation.made.scores)
    return SideBySide(
        first=first,
        second=second,
        same_data=first.made.on == second.made.on,
        same_rows=first.made.truth == second.made.truth,
        differences=tuple(_difference(metric, first, second) for metric in names),
    )


def _difference(metric: str, first: Evaluation, second: Evaluation) -> Difference:
    mine, theirs = first.score(metric), second.score(metric)
    difference: float | None = None
    better, overlap = "", None
    if mine is not None and theirs is not None and mine.value is not None and theirs.value is not None:
        difference = mine.value - theirs.value
        if difference:
            better = "first" if (difference < 0) == (metric in LOWER_IS_BETTER) else "second"
        if None not in {mine.low, mine.high, theirs.low, theirs.high}:
            overlap = bool(mine.low <= theirs.high and theirs.low <= mine.high)  # type: ignore[operator]
    return Difference(
        metric=metric,
        first=mine,
        second=theirs,
        difference=difference,
        better=better,
        overlap=overlap,
        win_probability=_win_probability(metric, first, second),
    )


def _win_probability(metric: str, first: Evaluation, second: Evaluation) -> float | None:
    """What either evaluation says of a paired comparison with the other's subject on these rows."""
    if first.made.truth != second.made.truth:
        return None
    for evaluation, rival, forward in ((first, second, True), (second, first, False)):
        if evaluation.made.champion != rival.made.about:
            continue
        for comparison in evaluation.made.comparisons:
            if comparison.fact == metric and comparison.win_probability is not None:
                return comparison.win_probability if forward else 1 - comparison.win_probability
    return None
