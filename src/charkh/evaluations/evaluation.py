"""The noun: what an evaluation says, in its event and in its details. Pure data, no I/O.

Numbers that could not be computed (a class is absent, a denominator is zero) are None, never NaN.
"""

from typing import Literal

import msgspec

from charkh.core.events import Fact
from charkh.core.files import FileRef

MADE_KIND = "evaluation.made/1"

Task = Literal["binary", "regression"]

MAX_NOTES = 20
MAX_NOTE = 200
MAX_SLICE_COLUMNS = 20
MAX_DISTINCT = 1000
"""Values that a column may have to be sliced by at all."""
MAX_SLICE_VALUES = 50
"""Values of one slice column that are scored: the most frequent ones."""
MAX_SLICES = 200
"""Slices over all columns."""
MAX_SLICE_TEXT = 60


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One metric on some rows.

    Attributes:
        metric: its name, as the fact is called.
        value: on all the rows.
        low: lower end of the interval.
        high: upper end of the interval.
        std: standard deviation over the resamples.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    std: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of the candidate against the champion's, on the same rows and the same resamples.

    Attributes:
        fact: the fact that is compared, such as `auc` or `slice(origin=JFK).auc`.
        metric: name of the metric.
        candidate: the candidate's value.
        champion: the champion's value.
        difference: candidate minus champion.
        low: lower end of the difference's interval.
        high: upper end of the difference's interval.
        win_probability: share of resamples in which the candidate is better, ties counting half.
    """

    fact: str
    metric: str
    candidate: float | None
    champion: float | None
    difference: float | None
    low: float | None
    high: float | None
    win_probability: float | None


class EvaluationMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `evaluation.made/1`.

    Attributes:
        evaluation: id of the evaluation, which is the subject's id.
        about: what was scored, `model:id`.
        on: the dataset version whose truth was used, `dataset:id`.
        champion: what it was compared with, `model:id`, or empty.
        model: name of the model, under which looks are counted, or empty.
        run: id of the run that asked, or empty.
        task: what kind of truth it is.
        rows: rows that were scored.
        left_out: rows without truth.
        positives: rows of the positive class; None for a regression.
        blocks: how many blocks were drawn from.
        independent: no blocks were given, so rows count as independent.
        rounds: resamples.
        confidence: of the intervals.
        seed: of the draws.
        threshold: probability from which a row counts as positive; None for a regression.
        truth: digest of the truth that was scored: equal digests, equal rows.
        scores: the metrics on all rows.
        comparisons: with the champion, on all rows and in the published slices.
        slices: how many slices were scored.
        unpublished: how many of them are too small to publish a fact.
        notes: what a reader should know about these numbers.
        details: curves, bins, blocks and every slice, as JSON.
    """

    evaluation: str
    about: str
    on: str
    champion: str = ""
    model: str = ""
    run: str = ""
    task: str
    rows: int
    left_out: int
    positives: int | None
    blocks: int
    independent: bool
    rounds: int
    confidence: float
    seed: int
    threshold: float | None
    truth: str
    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...] = ()
    slices: int = 0
    unpublished: int = 0
    notes: tuple[str, ...] = ()
    details: FileRef


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation as the catalog answers it.

    Attributes:
        made: what its event says.
        facts: what it publishes about its subject.
        actor: who made it, `user@host`.
        at: seconds since the epoch.
        stamp: the total order of concurrent evaluations.
    """

    made: EvaluationMade
    facts: dict[str, Fact]
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.made.evaluation

    @property
    def subject(self) -> str:
        """`evaluation:id`, as it stands in edges."""
        return f"evaluation:{self.made.evaluation}"

    def score(self, metric: str) -> Score | None:
        """The score of one metric on all rows, or None where it was not asked for."""
        return next((score for score in self.made.scores if score.metric == metric), None)


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """How often somebody looked at one truth.

    Attributes:
        evaluations: evaluations made on it.
        subjects: different subjects among them.
    """

    evaluations: int
    subjects: int


class SliceScores(msgspec.Struct, frozen=True, kw_only=True):
    """The rows in which `column` has `value`.

    Attributes:
        column: name of the column.
        value: as text; `(missing)` where there is none.
        rows: how many.
        positives: rows of the positive class; None for a regression.
        published: facts about it are published.
        reason: why not.
        scores: the metrics in it.
        comparisons: with the champion.
    """

    column: str
    value: str
    rows: int
    positives: int | None
    published: bool
    reason: str = ""
    scores: tuple[Score, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of a reliability diagram; `low` and `high` are a 95 % Wilson interval of the observed share.

    Attributes:
        rows: in the bin.
        predicted: mean predicted probability.
        observed: share of positives.
    """

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How well probabilities mean what they say.

    The Brier score of the binned forecast is `reliability - resolution + uncertainty` (Murphy 1973).

    Attributes:
        brier: mean squared difference between probability and truth.
        ece: mean absolute difference between predicted and observed over bins of equal size.
        reliability: weighted squared difference between predicted and observed; less is better.
        resolution: how far the bins' observed shares lie from the overall share; more is better.
        uncertainty: variance of the truth.
        bins: from the lowest predictions to the highest.
    """

    brier: float
    ece: float
    reliability: float
    resolution: float
    uncertainty: float
    bins: tuple[Bin, ...]


class OperatingPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from calling rows positive whose score reaches `threshold`."""

    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None


class BlockScore(msgspec.Struct, frozen=True, kw_only=True):
    """The first metric in one block, such as a day."""

    block: str
    rows: int
    value: float | None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found; the blob of an evaluation.

    Attributes:
        task: what kind of truth it is.
        scores: the metrics on all rows.
        comparisons: with the champion, on all rows.
        slices: every slice, unpublished ones included.
        calibration: of probabilities; None where the scores are none.
        operating: at the threshold; None for a regression.
        champion_operating: the champion's, or None.
        roc: points (false positive rate, recall) of the ROC curve.
        precision_recall: points (recall, precision).
        blocks: the first metric block by block, in the order of the blocks; empty where rows are independent.
        notes: what a reader should know about these numbers.
    """

    task: Task
    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[SliceScores, ...] = ()
    calibration: Calibration | None = None
    operating: OperatingPoint | None = None
    champion_operating: OperatingPoint | None = None
    roc: tuple[tuple[float, float], ...] = ()
    precision_recall: tuple[tuple[float, float], ...] = ()
    blocks: tuple[BlockScore, ...] = ()
    notes: tuple[str, ...] = ()
