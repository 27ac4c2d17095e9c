"""The test of trainings: with other seeds, and on other draws of the rows, how many rows are answered otherwise."""

import time
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from charkh.core.errors import Invalid
from charkh.core.metrics import METRICS, Floats
from charkh.core.stability_settings import RetrainTest
from charkh.evaluations.stability.certificate import MAX_NOTE, Found, Outcome, Result, Witness
from charkh.evaluations.stability.moved import Moves, moves, share, unit, verdict, witnesses
from charkh.evaluations.stability.subject import Answers, Ask, NoOccasion, Training, Unanswered, answers
from charkh.evaluations.stability.trial import Trial

SEEDS = 2**31
SEED, SAMPLE = "seed", "sample"
_OF_PROBABILITIES = ("auc", "average_precision", "log_loss", "brier")
_OF_NUMBERS = ("rmse", "mae", "r2")


class Trained(NamedTuple):
    """One training that was done.

    Attributes:
        label: such as `seed 1` or `sample 2`.
        after: what the model that it made says to the rows.
        found: how far that is from the reference.
        score: on the rows whose truth is known; None where there is none.
    """

    label: str
    after: Answers
    found: Moves
    score: float | None

    @property
    def churn(self) -> float:
        """Share of rows that it answers otherwise than the reference."""
        return share(self.found.changed).value


def retrain(trial: Trial, test: RetrainTest) -> Found:
    """The mean share over the trainings, and how far their scores spread.

    Both are beside the same training as it was, so that only the seed or the draw differs; how far that one is from the
    version on trial is told apart.
    """
    if trial.tried.training is None:
        return trial.skipped("it is not known how the model was trained")
    metric = _metric(trial, test)
    if test.spread and not metric:
        return trial.skipped("the spread of a score needs the truth: name the suite's target")
    began = time.monotonic()
    try:
        training = trial.tried.training(test)
    except NoOccasion as error:
        return trial.skipped(str(error))
    before = _sound(trial, training.reference)
    made, troubles = _trainings(trial, test, training, before, metric, began)
    if not made:
        if isinstance(troubles[0], Unanswered):
            raise troubles[0]
        return trial.skipped(str(troubles[0]))
    return _found(trial, test, training, before, made, troubles, metric)


def _trainings(
    trial: Trial, test: RetrainTest, training: Training, before: Answers, metric: str, began: float
) -> tuple[list[Trained], list[Unanswered | NoOccasion]]:
    """Those that were done within the time, and why others gave no model that can be asked."""
    made: list[Trained] = []
    troubles: list[Unanswered | NoOccasion] = []
    longest = 0.0
    for label, sampled in _planned(test):
        seed = int(trial.random.integers(SEEDS))
        start = time.monotonic()
        if (made or troubles) and start - began + longest > test.seconds:
            break
        try:
            after = _sound(trial, training.train(seed, sampled))
        except (Unanswered, NoOccasion) as error:
            troubles.append(error)
            continue
        finally:
            longest = max(longest, time.monotonic() - start)
        made.append(Trained(label, after, moves(before, after, test.tolerance), _score(metric, after, trial)))
    return made, troubles


def _planned(test: RetrainTest) -> Iterator[tuple[str, bool]]:
    """Seeds and samples by turns, so that little time is shared by both."""
    seeds = [(f"{SEED} {number}", False) for number in range(1, test.seeds + 1)]
    samples = [(f"{SAMPLE} {number}", True) for number in range(1, test.samples + 1)]
    for pair in zip_longest(seeds, samples):
        yield from (each for each in pair if each is not None)


def _sound(trial: Trial, ask: Ask) -> Answers:
    """The answers of a model that was trained again.

    Raises:
        Unanswered: there are none, or none such as the model on trial gives.
    """
    after = answers(ask, trial.rows)
    trouble = after.unsound(trial.before)
    if trouble:
        raise Unanswered(trouble)
    return after


