"""Answers that must be the same, and models whose answers are not."""

import itertools
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from charkh.core.stability_settings import (
    AnyTest,
    BatchTest,
    CompiledTest,
    DuplicatesTest,
    OrderTest,
    RepeatTest,
    StabilitySettings,
    ThreadsTest,
)
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.subject import Ask, Tried
from charkh.evaluations.stability.trying import try_model
from unit.evaluations.stability.models import Array, classes, logit, numbers, tried

EXACT: tuple[AnyTest, ...] = (
    RepeatTest(),
    BatchTest(rows=100),
    OrderTest(),
    DuplicatesTest(),
    ThreadsTest(rows=100, threads=4),
)


def made(test: AnyTest, model: Tried) -> Found:
    (found,) = try_model(model, StabilitySettings(test={"it": test}))
    return found


@pytest.mark.parametrize("test", EXACT)
@pytest.mark.parametrize("ask", [classes(), numbers()], ids=["classes", "numbers"])
def test_a_pure_model_passes(test: AnyTest, ask: Ask) -> None:
    assert made(test, tried(ask)).result.outcome == "passed"


def test_a_random_answer_is_found() -> None:
    random = np.random.default_rng(0)
    found = made(RepeatTest(), tried(numbers(lambda frame: random.normal(size=frame.height))))
    assert found.result.outcome == "failed"
    assert found.result.value is not None
    assert found.result.value > 0


@pytest.mark.parametrize("test", [BatchTest(rows=100), DuplicatesTest()])
def test_a_model_that_looks_at_the_whole_batch_is_found(test: AnyTest) -> None:
    ask = classes(lambda frame: logit(frame) - np.mean(logit(frame)) * (1 + frame.height % 7))
    assert made(test, tried(ask)).result.outcome == "failed"


def test_a_model_that_knows_the_place_of_a_row_is_found() -> None:
    found = made(OrderTest(), tried(classes(lambda frame: logit(frame) + np.arange(frame.height) / 100)))
    assert (found.result.outcome, found.result.note) == ("failed", "of the rows")


def test_a_model_that_takes_columns_by_their_place_is_found() -> None:
    found = made(
        OrderTest(), tried(numbers(lambda frame: frame.select(pl.nth(0)).to_series().to_numpy()), rows=_plain())
    )
    assert (found.result.outcome, found.result.note) == ("failed", "of the columns")


def _plain() -> pl.DataFrame:
    return pl.DataFrame({"x": np.arange(50.0), "z": np.arange(50.0)[::-1].copy()})


def test_a_model_that_shares_its_buffer_between_threads_is_found() -> None:
    meet = threading.Barrier(2)
    turns = itertools.count()
    buffer: dict[str, Any] = {}

    def ask(frame: pl.DataFrame) -> Mapping[str, Array]:
        buffer["rows"] = logit(frame)
        if next(turns):  # the first is asked alone
            meet.wait(10)
        return {"predict": buffer["rows"]}

    assert made(ThreadsTest(threads=2), tried(ask)).result.outcome == "failed"


def test_a_label_that_differs_without_a_number_is_a_difference() -> None:
    turns = itertools.count()
    found = made(RepeatTest(), tried(lambda frame: {"predict": np.full(frame.height, next(turns))}))
    assert found.result.outcome == "failed"
    assert found.result.value is None


def test_the_compiled_form_is_held_against_the_original() -> None:
    assert made(CompiledTest(), tried()).result.outcome == "skipped"
    assert made(CompiledTest(), tried(compiled=classes())).result.outcome == "passed"
    off = classes(lambda frame: logit(frame) + 1e-3)
    assert made(CompiledTest(), tried(compiled=off)).result.outcome == "failed"


def test_a_model_that_cannot_be_asked_breaks_every_test() -> None:
    def ask(_frame: pl.DataFrame) -> Mapping[str, Array]:
        raise ValueError("no such flight: UA1545")

    found = try_model(tried(ask), StabilitySettings(test={"a": RepeatTest(), "b": OrderTest()}))
    assert [each.result.outcome for each in found] == ["broken", "broken"]
    assert "UA1545" not in found[0].result.note
    assert "UA1545" in found[0].trouble


@pytest.mark.parametrize(
    "outputs",
    [{}, {"a": np.zeros(600), "b": np.zeros(600)}, {"predict": np.zeros(5)}, {"predict": np.full(600, np.nan)}],
    ids=["none", "two", "too few", "nan"],
)
def test_what_is_no_answer_breaks_a_test(outputs: Mapping[str, Array]) -> None:
    assert made(RepeatTest(), tried(lambda _frame: outputs)).result.outcome == "broken"


def test_one_more_test_leaves_the_draws_of_the_others() -> None:
    alone = made(OrderTest(), tried())
    beside = try_model(tried(), StabilitySettings(test={"other": RepeatTest(), "it": OrderTest()}))
    assert beside[1] == alone
