"""Estimates without truth: they recover what the truth shows, within their intervals, also when the inputs shift."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.core.metrics import roc_auc
from charkh.monitors.estimated.calibration import Way, fit
from charkh.monitors.estimated.classification import calibrate, estimate
from charkh.monitors.estimated.estimate import estimated
from charkh.monitors.estimated.regression import estimate_errors, learn_errors
from charkh.monitors.estimated.scores import edges_of, sketch_scores

Floats = npt.NDArray[np.float64]


def sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


def binary(
    count: int, random: np.random.Generator, *, middle: float = 0.0, width: float = 1.0
) -> tuple[Floats, Floats]:
    """Scores of a model that is twice too sure and biased, and what happened."""
    x = random.normal(middle, width, count)
    return sigmoid(3 * x - 0.5), (random.random(count) < sigmoid(1.5 * x - 1)).astype(np.float64)


@pytest.mark.parametrize(("middle", "width"), [(0.0, 1.0), (0.8, 0.7), (-0.5, 1.4)])
def test_realised_metrics_lie_in_the_intervals_with_and_without_a_shift_of_the_inputs(
    middle: float, width: float
) -> None:
    inside = {"auc": 0, "accuracy": 0, "rate": 0}
    errors = list[float]()
    for seed in range(30):
        random = np.random.default_rng(seed)
        known = calibrate(*binary(2500, random), rounds=80, seed=seed)
        scores, truth = binary(1200, random, middle=middle, width=width)
        bands = estimate(known, known.sketch(scores))
        real = {"auc": roc_auc(truth, scores), "accuracy": ((scores >= 0.5) == truth).mean(), "rate": truth.mean()}
        for name, value in real.items():
            inside[name] += bands[name].low <= value <= bands[name].high
        errors.append(bands["auc"].value - real["auc"])
    # 30 looks at 95 %: 25 or fewer have a probability of 1.6 %; a shift extrapolates, which is less certain.
    assert min(inside.values()) >= 24
    assert abs(float(np.mean(errors))) < 0.01


def test_a_shift_that_makes_the_task_harder_is_seen_where_uncalibrated_scores_see_none() -> None:
    random = np.random.default_rng(1)
    known = calibrate(*binary(5000, random))
    scores, truth = binary(5000, random, width=0.3)
    band = estimate(known, known.sketch(scores))["auc"]
    assert known.realised["auc"] - band.value > 0.1
    assert band.low <= roc_auc(truth, scores) <= band.high
    assert known.realised["auc"] == pytest.approx(known.expected["auc"], abs=0.02)


def test_days_make_the_interval_wider_than_rows_alone() -> None:
    random = np.random.default_rng(2)
    day = np.repeat(np.arange(40), 100)
    x = random.normal(0, 1, 4000)
    score = sigmoid(x)
    truth = (random.random(4000) < sigmoid(x + np.repeat(random.normal(0, 1, 40), 100))).astype(np.float64)
    alone, blocked = calibrate(score, truth), calibrate(score, truth, day)
    bands = [estimate(known, known.sketch(score[:1000]))["rate"] for known in (alone, blocked)]
    assert bands[1].high - bands[1].low > 2 * (bands[0].high - bands[0].low)


def test_intervals_hold_where_rows_of_a_day_share_what_made_them() -> None:
    inside = {"blocked": 0, "alone": 0}
    for seed in range(30):
        random = np.random.default_rng(seed)
        x, day = random.normal(0, 1, 2500), np.repeat(np.arange(50), 50)
        shared = np.repeat(random.normal(0, 0.7, 50), 50)
        truth = (random.random(2500) < sigmoid(1.5 * x + shared)).astype(np.float64)
        known, live = slice(0, 2000), slice(2000, 2500)
        for name, blocks in (("blocked", day[known]), ("alone", None)):
            learned = calibrate(sigmoid(2 * x[known]), truth[known], blocks, rounds=80, seed=seed)
            band = estimate(learned, learned.sketch(sigmoid(2 * x[live])))["rate"]
            inside[name] += band.low <= truth[live].mean() <= band.high
    assert inside["blocked"] >= 25
    assert inside["alone"] < 25, "as if rows were independent"


def test_sketches_of_batches_add_up() -> None:
    random = np.random.default_rng(3)
    known = calibrate(*binary(1000, random), rounds=10)
    scores = random.random(999)
    whole, parts = known.sketch(scores), known.sketch(scores[:333]) + known.sketch(scores[333:])
    assert parts.counts == whole.counts
    np.testing.assert_allclose(parts.sums, whole.sums)
    np.testing.assert_allclose(parts.squares, whole.squares)
    assert whole.rows == 999
    with pytest.raises(Invalid, match="other edges"):
        _ = whole + sketch_scores(scores, edges_of(scores, 0.3))


def test_scores_where_the_reference_has_none_are_said() -> None:
    random = np.random.default_rng(3)
    known = calibrate(0.4 + 0.2 * random.random(500), (random.random(500) < 0.5).astype(np.float64), rounds=5)
    assert known.sketch(np.array([0.1, 0.5, 0.5, 0.9, np.nan])).outside == 0.5
    assert known.sketch(np.array([0.1, np.nan])).rows == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1)), min_size=1, max_size=30))
def test_isotonic_pools_are_monotone_and_keep_the_mean(bins: list[tuple[int, float]]) -> None:
    rows = np.array([count for count, _ in bins], np.float64)
    hits = np.array([round(count * share) for count, share in bins], np.float64)
    scores = np.arange(len(bins), dtype=np.float64)
    known = fit(Way("isotonic"), scores, rows, hits, probable=False)
    assert (np.diff(known.values) > 0).all()
    assert (np.diff(known.knots) > 0).all()
    assert ((known.values >= 0) & (known.values <= 1)).all()
    # The pools are the nearest monotone shares: each scores its own mean, so all of them score the mean of all.
    pools = np.array([hits.sum() / rows.sum()]) if len(known.values) == 1 else known.values
    assert pools.min() <= hits.sum() / rows.sum() <= pools.max()


def test_platt_recovers_a_sigmoid() -> None:
    random = np.random.default_rng(5)
    line = np.linspace(-3, 3, 60)
    rows = np.full(60, 4000.0)
    hits = random.binomial(4000, sigmoid(0.7 * line - 0.4)).astype(np.float64)
    known = fit(Way("platt"), line, rows, hits, probable=False)
    assert known.slope == pytest.approx(0.7, abs=0.03)
    assert known.offset == pytest.approx(-0.4, abs=0.03)


def bumps(count: int, random: np.random.Generator, middle: float = 0.0, width: float = 1.0) -> tuple[Floats, Floats]:
    """Scores of a model that is in places surer of what happens more rarely."""
    x = random.normal(middle, width, count)
    return sigmoid(1.5 * x), (random.random(count) < sigmoid(1.5 * x + np.sin(4 * x))).astype(np.float64)


def test_where_what_happens_falls_while_the_score_rises_the_calibration_falls_too() -> None:
    errors = list[float]()
    for seed in range(6):
        random = np.random.default_rng(seed)
        known = calibrate(*bumps(8000, random), rounds=5)
        assert known.calibration.method == "spline"
        at = np.array([0.5, 1.2])
        assert np.diff(known.calibration(sigmoid(1.5 * at)))[0] < -0.02, "1.5 x + sin 4 x falls by 0.9 there"
        scores, truth = bumps(8000, random, 0.8, 0.6)
        errors.append(abs(estimate(known, known.sketch(scores))["auc"].value - roc_auc(truth, scores)))
    assert np.mean(errors) < 0.015, "0.035 with isotonic regression, which can only rise"


def test_a_spline_goes_on_straight_where_the_reference_had_no_scores() -> None:
    line = np.linspace(-2, 2, 80)
    rows = np.full(80, 5000.0)
    hits = np.random.default_rng(5).binomial(5000, sigmoid(0.8 * line - 0.3)).astype(np.float64)
    known = fit(Way("spline", 3.0), line, rows, hits, probable=False)
    far = np.array([-3.0, 3.0, 4.0])
    np.testing.assert_allclose(known(far), sigmoid(0.8 * far - 0.3), atol=0.03)


@pytest.mark.parametrize("hits", [0.0, 1.0, 40.0])
def test_a_spline_of_a_single_score_is_its_share(hits: float) -> None:
    known = fit(Way("spline", 0.3), np.array([0.3]), np.array([40.0]), np.array([hits]), probable=True)
    assert known(np.array([0.0, 0.3, 1.0])) == pytest.approx(np.full(3, hits / 40), abs=0.05)


def test_separable_classes_are_calibrated_to_something_finite() -> None:
    scores = np.concatenate([np.linspace(0, 0.4, 100), np.linspace(0.6, 1, 100)])
    known = calibrate(scores, (scores > 0.5).astype(np.float64), rounds=10)
    band = estimate(known, known.sketch(scores))["auc"]
    assert 0.98 < band.low <= band.value <= band.high <= 1.0


def numbers(count: int, random: np.random.Generator, middle: float = 0.0) -> tuple[pl.DataFrame, Floats, Floats]:
    """Errors that grow with a column in one group, and are small in the other."""
    x, group = random.normal(middle, 1, count), random.choice(["a", "b"], count)
    spread = np.where(group == "a", 0.3 + np.abs(x), 0.2)
    return pl.DataFrame({"x": x, "group": group}), 2 * x, 2 * x + spread * random.normal(0, 1, count)


def test_errors_of_numbers_are_recovered_also_where_they_grow() -> None:
    inside = 0
    for seed in range(6):
        random = np.random.default_rng(seed)
        rows, guess, truth = numbers(2000, random)
        known = learn_errors(rows, guess, truth)
        for middle in (0.0, 1.0):
            rows, guess, truth = numbers(800, random, middle)
            band = estimate_errors(known, known.sums(rows, guess))["mae"]
            real = np.abs(truth - guess).mean()
            assert band.value == pytest.approx(real, rel=0.12)
            inside += band.low <= real <= band.high
    assert inside >= 10


def test_sums_of_expected_errors_add_up() -> None:
    rows, guess, truth = numbers(600, np.random.default_rng(1))
    known = learn_errors(rows, guess, truth)
    halves = known.sums(rows[:100], guess[:100]).plus(known.sums(rows[100:], guess[100:]))
    assert estimate_errors(known, halves)["rmse"].value == pytest.approx(
        estimate_errors(known, known.sums(rows, guess))["rmse"].value
    )


def test_estimates_are_facts_beside_what_the_reference_realised() -> None:
    random = np.random.default_rng(8)
    score, late = binary(2000, random)
    reference = pl.DataFrame({"score": score, "late": late > 0, "day": np.arange(2000) // 50})
    live = pl.DataFrame({"score": binary(1000, random, middle=0.5)[0]})
    found = estimated(reference, live, target="late", score="score", block="day")
    assert (found.method, found.rows, found.reference_rows, found.refused) == ("cbpe", 1000, 2000, "")
    facts = found.facts()
    assert {"estimated.auc", "estimated.auc.low", "estimated.auc.high", "estimated.accuracy"} <= set(facts)
    assert found.realised["auc"] == pytest.approx(roc_auc(late, score), abs=0.005)
    assert found.metrics["brier"] > 0
    lazy = estimated(reference, live.lazy(), target="late", score="score", block="day")
    assert lazy.metrics["auc"] == pytest.approx(found.metrics["auc"])


def test_the_last_value_of_a_list_of_two_is_the_positive_class() -> None:
    random = np.random.default_rng(8)
    score, late = binary(800, random)
    plain = pl.DataFrame({"score": score, "late": late})
    both = plain.with_columns(pl.concat_list(1 - pl.col("score"), "score").alias("score"))
    named = both.with_columns(pl.col("late").replace_strict({0.0: "in time", 1.0: "late"}))
    classes = ["in time", "late"]
    first = estimated(plain, plain, target="late", score="score")
    assert estimated(both, both, target="late", score="score") == first
    assert estimated(named, named, target="late", score="score", classes=classes) == first


def test_of_several_classes_accuracy_and_the_mean_auc_are_recovered() -> None:
    random = np.random.default_rng(4)

    def draw(count: int, middle: float) -> tuple[pl.DataFrame, Floats, Any]:
        logits = random.normal(0, 1, (count, 3)) + np.array([middle, 0, 0])
        real = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        sure = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
        label = (real.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
        names = np.array(["bee", "cat", "dog"])[label]
        return pl.DataFrame({"kind": names, "score": sure.tolist()}), sure, label

    reference, _, _ = draw(4000, 0.0)
    live, sure, label = draw(2000, 0.4)
    found = estimated(reference, live.drop("kind"), target="kind", score="score").metrics
    right = float((sure.argmax(axis=1) == label).mean())
    macro = float(np.mean([roc_auc(label == each, sure[:, each]) for each in range(3)]))
    assert found["accuracy.low"] <= right <= found["accuracy.high"]
    assert found["auc.low"] <= macro <= found["auc.high"]


def test_a_label_that_the_model_does_not_know_counts_as_wrong() -> None:
    random = np.random.default_rng(8)
    logits = random.normal(0, 1, (1500, 3))
    sure = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = np.array(["bee", "cat", "dog"])[sure.argmax(axis=1)]
    right = pl.DataFrame({"kind": label, "score": sure.tolist()})
    half = right.with_columns(kind=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("elk")).otherwise("kind"))
    classes = ["bee", "cat", "dog"]
    assert estimated(right, right, target="kind", score="score", classes=classes).metrics["accuracy"] > 0.98
    found = estimated(half, right, target="kind", score="score", classes=classes).metrics["accuracy"]
    assert found == pytest.approx(0.5, abs=0.05)


def test_numbers_are_estimated_from_their_inputs() -> None:
    random = np.random.default_rng(6)
    rows, guess, truth = numbers(1500, random)
    reference = rows.with_columns(pl.Series("predict", guess), pl.Series("price", truth))
    live, guess, truth = numbers(600, random, 1.0)
    found = estimated(
        reference,
        live.with_columns(pl.Series("predict", guess)),
        target="price",
        score="predict",
        columns=["x", "group"],
    )
    assert found.method == "dle"
    assert found.metrics["mae"] == pytest.approx(np.abs(truth - guess).mean(), rel=0.15)
    assert found.metrics["mae"] > found.realised["mae"] * 1.1
    assert found.realised["mae"] == pytest.approx(found.expected["mae"], rel=0.1)


def test_what_cannot_be_estimated_has_a_reason() -> None:
    random = np.random.default_rng(8)
    score, late = binary(300, random)
    rows = pl.DataFrame({"score": score, "late": late})
    assert "fewer than 200" in estimated(rows[:50], rows, target="late", score="score").refused
    assert "rarest class" in estimated(rows.with_columns(late=0), rows, target="late", score="score").refused
    empty = estimated(rows, rows.with_columns(score=pl.lit(None, pl.Float64)), target="late", score="score")
    assert empty.refused == "no live row has a score"
    assert empty.facts() == {}
    with pytest.raises(Invalid, match="no column 'day'"):
        estimated(rows, rows, target="late", score="score", block="day")
    with pytest.raises(Invalid, match="the score 'kind' is String"):
        estimated(rows.with_columns(kind=pl.lit("a")), rows, target="late", score="kind")
    three = rows.with_columns(score=pl.concat_list("score", "score", "score"), late=pl.lit("a"))
    assert "1 classes and the score 3" in estimated(three, three, target="late", score="score").refused
    with pytest.raises(Invalid, match="2 classes and the score 3"):
        estimated(three, three, target="late", score="score", classes=["a", "b"])


def test_segments_have_estimates_of_their_own() -> None:
    random = np.random.default_rng(8)
    score, late = binary(3000, random)
    easy, hard = binary(500, random, width=2.0), binary(400, random, width=0.2)
    live = pl.DataFrame(
        {"score": np.concatenate([easy[0], hard[0], [0.5]]), "port": ["east"] * 500 + ["west"] * 400 + ["north"]}
    )
    found = estimated(
        pl.DataFrame({"score": score, "late": late}), live, target="late", score="score", segments=["port"]
    )
    assert set(found.segments) == {"port=east", "port=west"}
    assert found.segments["port=east"]["auc"] > found.segments["port=west"]["auc"] + 0.2
    assert found.facts()["slice(port=west).estimated.auc"] == found.segments["port=west"]["auc"]
    batches = [live[:300], live[300:]]
    assert estimated(
        pl.DataFrame({"score": score, "late": late}), lambda: batches, target="late", score="score", segments=["port"]
    ).segments["port=west"]["auc"] == pytest.approx(found.segments["port=west"]["auc"])


def test_a_segment_in_which_the_model_is_wrong_is_estimated_from_its_own_rows() -> None:
    random = np.random.default_rng(8)

    def draw(count: int, turned: str) -> pl.DataFrame:
        score, late = binary(count, random)
        port = random.choice(["east", "west", "north"], count, p=[0.4, 0.4, 0.2])
        return pl.DataFrame({"score": score, "late": np.where(port == turned, 1 - late, late), "port": port})

    reference, live = draw(3000, "west"), draw(2000, "west")
    found = estimated(reference, live.drop("late"), target="late", score="score", segments=["port"])
    for (port,), part in live.group_by("port"):
        metrics = found.segments[f"port={port}"]
        assert metrics["auc.low"] <= roc_auc(part["late"].to_numpy(), part["score"].to_numpy()) <= metrics["auc.high"]
    alike, live = draw(3000, "nowhere"), draw(2000, "nowhere").drop("late")
    ask = {"target": "late", "score": "score", "segments": ["port"]}
    without = estimated(alike.drop("port"), live, **ask)  # type: ignore[arg-type]
    assert estimated(alike, live, **ask).segments == without.segments, "all rows say as much and are more"  # type: ignore[arg-type]


def test_gaps_in_scores_are_left_out() -> None:
    random = np.random.default_rng(8)
    score, late = binary(800, random)
    rows = pl.DataFrame({"score": score, "late": late})
    gaps = pl.DataFrame({"score": [None, float("nan")], "late": [1.0, 0.0]}, schema=rows.schema)
    assert estimated(pl.concat([rows, gaps]), rows, target="late", score="score") == estimated(
        rows, rows, target="late", score="score"
    )
    lists = rows.with_columns(pl.concat_list(1 - pl.col("score"), "score").alias("score"))
    short = pl.DataFrame({"score": [None, [0.3]], "late": [1.0, 0.0]}, schema=lists.schema)
    assert estimated(pl.concat([lists, short]), lists, target="late", score="score") == estimated(
        lists, lists, target="late", score="score"
    )
