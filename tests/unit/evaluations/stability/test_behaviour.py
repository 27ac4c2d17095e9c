"""What should not matter, and what should push one way."""

import numpy as np
import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.core.stability_settings import DirectionTest, InvarianceTest
from unit.evaluations.stability.models import classes, logit, numbers, rows, tried
from unit.evaluations.stability.test_exact import made


def test_a_column_that_does_not_matter_may_change() -> None:
    assert made(InvarianceTest(columns=("origin", "hour")), tried()).result.outcome == "passed"
    assert made(InvarianceTest(columns=("origin",), values=("JFK", "LGA")), tried()).result.outcome == "passed"


def test_a_column_that_matters_is_found_with_its_rows() -> None:
    biased = classes(lambda frame: logit(frame) + 4 * (frame["origin"] == "JFK").to_numpy())
    found = made(InvarianceTest(columns=("origin",), values=("EWR", "JFK")), tried(biased))
    assert found.result.outcome == "failed"
    assert found.witnesses
    assert set(found.witnesses[0].given) == {"origin"}
    assert found.witnesses[0].given != found.witnesses[0].changed
    assert set(found.lines) == {"origin = EWR", "origin = JFK"}


def test_columns_that_belong_together_are_dealt_together() -> None:
    # Hours and origins are asked for only in pairs that are there, so a model that knows the pairs stays calm.
    frame = pl.DataFrame({"x": np.arange(100.0), "a": np.arange(100) % 5, "b": (np.arange(100) % 5) * 2})
    ask = numbers(lambda given: given["x"].to_numpy() + 1e6 * (given["b"] - 2 * given["a"]).to_numpy())
    assert made(InvarianceTest(columns=("a", "b")), tried(ask, rows=frame)).result.outcome == "passed"
    assert made(InvarianceTest(columns=("a",)), tried(ask, rows=frame)).result.outcome == "failed"


def test_two_columns_change_places() -> None:
    frame = rows().with_columns(home=pl.col("x"), away=pl.col("z"))
    fair = numbers(lambda given: (given["home"] + given["away"]).to_numpy())
    assert made(InvarianceTest(columns=("home", "away"), swap=True), tried(fair, rows=frame)).result.outcome == "passed"
    unfair = numbers(lambda given: (given["home"] - given["away"]).to_numpy())
    swapped = made(InvarianceTest(columns=("home", "away"), swap=True), tried(unfair, rows=frame))
    assert swapped.result.outcome == "failed"
    with pytest.raises(Invalid, match="swaps"):
        made(InvarianceTest(columns=("home", "origin"), swap=True), tried(fair, rows=frame))


@pytest.mark.parametrize(
    ("expect", "outcome"), [("up", "passed"), ("not_down", "passed"), ("down", "failed"), ("not_up", "failed")]
)
@pytest.mark.parametrize("ask", [classes(), numbers()], ids=["classes", "numbers"])
def test_a_push_goes_where_it_should(expect: str, outcome: str, ask: object) -> None:
    found = made(DirectionTest(column="x", add=0.5, expect=expect), tried(ask))
    assert found.result.outcome == outcome
    assert found.lines["mean_move"] > 0


def test_what_does_not_move_goes_neither_up_nor_down() -> None:
    outcomes = [
        made(DirectionTest(column="hour", add=1, expect=expect), tried()).result.outcome
        for expect in ("up", "down", "not_up", "not_down")
    ]
    assert outcomes == ["failed", "failed", "passed", "passed"]


def test_missing_values_have_nothing_to_push() -> None:
    frame = rows().with_columns(x=pl.when(pl.col("hour") > 11).then(pl.col("x")))
    found = made(DirectionTest(column="x", add=1, expect="up"), tried(rows=frame))
    assert found.result.outcome == "passed"
    assert "nothing to push" in found.result.note


def test_a_column_that_is_not_there_is_an_error_of_the_suite() -> None:
    with pytest.raises(Invalid, match="no input of"):
        made(InvarianceTest(columns=("nowhere",)), tried())
    with pytest.raises(Invalid, match="no input of numbers"):
        made(DirectionTest(column="origin", add=1), tried())
    with pytest.raises(Invalid, match="which is no Int64"):
        made(InvarianceTest(columns=("hour",), values=("noon",)), tried())
