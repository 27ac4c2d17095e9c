"""Attacks on a model whose nearest turning point is known exactly."""

import numpy as np
import polars as pl
import pytest

from charkh.core.metrics import Floats
from charkh.core.stability_settings import AttackTest
from charkh.evaluations.stability.trial import spread_of
from unit.evaluations.stability.models import classes, logit, numbers, rows, tried
from unit.evaluations.stability.test_exact import made


def nearest(frame: pl.DataFrame) -> Floats:
    """The greatest move of a column that turns each row of the linear model, in robust standard deviations."""
    return np.abs(logit(frame)) / (2 * spread_of(frame["x"]) + 0.1 * spread_of(frame["z"]))


@pytest.mark.parametrize("budget", [0.1, 0.5])
def test_the_search_finds_what_there_is_and_nothing_else(budget: float) -> None:
    frame = rows(200)
    exact = float(np.mean(nearest(frame) <= budget))
    found = made(AttackTest(budget=budget, rows=200, queries=100), tried(rows=frame))
    assert found.result.value is not None
    assert 0.9 * exact - 0.01 <= found.result.value <= exact + 1e-9
    for witness in found.witnesses:
        assert witness.moved >= nearest(frame)[witness.row] - 1e-9


def test_a_model_of_labels_alone_is_attacked_by_chance() -> None:
    labels = classes()
    found = made(AttackTest(budget=0.5, rows=100), tried(lambda frame: {"predict": labels(frame)["predict"]}))
    assert found.result.value is not None
    assert 0 < found.result.value <= float(np.mean(nearest(rows().head(100)) <= 0.5)) + 0.02


def test_whole_numbers_move_by_whole_steps_within_the_budget() -> None:
    frame = rows(100)
    ask = classes(lambda given: (given["hour"] - 12).to_numpy() + 0.5)
    near = made(AttackTest(columns=("hour",), budget=0.01, rows=100), tried(ask, rows=frame))
    assert near.result.value == 0
    far = made(AttackTest(columns=("hour",), budget=1.0, rows=100), tried(ask, rows=frame))
    assert far.result.value is not None
    assert far.result.value > 0
    assert all(isinstance(each.changed["hour"], int) for each in far.witnesses)


def test_missing_values_stay_missing() -> None:
    frame = rows(50).with_columns(z=pl.when(pl.col("hour") > 11).then(pl.col("z")))
    found = made(AttackTest(budget=2.0, rows=50, queries=30), tried(rows=frame, optional=frozenset({"z"})))
    assert found.result.outcome == "failed"
    assert all((each.given["z"] is None) == (each.changed["z"] is None) for each in found.witnesses)


def test_who_tells_no_classes_or_has_no_numbers_is_not_attacked() -> None:
    assert made(AttackTest(), tried(numbers())).result.outcome == "skipped"
    frame = rows().select("origin")
    assert (
        made(AttackTest(), tried(classes(lambda given: np.zeros(given.height)), rows=frame)).result.outcome == "skipped"
    )


def test_hop_skip_jump_turns_rows_near_the_boundary() -> None:
    frame = rows(5).drop("origin", "hour")
    near = nearest(frame)
    state = np.random.get_state()[1]
    found = made(
        AttackTest(attack="hopskipjump", budget=float(np.median(near) * 1.5), rows=5, queries=200), tried(rows=frame)
    )
    assert found.result.value is not None
    assert 0 < found.result.value <= float(np.mean(near <= np.median(near) * 1.5))
    assert np.array_equal(state, np.random.get_state()[1])
