"""Score columns of truth and predictions: everything that an evaluation says, without a store. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from charkh.core.errors import Invalid
from charkh.core.events import Fact
from charkh.evaluations.calibration import calibration_of
from charkh.evaluations.evaluation import MAX_NOTE, MAX_NOTES, Comparison, Details, OperatingPoint
from charkh.evaluations.measure import USUAL, Drawing, are_probabilities, check_probabilities, score_all, task_of
from charkh.evaluations.sample import Column, Sample, make_sample
from charkh.evaluations.slices import MIN_ROWS, score_slices, slice_fact
from charkh.evaluations.spread import by_block
from charkh.evaluations.threshold import curves, operating_point

USUAL_DRAWING = Drawing()
FEW_BLOCKS = 10
MAX_ROUNDS = 100_000


class Assessment(NamedTuple):
    """What was found: the rows, how they were drawn, the details, and the facts to publish."""

    sample: Sample
    drawing: Drawing
    details: Details
    facts: dict[str, Fact]

    @property
    def published_comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons on all rows and in the published slices."""
        slices = [each for part in self.details.slices if part.published for each in part.comparisons]
        return (*self.details.comparisons, *slices)


def assess(
    truth: Column,
    scores: Column,
    *,
    metrics: Sequence[str] = (),
    blocks: Column | None = None,
    slices: Mapping[str, Column] | None = None,
    champion: Column | None = None,
    drawing: Drawing = USUAL_DRAWING,
    min_rows: int = MIN_ROWS,
) -> Assessment:
    """Metrics with intervals, slices, calibration, operating point, curves and the comparison with the champion.

    Args:
        truth: 0/1 for two classes, or numbers; rows without a truth are left out and counted.
        scores: probability of the positive class, another score of it, or the predicted number.
        metrics: names; the usual ones of the task by default. The first is shown block by block.
        blocks: what rows share, such as their day; resamples draw whole blocks. Without it rows are independent.
        slices: columns whose every value is scored on its own.
        champion: predictions of the champion for the same rows.
        drawing: how resamples are drawn.
        min_rows: rows that a slice needs to publish facts.

    Raises:
        Invalid: columns do not fit together, or a metric does not fit the truth or the scores.
    """
    _check_drawing(drawing)
    sample = make_sample(truth, scores, rival=champion, blocks=blocks, slices=slices, seed=drawing.seed)
    task = task_of(sample, metrics)
    names = tuple(dict.fromkeys(metrics)) or USUAL[task]
    check_probabilities(sample, names)
    measured, comparisons = score_all(sample, names, task, drawing)
    sliced = score_slices(sample, names, task, drawing, min_rows)
    details = Details(
        task=task,
        scores=measured,
        comparisons=comparisons,
        slices=sliced.slices,
        blocks=by_block(sample, names[0], drawing.threshold),
        notes=_notes(sample, sliced.notes),
    )
    if task == "binary":
        details = _with_classes(details, sample, drawing.threshold)
    return Assessment(sample, drawing, details, facts_of(details, sample.rows))


def facts_of(details: Details, rows: int) -> dict[str, Fact]:
    """The facts that an evaluation publishes about its subject."""
    facts: dict[str, Fact] = {"rows": rows}
    for score in details.scores:
        _put(facts, score.metric, score.value)
        _put(facts, f"{score.metric}.low", score.low)
        _put(facts, f"{score.metric}.high", score.high)
    for comparison in details.comparisons:
        _put(facts, f"{comparison.fact}.win_probability", comparison.win_probability)
    if details.calibration is not None:
        _put(facts, "ece", details.calibration.ece)
    if details.operating is not None:
        for name in ("precision", "recall", "f1"):
            _put(facts, name, getattr(details.operating, name))
    for part in details.slices:
        if part.published:
            facts[slice_fact(part.column, part.value, "rows")] = part.rows
            for score in part.scores:
                _put(facts, slice_fact(part.column, part.value, score.metric), score.value)
                _put(facts, slice_fact(part.column, part.value, f"{score.metric}.low"), score.low)
    return facts


def _put(facts: dict[str, Fact], name: str, value: float | None) -> None:
    if value is not None:
        facts[name] = value


def _with_classes(details: Details, sample: Sample, threshold: float) -> Details:
    roc, precision_recall = curves(sample.truth, sample.scores)
    rival: OperatingPoint | None = None
    if sample.rival is not None:
        rival = operating_point(sample.truth, sample.rival, threshold)
    return msgspec.structs.replace(
        details,
        calibration=calibration_of(sample.truth, sample.scores) if are_probabilities(sample.scores) else None,
        operating=operating_point(sample.truth, sample.scores, threshold),
        champion_operating=rival,
        roc=roc,
        precision_recall=precision_recall,
    )


def _notes(sample: Sample, of_slices: Sequence[str]) -> tuple[str, ...]:
    notes: list[str] = []
    if sample.independent:
        notes.append("no blocks were given: rows count as independent, which makes intervals narrow if they are not")
    elif len(np.unique(sample.blocks)) < FEW_BLOCKS:
        notes.append(f"only {len(np.unique(sample.blocks))} blocks: the intervals are rough and rather too narrow")
    if sample.left_out:
        notes.append(f"{sample.left_out} rows have no truth and were left out")
    return tuple(note[:MAX_NOTE] for note in (*notes, *of_slices)[:MAX_NOTES])


def _check_drawing(drawing: Drawing) -> None:
    if not 1 <= drawing.rounds <= MAX_ROUNDS:
        raise Invalid(
            f"{drawing.rounds} rounds cannot be drawn",
            code="evaluation.rounds",
            hint=f"Draw between 1 and {MAX_ROUNDS}; 1000 is usual.",
        )
    if not 0 < drawing.confidence < 1:
        raise Invalid(f"{drawing.confidence} is no confidence", code="evaluation.confidence", hint="Use e.g. 0.95.")
