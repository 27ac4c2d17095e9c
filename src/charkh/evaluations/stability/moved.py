"""How far answers moved, which rows count as changed, and which moved most. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.metrics import Floats
from charkh.evaluations.calibration import wilson
from charkh.evaluations.stability.certificate import Outcome, Witness
from charkh.evaluations.stability.subject import Answers

MAX_WITNESSES = 3
REGRESSION_TOLERANCE = 0.1
"""Standard deviations of the predictions that a predicted number may move when no tolerance is named."""

Cell = str | int | float | bool | None


class Moves(NamedTuple):
    """Row by row, how far an answer moved, and whether that counts."""

    moved: Floats
    changed: npt.NDArray[np.bool_]


def difference(before: Answers, after: Answers) -> Floats:
    """Greatest absolute difference of a row's numbers; infinite where a label differs without a number that does."""
    found = np.zeros(before.rows)
    if before.numbers.shape[1]:
        # Two answers that are NaN in the same place are the same answer.
        same = (before.numbers == after.numbers) | (np.isnan(before.numbers) & np.isnan(after.numbers))
        with np.errstate(invalid="ignore"):
            gaps = np.where(same, 0.0, np.abs(before.numbers - after.numbers))
        found = np.where(np.isnan(gaps), np.inf, gaps).max(axis=1)
    return np.where(relabelled(before, after) & (found == 0), np.inf, found)


def moves(before: Answers, after: Answers, tolerance: float = 0.0) -> Moves:
    """How far the answers moved under a change of the inputs, in the unit of `PerturbationTest.tolerance`."""
    found = difference(before, after)
    if not before.classes:
        spread = float(np.std(before.numbers))
        found = found / spread if spread > 0 else np.where(found > 0, np.inf, 0.0)
        return Moves(found, found > (tolerance or REGRESSION_TOLERANCE))
    if tolerance and before.numbers.shape[1]:
        return Moves(found, found > tolerance)
    # Labels decide; among the rows whose label changed, the one that moved farthest is shown first.
    return Moves(found, relabelled(before, after))


def relabelled(before: Answers, after: Answers) -> npt.NDArray[np.bool_]:
    """Where the label is another; nowhere for a regression."""
    if before.labels is None or after.labels is None:
        return np.zeros(before.rows, np.bool_)
    return np.asarray(before.labels != after.labels, dtype=np.bool_)


def unit(before: Answers, tolerance: float) -> str:
    """What counts as changed, in words."""
    if not before.classes:
        return f"rows whose prediction moves by more than {tolerance or REGRESSION_TOLERANCE:g} sd"
    if tolerance and before.numbers.shape[1]:
        return f"rows in which a probability moves by more than {tolerance:g}"
    return "rows whose label changes"


class Share(NamedTuple):
    """A share of rows with its 95 % Wilson interval."""

    value: float
    low: float
    high: float


def share(changed: npt.NDArray[np.bool_]) -> Share:
    """The share of rows that changed; 0 of no rows."""
    if not len(changed):
        return Share(0.0, 0.0, 1.0)
    value = float(np.mean(changed))
    low, high = wilson(value, len(changed))
    # None and all of the rows are ends of their intervals, but for the rounding of the formula.
    return Share(value, min(low, value) if value else 0.0, max(high, value) if value < 1 else 1.0)


def verdict(value: float, bound: float) -> Outcome:
    """Whether a value lies within its bound."""
    return "passed" if value <= bound else "failed"


def witnesses(
    before: Answers,
    after: Answers,
    found: Moves,
    given: pl.DataFrame,
    asked: pl.DataFrame,
    columns: Sequence[str],
    what: str = "",
) -> tuple[Witness, ...]:
    """The rows that changed most; none where nothing changed."""
    rows = np.flatnonzero(found.changed)
    worst = rows[np.argsort(-found.moved[rows], kind="stable")][:MAX_WITNESSES].tolist()
    return tuple(
        Witness(
            row=row,
            moved=float(found.moved[row]) if np.isfinite(found.moved[row]) else -1.0,
            given=cells(given, columns, row),
            changed=cells(asked, columns, row),
            before=before.shown(row),
            after=after.shown(row),
            what=what,
        )
        for row in worst
    )


def cells(frame: pl.DataFrame, columns: Sequence[str], row: int) -> dict[str, Cell]:
    """Some cells of a row as JSON has them."""
    named: Mapping[str, object] = frame.select(columns).row(row, named=True) if columns else {}
    return {name: _cell(value) for name, value in named.items()}


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return str(value)[:200]
