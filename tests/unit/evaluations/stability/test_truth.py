"""What needs the truth: calibration and groups."""

import numpy as np
import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.core.stability_settings import CalibrationTest, FairnessTest
from charkh.evaluations.stability.fairness import newcombe
from unit.evaluations.stability.models import classes, drawn_truth, logit, numbers, rows, tried
from unit.evaluations.stability.test_exact import made


def test_a_calibrated_model_of_few_rows_passes_whatever_its_raw_error() -> None:
    found = made(CalibrationTest(ece=0.02), tried(truth=drawn_truth()))
    assert found.result.outcome == "passed"
    assert found.lines["ece"] > 0.02
    assert found.lines["chance"] == pytest.approx(found.lines["ece"], abs=0.02)


def test_an_overconfident_model_fails() -> None:
    bold = classes(lambda frame: 4 * logit(frame))
    assert made(CalibrationTest(), tried(bold, truth=drawn_truth())).result.outcome == "failed"


def test_calibration_of_many_classes_is_of_the_greatest_probability() -> None:
    random = np.random.default_rng(0)
    probability = random.dirichlet([1, 1, 1], 600)
    truth = np.array([random.choice(3, p=each) for each in probability]).astype(np.float64)
    found = made(CalibrationTest(), tried(lambda _frame: {"predict_proba": probability}, truth=truth))
    assert found.result.outcome == "passed"
    assert found.result.rows == 600


def test_calibration_needs_probabilities_and_the_truth() -> None:
    assert made(CalibrationTest(), tried()).result.outcome == "skipped"
    assert made(CalibrationTest(), tried(numbers(), truth=drawn_truth())).result.outcome == "skipped"
    unknown = np.full(600, np.nan)
    assert made(CalibrationTest(), tried(truth=unknown)).result.outcome == "skipped"


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """Newcombe (1998), table II, contrasts (a) and (g), method 10."""
    assert newcombe(56 / 70, 70, 48 / 80, 80, 1.959964) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(10 / 10, 10, 0 / 10, 10, 1.959964) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_groups_that_are_treated_alike_pass() -> None:
    found = made(FairnessTest(by=("origin",), measure="selection", gap=0.2, sure=True), tried())
    assert found.result.outcome == "passed"
    assert {group.group for group in found.groups} == {"origin=EWR", "origin=JFK"}


@pytest.mark.parametrize("measure", ["selection", "recall", "false_positives", "accuracy"])
def test_a_group_that_is_treated_otherwise_is_named(measure: str) -> None:
    biased = classes(lambda frame: logit(frame) + 4 * (frame["origin"] == "JFK").to_numpy())
    test = FairnessTest(by=("origin",), measure=measure)
    found = made(test, tried(biased, truth=drawn_truth()))
    assert found.result.outcome == "failed"
    assert {group.group for group in found.groups} == {"origin=JFK", "origin=EWR"}


def test_an_error_of_numbers_is_told_in_deviations_of_the_truth() -> None:
    off = numbers(lambda frame: logit(frame) + 5 * (frame["origin"] == "JFK").to_numpy())
    found = made(FairnessTest(by=("origin",), measure="error", gap=0.5), tried(off, truth=logit(rows())))
    assert found.result.outcome == "failed"
    assert found.result.value == pytest.approx(5 / np.std(logit(rows())), rel=1e-6)


def test_too_few_rows_judge_nobody() -> None:
    found = made(FairnessTest(by=("x",), measure="selection"), tried())
    assert found.result.outcome == "skipped"


def test_an_interval_that_reaches_beyond_the_gap_fails_only_who_must_be_sure() -> None:
    frame = rows(120)
    for sure, outcome in ((False, "passed"), (True, "failed")):
        test = FairnessTest(by=("origin",), measure="selection", gap=0.1, sure=sure, min_rows=20)
        found = made(test, tried(rows=frame))
        assert found.result.outcome == outcome
        assert "not sure" in found.result.note


def test_an_intersection_shows_what_single_columns_hide() -> None:
    count = np.arange(800)
    frame = pl.DataFrame({"x": np.zeros(800), "a": count % 2, "b": count // 2 % 2})
    crossed = classes(lambda given: np.where((given["a"] == given["b"]).to_numpy(), 3.0, -3.0))
    single = made(FairnessTest(by=("a", "b"), measure="selection"), tried(crossed, rows=frame))
    both = made(FairnessTest(by=("a", "b"), intersections=True, measure="selection"), tried(crossed, rows=frame))
    assert (single.result.outcome, both.result.outcome) == ("passed", "failed")
    assert both.groups[0].group in {f"a={a}, b={b}" for a in (0, 1) for b in (0, 1)}


def test_a_column_without_groups_is_an_error_of_the_suite() -> None:
    with pytest.raises(Invalid, match="which the rows lack"):
        made(FairnessTest(by=("nowhere",)), tried())


def test_missing_values_are_a_group() -> None:
    frame = rows().with_columns(origin=pl.when(pl.col("hour") > 11).then(pl.col("origin")))
    found = made(FairnessTest(by=("origin",), measure="selection"), tried(rows=frame))
    assert "origin=(missing)" in {group.group for group in found.groups}
