"""Fewer points: never more than asked for, always the extremes, exact when there are few."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charkh.runs.history import Curve
from charkh.runs.thinning import thin

VALUES = st.lists(st.floats(allow_infinity=True, allow_nan=True, width=32), min_size=1, max_size=300)


def curve_of(values: list[float]) -> Curve:
    steps = np.arange(len(values), dtype=np.int64)
    return Curve("k", "", "0", steps, steps.astype(float), np.array(values), steps * 0)


@given(VALUES, st.integers(4, 60))
def test_the_extremes_the_first_and_the_last_stay(values: list[float], most: int) -> None:
    curve = curve_of(values)
    found = thin(curve, most)
    assert len(found) <= most
    assert (found.steps[0], found.steps[-1]) == (0, len(values) - 1)
    steps: list[int] = found.steps.tolist()
    kept: list[float] = found.values.tolist()
    assert sorted(set(steps)) == steps
    assert all(str(values[step]) == str(value) for step, value in zip(steps, kept, strict=True))
    known = [value for value in values if not math.isnan(value)]
    if known:
        assert {min(known), max(known)} <= set(kept)
    if len(values) <= most:
        assert found is curve
