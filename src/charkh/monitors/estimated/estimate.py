"""Estimate how a model does on rows whose truth nobody knows yet, from rows whose truth is known."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.events import Fact
from charkh.monitors.estimated.classification import Band, Calibrated, calibrate
from charkh.monitors.estimated.classification import estimate as expect
from charkh.monitors.estimated.regression import ErrorModel, estimate_errors, learn_errors, plain
from charkh.monitors.estimated.scores import ScoreSketch
from charkh.monitors.performance import Enough
from charkh.monitors.sketches.table import Batches, batches_of

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

MAX_CLASSES = 50


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of rows without truth.

    Attributes:
        method: `cbpe` of classes, `dle` of numbers; empty where nothing could be estimated.
        rows: live rows.
        reference_rows: rows with truth that it was learned from.
        calibration: `platt`, `isotonic` or `none`: how scores became probabilities.
        metrics: by name; the interval of the realised metric as `auc.low` and `auc.high`.
        realised: metrics of the reference by its truth.
        expected: the same, estimated out of fold: how far estimates are off where nothing changed.
        matched: estimates of the rows whose truth came this time; the realised metrics are the performance's.
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
    outside: float | None = None
    refused: str = ""

    def facts(self) -> dict[str, Fact]:
        """The numbers by name."""
        found: dict[str, Fact] = {f"estimated.{name}": value for name, value in self.metrics.items()}
        if self.outside is not None:
            found["estimated.outside"] = self.outside
        return found | {f"estimated.matched.{name}": value for name, value in self.matched.items()}


def estimated(
    reference: pl.DataFrame,
    live: pl.DataFrame | pl.LazyFrame | Batches,
    *,
    target: str,
    score: str,
    columns: Sequence[str] = (),
    classes: Sequence[Any] = (),
    block: str = "",
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
        threshold: from which on a row counts as predicted positive.
        enough: how many rows of the reference it takes.
        seed: of all that is random.

    Raises:
        Invalid: a column is not there, or the score is no number.
    """
    for name in (target, score, *columns, *([block] if block else [])):
        if name not in reference.columns:
            raise Invalid(
                f"the reference has no column {name!r}",
                code="monitor.no_column",
                hint=f"It has: {', '.join(reference.columns[:20])}.",
            )
    needs = enough or Enough()
    known = reference.drop_nulls([target, score])
    read = live if callable(live) else batches_of(live)
    if known.height < needs.rows:
        rows = sum(batch.height for batch in read())
        few = f"{known.height} rows with truth are fewer than {needs.rows}"
        return Estimated(rows=rows, reference_rows=known.height, refused=few)
    scores, blocks = _matrix(known[score]), _blocks(known, block)
    if scores.shape[1] == 1 and known[target].dtype.is_numeric() and not _is_binary(known[target]):
        return _numbers(known, read, target, score, columns, blocks, needs, seed)
    return _classes(known, scores, read, target, score, classes, blocks, threshold, needs, seed)


class _Part(NamedTuple):
    """One binary question that a classifier answers: the rows' scores, and whether it was so."""

    name: str
    known: Calibrated


def _classes(
    known: pl.DataFrame,
    scores: Floats,
    read: Batches,
    target: str,
    score: str,
    classes: Sequence[Any],
    blocks: Codes | None,
    threshold: float,
    needs: Enough,
    seed: int,
) -> Estimated:
    truth = _codes(known[target], classes, scores.shape[1])
    counts = np.bincount(truth, minlength=max(2, scores.shape[1]))
    if counts.min() < needs.of_class or len(counts) > MAX_CLASSES:
        why = f"{int(counts.min())} rows of the rarest class are fewer than {needs.of_class}"
        if len(counts) > MAX_CLASSES:
            why = f"{len(counts)} classes are more than {MAX_CLASSES}"
        return Estimated(rows=sum(each.height for each in read()), reference_rows=known.height, refused=why)
    binary = len(counts) == 2
    parts = [
        _Part(name, calibrate(some, hit.astype(np.float64), blocks, threshold=threshold, seed=seed))
        for name, some, hit in _questions(scores, truth, binary)
    ]
    sketches: list[ScoreSketch] | None = None
    rows = 0
    for batch in read():
        rows += batch.height
        matrix = _matrix(batch[score])
        some = [part.known.sketch(each) for part, each in zip(parts, _scores(matrix, binary), strict=True)]
        sketches = some if sketches is None else [a + b for a, b in zip(sketches, some, strict=True)]
    if not sketches or not sketches[0].rows:
        return Estimated(rows=rows, reference_rows=known.height, refused="no live row has a score")
    bands = [expect(part.known, sketch, seed=seed) for part, sketch in zip(parts, sketches, strict=True)]
    found = bands[0] if binary else _together(bands)
    realised, expected = [part.known.realised for part in parts], [part.known.expected for part in parts]
    return Estimated(
        method="cbpe",
        rows=rows,
        reference_rows=known.height,
        calibration=parts[0].known.calibration.method,
        metrics=_flat(found),
        realised=realised[0] if binary else _macro(realised),
        expected=expected[0] if binary else _macro(expected),
        outside=sketches[-1].outside,
    )


