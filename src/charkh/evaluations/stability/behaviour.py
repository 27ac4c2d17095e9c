"""Tests of what should not matter, and of what should push one way (CheckList's INV and DIR, Ribeiro et al. 2020)."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.metrics import Floats
from charkh.core.stability_settings import DirectionTest, InvarianceTest
from charkh.evaluations.stability.certificate import Found
from charkh.evaluations.stability.moved import Moves, share, witnesses
from charkh.evaluations.stability.trial import Change, Trial, chosen, replaced


def invariance(trial: Trial, test: InvarianceTest) -> Found:
    """Replace the columns' values and expect the same answers."""
    columns = chosen(trial.name, test.columns, trial.rows.columns, "the model")
    if test.swap:
        return trial.changed(test, [Change(_swapped(trial, columns[0], columns[1]), columns)])
    if test.values:
        name = columns[0]
        dtype = trial.rows.schema[name]
        tries = [
            Change(trial.rows.with_columns(_constant(trial.name, name, value, dtype)), columns, f"{name} = {value}")
            for value in test.values
        ]
        return trial.changed(test, tries)
    # Whole rows of the named columns are dealt anew, so that values that belong together stay together.
    dealt = trial.rows.select(columns)[trial.random.permutation(trial.rows.height)]
    return trial.changed(test, [Change(trial.rows.with_columns(dealt), columns)])


def _swapped(trial: Trial, one: str, other: str) -> pl.DataFrame:
    rows = trial.rows
    if rows.schema[one] != rows.schema[other]:
        raise Invalid(
            f"the test {trial.name!r} swaps {one!r} ({rows.schema[one]}) and {other!r} ({rows.schema[other]})",
            code="stability.no_column",
            hint="Only columns of one type can change places.",
        )
    return rows.with_columns(rows[other].alias(one), rows[one].alias(other))


def _constant(test: str, name: str, value: object, dtype: pl.DataType) -> pl.Expr:
    try:
        return pl.lit(pl.Series([value]).cast(dtype).item(), dtype).alias(name)
    except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError) as error:
        raise Invalid(
            f"the test {test!r} gives {name!r} the value {value!r}, which is no {dtype}",
            code="stability.no_column",
            hint="Name values of the column's own type.",
        ) from error


_WRONG: Mapping[str, Callable[[Floats, float], Floats]] = {
    "up": lambda moved, least: least - moved,
    "down": lambda moved, least: least + moved,
    "not_down": lambda moved, least: -moved - least,
    "not_up": lambda moved, least: moved - least,
}
"""How far the score went the wrong way; above 0 it did, and for `up` and `down` at 0 as well."""


def direction(trial: Trial, test: DirectionTest) -> Found:
    """Push a column of numbers and expect the score to go where it should."""
    chosen(trial.name, [test.column], trial.tried.numbers, "numbers")
    before = trial.before.score
    if before is None:
        return trial.skipped("the model gives labels without numbers")
    values = trial.rows[test.column].cast(pl.Float64) * test.times + test.add
    asked = replaced(trial.rows, test.column, values)
    after = trial.asked(asked)
    # Rows that the push leaves as they are, such as missing values, have nowhere to go.
    pushed = (asked[test.column].ne_missing(trial.rows[test.column])).to_numpy()
    moved: Floats = after.numbers[:, -1] - before
    spread = float(np.std(before)) or 1.0
    if not trial.before.classes:
        moved = moved / spread
    wrong = _WRONG[test.expect](moved, test.tolerance)
    bad = (wrong > 0) | ((wrong == 0) & (test.expect in {"up", "down"}))
    if not pushed.any():
        return trial.skipped(f"no row has a {test.column} to push")
    found = share(bad[pushed])
    shown = Moves(np.abs(wrong), bad & pushed)
    measure = f"rows whose score does not go {test.expect.replace('_', ' ')}"
    if test.expect.startswith("not"):
        measure = f"rows whose score goes {test.expect.removeprefix('not_')}"
    note = "" if pushed.all() else f"{int(np.count_nonzero(~pushed))} rows have nothing to push"
    return Found(
        result=trial.of_share(found, test.failures, measure, note),
        witnesses=witnesses(trial.before, after, shown, trial.rows, asked, [test.column]),
        lines={"mean_move": float(np.mean(moved[pushed]))},
    )
