"""Performance by day of prediction says how much of its truth is there; lags have quantiles; nothing grows but days."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.metrics import METRICS
from charkh.monitors.lateness import DAY, LateTruth

NOW = 100 * DAY


def test_metrics_of_a_day_are_those_of_all_its_rows_at_once() -> None:
    draw = np.random.default_rng(1)
    score, day = draw.random(4000), draw.integers(90, 94, 4000)
    truth = (draw.random(4000) < score) * 1.0
    known = np.where(draw.random(4000) < (day - 88) / 8, truth, np.nan)
    at = day * DAY + draw.random(4000) * DAY
    counted = LateTruth(NOW, within=7 * DAY)
    for some in np.array_split(draw.permutation(4000), 7):
        counted.add(at[some], score[some], known[some], at[some] + draw.exponential(DAY, len(some)))
    found = counted.found()
    assert [each.settled for each in found.days] == [True, True, True, False]
    for each, number in zip(found.days, range(90, 94), strict=True):
        mine = (day == number) & np.isfinite(known)
        assert (each.predictions, each.matched) == (int((day == number).sum()), int(mine.sum()))
        assert each.metrics["auc"] == pytest.approx(METRICS["auc"](truth[mine], score[mine]), abs=2e-3)
        assert each.metrics["brier"] == pytest.approx(METRICS["brier"](truth[mine], score[mine]))
        assert each.metrics["log_loss"] == pytest.approx(METRICS["log_loss"](truth[mine], score[mine]))
    complete = found.facts()["truth.complete"]
    settled = [each for each in found.days if each.settled]
    assert complete == sum(each.matched for each in settled) / sum(each.predictions for each in settled)


@given(st.lists(st.floats(0.01, 1e7), min_size=1, max_size=60))
def test_quantiles_of_the_lag_are_within_a_hundredth(lags: list[float]) -> None:
    counted = LateTruth(NOW)
    at = np.full(len(lags), 10 * DAY)
    counted.add(at, np.ones(len(lags)), np.ones(len(lags)), at + np.array(lags))
    for name, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        exact = float(np.quantile(lags, share, method="inverted_cdf"))
        assert counted.found().lags[name] == pytest.approx(exact, rel=0.0102, abs=1e-5)


def test_numbers_are_scored_by_distance_and_few_rows_not_at_all() -> None:
    counted = LateTruth(NOW)
    at = np.full(30, 10.5 * DAY)
    counted.add(at, np.arange(30.0), np.arange(30.0) + 2, at)
    counted.add(at[:5] + DAY, np.ones(5), np.full(5, np.nan), np.full(5, np.nan))
    first, second = counted.found().days
    assert first.metrics == {"rmse": 2.0, "mae": 2.0}
    assert (second.metrics, second.complete) == ({}, 0.0)
