"""Inputs that are a little off, missing, in another unit, or never seen; and versions trained again."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.stability_settings import ChurnTest, MissingTest, NoiseTest, ScaleTest, UnseenTest
from charkh.evaluations.stability.trial import replaced, spread_of
from unit.evaluations.stability.models import classes, logit, numbers, rows, tried
from unit.evaluations.stability.test_exact import made


def test_little_noise_changes_few_labels_and_much_noise_many() -> None:
    little, much = (made(NoiseTest(scale=scale), tried()) for scale in (0.01, 2.0))
    assert (little.result.outcome, much.result.outcome) == ("passed", "failed")
    assert little.result.value is not None
    assert much.result.low is not None
    assert little.result.value < much.result.low


def test_noise_leaves_what_is_no_number_alone() -> None:
    found = made(NoiseTest(scale=2.0), tried())
    assert found.witnesses
    assert set(found.witnesses[0].given) == {"x", "z", "hour"}
    assert all(isinstance(each.changed["hour"], int) for each in found.witnesses)


def test_a_regression_moves_in_standard_deviations() -> None:
    big = numbers(lambda frame: 1e9 * logit(frame))
    small, large = (made(NoiseTest(scale=0.02), tried(ask)) for ask in (numbers(), big))
    assert small.result.value == large.result.value


def test_only_what_may_be_missing_goes_missing() -> None:
    assert made(MissingTest(), tried()).result.outcome == "skipped"
    found = made(MissingTest(share=1.0, failures=0.0), tried(optional=frozenset({"x"})))
    assert found.result.outcome == "failed"
    assert {each.changed["x"] for each in found.witnesses} == {None}


def test_a_unit_by_mistake_must_give_sound_answers() -> None:
    assert made(ScaleTest(), tried()).result.outcome == "passed"
    brittle = numbers(lambda frame: frame["z"].to_numpy() ** 3 / (np.abs(frame["z"].to_numpy()) < 1000))
    with np.errstate(divide="ignore"):
        found = made(ScaleTest(columns=("z",)), tried(brittle))
    assert (found.result.outcome, found.result.note) == ("broken", "an output is not finite")


def test_a_text_that_nobody_has_seen_must_give_sound_answers() -> None:
    assert made(UnseenTest(), tried()).result.outcome == "passed"

    def strict(frame: pl.DataFrame) -> np.ndarray:
        return np.array([{"JFK": 1.0, "EWR": 0.0}[origin] for origin in frame["origin"]])

    assert made(UnseenTest(), tried(numbers(strict))).result.outcome == "broken"


def test_churn_is_the_mean_over_versions_that_can_answer() -> None:
    others = {
        "m@1": classes(),
        "m@2": classes(lambda frame: -logit(frame)),
        "m@3": numbers(),
        "m@4": classes(lambda frame: frame["gone"].to_numpy()),
    }
    found = made(ChurnTest(), tried(others=others))
    assert found.result.value == pytest.approx(0.5)
    assert "without m@3, m@4" in found.result.note
    assert {"m@1": 0.0, "m@2": 1.0}.items() <= found.lines.items()
    assert made(ChurnTest(), tried()).result.outcome == "skipped"


@given(
    st.sampled_from([pl.Int8, pl.UInt8, pl.Int32, pl.Int64, pl.UInt64]),
    st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), min_size=1, max_size=5),
)
def test_changed_whole_numbers_stay_whole_numbers_of_their_type(dtype: type[pl.DataType], values: list[float]) -> None:
    frame = pl.DataFrame({"a": pl.Series([1] * len(values), dtype=dtype)})
    changed = replaced(frame, "a", pl.Series(values, dtype=pl.Float64))
    assert changed.schema == frame.schema
    gone = [value is None or np.isnan(value) for value in values]
    assert changed["a"].is_null().to_list() == gone


def test_the_spread_is_of_quartiles_and_else_the_deviation() -> None:
    normal = pl.Series(np.random.default_rng(0).normal(5, 3, 20_000))
    assert spread_of(normal) == pytest.approx(3, rel=0.05)
    assert spread_of(pl.concat([normal, pl.Series([1e9])])) == pytest.approx(3, rel=0.05)
    assert spread_of(pl.Series([0.0] * 90 + [1.0] * 10)) == pytest.approx(0.3)
    assert spread_of(pl.Series([4, 4, None])) == 0
    assert spread_of(rows()["origin"].cast(pl.Float64, strict=False)) == 0
