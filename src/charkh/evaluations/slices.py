"""The same metrics group by group, and which groups are large enough to publish a fact. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charkh.evaluations.evaluation import MAX_SLICE_VALUES, MAX_SLICES, SliceScores, Task
from charkh.evaluations.measure import Drawing, score_all
from charkh.evaluations.sample import Sample

MIN_ROWS = 100
"""Rows that a slice needs before it publishes facts, unless the caller says otherwise."""
MIN_CLASS_ROWS = 10
"""Rows of each class that a slice of two classes needs."""


class Sliced(NamedTuple):
    """The slices in the order of columns, then of size, and what is to be said about them."""

    slices: tuple[SliceScores, ...]
    notes: tuple[str, ...]


def score_slices(sample: Sample, metrics: Sequence[str], task: Task, drawing: Drawing, min_rows: int) -> Sliced:
    """Score each value of each slice column, the most frequent first."""
    slices: list[SliceScores] = []
    notes: list[str] = []
    for column, values in sample.slices.items():
        counts = values.value_counts(sort=True, name="rows").sort("rows", values.name, descending=[True, False])
        names: list[str] = counts[values.name].to_list()
        taken = names[: min(MAX_SLICE_VALUES, MAX_SLICES - len(slices))]
        if len(taken) < len(names):
            notes.append(f"{column} has {len(names)} values; the {len(taken)} most frequent are scored")
        for name in taken:
            part = sample.of((values == name).to_numpy())
            slices.append(_score_slice(part, column, name, metrics, task, drawing, min_rows))
    small = sum(not each.published for each in slices)
    if small:
        notes.append(f"{small} of {len(slices)} slices are too small to publish a fact (fewer than {min_rows} rows)")
    return Sliced(tuple(slices), tuple(notes))


def slice_fact(column: str, value: str, name: str) -> str:
    """Name of a fact about a slice, as gates read it: `slice(origin=JFK).auc`."""
    return f"slice({column}={value}).{name}"


def _score_slice(
    part: Sample, column: str, value: str, metrics: Sequence[str], task: Task, drawing: Drawing, min_rows: int
) -> SliceScores:
    positives = int(np.count_nonzero(part.truth)) if task == "binary" else None
    reason = _too_small(part.rows, positives, min_rows)
    scores, comparisons = score_all(part, metrics, task, drawing, slice_fact(column, value, ""))
    return SliceScores(
        column=column,
        value=value,
        rows=part.rows,
        positives=positives,
        published=not reason,
        reason=reason,
        scores=scores,
        comparisons=comparisons,
    )


def _too_small(rows: int, positives: int | None, min_rows: int) -> str:
    if rows < min_rows:
        return f"{rows} rows, fewer than {min_rows}"
    if positives is not None and min(positives, rows - positives) < min(MIN_CLASS_ROWS, min_rows):
        return f"{min(positives, rows - positives)} rows of one class, fewer than {min(MIN_CLASS_ROWS, min_rows)}"
    return ""
