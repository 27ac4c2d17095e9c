"""Predictions meet their late truth; what cannot be known is not reported."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.core.metrics import roc_auc
from charkh.monitors.performance import Enough, performance

BEGIN = datetime(2013, 4, 1, tzinfo=UTC)


def flights(count: int = 1000, seed: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions whose score knows something, and the truth of the first 80 %, a day later."""
    random = np.random.default_rng(seed)
    late = random.random(count) < 0.25
    live = pl.DataFrame(
        {
            "flight": np.arange(count),
            "score": np.clip(late * 0.3 + random.random(count) * 0.7, 0, 1),
            "origin": random.choice(["EWR", "JFK"], count),
            "day": np.arange(count) * 20 // count,
            "time": [BEGIN + timedelta(minutes=int(minute)) for minute in range(count)],
        }
    )
    truth = live.select("flight", late=pl.Series(late), known=pl.col("time") + pl.duration(days=1))
    return live, truth.head(count * 8 // 10)


def scored(live: pl.DataFrame, truth: pl.DataFrame, **more: Any) -> Any:
    return performance(live, truth, **{"key": "flight", "target": "late", "score": "score", **more})


def test_coverage_lag_and_auc_with_its_interval() -> None:
    live, truth = flights()
    found = scored(live, truth, block="day", predicted_at="time", known_at="known", segments=["origin"])
    assert (found.predictions, found.matched, found.coverage) == (1000, 800, 0.8)
    assert found.lag == 86400.0
    joined = live.join(truth, on="flight")
    exact = roc_auc(joined["late"].to_numpy(), joined["score"].to_numpy())
    assert found.metrics["auc"] == pytest.approx(exact)
    assert found.metrics["auc.low"] < exact < found.metrics["auc.high"]
    assert {"log_loss", "brier", "brier.low"} <= found.metrics.keys()
    assert set(found.segments) == {"origin=EWR", "origin=JFK"}
    newark = joined.filter(pl.col("origin") == "EWR")
    assert found.segments["origin=EWR"]["auc"] == pytest.approx(
        roc_auc(newark["late"].to_numpy(), newark["score"].to_numpy())
    )
    assert found.refused == {}


def test_without_blocks_rows_are_drawn() -> None:
    live, truth = flights()
    found = scored(live, truth)
    assert found.metrics["auc.low"] < found.metrics["auc"] < found.metrics["auc.high"]
    assert found.lag is None


def test_too_little_truth_is_a_reason_and_no_number() -> None:
    live, truth = flights()
    few = scored(live, truth.head(100))
    assert (few.metrics, few.refused) == ({}, {"metrics": "100 rows with truth are fewer than 200"})
    assert few.coverage == 0.1
    one_class = scored(live, truth.with_columns(late=pl.lit(False)))
    assert one_class.refused == {"metrics": "0 rows of the rarer class are fewer than 20"}
    days = scored(live, truth, block="day", enough=Enough(blocks=30))
    assert "auc" in days.metrics
    assert "auc.low" not in days.metrics
    assert "16 blocks" in days.refused["intervals"]
    segments = scored(live, truth, segments=["origin"], enough=Enough(rows=500))
    assert segments.segments == {}
    assert "fewer than 500" in segments.refused["origin=EWR"]
    nothing = scored(live, truth.head(0))
    assert (nothing.matched, nothing.coverage) == (0, 0.0)
    assert scored(live.head(0), truth).coverage == 0.0


def test_of_rows_with_one_key_the_last_counts() -> None:
    live, truth = flights()
    twice = pl.concat([live.with_columns(score=pl.lit(0.5)), live])
    corrected = pl.concat([truth.with_columns(late=~pl.col("late")), truth])
    found = scored(twice, corrected)
    assert found.metrics == scored(live, truth).metrics
    assert found.truth_repeated == 800


def test_rows_without_key_score_or_truth_are_left_out() -> None:
    live, truth = flights()
    gaps = live.with_columns(
        flight=pl.when(pl.col("flight") < 10).then(None).otherwise("flight"),
        score=pl.when(pl.col("flight") < 30).then(float("nan")).otherwise("score"),
    )
    known = truth.with_columns(late=pl.when(pl.col("flight") < 50).then(None).otherwise("late"))
    found = scored(gaps, known)
    assert (found.predictions, found.matched) == (990, 750)


def test_a_probability_of_each_class_is_taken_by_its_last() -> None:
    live, truth = flights()
    pairs = live.with_columns(pl.concat_list(1 - pl.col("score"), "score").alias("score"))
    arrays = pairs.with_columns(pl.col("score").list.to_array(2))
    assert scored(pairs, truth).metrics == scored(arrays, truth).metrics == scored(live, truth).metrics


def test_a_number_is_scored_by_its_error() -> None:
    live, truth = flights()
    minutes = truth.with_columns(late=pl.col("flight") * 0.5)
    found = scored(live.with_columns(score=pl.col("flight") * 0.5 + 2), minutes)
    assert found.metrics["mae"] == pytest.approx(2)
    assert found.metrics["rmse.low"] == pytest.approx(2)
    assert "auc" not in found.metrics


def test_scores_that_are_no_probabilities_have_no_log_loss() -> None:
    live, truth = flights()
    found = scored(live.with_columns(score=pl.col("score") * 10), truth)
    assert {name.partition(".")[0] for name in found.metrics} == {"auc"}


def test_a_target_that_the_predictions_have_too_is_the_truths() -> None:
    live, truth = flights()
    confused = live.with_columns(late=pl.lit(True))
    assert scored(confused, truth).metrics == scored(live, truth).metrics


def test_several_columns_may_be_the_key() -> None:
    live, truth = flights()
    both = truth.join(live.select("flight", "origin"), on="flight")
    assert scored(live, both, key=["flight", "origin"]).metrics == scored(live, truth).metrics


@pytest.mark.parametrize(
    "more", [{"key": "x"}, {"target": "x"}, {"score": "x"}, {"block": "x"}, {"segments": ["x"]}, {"target": "known"}]
)
def test_what_is_not_there_is_named(more: dict[str, Any]) -> None:
    live, truth = flights()
    with pytest.raises(Invalid, match=r"no column 'x'|target"):
        scored(live, truth, **more)
