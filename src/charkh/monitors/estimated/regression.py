"""Direct loss estimation (DLE): a model of the errors says how large they are on rows whose truth is not known.

Boosted trees learn the absolute and the squared error from the inputs and the prediction, on rows with truth that the
model was not fitted to; the mean of what they say of live rows is the expected MAE and MSE. The method is that of
NannyML's documentation. It holds while the error given the inputs is that of the reference.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.monitors.estimated.calibration import folds_of
from charkh.monitors.estimated.classification import Band
from charkh.monitors.trees import Binning, Boosted, Bytes, binning_of, boost

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

FOLDS = 3
ROWS = 20_000
"""Of the reference that trees are fitted to at most."""
POWERS = {"mae": 1, "rmse": 2}
_FAR = 4.0
"""Times the error that one in a thousand exceeds."""


class Loss(NamedTuple):
    """A model of one loss.

    Attributes:
        folds: models of the loss by row, each fitted without one fold; their mean is what is expected, and where they
            disagree on live rows, little is known.
        floor: the least that is believed: a loss is never below 0.
        noise: variance of the loss of a row, as a multiple of its expected square.
        doubt: variance of the mean of the model's error, as a multiple of the squared mean.
        factor: realised over expected loss, out of fold.
        expected, realised: mean loss of the reference out of fold, and by its truth.
    """

    folds: tuple[Boosted, ...]
    floor: float
    noise: float
    doubt: float
    factor: float
    expected: float
    realised: float


class ErrorModel(NamedTuple):
    """What a reference with truth teaches about errors.

    Attributes:
        binning: of inputs and prediction.
        losses: by metric.
        spread: how many times fewer rows there are in effect, because rows of a block are alike.
        rows: of the reference.
    """

    binning: Binning
    losses: dict[str, Loss]
    spread: dict[str, float]
    rows: int

    def sums(self, rows: pl.DataFrame, prediction: Floats) -> "LossSums":
        """What is expected of live rows; the sums of batches add up."""
        codes = self.binning.codes(_with(rows, prediction))
        sums = dict[str, tuple[float, float, tuple[float, ...]]]()
        for name, loss in self.losses.items():
            apart = [trees.values(codes) * loss.factor for trees in loss.folds]
            each = np.maximum(np.mean(apart, axis=0), loss.floor)
            sums[name] = (float(each.sum()), float((each**2).sum()), tuple(float(some.sum()) for some in apart))
        return LossSums(len(codes), sums)


class LossSums(NamedTuple):
    """Rows, and by metric the sums of their expected loss, of its square, and of what the models without a fold say."""

    rows: int
    losses: dict[str, tuple[float, float, tuple[float, ...]]]

    def plus(self, other: "LossSums") -> "LossSums":
        both = dict[str, tuple[float, float, tuple[float, ...]]]()
        for name, (total, squares, folds) in self.losses.items():
            more = other.losses[name]
            each = tuple(a + b for a, b in zip(folds, more[2], strict=True))
            both[name] = (total + more[0], squares + more[1], each)
        return LossSums(self.rows + other.rows, both)


def learn_errors(
    rows: pl.DataFrame, prediction: Floats, truth: Floats, blocks: Codes | None = None, *, seed: int = 0
) -> ErrorModel:
    """Learn how large errors are from rows whose truth is known.

    Args:
        rows: inputs; columns that are neither numbers, times nor categories are left out.
        prediction: of the model.
        truth: what happened.
        blocks: of each row, counted from 0, as in `calibrate`.
        seed: of the folds.
    """
    step = -(-rows.height // ROWS)
    rows, prediction, truth = rows.gather_every(step), prediction[::step], truth[::step]
    block = np.arange(len(truth)) if blocks is None else np.unique(blocks[::step], return_inverse=True)[1].reshape(-1)
    frame = _with(rows, prediction)
    binning = binning_of(frame)
    codes, fold = binning.codes(frame), folds_of(block, FOLDS, seed)
    losses, spread = dict[str, Loss](), dict[str, float]()
    for name, power in POWERS.items():
        real = np.abs(truth - prediction) ** power
        # A few enormous errors would be all that trees see; tails as long as those of usual errors are left alone.
        capped = np.minimum(real, _FAR**power * np.quantile(real, 0.999))
        guess, without = np.zeros(len(real)), list[Boosted]()
        for held in range(FOLDS):
            mine = fold == held
            if mine.any() and not mine.all():
                without.append(_fitted(codes[~mine], capped[~mine]))
                guess[mine] = without[-1].values(codes[mine])
        floor = 1e-3 * float(real.mean())
        guess = np.maximum(guess, floor)
        factor = float(real.sum() / guess.sum()) if guess.sum() > 0 else 1.0
        rest = real - guess * factor
        clusters = np.bincount(block, rest)
        alone = float((rest**2).sum())
        together = float((clusters**2).sum())
        spread[name] = max(1.0, together / alone) if alone > 0 else 1.0
        losses[name] = Loss(
            folds=tuple(without or [_fitted(codes, capped)]),
            floor=floor,
            noise=alone / max(float(((guess * factor) ** 2).sum()), 1e-300),
            doubt=max(alone, together) / max(float(real.sum()), 1e-300) ** 2,
            factor=factor,
            expected=float(guess.mean()),
            realised=float(real.mean()),
        )
    return ErrorModel(binning, losses, spread, len(truth))


def estimate_errors(known: ErrorModel, live: LossSums, *, z: float = 1.959964) -> dict[str, Band]:
    """The expected MAE and RMSE of live rows, and the interval in which the realised ones are to be expected.

    Args:
        known: what the reference taught.
        live: sums over live rows.
        z: normal quantile of the interval's side; 1.96 for 95 %.
    """
    bands = dict[str, Band]()
    for name, (total, squares, folds) in live.losses.items():
        loss, mean = known.losses[name], total / max(live.rows, 1)
        others = np.array(folds) / max(live.rows, 1)
        # The jackknife: models without a fold differ less from each other than models of new rows would.
        apart = (len(folds) - 1) * float(others.var()) if len(folds) > 1 else 0.0
        variance = loss.noise * squares * known.spread[name] / max(live.rows, 1) ** 2 + max(loss.doubt * mean**2, apart)
        side = z * math.sqrt(variance)
        sides = [max(0.0, each) for each in (mean, mean - side, mean + side)]
        bands[name] = Band(*(each ** (1 / POWERS[name]) for each in sides))
    return bands


def _fitted(codes: Bytes, loss: Floats) -> Boosted:
    return boost(codes, loss, rounds=80, depth=4, rate=0.15)


def plain(known: ErrorModel, *, expected: bool) -> dict[str, float]:
    """MAE and RMSE of the reference: by its truth, or as they were expected out of fold."""
    found = {name: loss.expected if expected else loss.realised for name, loss in known.losses.items()}
    return {name: value ** (1 / POWERS[name]) for name, value in found.items()}


def _with(rows: pl.DataFrame, prediction: Floats) -> pl.DataFrame:
    return rows.with_columns(pl.Series(_free("prediction", rows.columns), prediction))


def _free(name: str, taken: Sequence[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)
