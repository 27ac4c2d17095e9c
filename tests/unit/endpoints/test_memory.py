"""Who is let go when models are more than memory: an order that a simple model of it agrees with."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Unavailable
from charkh.endpoints.memory import GROWTH, Memory, Predict, Resident
from charkh.ports.runtimes import Tensors

X = {"x": np.array([1.0])}


def answers(inputs: Tensors) -> Tensors:
    return inputs


def made(memory: Memory, name: str, *, size: int = 1, pinned: bool = False) -> Resident:
    resident = Resident(memory, name, lambda: answers, size=size, pinned=pinned)
    memory.add(resident)
    return resident


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=6),
    pinned=st.sets(st.integers(0, 5)),
    budget=st.integers(1, 12),
    asked=st.lists(st.integers(0, 5), max_size=12),
)
def test_the_budget_holds_but_for_what_is_pinned_and_the_one_that_is_asked(
    sizes: list[int], pinned: set[int], budget: int, asked: list[int]
) -> None:
    memory = Memory(budget * GROWTH)
    residents = [made(memory, str(at), size=size, pinned=at in pinned) for at, size in enumerate(sizes)]
    order: list[int] = []
    for at in [*range(len(sizes)), *(each for each in asked if each < len(sizes))]:
        residents[at].hold()
        residents[at].predict(X)
        order = [each for each in order if each != at] + [at]
        held = {each for each, resident in enumerate(residents) if resident.is_held()}
        assert at in held
        assert {each for each in pinned if each in order} <= held
        idle = [each for each in order if each not in pinned and each != at]
        kept = [each for each in idle if each in held]
        taken = sum(sizes[each] for each in held)
        assert taken <= budget or not kept, "it is more than allowed where nobody else could be let go"
    memory.close()


def test_what_waits_for_a_rollback_goes_first() -> None:
    memory = Memory(2 * GROWTH)
    before, other, now = (made(memory, name) for name in ("before", "other", "now"))
    other.hold()
    before.hold()
    before.predict(X)
    before.standby = True
    now.hold()
    assert [each.is_held() for each in (before, other, now)] == [False, True, True]
    memory.close()


def test_two_that_are_asked_by_turns_both_answer() -> None:
    memory = Memory(GROWTH)
    pair = [made(memory, name) for name in ("a", "b")]
    answered = {"a": 0, "b": 0}
    deadline = time.monotonic() + 20
    while min(answered.values()) < 3 and time.monotonic() < deadline:
        for each in pair:
            try:
                each.predict(X)
                answered[each.name] += 1
            except Unavailable as error:
                assert error.code == "endpoint.loading"
        time.sleep(0.01)
    assert min(answered.values()) >= 3
    memory.close()


def test_what_nobody_has_any_more_is_counted_no_more() -> None:
    memory = Memory(2 * GROWTH)
    kept = made(memory, "kept")
    kept.hold()
    dropped = made(memory, "dropped", size=2)
    dropped.hold()
    del dropped
    kept.hold()
    made(memory, "another").hold()
    assert kept.is_held()
    memory.close()


def test_nobody_waits_for_a_load() -> None:
    memory = Memory(GROWTH)

    def slow() -> Predict:
        time.sleep(0.3)
        return answers

    resident = Resident(memory, "slow", slow)
    memory.add(resident)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="slow is being loaded"):
        resident.predict(X)
    assert not resident.is_held()
    while not resident.is_held() and time.monotonic() < began + 20:
        time.sleep(0.01)
    assert resident.predict(X) is X
    memory.close()
