"""The test of probabilities against the truth: the calibration error beyond what chance gives to a calibrated model."""

import numpy as np

from charkh.core.metrics import Floats
from charkh.core.stability_settings import CalibrationTest
from charkh.evaluations.calibration import calibration_of
from charkh.evaluations.stability.certificate import Found, Result
from charkh.evaluations.stability.moved import verdict
from charkh.evaluations.stability.trial import Trial

ROUNDS = 200
"""Truths drawn from the model's own probabilities: what its error would be if it were calibrated."""


def calibration(trial: Trial, test: CalibrationTest) -> Found:
    """Expected calibration error over bins of equal size, less its mean under calibration.

    The error of few rows is never 0, not even of a perfect model (Brocker and Smith 2007 call the draws of the truth
    from the forecasts consistency resampling); what remains is compared with the bound. With more than two classes it
    is that of the greatest probability.
    """
    if trial.tried.truth is None:
        return trial.skipped("the truth is not known: name the suite's target")
    before, truth = trial.before, trial.tried.truth
    if before.labels is None or not before.numbers.shape[1]:
        return trial.skipped("the model gives no probabilities")
    hit, probability = _binary(before.numbers, before.labels, truth)
    known = ~np.isnan(truth)
    hit, probability = hit[known], probability[known]
    if not len(hit):
        return trial.skipped("no row has a truth")
    if not np.isin(hit, (0.0, 1.0)).all():
        return trial.skipped("the truth of two classes must be 0 or 1")
    error = calibration_of(hit, probability, test.bins).ece
    chance = float(
        np.mean(
            [
                calibration_of(
                    (trial.random.random(len(hit)) < probability).astype(np.float64), probability, test.bins
                ).ece
                for _ in range(ROUNDS)
            ]
        )
    )
    beyond = max(0.0, error - chance)
    result = Result(
        test=trial.name,
        kind=trial.kind,
        outcome=verdict(beyond, test.ece),
        measure="calibration error beyond chance",
        value=beyond,
        bound=test.ece,
        rows=len(hit),
        note=f"ECE {error:.4g} over {test.bins} bins of equal size; {chance:.4g} of a calibrated model",
    )
    return Found(result=result, lines={"ece": error, "chance": chance})


def _binary(numbers: Floats, labels: np.ndarray, truth: Floats) -> tuple[Floats, Floats]:
    if numbers.shape[1] <= 2:
        return truth, np.clip(numbers[:, -1], 0.0, 1.0)
    told = np.argmax(numbers, axis=1)
    chosen = labels if labels.dtype.kind in "biuf" else told
    return (chosen.astype(np.float64) == truth).astype(np.float64), np.clip(numbers.max(axis=1), 0.0, 1.0)
