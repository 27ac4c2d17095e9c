"""Trainings with other seeds and on other draws: how far they lie apart, and what they may."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.core.metrics import Floats
from charkh.core.stability_settings import RetrainTest, StabilitySettings, check_stability
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.subject import Ask, NoOccasion, Training, Tried, Unanswered
from unit.evaluations.stability.models import classes, drawn_truth, logit, numbers, rows, tried
from unit.evaluations.stability.test_exact import made

Train = Callable[[int, bool], Ask]


def shaky(scale: float) -> Train:
    """Trainings whose slope a seed moves by so much, and a draw by three times as much."""

    def train(seed: int, sampled: bool) -> Ask:
        push = scale * (3 if sampled else 1) * np.random.default_rng(seed).normal()
        return classes(lambda frame: logit(frame) + push)

    return train


def model(train: Train, reference: Ask | None = None, **more: Any) -> Tried:
    training = Training(how="a toy", reference=reference or classes(), train=train, note="it is a toy")
    return tried(training=lambda _test: training, **more)


def value(found: Found) -> float:
    assert found.result.value is not None
    return found.result.value


def test_what_a_seed_changes_and_what_a_draw_changes_are_told_apart() -> None:
    found = made(RetrainTest(seeds=4, samples=4), model(shaky(0.1), truth=drawn_truth()))
    assert found.result.outcome == "passed"
    assert "mean over 4 other seeds and 4 bootstrap samples" in found.result.measure
    churns = [found.lines[f"{sort} {number}"] for sort in ("seed", "sample") for number in range(1, 5)]
    assert value(found) == pytest.approx(np.mean(churns))
    assert 0 < found.lines["seeds"] < found.lines["samples"]
    scores = [found.lines[f"auc of {name}"] for name in ("seed 1", "sample 4")]
    assert all(0.5 < score < 1 for score in scores)
    assert "by a toy" in found.result.note
    assert "it is a toy" in found.result.note


def test_equal_seeds_of_a_suite_train_alike() -> None:
    first, second = (made(RetrainTest(), model(shaky(0.3))) for _ in range(2))
    assert first == second


def test_too_many_changed_labels_fail_and_their_worst_rows_are_shown() -> None:
    found = made(RetrainTest(failures=0.05), model(shaky(3.0)))
    assert found.result.outcome == "failed"
    assert found.witnesses
    assert found.witnesses[0].what.startswith("sample")


def scaled(sizes: Floats) -> Train:
    """Regressions that err by another factor each time, and never far from the last."""
    order = iter(sizes)

    def train(_seed: int, _sampled: bool) -> Ask:
        by = next(order)
        return numbers(lambda frame: logit(frame) * by)

    return train


@pytest.mark.parametrize(("spread", "outcome"), [(0.1, "failed"), (10.0, "passed"), (0.0, "passed")])
def test_the_score_may_spread_only_so_far_where_somebody_says_how_far(spread: float, outcome: str) -> None:
    sizes = np.array([0.5, 1.0, 1.5, 2.0])
    truth = logit(rows())
    training = Training(how="a toy", reference=numbers(), train=scaled(sizes))
    test = RetrainTest(seeds=4, samples=0, failures=1.0, spread=spread)
    found = made(test, tried(numbers(), truth=truth, training=lambda _test: training))
    errors = [0.0, *(float(np.sqrt(np.mean((truth * by - truth) ** 2))) for by in sizes)]
    assert found.lines["spread"] == pytest.approx(np.std(errors, ddof=1))
    assert found.result.outcome == outcome
    assert f"rmse {np.mean(errors):.4g}" in found.result.note


def test_the_spread_of_a_score_needs_the_truth_before_anything_is_trained() -> None:
    def train(_seed: int, _sampled: bool) -> Ask:
        raise AssertionError("nothing is to be trained")

    found = made(RetrainTest(spread=0.1), model(train))
    assert (found.result.outcome, "truth" in found.result.note) == ("skipped", True)


def test_the_same_training_is_the_reference_and_its_distance_from_the_version_is_told() -> None:
    other = classes(lambda frame: logit(frame) + 1)
    found = made(RetrainTest(), model(lambda _seed, _sampled: other, reference=other))
    assert value(found) == 0
    assert "the same training again already answers" in found.result.note
    assert "no seed changes any answer" in found.result.note


def test_trainings_end_with_the_time_and_the_first_is_always_done() -> None:
    def slow(seed: int, sampled: bool) -> Ask:
        time.sleep(0.02)
        return shaky(0.1)(seed, sampled)

    found = made(RetrainTest(seeds=50, samples=50, seconds=0.001), model(slow))
    assert "mean over 1 other seed" in found.result.measure
    assert "99 trainings were not done" in found.result.note


def failing(seed: int, sampled: bool) -> Ask:
    if sampled:
        raise Unanswered("the training raised ValueError", "row 7 holds 'secret'")
    return shaky(0.1)(seed, sampled)


def test_a_training_that_fails_is_counted_and_all_of_them_break_the_test() -> None:
    some = made(RetrainTest(), model(failing))
    assert "2 trainings were not done, 2 of them because the training raised ValueError" in some.result.note
    assert "secret" not in some.result.note
    none = made(RetrainTest(seeds=0), model(failing))
    assert (none.result.outcome, none.trouble) == ("broken", "row 7 holds 'secret'")


def test_a_training_that_answers_otherwise_than_the_model_breaks_it() -> None:
    found = made(RetrainTest(), model(lambda _seed, _sampled: numbers()))
    assert (found.result.outcome, found.result.note) == ("broken", "the outputs have another shape")


def test_where_nobody_knows_how_to_train_there_is_no_occasion() -> None:
    def unknown(_test: RetrainTest) -> Training:
        raise NoOccasion("no pipeline made it")

    def no_rows(seed: int, sampled: bool) -> Ask:
        if sampled:
            raise NoOccasion("no rows to draw")
        return shaky(0.1)(seed, sampled)

    assert made(RetrainTest(), tried()).result.outcome == "skipped"
    told = made(RetrainTest(), tried(training=unknown)).result
    assert (told.outcome, told.note) == ("skipped", "no pipeline made it")
    assert made(RetrainTest(seeds=0), model(no_rows)).result.note == "no rows to draw"
    assert "because no rows to draw" in made(RetrainTest(), model(no_rows)).result.note


def texts(frame: pl.DataFrame) -> dict[str, Any]:
    return {"predict": np.where(logit(frame) > 0, "late", "in time").astype(object)}


@pytest.mark.parametrize(
    ("ask", "truth", "metric"),
    [
        (classes(), drawn_truth(), "auc"),
        (classes(), drawn_truth() + 1, "accuracy"),
        (numbers(), drawn_truth(), "rmse"),
        (texts, drawn_truth(), ""),
        (classes(), np.full(len(rows()), np.nan), ""),
    ],
)
def test_the_usual_score_is_of_what_is_predicted_and_known(ask: Ask, truth: Floats, metric: str) -> None:
    found = made(RetrainTest(seeds=2), model(lambda _seed, _sampled: ask, reference=ask, ask=ask, truth=truth))
    assert (metric in found.lines) == bool(metric)
    assert {"auc", "accuracy", "rmse"} & set(found.lines) == ({metric} if metric else set())


def test_a_score_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(Invalid, match="names the metric 'auc'") as caught:
        made(RetrainTest(metric="auc"), model(shaky(0.1), ask=numbers(), truth=drawn_truth()))
    assert "rmse, mae, r2" in caught.value.hint
    chosen = made(RetrainTest(metric="brier"), model(shaky(0.1), truth=drawn_truth()))
    assert 0 < chosen.lines["brier"] < 0.3


@pytest.mark.parametrize(
    ("test", "key"),
    [
        (RetrainTest(seeds=0, samples=0), "seeds"),
        (RetrainTest(seeds=-1), "seeds"),
        (RetrainTest(seeds=90, samples=90), "seeds"),
        (RetrainTest(spread=-1), "spread"),
        (RetrainTest(seconds=0), "seconds"),
        (RetrainTest(failures=2), "failures"),
    ],
)
def test_what_has_no_meaning_is_refused(test: RetrainTest, key: str) -> None:
    with pytest.raises(Invalid, match=f"{key} must"):
        check_stability("delay", StabilitySettings(test={"it": test}))
