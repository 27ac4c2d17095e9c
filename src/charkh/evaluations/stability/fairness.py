"""The test of groups beside all others: how far a share or an error lies apart, with joint intervals."""

import itertools
import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.metrics import Floats
from charkh.core.stability_settings import FairnessTest
from charkh.evaluations.calibration import wilson
from charkh.evaluations.stability.certificate import Found, Group, Outcome, Result
from charkh.evaluations.stability.trial import Trial

MISSING = "(missing)"
MAX_GROUPS = 200
MAX_TOGETHER = 3
"""Columns that an intersection has at most."""


class Counted(NamedTuple):
    """What a measure counts.

    Attributes:
        values: a row each: 0/1, or an error.
        rows: that it counts.
        share: the values are 0/1.
    """

    values: Floats
    rows: npt.NDArray[np.bool_]
    share: bool


def fairness(trial: Trial, test: FairnessTest) -> Found:
    """Every group of enough rows beside all other rows.

    Intervals of a difference of shares are Newcombe's (1998, from Wilson's), of a mean error normal; corrected for the
    number of groups (Bonferroni), so that with the test's confidence all of them hold.
    """
    columns = trial.tried.groups.columns
    for name in test.by:
        if name not in columns:
            raise Invalid(
                f"the test {trial.name!r} makes groups by {name!r}, which the rows lack",
                code="stability.no_column",
                hint=f"The rows have: {', '.join(columns) or 'none'}.",
            )
    counted = _counted(trial, test)
    if isinstance(counted, str):
        return trial.skipped(counted)
    cut = list(itertools.islice(_groups(trial.tried.groups, test), MAX_GROUPS))
    large = [int(np.count_nonzero(mask & counted.rows)) >= test.min_rows for _, mask in cut]
    judged = [
        is_large and int(np.count_nonzero(~mask & counted.rows)) >= test.min_rows
        for is_large, (_, mask) in zip(large, cut, strict=True)
    ]
    z = NormalDist().inv_cdf(1 - (1 - test.confidence) / max(1, sum(judged)) / 2)
    groups = [_group(label, mask, counted, z, known) for (label, mask), known in zip(cut, judged, strict=True)]
    able = [group for group in groups if group.judged and group.gap is not None]
    if not able:
        return trial.skipped(f"no group has {test.min_rows} rows that {test.measure} counts, and as many beside it")
    # The gap that is surest is the one to tell: where none is, the greatest.
    worst = max(able, key=lambda each: (_surely(each), abs(each.gap or 0.0)))
    outcome, note = _verdict(able, test)
    result = Result(
        test=trial.name,
        kind=trial.kind,
        outcome=outcome,
        measure=f"gap in {test.measure.replace('_', ' ')} of {len(able)} groups to all others",
        value=abs(worst.gap or 0.0),
        bound=test.gap,
        low=worst.low,
        high=worst.high,
        rows=trial.rows.height,
        note=note,
    )
    return Found(result=result, groups=tuple(sorted(groups, key=lambda each: -abs(each.gap or 0.0))))


def _surely(group: Group) -> float:
    """How far from none the gap is at least."""
    low, high = group.low or 0.0, group.high or 0.0
    return max(low, -high, 0.0)


def _verdict(able: list[Group], test: FairnessTest) -> tuple[Outcome, str]:
    few = f"{len(able)} groups were judged"
    if any(_surely(group) > test.gap for group in able):
        return "failed", f"{few}; an interval lies wholly beyond {test.gap:g}"
    if all(max(abs(group.low or 0.0), abs(group.high or 0.0)) <= test.gap for group in able):
        return "passed", f"{few}; every interval lies within {test.gap:g}"
    said = f"{few}; not sure: an interval reaches beyond {test.gap:g}"
    return ("failed" if test.sure else "passed"), said


