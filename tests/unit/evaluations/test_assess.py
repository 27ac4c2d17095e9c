"""What an assessment finds in columns of truth and predictions."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core import metrics
from charkh.core.errors import Invalid
from charkh.evaluations.assess import Assessment, assess
from charkh.evaluations.calibration import calibration_of, wilson
from charkh.evaluations.evaluation import MAX_SLICE_VALUES, Score, SliceScores
from charkh.evaluations.measure import Drawing
from charkh.evaluations.spread import by_block
from charkh.evaluations.threshold import curves, operating_point

FAST = Drawing(rounds=200)


def world(rows: int = 600, seed: int = 1) -> dict[str, Any]:
    """Days with weather of their own, two origins, a good model and a worse one."""
    generator = np.random.default_rng(seed)
    day = np.arange(rows) * 30 // rows
    signal = generator.normal(size=rows) + generator.normal(size=30)[day]
    truth = (generator.random(rows) < 1 / (1 + np.exp(-signal))).astype(int)
    return {
        "truth": truth,
        "good": 1 / (1 + np.exp(-signal)),
        "poor": 1 / (1 + np.exp(-signal - 3 * generator.normal(size=rows))),
        "day": [date(2013, 6, 1) + timedelta(days=int(number)) for number in day],
        "origin": np.where(generator.random(rows) < 0.5, "JFK", "EWR"),
    }


def scored(found: Assessment, metric: str) -> Score:
    return next(score for score in found.details.scores if score.metric == metric)


def sliced(found: Assessment, value: str) -> SliceScores:
    return next(part for part in found.details.slices if part.value == value)


def test_the_usual_metrics_of_two_classes_with_intervals() -> None:
    data = world()
    found = assess(data["truth"], data["good"], blocks=data["day"], drawing=FAST)
    assert [score.metric for score in found.details.scores] == ["auc", "log_loss", "brier"]
    auc = scored(found, "auc")
    assert auc.value == pytest.approx(metrics.roc_auc(data["truth"], data["good"]))
    assert auc.low is not None and auc.high is not None and auc.value is not None and auc.std is not None
    assert auc.low < auc.value < auc.high
    assert 0 < auc.std < auc.high - auc.low
    assert found.facts["auc"] == auc.value
    assert found.facts["auc.low"] == auc.low
    assert found.facts["rows"] == 600
    assert found.details.notes == ()


def test_blocks_widen_the_interval_where_rows_of_a_day_share_their_weather() -> None:
    generator = np.random.default_rng(3)
    day = np.repeat(np.arange(40), 50)
    truth = (generator.random(2000) < np.repeat(generator.random(40), 50)).astype(int)
    constant = np.full(2000, 0.5)
    by_day = scored(assess(truth, constant, metrics=("accuracy",), blocks=day, drawing=FAST), "accuracy")
    by_row = scored(assess(truth, constant, metrics=("accuracy",), drawing=FAST), "accuracy")
    assert by_day.std is not None and by_row.std is not None
    assert by_day.std > 3 * by_row.std
    assert by_row.std == pytest.approx(np.sqrt(truth.mean() * (1 - truth.mean()) / 2000), rel=0.25)


def test_rows_without_blocks_are_said_to_be_independent() -> None:
    data = world()
    found = assess(data["truth"], data["good"], drawing=FAST)
    assert any("independent" in note for note in found.details.notes)
    assert found.details.blocks == ()


def test_few_blocks_are_said_to_be_few() -> None:
    data = world()
    found = assess(data["truth"], data["good"], blocks=np.arange(600) % 4, drawing=FAST)
    assert any("only 4 blocks" in note for note in found.details.notes)


def test_equal_seeds_give_equal_numbers() -> None:
    data = world()
    first, second = (assess(data["truth"], data["good"], drawing=FAST) for _ in range(2))
    assert first.facts == second.facts
    assert assess(data["truth"], data["good"], drawing=FAST._replace(seed=5)).facts["auc.low"] != first.facts["auc.low"]


def test_the_order_and_the_kind_of_columns_do_not_matter() -> None:
    data = world()
    arrays = assess(data["truth"], data["good"], blocks=data["day"], drawing=FAST)
    series = assess(
        pl.Series(data["truth"]).cast(pl.Boolean), pl.Series(data["good"]), blocks=pl.Series(data["day"]), drawing=FAST
    )
    lists = assess(data["truth"].tolist(), data["good"].tolist(), blocks=list(data["day"]), drawing=FAST)
    assert arrays.facts == series.facts == lists.facts
    order = np.random.default_rng(0).permutation(600)
    mixed = assess(
        data["truth"][order], data["good"][order], blocks=[data["day"][place] for place in order], drawing=FAST
    )
    assert mixed.facts == pytest.approx(arrays.facts)


def test_the_champion_is_compared_on_the_same_rows_and_draws() -> None:
    data = world()
    found = assess(data["truth"], data["good"], champion=data["poor"], blocks=data["day"], drawing=FAST)
    auc = found.details.comparisons[0]
    assert auc.fact == "auc"
    assert auc.candidate is not None and auc.champion is not None and auc.low is not None
    assert auc.champion == pytest.approx(metrics.roc_auc(data["truth"], data["poor"]))
    assert auc.difference == pytest.approx(auc.candidate - auc.champion)
    assert auc.low > 0
    assert auc.win_probability == 1.0
    assert found.facts["auc.win_probability"] == 1.0
    loss = found.details.comparisons[1]
    assert loss.metric == "log_loss"
    assert loss.difference is not None and loss.difference < 0
    assert loss.win_probability == 1.0


def test_a_champion_that_predicts_the_same_neither_wins_nor_loses() -> None:
    data = world()
    found = assess(data["truth"], data["good"], champion=data["good"], drawing=FAST)
    assert {comparison.win_probability for comparison in found.details.comparisons} == {0.5}
    assert {comparison.difference for comparison in found.details.comparisons} == {0.0}


def test_slices_are_scored_and_published_as_gates_read_them() -> None:
    data = world()
    found = assess(data["truth"], data["good"], champion=data["poor"], slices={"origin": data["origin"]}, drawing=FAST)
    jfk = data["origin"] == "JFK"
    expected = metrics.roc_auc(data["truth"][jfk], data["good"][jfk])
    assert found.facts["slice(origin=JFK).auc"] == pytest.approx(expected)
    assert found.facts["slice(origin=JFK).rows"] == int(jfk.sum())
    assert "slice(origin=JFK).auc.low" in found.facts
    names = ("auc", "log_loss", "brier")
    assert [comparison.fact for comparison in found.published_comparisons] == [
        *names,
        *(f"slice(origin={part.value}).{name}" for part in found.details.slices for name in names),
    ]


def test_a_small_slice_is_reported_but_publishes_nothing() -> None:
    data = world()
    origin = data["origin"].copy()
    origin[:30] = "LGA"
    found = assess(
        data["truth"], data["good"], champion=data["poor"], slices={"origin": origin}, drawing=FAST, min_rows=100
    )
    small = sliced(found, "LGA")
    assert small.rows == 30
    assert not small.published
    assert "fewer than 100" in small.reason
    assert small.scores[0].value is not None
    assert not any("LGA" in name for name in found.facts)
    assert not any("LGA" in comparison.fact for comparison in found.published_comparisons)
    assert any("1 of 3 slices" in note for note in found.details.notes)


def test_a_slice_with_too_few_of_a_class_publishes_nothing() -> None:
    truth = np.array([1] * 3 + [0] * 197 + [0, 1] * 100)
    group = ["rare"] * 200 + ["even"] * 200
    found = assess(truth, np.linspace(0, 1, 400), slices={"group": group}, drawing=FAST)
    assert not sliced(found, "rare").published
    assert "one class" in sliced(found, "rare").reason
    assert sliced(found, "even").published


def test_values_of_a_slice_are_bounded_text() -> None:
    data = world()
    group = ["x" * 500, "two\nlines", None, "api_key=sk-abcdefghijklmnopqrstuvwxyz123456"] * 150
    found = assess(data["truth"], data["good"], slices={"group": group}, drawing=FAST, min_rows=1)
    values = {part.value for part in found.details.slices}
    assert "(missing)" in values
    assert "two lines" in values
    assert max(map(len, values)) == 60
    assert not any("abcdefghij" in value for value in values)


def test_only_the_most_frequent_values_are_scored() -> None:
    data = world()
    group = np.minimum(np.arange(600) // 2, 120)
    found = assess(data["truth"], data["good"], slices={"group": group}, drawing=FAST)
    assert len(found.details.slices) == MAX_SLICE_VALUES
    assert found.details.slices[0].value == "120"
    assert any("121 values" in note for note in found.details.notes)
    with pytest.raises(Invalid, match="different values"):
        assess(np.tile([0, 1], 1000), np.linspace(0, 1, 2000), slices={"id": np.arange(2000)}, drawing=FAST)


def test_rows_without_truth_are_left_out_and_counted() -> None:
    data = world()
    truth = [None if place % 10 == 0 else int(value) for place, value in enumerate(data["truth"])]
    found = assess(truth, data["good"], blocks=data["day"], slices={"origin": data["origin"]}, drawing=FAST)
    assert found.sample.left_out == 60
    assert found.facts["rows"] == 540
    assert any("60 rows" in note for note in found.details.notes)
    keep = np.arange(600) % 10 != 0
    assert found.facts["auc"] == pytest.approx(metrics.roc_auc(data["truth"][keep], data["good"][keep]))
    assert sum(part.rows for part in found.details.slices) == 540


def test_a_regression_has_metrics_of_its_own() -> None:
    truth = np.linspace(0, 10, 100)
    found = assess(truth, truth + 1, champion=truth + 2, drawing=FAST)
    assert found.details.task == "regression"
    assert found.facts["mae"] == pytest.approx(1.0)
    assert found.facts["rmse.win_probability"] == 1.0
    assert found.details.calibration is None
    assert found.details.operating is None
    assert "precision" not in found.facts


def test_a_truth_of_one_class_leaves_gaps_instead_of_numbers() -> None:
    found = assess(np.zeros(50), np.linspace(0, 1, 50), metrics=("auc", "brier"), drawing=FAST)
    assert scored(found, "auc") == Score(metric="auc", value=None)
    assert "auc" not in found.facts
    assert "brier" in found.facts
    assert found.details.roc == ()


BAD: list[tuple[Sequence[Any] | npt.NDArray[Any], Sequence[Any] | npt.NDArray[Any], dict[str, Any], str]] = [
    ([0, 1], [0.1], {}, "1 predictions for 2"),
    ([0, 1], [0.1, None], {}, "are missing"),
    ([None, None], [0.1, 0.2], {}, "none of the 2 rows"),
    (["a", "b"], [0.1, 0.2], {}, "column of numbers"),
    ([0, 1], [0.1, 3.0], {}, "outside 0 to 1"),
    ([0, 1], [0.1, 0.3], {"champion": [5.0, 0.1]}, "champion lie outside"),
    ([0, 1], [0.1, 0.3], {"metrics": ("auc", "rmse")}, "two classes"),
    ([0, 1], [0.1, 0.3], {"metrics": ("aux",)}, "no metric"),
    ([0, 2], [0.1, 0.3], {"metrics": ("auc",)}, "0 or 1"),
    ([0, 1], [0.1, 0.3], {"blocks": ["a", None]}, "no block"),
    ([0, 1], [0.1, 0.3], {"blocks": ["a"]}, "1 blocks for 2"),
    ([0, 1], [0.1, 0.3], {"slices": {"x": [1]}}, "values of x"),
    ([0, 1], [0.1, 0.3], {"slices": {str(name): [1, 2] for name in range(30)}}, "30 slice columns"),
    ([0, 1], [0.1, 0.3], {"drawing": Drawing(rounds=0)}, "rounds"),
    ([0, 1], [0.1, 0.3], {"drawing": Drawing(confidence=1.0)}, "confidence"),
]


@pytest.mark.parametrize(("truth", "scores", "more", "match"), BAD)
def test_what_does_not_fit_is_refused(truth: Any, scores: Any, more: dict[str, Any], match: str) -> None:
    with pytest.raises(Invalid, match=match):
        assess(truth, scores, **more)


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    found = assess([0, 1] * 20, [-3.0, 5.0] * 20, metrics=("auc",), drawing=FAST)
    assert found.details.calibration is None
    assert "ece" not in found.facts


def test_the_operating_point() -> None:
    truth = np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    point = operating_point(truth, np.array([0.9, 0.4, 0.6, 0.1, 0.5]), 0.5)
    assert (point.true_positives, point.false_positives, point.false_negatives, point.true_negatives) == (2, 1, 1, 1)
    assert point.precision == pytest.approx(2 / 3)
    assert point.recall == pytest.approx(2 / 3)
    assert point.specificity == 0.5
    assert point.f1 == pytest.approx(2 / 3)
    nobody = operating_point(truth, np.zeros(5), 0.5)
    assert nobody.precision is None
    assert nobody.recall == 0


def test_the_threshold_decides_the_accuracy() -> None:
    found = assess([0, 1, 1, 0], [0.1, 0.3, 0.4, 0.2], metrics=("accuracy",), drawing=Drawing(threshold=0.25))
    assert found.facts["accuracy"] == 1.0
    assert found.facts["recall"] == 1.0


def test_block_by_block() -> None:
    data = world()
    found = assess(data["truth"], data["good"], blocks=data["day"], drawing=FAST)
    assert len(found.details.blocks) == 30
    first = found.details.blocks[0]
    assert (first.block, first.rows) == ("2013-06-01", 20)
    assert first.value == pytest.approx(metrics.roc_auc(data["truth"][:20], data["good"][:20]))
    assert by_block(found.sample, "accuracy", 0.5)[0].value == pytest.approx(
        np.mean((data["good"][:20] >= 0.5) == data["truth"][:20])
    )


COLUMNS = st.lists(st.tuples(st.booleans(), st.integers(0, 8).map(lambda n: n / 8)), min_size=1, max_size=40)


@given(COLUMNS, st.integers(1, 12))
def test_the_parts_of_the_brier_score_add_up(rows: list[tuple[bool, float]], bins: int) -> None:
    truth, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = calibration_of(truth, scores, bins)
    assert sum(part.rows for part in found.bins) == len(rows)
    assert len(found.bins) <= bins
    predicted = [part.predicted for part in found.bins]
    assert predicted == sorted(predicted)
    binned = np.concatenate([np.full(part.rows, part.predicted) for part in found.bins])
    order = np.argsort(scores, kind="stable")
    parts = found.reliability - found.resolution + found.uncertainty
    assert parts == pytest.approx(metrics.brier(truth[order], binned), abs=1e-9)
    assert found.brier == pytest.approx(metrics.brier(truth, scores))
    assert 0 <= found.ece <= 1


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_wilson_interval_contains_the_share(hits: int, rows: int) -> None:
    share = min(hits, rows) / rows
    low, high = wilson(share, rows)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


@given(COLUMNS)
def test_the_area_under_the_roc_curve_is_the_auc(rows: list[tuple[bool, float]]) -> None:
    truth, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    roc, precision_recall = curves(truth, scores)
    if not 0 < truth.sum() < len(truth):
        assert roc == precision_recall == ()
        return
    x, y = (np.array(column) for column in zip(*roc, strict=True))
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    assert area == pytest.approx(metrics.roc_auc(truth, scores))
    assert roc[-1] == (1.0, 1.0)
    assert precision_recall[-1] == (1.0, pytest.approx(truth.mean()))


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=200, max_size=400))
def test_curves_stay_short(truth: list[bool]) -> None:
    roc, precision_recall = curves(np.array(truth, float), np.linspace(0, 1, len(truth)))
    assert len(roc) <= 101
    assert len(precision_recall) <= 100
