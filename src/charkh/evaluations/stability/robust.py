"""Tests of inputs that are a little off, missing, in another unit, or never seen before."""

import numpy as np
import polars as pl

from charkh.core.stability_settings import MissingTest, NoiseTest, ScaleTest, UnseenTest
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.trial import Change, Trial, chosen, replaced, spread_of


def noise(trial: Trial, test: NoiseTest) -> Found:
    """All columns of numbers at once, each by noise of its own."""
    columns = chosen(trial.name, test.columns, trial.tried.numbers, "numbers")
    rows, moved = trial.rows, list[str]()
    for name in columns:
        spread = spread_of(rows[name])
        drawn = trial.random.normal(size=rows.height) * spread * test.scale
        if spread:
            moved.append(name)
            rows = replaced(rows, name, rows[name].cast(pl.Float64) + pl.Series(drawn))
    if not moved:
        return trial.skipped("no column of numbers varies")
    return trial.changed(test, [Change(rows, tuple(moved))])


def missing(trial: Trial, test: MissingTest) -> Found:
    """A share of the values of every optional input at once."""
    able = [name for name in trial.rows.columns if name in trial.tried.optional]
    columns = chosen(trial.name, test.columns, able, "those that may be missing")
    if not columns:
        return trial.skipped("no input may be missing")
    rows = trial.rows
    for name in columns:
        gone = pl.Series(trial.random.random(rows.height) < test.share)
        rows = rows.with_columns(pl.when(~gone).then(pl.col(name)).alias(name))
    return trial.changed(test, [Change(rows, columns)])


def scale(trial: Trial, test: ScaleTest) -> Found:
    """Each column of numbers by itself, by each factor."""
    columns = chosen(trial.name, test.columns, trial.tried.numbers, "numbers")
    tries: list[Change] = []
    for name in columns:
        for factor in test.factors:
            values = trial.rows[name].cast(pl.Float64) * factor
            if trial.rows.schema[name] == pl.Float32:
                values = values.clip(*np.finfo(np.float32).max * np.array([-1.0, 1.0]))
            tries.append(Change(replaced(trial.rows, name, values), (name,), f"{name} x {factor:g}"))
    return trial.changed(test, tries) if tries else trial.skipped("no input is a number")


def unseen(trial: Trial, test: UnseenTest) -> Found:
    """Each column of texts by itself."""
    columns = chosen(trial.name, test.columns, trial.tried.texts, "texts")
    tries = [
        Change(
            # Categories of a closed list cannot hold an unseen text: a request brings it as a text.
            trial.rows.with_columns(pl.lit(test.value, pl.String).alias(name)),
            (name,),
            name,
        )
        for name in columns
    ]
    return trial.changed(test, tries) if tries else trial.skipped("no input is a text")
