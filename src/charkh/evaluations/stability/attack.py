"""The black-box attack: how many rows' labels a small change of the numbers turns, found by asking alone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.metrics import Floats
from charkh.core.stability_settings import AttackTest
from charkh.evaluations.stability.certificate import Found, Witness
from charkh.evaluations.stability.field import Field
from charkh.evaluations.stability.moved import cells, share
from charkh.evaluations.stability.search import search
from charkh.evaluations.stability.subject import Answers
from charkh.evaluations.stability.trial import Trial, chosen, spread_of

SLACK = 1e-9
"""How far rounding may carry a row beyond the budget."""

Search = Callable[[Field, AttackTest], Floats]
"""Where each row was moved; rows that could not be turned stay where they are."""


def attack(trial: Trial, test: AttackTest) -> Found:
    """Attack each row within the budget, and count those whose label turned."""
    if not trial.before.classes:
        return trial.skipped("the model tells no classes")
    named = chosen(trial.name, test.columns, trial.tried.numbers, "numbers")
    spreads = {name: spread_of(trial.rows[name]) for name in named}
    columns = tuple(name for name in named if spreads[name])
    if not columns:
        return trial.skipped("no column of numbers varies")
    start = trial.rows.select(pl.col(columns).cast(pl.Float64)).fill_null(float("nan")).to_numpy()
    field = Field(trial, columns, np.array([spreads[name] for name in columns]), test.budget, start)
    rows = np.arange(trial.rows.height)
    ended = _search_of(test.attack)(field, test)
    said = field.ask(rows, ended)
    away = field.distance(rows, ended)
    turned = field.turned(rows, said) & (away <= test.budget + SLACK)
    result = trial.of_share(
        share(turned),
        test.failures,
        f"rows whose label turns within {test.budget:g} sd",
        f"by {test.attack}, at most {test.queries} rows asked for each",
    )
    lines = {"median_distance": float(np.median(away[turned]))} if turned.any() else {}
    return Found(result=result, witnesses=_nearest(field, turned, away, ended, said), lines=lines)


def _search_of(name: str) -> Search:
    if name == "search":
        return search
    # Here, because the library takes seconds to import and is an extra.
    from charkh.evaluations.stability.hopskipjump import hop_skip_jump

    return hop_skip_jump


def _nearest(
    field: Field, turned: npt.NDArray[np.bool_], away: Floats, ended: Floats, said: Answers
) -> tuple[Witness, ...]:
    """The rows that the smallest changes turned."""
    rows = np.flatnonzero(turned)
    rows = rows[np.argsort(away[rows], kind="stable")][:3]
    asked = field.frame(rows, ended[rows])
    return tuple(
        Witness(
            row=row,
            moved=float(away[row]),
            given=cells(field.trial.rows, field.columns, row),
            changed=cells(asked, field.columns, place),
            before=field.trial.before.shown(row),
            after=said.shown(row),
        )
        for place, row in enumerate(rows.tolist())
    )