def _questions(scores: Floats, truth: Codes, binary: bool) -> list[tuple[str, Floats, npt.NDArray[np.bool_]]]:
    """Of two classes whether it is the second; of more, whether it is each one, and whether the likeliest was right."""
    parts = _scores(scores, binary)
    if binary:
        return [("positive", parts[0], truth == 1)]
    each = [(str(code), part, truth == code) for code, part in enumerate(parts[:-1])]
    return [*each, ("right", parts[-1], truth == scores.argmax(axis=1))]


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


def _numbers(
    known: pl.DataFrame,
    read: Batches,
    target: str,
    score: str,
    columns: Sequence[str],
    blocks: Codes | None,
    needs: Enough,
    seed: int,
) -> Estimated:
    inputs = [name for name in columns if name not in (target, score)]
    guess, truth = _matrix(known[score])[:, 0], known[target].cast(pl.Float64).to_numpy()
    sound = np.isfinite(guess) & np.isfinite(truth)
    if np.count_nonzero(sound) < needs.rows:
        few = f"{np.count_nonzero(sound)} rows with truth are fewer than {needs.rows}"
        return Estimated(rows=sum(batch.height for batch in read()), reference_rows=known.height, refused=few)
    model: ErrorModel = learn_errors(
        known.select(inputs).filter(pl.Series(sound)),
        guess[sound],
        truth[sound],
        None if blocks is None else blocks[sound],
        seed=seed,
    )
    total = None
    for batch in read():
        prediction = _matrix(batch[score])[:, 0]
        there = np.isfinite(prediction)
        sums = model.sums(batch.select(inputs).filter(pl.Series(there, dtype=pl.Boolean)), prediction[there])
        total = sums if total is None else total.plus(sums)
    if total is None or not total.rows:
        return Estimated(reference_rows=known.height, refused="no live row has a prediction")
    return Estimated(
        method="dle",
        rows=total.rows,
        reference_rows=model.rows,
        metrics=_flat(estimate_errors(model, total)),
        realised=plain(model, expected=False),
        expected=plain(model, expected=True),
    )


def _flat(bands: dict[str, Band]) -> dict[str, float]:
    found = dict[str, float]()
    for name, band in bands.items():
        found |= {name: band.value, f"{name}.low": band.low, f"{name}.high": band.high}
    return found


def _matrix(column: pl.Series) -> Floats:
    """A row of scores for each row; one that is missing is NaN."""
    if isinstance(column.dtype, pl.List | pl.Array):
        rows = column.to_list()
        width = max((len(row) for row in rows if row is not None), default=1)
        gap = [None] * width
        matrix: Floats = np.array([row if row is not None and len(row) == width else gap for row in rows], np.float64)
        return matrix.reshape(len(rows), width)
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise Invalid(
            f"the score {column.name!r} is {column.dtype}",
            code="monitor.score",
            hint="Name an output of probabilities, such as predict_proba, or of numbers, in `score`.",
        )
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().reshape(-1, 1)


def _codes(target: pl.Series, classes: Sequence[Any], width: int) -> Codes:
    """The class of each row by number."""
    if _is_binary(target) and width <= 2:
        return target.cast(pl.Int64).to_numpy().astype(np.intp)
    labels = list(classes) or target.unique().sort().to_list()
    if len(labels) != max(2, width):
        raise Invalid(
            f"the target has {len(labels)} classes and the score {width} values",
            code="monitor.classes",
            hint="Give `classes`, the labels in the order of the score's values.",
        )
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = set(target.unique().to_list()) - set(labels)
    if unknown:
        raise Invalid(
            f"the target has {sorted(map(str, unknown))[0]!r}, which the model does not know",
            code="monitor.classes",
            hint=f"It knows: {', '.join(map(str, labels[:20]))}.",
        )
    return np.array([numbers[label] for label in target.to_list()], np.intp)


def _is_binary(target: pl.Series) -> bool:
    if target.dtype == pl.Boolean:
        return True
    return target.dtype.is_numeric() and bool(((target == 0) | (target == 1)).all())


def _blocks(known: pl.DataFrame, block: str) -> Codes | None:
    if not block:
        return None
    return np.unique(known[block].cast(pl.String).fill_null("").to_numpy(), return_inverse=True)[1].reshape(-1)