def _counted(trial: Trial, test: FairnessTest) -> Counted | str:
    """What the measure counts, or why it cannot."""
    truth, before = trial.tried.truth, trial.before
    if test.measure == "error":
        if before.classes or truth is None:
            return "an error needs predicted numbers and the truth"
        spread = float(np.nanstd(truth)) or 1.0
        return Counted(np.abs(before.numbers[:, 0] - truth) / spread, ~np.isnan(truth), False)
    if before.labels is None:
        return f"{test.measure} needs a model that tells classes"
    every = np.ones(trial.rows.height, np.bool_)
    if test.measure == "accuracy":
        if truth is None or before.labels.dtype.kind not in "biuf":
            return "accuracy needs the truth, and labels that are numbers"
        hit = before.labels.astype(np.float64) == truth
        return Counted(hit.astype(np.float64), ~np.isnan(truth), True)
    if before.numbers.shape[1] > 2:
        return f"{test.measure} is of two classes"
    positive = _positive(trial, test.threshold)
    if positive is None:
        return "a positive prediction needs probabilities, or labels 0 and 1"
    if test.measure == "selection":
        return Counted(positive, every, True)
    if truth is None:
        return f"{test.measure} needs the truth: name the suite's target"
    return Counted(positive, truth == (1.0 if test.measure == "recall" else 0.0), True)


def _positive(trial: Trial, threshold: float) -> Floats | None:
    before = trial.before
    if before.numbers.shape[1]:
        return (before.numbers[:, -1] >= threshold).astype(np.float64)
    if before.labels is not None and before.labels.dtype.kind in "biuf":
        return (before.labels.astype(np.float64) == 1.0).astype(np.float64)
    return None


def _groups(rows: pl.DataFrame, test: FairnessTest) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Every value of every column, then of columns together; the largest groups of each first."""
    texts = {name: rows[name].cast(pl.String, strict=False).fill_null(MISSING) for name in test.by}
    most = min(MAX_TOGETHER, len(test.by)) if test.intersections else 1
    for size in range(1, most + 1):
        for names in itertools.combinations(test.by, size):
            frame = pl.DataFrame([texts[name] for name in names])
            counts = frame.group_by(names).len("__rows").sort(["__rows", *names], descending=[True, *[False] * size])
            for values in counts.select(names).iter_rows():
                mask = np.ones(rows.height, np.bool_)
                for name, value in zip(names, values, strict=True):
                    mask &= (texts[name] == value).to_numpy()
                yield ", ".join(f"{name}={value[:60]}" for name, value in zip(names, values, strict=True)), mask


def _group(label: str, mask: npt.NDArray[np.bool_], counted: Counted, z: float, judged: bool) -> Group:
    mine, theirs = counted.values[mask & counted.rows], counted.values[~mask & counted.rows]
    value = float(mine.mean()) if len(mine) else None
    others = float(theirs.mean()) if len(theirs) else None
    if value is None or others is None:
        return Group(group=label, rows=len(mine), value=value, others=others, gap=None, judged=False)
    low, high = newcombe(value, len(mine), others, len(theirs), z) if counted.share else _normal(mine, theirs, z)
    return Group(
        group=label, rows=len(mine), value=value, others=others, gap=value - others, low=low, high=high, judged=judged
    )


def newcombe(one: float, rows: int, other: float, other_rows: int, z: float) -> tuple[float, float]:
    """Newcombe's hybrid score interval (method 10) of the difference of two shares."""
    low, high = wilson(one, rows, z)
    other_low, other_high = wilson(other, other_rows, z)
    gap = one - other
    below = math.hypot(one - low, other_high - other)
    above = math.hypot(high - one, other - other_low)
    return gap - below, gap + above


def _normal(mine: Floats, theirs: Floats, z: float) -> tuple[float, float]:
    """The normal interval of the difference of two means; a mean of one row has no deviation to tell."""
    gap = float(mine.mean() - theirs.mean())
    parts = [float(each.var(ddof=1)) / len(each) if len(each) > 1 else 0.0 for each in (mine, theirs)]
    half = z * math.sqrt(sum(parts))
    return gap - half, gap + half
