"""What has gaps: arrays with a NaN, of every kind of number, length and layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from charkh.core.gaps import has_gaps

FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


@given(st.data(), FLOATS, st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_it_says_what_looking_at_each_says(data: st.DataObject, dtype: type, shape: tuple[int, int]) -> None:
    array = data.draw(arrays(dtype, shape))
    for layout in (array, array.T, array[::2]):
        assert has_gaps(layout) == np.isnan(layout).any()


@pytest.mark.parametrize("size", [3, 4096, 4097, 100_000])
def test_the_greatest_numbers_are_no_gaps(size: int) -> None:
    numbers = np.full(size, np.finfo(np.float64).max)
    numbers[::2] = np.inf
    numbers[1::4] = -np.inf
    assert not has_gaps(numbers)
    numbers[size // 2] = np.nan
    assert has_gaps(numbers)
