"""Student's t beside tabulated values, and what a few pairs can and cannot show."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.student import paired, quantile, spread, tails

NUMBERS = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),
    [(0.975, 1, 12.7062), (0.975, 4, 2.77645), (0.95, 10, 1.81246), (0.995, 30, 2.75), (0.975, 1000, 1.96234)],
)
def test_quantiles_are_those_of_the_tables(probability: float, degrees: int, value: float) -> None:
    assert quantile(probability, degrees) == pytest.approx(value, rel=1e-5)
    assert tails(value, degrees) == pytest.approx(2 * (1 - probability), rel=1e-4)


def test_tails_of_one_degree_are_those_of_cauchy() -> None:
    for t in (0.0, 0.1, 1.0, 7.0):
        assert tails(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi)


@given(st.lists(NUMBERS, min_size=2, max_size=20))
def test_an_interval_lies_around_the_mean(values: list[float]) -> None:
    told = spread(values)
    slack = 1e-6 * (1 + max(map(abs, values)))
    assert told.least - slack <= told.mean <= told.most + slack
    assert told.low - slack <= told.mean <= told.high + slack
    assert told.n == len(values)


def test_one_value_has_no_interval() -> None:
    told = spread([3.0])
    assert (told.n, told.mean) == (1, 3.0)
    assert math.isnan(told.sd)
    assert math.isnan(told.low)


def test_few_pairs_are_counted_exactly() -> None:
    told = paired([(1, 2), (2, 4), (3, 4.5)])
    assert (told.n, told.wins, told.p, told.least_p) == (3, 3, 0.25, 0.25)
    assert paired([(float(n), n + 1.0) for n in range(6)]).p == 2 / 64
    assert paired([(1, 1), (2, 2)]).p == 1.0
    assert paired([(0, 1), (0, -1)]).p == 1.0
    assert paired([(0.0, 1.0)]).p == 1.0


def test_many_pairs_are_taken_as_near_normal() -> None:
    pairs = [(0.0, 1.0 + (-1) ** number) for number in range(20)]
    told = paired(pairs)
    error = math.sqrt(20 / 19) / math.sqrt(20)
    assert told.p == pytest.approx(tails(1 / error, 19))
    assert paired([(1.0, 2.0)] * 20).p == 0.0
    assert paired([(1.0, 1.0)] * 20).p == 1.0
