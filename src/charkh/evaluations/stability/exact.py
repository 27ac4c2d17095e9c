"""Tests of answers that must be the same: asked again, in other batches, orders and threads, or compiled."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.stability_settings import (
    BatchTest,
    CompiledTest,
    DuplicatesTest,
    OrderTest,
    RepeatTest,
    ThreadsTest,
)
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.moved import difference
from charkh.evaluations.stability.subject import Answers, answers
from charkh.evaluations.stability.trial import Trial

GREATEST = "greatest difference of an answer"


def repeat(trial: Trial, test: RepeatTest) -> Found:
    """The same rows several times."""
    again = [answers(trial.tried.ask, trial.rows) for _ in range(test.times - 1)]
    return trial.equal(max(_worst(trial.before, each) for each in again), test.tolerance, GREATEST)


def batch(trial: Trial, test: BatchTest) -> Found:
    """The same rows cut into batches; a remainder makes a smaller one."""
    worst = {size: _worst(trial.before, _in_batches(trial, size)) for size in test.sizes}
    size = max(worst, key=lambda each: worst[each])
    return trial.equal(worst[size], test.tolerance, GREATEST, f"in batches of {size}" if worst[size] else "")


def order(trial: Trial, test: OrderTest) -> Found:
    """The rows in another order, and the columns named in another."""
    shuffled = trial.random.permutation(trial.rows.height)
    by_rows = _worst(trial.before.taken(shuffled), answers(trial.tried.ask, trial.rows[shuffled]))
    by_columns = _worst(trial.before, answers(trial.tried.ask, trial.rows.select(trial.rows.columns[::-1])))
    note = "" if not max(by_rows, by_columns) else "of the columns" if by_columns > by_rows else "of the rows"
    return trial.equal(max(by_rows, by_columns), test.tolerance, GREATEST, note)


def duplicates(trial: Trial, test: DuplicatesTest) -> Found:
    """All rows twice, and the first of them many times."""
    rows = trial.rows.height
    twice = answers(trial.tried.ask, pl.concat([trial.rows, trial.rows]))
    first = np.zeros(rows, np.intp)
    many = answers(trial.tried.ask, trial.rows[first])
    found = [
        _worst(trial.before, twice.taken(np.arange(rows))),
        _worst(trial.before, twice.taken(np.arange(rows, 2 * rows))),
        _worst(trial.before.taken(first), many),
    ]
    return trial.equal(max(found), test.tolerance, GREATEST)


def threads(trial: Trial, test: ThreadsTest) -> Found:
    """Each thread asks all rows, beginning with another one."""
    places = np.arange(trial.rows.height)
    turns = [np.roll(places, len(places) * number // test.threads) for number in range(test.threads)]
    with ThreadPoolExecutor(test.threads) as pool:
        found = list(pool.map(partial(_turned, trial), turns))
    worst = max(_worst(trial.before.taken(turn), each) for turn, each in zip(turns, found, strict=True))
    return trial.equal(worst, test.tolerance, GREATEST)


def compiled(trial: Trial, test: CompiledTest) -> Found:
    """The compiled form beside the original."""
    if trial.tried.compiled is None:
        return trial.skipped("the model has no compiled form")
    return trial.equal(
        _worst(trial.before, answers(trial.tried.compiled, trial.rows)), test.tolerance, "greatest difference"
    )


def _turned(trial: Trial, turn: npt.NDArray[np.intp]) -> Answers:
    return answers(trial.tried.ask, trial.rows[turn])


def _in_batches(trial: Trial, size: int) -> Answers:
    parts = [answers(trial.tried.ask, part) for part in trial.rows.iter_slices(size)]
    labels = [part.labels for part in parts if part.labels is not None]
    return Answers(np.concatenate([part.numbers for part in parts]), np.concatenate(labels) if labels else None)


def _worst(before: Answers, after: Answers) -> float:
    if before.numbers.shape != after.numbers.shape:
        return float("inf")
    return float(difference(before, after).max(initial=0.0))
