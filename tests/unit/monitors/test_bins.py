"""The bins of values are those that a search among the edges gives, wherever values and edges lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.monitors.sketches.bins import FEW, PIECE, Bins
from charkh.monitors.sketches.numbers import empty_numbers

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NEAR = st.floats(0.9999, 1.0001) | st.floats(-1e-30, 1e-30) | st.sampled_from([0.0, -0.0, 5e-324, -5e-324])


def bins_between(edges: list[float]) -> tuple[Bins, np.ndarray, float, float]:
    """Bins between these edges, as a sketch has them."""
    at = np.unique(np.array(edges, np.float64))
    sketch = empty_numbers(at)
    return Bins(at, sketch.center, sketch.unit), at, sketch.center, sketch.unit


def neighbours(edges: np.ndarray) -> np.ndarray:
    """The edges, and what lies just below and above them."""
    with np.errstate(over="ignore"):
        around = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), -edges])
    return around[np.isfinite(around)]


@given(st.lists(NUMBERS | NEAR, max_size=40), st.lists(NUMBERS | NEAR, max_size=40))
def test_each_value_lies_where_a_search_finds_it(edges: list[float], values: list[float]) -> None:
    bins, at, center, unit = bins_between(edges)
    some = np.concatenate([np.array(values, np.float64), neighbours(at)])
    counted = bins.count(some)
    found = np.searchsorted(at, some, "left")
    assert counted.sizes.tolist() == np.bincount(found, minlength=len(at) + 1).tolist()
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (some - center) / unit
        np.testing.assert_array_equal(counted.sums, np.bincount(found, scaled, len(at) + 1))
        np.testing.assert_allclose(counted.squares, np.square(scaled).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    "edges",
    [
        pytest.param(np.linspace(1e6, 1e6 + 1e-3, 500), id="close to each other, far from zero"),
        pytest.param(np.concatenate([np.arange(FEW + 1) * 1e-12, [1e6]]), id="more than a few that round to the same"),
        pytest.param(np.concatenate([np.arange(FEW) * 1e-12, [1e6]]), id="a few that round to the same"),
        pytest.param(np.array([-1.7e308, 1.7e308]), id="the greatest numbers"),
        pytest.param(np.array([]), id="none"),
    ],
)
def test_edges_that_lie_oddly(edges: np.ndarray) -> None:
    bins, at, *_ = bins_between(edges.tolist())
    random = np.random.default_rng(1)
    low, high = (at[0], at[-1]) if len(at) else (-1.0, 1.0)
    some = np.concatenate([low + random.random(PIECE - 4 * len(at)) * (high / 2 - low / 2), neighbours(at)])
    expected = np.bincount(np.searchsorted(at, some, "left"), minlength=len(at) + 1)
    assert bins.count(some).sizes.tolist() == expected.tolist()
