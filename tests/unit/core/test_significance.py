"""Tail probabilities against tabulated values, and against their own definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.significance import (
    adjust,
    chi_square_tail,
    kolmogorov_tail,
    normal_tails,
    poisson_tail,
    shares_differ,
)


@pytest.mark.parametrize(
    ("value", "degrees", "tail"),
    [(3.841459, 1, 0.05), (16.918978, 9, 0.05), (21.665994, 9, 0.01), (67.504807, 50, 0.05), (0.0, 3, 1.0)],
)
def test_chi_square_as_tabulated(value: float, degrees: int, tail: float) -> None:
    assert chi_square_tail(value, degrees) == pytest.approx(tail, rel=1e-5)


@given(st.integers(1, 60), st.floats(0.01, 300))
def test_chi_square_of_even_degrees_is_a_poisson_sum(half: int, value: float) -> None:
    """Q(k, x) = e^-x (1 + x + … + x^(k-1)/(k-1)!)."""
    x = value / 2
    exact = math.fsum(math.exp(-x + n * math.log(x) - math.lgamma(n + 1)) for n in range(half))
    assert chi_square_tail(value, 2 * half) == pytest.approx(exact, rel=1e-9, abs=1e-13)


@given(st.integers(1, 200), st.floats(0.01, 200))
def test_poisson_as_its_sum(count: int, mean: float) -> None:
    below = math.fsum(math.exp(-mean + n * math.log(mean) - math.lgamma(n + 1)) for n in range(count))
    assert poisson_tail(count, mean) == pytest.approx(1 - below, abs=1e-11)


def test_the_edges() -> None:
    assert chi_square_tail(10.0, 0) == 1.0
    assert chi_square_tail(1e5, 3) == 0.0
    assert poisson_tail(0, 1.0) == 1.0
    assert poisson_tail(3, 0.0) == 0.0
    assert normal_tails(1.959964) == pytest.approx(0.05, rel=1e-5)
    assert shares_differ(0, 10, 0, 10) == 1.0
    assert shares_differ(10, 10, 10, 10) == 1.0


def test_kolmogorov_as_tabulated() -> None:
    """The asymptotic 5 % point is λ = 1.3581 (Smirnov 1948)."""
    rows = 1_000_000
    distance = 1.3581 / math.sqrt(rows / 2)
    assert kolmogorov_tail(distance, rows, rows) == pytest.approx(0.05, abs=2e-4)
    assert kolmogorov_tail(0.0, 10, 10) == 1.0
    assert kolmogorov_tail(1.0, 100, 100) < 1e-40


def test_benjamini_and_hochbergs_own_example() -> None:
    """Table 1 of their paper (1995): of 15 p-values, four are discoveries at 0.05."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert int((adjust(np.array(p)) <= 0.05).sum()) == 4


@given(st.lists(st.floats(0, 1), max_size=20))
def test_adjusting_keeps_the_order_and_never_makes_smaller(p: list[float]) -> None:
    values = np.array(p)
    adjusted = adjust(values)
    assert len(adjusted) == len(p)
    assert (adjusted >= values).all()
    assert (adjusted <= 1).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
