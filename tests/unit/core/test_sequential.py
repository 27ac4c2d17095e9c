"""Tests that may be looked at at any moment: how often they err, what they find, and when they keep silent."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.sequential import Sums, compare, judge, observe

Draw = Callable[[np.random.Generator, int], npt.NDArray[Any]]

STREAMS: dict[str, Draw] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "even": lambda rng, rows: (rng.random(rows) < 0.5) * 1.0,
    "rare": lambda rng, rows: (rng.random(rows) < 0.02) * 1.0,
    "skewed": lambda rng, rows: rng.exponential(size=rows),
}


def first_look_that_decides(
    values: npt.NDArray[Any], is_candidate: npt.NDArray[Any], every: int = 10, confidence: float = 0.95
) -> str:
    """What the test says when somebody looks after every `every` observations and stops at the first answer."""
    sums = [
        [np.cumsum(mask), np.cumsum(np.where(mask, values, 0)), np.cumsum(np.where(mask, values * values, 0))]
        for mask in (~is_candidate, is_candidate)
    ]
    for row in range(every - 1, len(values), every):
        champion, candidate = (Sums(int(count[row]), float(t[row]), float(s[row])) for count, t, s in sums)
        said = judge(compare(champion, candidate, confidence=confidence))
        if said != "undecided":
            return said
    return "undecided"


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("name", list(STREAMS))
def test_equal_streams_are_told_apart_no_more_often_than_promised(name: str, share: float) -> None:
    rng, trials, rows = np.random.default_rng(20), 150, 2000
    wrong = sum(
        first_look_that_decides(STREAMS[name](rng, rows), rng.random(rows) < share) != "undecided"
        for _ in range(trials)
    )
    # 0.05 is promised for ever; three standard errors of the simulation are allowed beside it.
    assert wrong / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_a_test_of_one_look_that_is_looked_at_often_does_err() -> None:
    """What the other is for: the usual z-test at the same moments tells equal streams apart again and again."""
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(100):
        one, other = np.cumsum(rng.normal(size=(2, 1000)), axis=1)
        counts = np.arange(1, 1001)
        wrong += bool((np.abs(one - other) / np.sqrt(2 * counts) > 1.96)[99::5].any())
    assert wrong / 100 > 0.15


def test_a_difference_is_found_and_its_direction_is_right() -> None:
    rng = np.random.default_rng(5)
    found: list[str] = []
    for _ in range(40):
        is_candidate = rng.random(4000) < 0.5
        values = (rng.random(4000) < np.where(is_candidate, 0.58, 0.5)) * 1.0
        found.append(first_look_that_decides(values, is_candidate))
    assert found.count("better") >= 36
    assert "worse" not in found


def test_little_says_nothing() -> None:
    few, many = observe([0.0, 1.0] * 20), observe([0.0, 1.0] * 500)
    for pair in ((few, many), (many, few), (Sums(), Sums()), (observe([2.0] * 500), observe([2.0] * 500))):
        said = compare(*pair)
        assert (said.lower, said.upper, said.p) == (-math.inf, math.inf, 1.0)
        assert judge(said) == "undecided"


def test_less_is_better_turns_the_answer_round_and_a_margin_forgives() -> None:
    rng = np.random.default_rng(1)
    slow, fast = observe(list(rng.normal(2.0, 0.1, 800))), observe(list(rng.normal(1.0, 0.1, 800)))
    assert judge(compare(slow, fast), greater_is_better=False) == "better"
    assert judge(compare(fast, slow), greater_is_better=False) == "worse"
    assert judge(compare(fast, slow), greater_is_better=False, margin=1.5) == "no_worse"
    same = observe(list(rng.normal(1.0, 0.1, 5000)))
    assert judge(compare(fast, same), margin=0.05) == "no_worse"


values = st.lists(st.floats(-1e3, 1e3), max_size=40)


@given(values, values)
def test_sums_add_up_in_any_order(one: list[float], other: list[float]) -> None:
    whole, parts = observe(one + other), observe(other) + observe(one)
    assert whole.count == parts.count
    assert whole.total == pytest.approx(parts.total, abs=1e-6)
    assert whole.squares == pytest.approx(parts.squares, rel=1e-9, abs=1e-6)


def test_streams_without_a_failure_are_compared_by_what_any_share_may_vary() -> None:
    said = compare(Sums(5000, 0.0, 0.0), Sums(5000, 0.0, 0.0))
    assert said.difference == 0.0
    assert 0.0 < said.upper < 0.05
    assert judge(said, greater_is_better=False, margin=0.05) == "no_worse"
    assert judge(said, greater_is_better=False) == "undecided"
