"""Try: make the tests of a suite one after another, and say of each what it came to."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from charkh.core.stability_settings import USUAL, AnyTest, StabilitySettings
from charkh.evaluations.stability.attack import attack
from charkh.evaluations.stability.behaviour import direction, invariance
from charkh.evaluations.stability.calibrated import calibration
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.churn import churn
from charkh.evaluations.stability.exact import batch, compiled, duplicates, order, repeat, threads
from charkh.evaluations.stability.fairness import fairness
from charkh.evaluations.stability.retrain import retrain
from charkh.evaluations.stability.robust import missing, noise, scale, unseen
from charkh.evaluations.stability.subject import Answers, Tried, Unanswered, answers
from charkh.evaluations.stability.trial import Trial, kind_of

KINDS: Mapping[str, Callable[[Trial, Any], Found]] = {
    "repeat": repeat,
    "batch": batch,
    "order": order,
    "duplicates": duplicates,
    "threads": threads,
    "compiled": compiled,
    "invariance": invariance,
    "direction": direction,
    "noise": noise,
    "missing": missing,
    "scale": scale,
    "unseen": unseen,
    "churn": churn,
    "retrain": retrain,
    "calibration": calibration,
    "fairness": fairness,
    "attack": attack,
}
"""How each kind of test is made."""


def try_model(tried: Tried, settings: StabilitySettings) -> tuple[Found, ...]:
    """Make every test of a suite.

    Args:
        tried: the model and its rows, drawn already.
        settings: the suite.

    Raises:
        Invalid: a test names a column that is not there.
        Unavailable: a test needs an extra that is not installed.
    """
    try:
        whole = answers(tried.ask, tried.rows)
        trouble = Unanswered(whole.unsound(whole)) if whole.unsound(whole) else None
    except Unanswered as error:
        whole, trouble = Answers(np.empty((0, 0)), None), error
    return tuple(_make(tried, whole, trouble, settings, name, test) for name, test in tests_of(settings).items())


def tests_of(settings: StabilitySettings) -> Mapping[str, AnyTest]:
    """The tests of a suite; the usual ones where it names none."""
    return settings.test or USUAL


def _make(
    tried: Tried, whole: Answers, trouble: Unanswered | None, settings: StabilitySettings, name: str, test: AnyTest
) -> Found:
    part = tried.first(test.rows)
    kind = kind_of(test)
    before = whole if trouble is not None else whole.taken(np.arange(part.rows.height))
    trial = Trial(name, kind, part, before, np.random.default_rng(_seed(settings.seed, name)))
    if trouble is not None:
        return trial.broken(trouble)
    try:
        return KINDS[kind](trial, test)
    except Unanswered as error:
        return trial.broken(error)


def _seed(seed: int, name: str) -> list[int]:
    """A seed of its own for each test, so that one more test leaves the draws of the others as they were."""
    return [seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])]
