import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.core.metrics import (
    METRICS,
    accuracy,
    average_precision,
    block_bootstrap,
    brier,
    interval,
    log_loss,
    mae,
    paired_block_bootstrap,
    r2,
    rmse,
    roc_auc,
    win_probability,
)

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=25)


def _columns(rows):
    y, score, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return y, score, weights


@given(ROWS)
def test_auc_is_the_share_of_weighted_pairs_that_are_in_order(rows):
    y, score, weights = _columns(rows)
    won = pairs = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            weight = weights[i] * weights[j]
            pairs += weight
            won += weight * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    expected = won / pairs if pairs else math.nan
    assert roc_auc(y, score, weights) == pytest.approx(expected, nan_ok=True)


@given(ROWS)
def test_average_precision_is_the_sum_over_thresholds(rows):
    y, score, weights = _columns(rows)
    total, recall, area = float(weights @ y), 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        taken = weights * (score >= threshold)
        if taken.sum() and total:
            here = float(taken @ y) / total
            area += (here - recall) * float(taken @ y) / float(taken.sum())
            recall = here
    assert average_precision(y, score, weights) == pytest.approx(area if total else math.nan, nan_ok=True)


@given(ROWS, st.sampled_from(sorted(METRICS)))
def test_a_weight_counts_as_so_many_copies_of_the_row(rows, name):
    y, score, weights = _columns(rows)
    probability = (score + 4) / 8
    copies = np.repeat(np.arange(len(y)), weights.astype(int))
    weighted = METRICS[name](y, probability, weights)
    repeated = METRICS[name](y[copies], probability[copies])
    assert weighted == pytest.approx(repeated, nan_ok=True)


def test_known_values():
    y, p = np.array([1, 0, 1]), np.array([0.8, 0.4, 0.5])
    assert log_loss(y, p) == pytest.approx(-(math.log(0.8) + math.log(0.6) + math.log(0.5)) / 3)
    assert brier(y, p) == pytest.approx((0.04 + 0.16 + 0.25) / 3)
    assert accuracy(np.array(["a", "b"]), np.array(["a", "c"])) == 0.5
    assert rmse(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == pytest.approx(math.sqrt(2))
    assert mae(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 1.0
    assert r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])) == pytest.approx(0.5)
    assert math.isnan(r2(np.array([2.0, 2.0]), np.array([1.0, 3.0])))


def test_a_sure_and_wrong_probability_costs_a_finite_loss():
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-math.log(1e-15))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_resampling_equals_scoring_the_drawn_blocks_again(name):
    rng = np.random.default_rng(5)
    y, blocks = rng.integers(0, 2, 60), rng.integers(0, 6, 60)
    score = np.round(np.clip(rng.random(60) * 0.7 + 0.3 * y, 0.01, 0.99), 1)
    values = block_bootstrap(METRICS[name], y, score, blocks, rounds=40, seed=3)
    again = block_bootstrap(_plain(METRICS[name]), y, score, blocks, rounds=40, seed=3)
    np.testing.assert_allclose(values, again, rtol=1e-9, equal_nan=True)


def _plain(metric):
    def slow(y, score, weights=None):
        copies = np.repeat(np.arange(len(y)), weights.astype(int))
        return metric(y[copies], score[copies])

    return slow


@pytest.mark.parametrize("count", [40, 700])
def test_auc_over_few_and_many_blocks_takes_the_same_draws(count):
    rng = np.random.default_rng(8)
    y = rng.integers(0, 2, 1400)
    score = rng.random(1400) + 0.3 * y
    blocks = np.arange(1400) % count
    fast = block_bootstrap(roc_auc, y, score, blocks, rounds=5, seed=1)
    slow = block_bootstrap(_plain(roc_auc), y, score, blocks, rounds=5, seed=1)
    np.testing.assert_allclose(fast, slow)


def test_an_interval_over_blocks_is_wider_than_over_rows_when_rows_of_a_block_agree():
    rng = np.random.default_rng(2)
    days = np.repeat(np.arange(40), 50)
    day_effect = np.repeat(rng.random(40), 50)
    y = (rng.random(2000) < day_effect).astype(int)
    by_day = interval(block_bootstrap(brier, y, np.full(2000, 0.5) + 0.3 * (day_effect > 0.5), days, 500, 1))
    by_row = interval(block_bootstrap(brier, y, np.full(2000, 0.5) + 0.3 * (day_effect > 0.5), np.arange(2000), 500, 1))
    assert by_day.high - by_day.low > 1.3 * (by_row.high - by_row.low)


def test_a_paired_comparison_uses_the_same_draws_for_both():
    rng = np.random.default_rng(4)
    y, blocks = rng.integers(0, 2, 300), rng.integers(0, 10, 300)
    score = rng.random(300) + 0.4 * y
    same = paired_block_bootstrap(roc_auc, y, score, score, blocks, 50, 9)
    assert np.all(same == 0)
    assert win_probability(same) == 0.5
    better = paired_block_bootstrap(roc_auc, y, y + 0.1 * score, score, blocks, 50, 9)
    assert win_probability(better) == 1.0
    assert win_probability(better, lower_is_better=True) == 0.0


def test_a_draw_without_one_class_is_not_a_number_and_left_out_of_the_interval():
    values = block_bootstrap(roc_auc, np.array([1, 0]), np.array([0.9, 0.1]), np.array([0, 1]), 50, 0)
    assert np.isnan(values).any()
    assert interval(values) == (1.0, 1.0)
    assert all(math.isnan(side) for side in interval(np.array([math.nan])))
    assert math.isnan(win_probability(np.array([math.nan])))


def test_no_rows_have_no_score():
    empty = np.array([])
    assert all(math.isnan(metric(empty, empty)) for metric in METRICS.values())
    assert np.isnan(block_bootstrap(roc_auc, empty, empty, empty, 3)).all()


@pytest.mark.parametrize(
    ("metric", "y", "score", "code"),
    [
        (roc_auc, [0, 2], [0.1, 0.2], "metric.not_binary"),
        (roc_auc, [0, 1], [0.1], "metric.length"),
        (rmse, [0.0, math.nan], [0.1, 0.2], "metric.missing"),
        (mae, ["a", "b"], [0.1, 0.2], "metric.not_numbers"),
    ],
)
def test_wrong_columns_are_refused(metric, y, score, code):
    with pytest.raises(Invalid) as caught:
        metric(np.array(y), np.array(score))
    assert caught.value.code == code


def test_weights_and_blocks_must_have_a_value_for_each_row():
    y = np.array([0, 1])
    with pytest.raises(Invalid, match="1 weights for 2 rows"):
        roc_auc(y, y, np.array([1.0]))
    with pytest.raises(Invalid, match="1 blocks for 2 rows"):
        block_bootstrap(roc_auc, y, y, np.array([1]))
