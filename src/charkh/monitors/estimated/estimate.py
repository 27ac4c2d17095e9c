"""Estimate how a model does on rows whose truth nobody knows yet, from rows whose truth is known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.events import Fact
from charkh.monitors.estimated.calibration import GAIN
from charkh.monitors.estimated.classification import Band, calibrate
from charkh.monitors.estimated.classification import estimate as expect
from charkh.monitors.estimated.columns import block_codes, class_codes, is_binary, score_matrix, with_scores
from charkh.monitors.estimated.regression import LossSums, estimate_errors, learn_errors, plain
from charkh.monitors.estimated.scores import ScoreSketch
from charkh.monitors.performance import Enough
from charkh.monitors.sketches.table import Batches, batches_of

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

MAIN = ("auc", "accuracy", "brier", "mae", "rmse")
"""Metrics that are facts of segments and of rows whose truth came; the others are in the details."""
MAX_CLASSES = 50
SEGMENTS = 10
"""Of a column's values, those with the most live rows."""
MAX_PARTS = 500
"""Values of all segments together that are counted; of more, those that came first."""


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of rows without truth.

    Attributes:
        method: `cbpe` of classes, `dle` of numbers; empty where nothing could be estimated.
        rows: live rows.
        reference_rows: rows with truth that it was learned from.
        calibration: `platt`, `spline`, `isotonic` or `none`: how scores became probabilities.
        metrics: by name; the interval of the realised metric as `auc.low` and `auc.high`.
        realised: metrics of the reference by its truth.
        expected: the same, estimated out of fold: how far estimates are off where nothing changed.
        matched: estimates of the rows whose truth came this time; the realised metrics are the performance's.
        segments: by `COLUMN=VALUE`, the same metrics.
        outside: share of live scores that lie where the reference has none.
        refused: why something is not estimated.
    """

    method: str = ""
    rows: int = 0
    reference_rows: int = 0
    calibration: str = ""
    metrics: dict[str, float] = {}
    realised: dict[str, float] = {}
    expected: dict[str, float] = {}
    matched: dict[str, float] = {}
    segments: dict[str, dict[str, float]] = {}
    outside: float | None = None
    refused: str = ""

    def facts(self) -> dict[str, Fact]:
        """The numbers by name."""
        found: dict[str, Fact] = {f"estimated.{name}": value for name, value in self.metrics.items()}
        if self.outside is not None:
            found["estimated.outside"] = self.outside
        found |= {f"estimated.matched.{name}": value for name, value in self.matched.items() if _is_main(name)}
        for segment, metrics in self.segments.items():
            points = {name: metrics[name] for name in MAIN if name in metrics}
            found |= {f"slice({segment}).estimated.{name}": value for name, value in points.items()}
        return found


def estimated(
    reference: pl.DataFrame,
    live: pl.DataFrame | pl.LazyFrame | Batches,
    *,
    target: str,
    score: str,
    columns: Sequence[str] = (),
    classes: Sequence[Any] = (),
    block: str = "",
    segments: Sequence[str] = (),
    threshold: float = 0.5,
    enough: Enough | None = None,
    seed: int = 0,
) -> Estimated:
    """Expected metrics of live rows: AUC, accuracy and others of classes (CBPE), MAE and RMSE of numbers (DLE).

    Intervals hold as long as what happens, given the score or given the columns, is as in the reference: a shift of
    the inputs is taken into account, a changed concept is not. That takes the truth.

    Args:
        reference: rows with truth, in `target`, that the model was not fitted to: of those that it was fitted to it
            is too sure.
        live: rows without truth; a lazy table or batches are read once, in constant memory.
        target: 0 and 1 or booleans, labels, or a number.
        score: probability of the positive class, or a list of one for each class; of a number, the prediction.
        columns: inputs that say how large an error is, for numbers.
        classes: labels in the order of the list's values; without, those of the target in their order.
        block: column of the reference whose equal values share what made them, such as the day.
        segments: columns of the live rows by whose largest values metrics are also given; where the reference has
            them and a value has enough rows there, from those where they say more than all do.
        threshold: from which on a row counts as predicted positive.
        enough: how many rows of the reference, and of a segment, it takes.
        seed: of all that is random.

    Raises:
        Invalid: a column is not there, the score is no number, or there are not as many classes as it has values.
    """
    for name in (target, score, *columns, *([block] if block else [])):
        if name not in reference.columns:
            raise Invalid(
                f"the reference has no column {name!r}",
                code="monitor.no_column",
                hint=f"It has: {', '.join(reference.columns[:20])}.",
            )
    needs = enough or Enough()
    read = live if callable(live) else batches_of(live)
    known = with_scores(reference.drop_nulls([target, score]), score)
    learned = _learn(known, target, score, columns, classes, block, threshold, needs, seed)
    if isinstance(learned, str):
        return Estimated(rows=sum(batch.height for batch in read()), reference_rows=known.height, refused=learned)

    def learn(some: pl.DataFrame) -> "_Learned | str":
        return _learn(some, target, score, columns, classes, block, threshold, needs, seed)

    return _read(learned, _of_segments(known, learned, segments, learn), read, segments, needs)


class _Learned(Protocol):
    """What rows with truth taught: it reads live rows into sums that add up, and says what they lead to expect."""

    said: Estimated

    def sums(self, rows: pl.DataFrame) -> Any: ...

    def plus(self, sums: Any, more: Any) -> Any: ...

    def rows(self, sums: Any) -> int: ...

    def outside(self, sums: Any, /) -> float | None: ...

    def bands(self, sums: Any) -> dict[str, Band]: ...


def _learn(
    known: pl.DataFrame,
    target: str,
    score: str,
    columns: Sequence[str],
    classes: Sequence[Any],
    block: str,
    threshold: float,
    needs: Enough,
    seed: int,
) -> "_Learned | str":
    """What the reference teaches, or why it teaches nothing."""
    if known.height < needs.rows:
        return f"{known.height} rows with truth are fewer than {needs.rows}"
    scores, blocks = score_matrix(known[score]), block_codes(known, block)
    if scores.shape[1] == 1 and known[target].dtype.is_numeric() and not is_binary(known[target]):
        return _Numbers(known, target, score, columns, blocks, seed)
    truth = class_codes(known[target], classes, scores.shape[1])
    if isinstance(truth, str):
        return truth
    counts = np.bincount(truth[truth >= 0], minlength=max(2, scores.shape[1]))
    if len(counts) > MAX_CLASSES:
        return f"{len(counts)} classes are more than {MAX_CLASSES}"
    if counts.min() < needs.of_class:
        return f"{int(counts.min())} rows of the rarest class are fewer than {needs.of_class}"
    return _Classes(scores, truth, score, blocks, threshold, seed)


def _of_segments(
    known: pl.DataFrame,
    learned: _Learned,
    segments: Sequence[str],
    learn: Callable[[pl.DataFrame], "_Learned | str"],
) -> dict[tuple[str, str], _Learned]:
    """By column and value, what its own rows teach where it says more of them than all rows do.

    Errors of numbers are learned from columns as it is.
    """
    found = dict[tuple[str, str], _Learned]()
    if not isinstance(learned, _Classes):
        return found
    for column in segments:
        if column not in known.columns:
            continue
        parts = known.drop_nulls(column).partition_by(column, as_dict=True)
        for (value,), part in sorted(parts.items(), key=lambda each: -each[1].height)[:SEGMENTS]:
            own = learn(part)
            if isinstance(own, _Classes) and own.says_more_than(learned):
                found[column, str(value)] = own
    return found


def _read(
    learned: _Learned,
    of_segments: Mapping[tuple[str, str], _Learned],
    read: Batches,
    segments: Sequence[str],
    needs: Enough,
) -> Estimated:
    total: Any = None
    parts = dict[tuple[str, str], Any]()
    rows = 0
    for batch in read():
        rows += batch.height
        sums = learned.sums(batch)
        total = sums if total is None else learned.plus(total, sums)
        for column in segments:
            for (value,), part in batch.drop_nulls(column).group_by(column, maintain_order=True):
                key = (column, str(value))
                teacher = of_segments.get(key, learned)
                if key in parts:
                    parts[key] = teacher.plus(parts[key], teacher.sums(part))
                elif len(parts) < MAX_PARTS:
                    parts[key] = teacher.sums(part)
    if total is None or not learned.rows(total):
        return msgspec.structs.replace(learned.said, method="", rows=rows, refused="no live row has a score")
    by_segment = dict[str, dict[str, float]]()
    for column in segments:
        mine = sorted((key for key in parts if key[0] == column), key=lambda key: -learned.rows(parts[key]))
        for key in mine[:SEGMENTS]:
            if learned.rows(parts[key]) >= needs.rows:
                by_segment[f"{key[0]}={key[1]}"] = _flat(of_segments.get(key, learned).bands(parts[key]))
    return msgspec.structs.replace(
        learned.said,
        rows=rows,
        metrics=_flat(learned.bands(total)),
        outside=learned.outside(total),
        segments=by_segment,
    )


class _Classes:
    """Calibrated binary questions: one of two classes; of more, one for each and whether the likeliest is right."""

    def __init__(
        self, scores: Floats, truth: Codes, score: str, blocks: Codes | None, threshold: float, seed: int
    ) -> None:
        self._score, self._seed = score, seed
        self._binary = scores.shape[1] <= 2
        self._asked = [(some, hit.astype(np.float64)) for some, hit in _questions(scores, truth, self._binary)]
        self._parts = [calibrate(*each, blocks, threshold=threshold, seed=seed) for each in self._asked]
        realised, expected = [each.realised for each in self._parts], [each.expected for each in self._parts]
        self.said = Estimated(
            method="cbpe",
            reference_rows=len(truth),
            calibration=self._parts[0].calibration.method,
            realised=realised[0] if self._binary else _macro(realised),
            expected=expected[0] if self._binary else _macro(expected),
        )

    def says_more_than(self, other: "_Classes") -> bool:
        """Whether the rows that this one learned from are foretold better by it, out of fold, than by the other."""
        others = sum(part.loss_of(*each) for part, each in zip(other._parts, self._asked, strict=True))
        return sum(part.loss for part in self._parts) + GAIN < others

    def sums(self, rows: pl.DataFrame) -> list[ScoreSketch]:
        each = _scores(score_matrix(rows[self._score]), self._binary)
        return [part.sketch(some) for part, some in zip(self._parts, each, strict=True)]

    def plus(self, sums: list[ScoreSketch], more: list[ScoreSketch]) -> list[ScoreSketch]:
        return [a + b for a, b in zip(sums, more, strict=True)]

    def rows(self, sums: list[ScoreSketch]) -> int:
        return sums[0].rows

    def outside(self, sums: list[ScoreSketch], /) -> float | None:
        return sums[-1].outside

    def bands(self, sums: list[ScoreSketch]) -> dict[str, Band]:
        each = [expect(part, some, seed=self._seed) for part, some in zip(self._parts, sums, strict=True)]
        return each[0] if self._binary else _together(each)


class _Numbers:
    """A model of the errors of predicted numbers."""

    def __init__(
        self, known: pl.DataFrame, target: str, score: str, columns: Sequence[str], blocks: Codes | None, seed: int
    ) -> None:
        self._score = score
        self._inputs = [name for name in columns if name not in (target, score)]
        truth = known[target].cast(pl.Float64).to_numpy()
        guess = score_matrix(known[score])[:, 0]
        self._model = learn_errors(known.select(self._inputs), guess, truth, blocks, seed=seed)
        self.said = Estimated(
            method="dle",
            reference_rows=self._model.rows,
            realised=plain(self._model, expected=False),
            expected=plain(self._model, expected=True),
        )

    def sums(self, rows: pl.DataFrame) -> LossSums:
        prediction = score_matrix(rows[self._score])[:, 0]
        there = np.isfinite(prediction)
        inputs = rows.select(self._inputs).filter(pl.Series(there, dtype=pl.Boolean))
        return self._model.sums(inputs, prediction[there])

    def plus(self, sums: LossSums, more: LossSums) -> LossSums:
        return sums.plus(more)

    def rows(self, sums: LossSums) -> int:
        return sums.rows

    def outside(self, _: LossSums, /) -> float | None:
        return None

    def bands(self, sums: LossSums) -> dict[str, Band]:
        return estimate_errors(self._model, sums)


def _questions(scores: Floats, truth: Codes, binary: bool) -> list[tuple[Floats, npt.NDArray[np.bool_]]]:
    """Of two classes whether it is the second; of more, whether it is each one, and whether the likeliest was right."""
    parts = _scores(scores, binary)
    if binary:
        return [(parts[0], truth == 1)]
    each = [(part, truth == code) for code, part in enumerate(parts[:-1])]
    return [*each, (parts[-1], truth == scores.argmax(axis=1))]


def _scores(matrix: Floats, binary: bool) -> list[Floats]:
    if binary:
        return [matrix[:, -1]]
    return [*matrix.T, matrix.max(axis=1)]


def _together(bands: Sequence[dict[str, Band]]) -> dict[str, Band]:
    """AUC one against the rest, averaged over classes; accuracy from how sure the likeliest class is.

    The mean of the classes' intervals is an interval of the mean even if all are off in one direction.
    """
    found = dict[str, Band]()
    aucs = [each["auc"] for each in bands[:-1] if "auc" in each]
    if aucs:
        found["auc"] = Band(*(float(np.mean(side)) for side in zip(*aucs, strict=True)))
    if "rate" in bands[-1]:
        found["accuracy"] = bands[-1]["rate"]
    return found


def _macro(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    return {"auc": float(np.mean([each["auc"] for each in parts[:-1]])), "accuracy": parts[-1]["rate"]}


def _is_main(name: str) -> bool:
    return name.partition(".")[0] in MAIN


def _flat(bands: dict[str, Band]) -> dict[str, float]:
    found = dict[str, float]()
    for name, band in bands.items():
        found |= {name: band.value, f"{name}.low": band.low, f"{name}.high": band.high}
    return found
