"""What waits while a model is busy is asked together where that pays, and every request gets its own rows."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.endpoints.batching import KNOWN_AFTER, MAX_ROWS, Batched, Fit, Late, patience


class Clock:
    """Passes as models say."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Model:
    """Doubles its rows; takes `base` and `each` seconds of a clock; refuses what is negative.

    Attributes:
        until: what its calls wait for.
    """

    def __init__(self, clock: Clock, base: float = 0.0, each: float = 0.0) -> None:
        self.clock, self.base, self.each = clock, base, each
        self.until: Callable[[], bool] = lambda: True
        self.calls: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self._changed = threading.Condition()

    def __call__(self, inputs: Any) -> Any:
        rows = inputs["x"]
        with self._changed:
            self.calls.append(len(rows))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self._changed.notify_all()
            while not self.until():
                self._changed.wait(0.01)
            self.clock.now += self.base + self.each * len(rows)
            self.at_once -= 1
        if (rows < 0).any():
            raise Invalid("negative", code="model.input_misfit")
        return {"y": rows * 2}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("charkh.endpoints.batching.perf_counter", made)
    return made


def ask_all(batched: Batched, requests: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(max(1, len(requests))) as pool:
        return list(pool.map(lambda rows: _asked(batched, rows), requests))


def _asked(batched: Batched, rows: Any) -> Any:
    try:
        return batched({"x": np.asarray(rows)})["y"]
    except Invalid as error:
        return error


def test_what_waits_is_asked_together_and_answered_apart(clock: Clock) -> None:
    model = Model(clock, base=0.02)
    batched = Batched(model)
    model.until = lambda: batched.waiting == 78 or len(model.calls) > 1
    requests = [[number, number + 0.5] for number in range(40)]
    answers = ask_all(batched, requests)
    assert [answer.tolist() for answer in answers] == [[2 * a, 2 * b] for a, b in requests]
    assert model.calls == [2, 78]
    assert model.most_at_once == 1


def test_a_refused_row_refuses_its_own_request_alone(clock: Clock) -> None:
    model = Model(clock, base=0.01)
    batched = Batched(model)
    model.until = lambda: len(model.calls) > 1 or batched.waiting == 3
    answers = ask_all(batched, [[1.0], [-1.0], [2.0], [3.0]])
    assert model.calls[:2] == [1, 3]
    assert [isinstance(answer, Invalid) for answer in answers] == [False, True, False, False]
    assert [answer.tolist() for answer in (answers[0], answers[2], answers[3])] == [[2.0], [4.0], [6.0]]


def test_requests_of_other_types_or_shapes_are_never_mixed(clock: Clock) -> None:
    model = Model(clock, base=0.01)
    requests: list[Any] = [np.ones(1), np.ones((1, 2)), np.ones(1, np.float32), np.ones((2, 2)), np.ones(3, np.float32)]
    batched = Batched(model)
    model.until = lambda: len(model.calls) > 1 or batched.waiting > 0
    answers = ask_all(batched, requests)
    for answer, request in zip(answers, requests, strict=True):
        assert (answer.dtype, answer.shape) == (request.dtype, request.shape)


def test_as_many_calls_at_once_as_are_allowed(clock: Clock) -> None:
    model = Model(clock)
    batched = Batched(model, width=3)
    model.until = lambda: model.most_at_once == 3 and (batched.waiting == 9 or len(model.calls) > 3)
    ask_all(batched, [[1.0]] * 12)
    assert model.most_at_once == 3


def test_where_each_row_costs_the_most_requests_are_asked_one_by_one(clock: Clock) -> None:
    model = Model(clock, each=0.002)
    batched = Batched(model)
    for rows in (1, 2, 3, 4) * 3:
        batched({"x": np.ones(rows)})
    assert not batched.fit.pays(1)
    model.calls.clear()
    model.until = lambda: batched.waiting == 7 or len(model.calls) > 1
    ask_all(batched, [[1.0]] * 8)
    assert model.calls == [1] * 8


def test_a_model_that_breaks_breaks_for_everybody_who_asked_and_goes_on() -> None:
    broken = True

    def predict(inputs: Any) -> Any:
        time.sleep(0.005)
        if broken:
            raise ZeroDivisionError
        return {"y": inputs["x"]}

    batched = Batched(predict)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(batched, {"x": np.ones(1)}) for _ in range(6)]
        assert [type(each.exception()) for each in asked] == [ZeroDivisionError] * 6
    broken = False
    assert batched({"x": np.ones(2)})["y"].tolist() == [1.0, 1.0]


def test_an_answer_of_another_length_is_not_shared_out() -> None:
    def predict(inputs: Any) -> Any:
        time.sleep(0.005)
        return {"y": np.ones(1)}

    answers = ask_all(Batched(predict), [[1.0], [2.0, 3.0], [4.0]])
    assert [len(answer) for answer in answers] == [1, 1, 1]


@given(st.floats(0, 1), st.floats(0, 1), st.lists(st.integers(1, 500), min_size=KNOWN_AFTER, max_size=60))
@settings(max_examples=30)
def test_the_fit_finds_the_line(each: float, base: float, rows: list[int]) -> None:
    fit = Fit()
    for count in rows:
        fit.add(count, each * count + base)
    found_each, found_base = fit.line()
    for count in rows:
        assert found_each * count + found_base == pytest.approx(each * count + base, rel=1e-3, abs=1e-6)
    assert 1 <= fit.most() <= MAX_ROWS


def test_who_waits_no_more_is_not_asked_about() -> None:
    go, begun = threading.Event(), threading.Event()
    asked: list[list[float]] = []

    def hanging(inputs: Any) -> Any:
        asked.append(inputs["x"].tolist())
        begun.set()
        assert go.wait(10)
        return {"y": inputs["x"] * 2}

    batched = Batched(hanging)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batched, {"x": np.asarray([1.0])})
        assert begun.wait(10)
        with patience(time.monotonic() + 0.02), pytest.raises(Late):
            batched({"x": np.asarray([2.0])})
        assert batched.waiting == 0
        patient = pool.submit(batched, {"x": np.asarray([3.0])})
        while not batched.waiting:
            time.sleep(0.001)
        go.set()
        assert first.result()["y"].tolist() == [2.0]
        assert patient.result()["y"].tolist() == [6.0]
    assert asked == [[1.0], [3.0]]