def _found(
    trial: Trial,
    test: RetrainTest,
    training: Training,
    before: Answers,
    made: list[Trained],
    troubles: list[Unanswered | NoOccasion],
    metric: str,
) -> Found:
    value = float(np.mean([each.churn for each in made]))
    own = _score(metric, before, trial)
    scores = [each for each in (own, *(each.score for each in made)) if each is not None]
    deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    wide: Outcome = verdict(deviation, test.spread) if test.spread and deviation is not None else "passed"
    apart = share(moves(trial.before, before, test.tolerance).changed).value
    worst = max(made, key=lambda each: each.churn)
    notes = [f"by {training.how}"]
    if deviation is not None:
        limit = f", at most {test.spread:g}" if test.spread else ""
        notes.append(f"{metric} {np.mean(scores):.4g} with a standard deviation of {deviation:.3g}{limit}")
    if apart:
        notes.append(f"the same training again already answers {apart:.3g} of the rows otherwise than the version")
    seeded = [each for each in made if each.label.startswith(SEED)]
    if seeded and not any(each.found.moved.any() for each in seeded):
        notes.append("no seed changes any answer: the training is fixed, or takes none")
    left = test.seeds + test.samples - len(made)
    if left:
        failed = f", {len(troubles)} of them because {_said(troubles[0])}" if troubles else ""
        notes.append(f"{left} trainings were not done{failed}")
    notes += [training.note] if training.note else []
    bad = "failed" in {wide, verdict(value, test.failures)}
    result = Result(
        test=trial.name,
        kind=trial.kind,
        outcome="failed" if bad else "passed",
        measure=f"{unit(before, test.tolerance)}, mean over {_counted(made)}",
        value=value,
        bound=test.failures,
        rows=trial.rows.height,
        note="; ".join(notes)[:MAX_NOTE],
    )
    return Found(result=result, witnesses=_witnesses(trial, before, worst), lines=_lines(made, metric, own, deviation))


def _said(trouble: Unanswered | NoOccasion) -> str:
    return trouble.what if isinstance(trouble, Unanswered) else str(trouble)


def _counted(made: list[Trained]) -> str:
    """How many trainings of which sort."""
    seeds = sum(each.label.startswith(SEED) for each in made)
    parts = [(seeds, "other seed"), (len(made) - seeds, "bootstrap sample")]
    return " and ".join(f"{count} {what}{'s' * (count > 1)}" for count, what in parts if count)


def _witnesses(trial: Trial, before: Answers, worst: Trained) -> tuple[Witness, ...]:
    return witnesses(before, worst.after, worst.found, trial.rows, trial.rows, (), worst.label)


def _lines(made: list[Trained], metric: str, own: float | None, deviation: float | None) -> dict[str, float]:
    """The numbers behind the result: churn of each training and sort, and its score."""
    lines = {each.label: each.churn for each in made}
    for sort in (SEED, SAMPLE):
        mine = [each for each in made if each.label.startswith(sort)]
        scores = [each.score for each in mine if each.score is not None]
        if mine:
            lines[f"{sort}s"] = float(np.mean([each.churn for each in mine]))
        if len(scores) > 1:
            lines[f"{metric} sd over {sort}s"] = float(np.std(scores, ddof=1))
    lines |= {f"{metric} of {each.label}": each.score for each in made if each.score is not None}
    if own is not None:
        lines[metric] = own
    if deviation is not None:
        lines["spread"] = deviation
    return lines


def _metric(trial: Trial, test: RetrainTest) -> str:
    """Name of the score; empty where the rows have no truth that it can be taken from.

    Raises:
        Invalid: there is no such score of such predictions and truths.
    """
    able = _able(trial)
    if test.metric and able and test.metric not in able:
        raise Invalid(
            f"the test {trial.name!r} names the metric {test.metric!r}, which is none of this model and this truth",
            code="stability.no_metric",
            hint=f"Those are: {', '.join(able)}.",
        )
    return test.metric if test.metric in able else next(iter(able), "")


def _able(trial: Trial) -> tuple[str, ...]:
    """The scores that can be taken, the usual one first."""
    before, truth = trial.before, trial.tried.truth
    if truth is None or np.isnan(truth).all():
        return ()
    if not before.classes:
        return _OF_NUMBERS
    two = before.numbers.shape[1] in {1, 2} and bool(np.isin(truth[~np.isnan(truth)], (0.0, 1.0)).all())
    # A truth of numbers is compared with labels that are numbers, or with the places of the greatest probabilities.
    labels = bool(before.numbers.shape[1]) or _is_number(before)
    return (*(_OF_PROBABILITIES if two else ()), *(("accuracy",) if labels else ()))


def _is_number(given: Answers) -> bool:
    return given.labels is not None and given.labels.dtype.kind in "biuf"


def _score(metric: str, given: Answers, trial: Trial) -> float | None:
    if not metric or trial.tried.truth is None:
        return None
    known = ~np.isnan(trial.tried.truth)
    value = METRICS[metric](trial.tried.truth[known], _scored(metric, given)[known])
    return value if np.isfinite(value) else None


def _scored(metric: str, given: Answers) -> Floats:
    """What the score is of: the last class's probability, the label, or the number."""
    if metric != "accuracy":
        return given.numbers[:, -1]
    labels = given.labels if given.labels is not None and _is_number(given) else given.numbers.argmax(axis=1)
    return labels.astype(np.float64)
