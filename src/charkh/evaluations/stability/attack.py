"""The black-box attack: how many rows' labels a small change of the numbers turns, found by asking alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.metrics import Floats
from charkh.core.stability_settings import AttackTest
from charkh.evaluations.stability.certificate import Found, Witness
from charkh.evaluations.stability.moved import cells, share
from charkh.evaluations.stability.subject import Answers
from charkh.evaluations.stability.trial import Trial, chosen, replaced, spread_of

HALVINGS = 6
"""Steps of the walk back from a turned row towards the row as it was."""
SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Field:
    """The room in which an attack may move.

    Attributes:
        trial: the model and its rows.
        columns: that may be changed.
        scale: of each column: what one unit of distance is.
        budget: greatest distance in any column.
        start: the rows as they are, a column each.
    """

    trial: Trial
    columns: tuple[str, ...]
    scale: Floats
    budget: float
    start: Floats

    def frame(self, rows: npt.NDArray[np.intp], values: Floats) -> pl.DataFrame:
        """Those rows with other values in the columns of the attack; missing ones stay missing."""
        frame = self.trial.rows[rows]
        for place, name in enumerate(self.columns):
            frame = replaced(frame, name, pl.Series(values[:, place]).fill_nan(None))
        return frame

    def ask(self, rows: npt.NDArray[np.intp], values: Floats) -> Answers:
        """What the model says to them."""
        return self.trial.asked(self.frame(rows, values))

    def distance(self, rows: npt.NDArray[np.intp], values: Floats) -> Floats:
        """The greatest move of a column, in units of its scale."""
        moved = np.abs(np.nan_to_num(values - self.start[rows])) / self.scale
        return moved.max(axis=1, initial=0.0)

    def turned(self, rows: npt.NDArray[np.intp], said: Answers) -> npt.NDArray[np.bool_]:
        """Where the label is another than before."""
        before = self.trial.before.labels
        assert before is not None and said.labels is not None  # attacks are of classes
        return np.asarray(said.labels != before[rows], dtype=np.bool_)


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


def search(field: Field, test: AttackTest) -> Floats:
    """Random moves to the edge of the budget that are kept where the label loses probability, then the walk back.

    The search of Andriushchenko et al. (2020, the square attack) for tables: each step moves a share of the columns,
    fewer and fewer, to one edge or the other; all rows that still hold are asked together.
    """
    random, columns = field.trial.random, len(field.columns)
    rows = np.arange(len(field.start))
    best, ended = field.start.copy(), field.start.copy()
    holds = np.ones(len(rows), np.bool_)
    confidence = _confidence(field, rows, field.trial.before)
    steps = max(1, test.queries - HALVINGS)
    for step in range(steps):
        live = rows[holds]
        if not len(live):
            break
        moved = random.random((len(live), columns)) < max(1 / columns, 0.8 * (1 - step / steps))
        moved[np.arange(len(live)), random.integers(columns, size=len(live))] = True
        edge = np.where(random.random((len(live), columns)) < 0.5, -1.0, 1.0) * field.budget * field.scale
        tried = np.where(moved, field.start[live] + edge, best[live])
        tried = _within(field, live, tried)
        said = field.ask(live, tried)
        turned = field.turned(live, said)
        now = _confidence(field, live, said)
        better = turned | (now <= confidence[live])
        best[live[better]] = tried[better]
        confidence[live[better]] = now[better]
        ended[live[turned]] = tried[turned]
        holds[live[turned]] = False
    return _walk_back(field, rows[~holds], ended)


def _walk_back(field: Field, rows: npt.NDArray[np.intp], ended: Floats) -> Floats:
    """Halve the way between each turned row and where it came from, as long as it stays turned."""
    if not len(rows):
        return ended
    near, far = np.zeros(len(rows)), np.ones(len(rows))
    way = ended[rows] - field.start[rows]
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        tried = _within(field, rows, field.start[rows] + way * middle[:, None])
        turned = field.turned(rows, field.ask(rows, tried))
        ended[rows[turned]] = tried[turned]
        far, near = np.where(turned, middle, far), np.where(turned, near, middle)
    return ended


def _within(field: Field, rows: npt.NDArray[np.intp], values: Floats) -> Floats:
    """The values as the columns' types hold them, never farther from the start than the budget allows."""
    moved = values - field.start[rows]
    for place, name in enumerate(field.columns):
        if field.trial.rows.schema[name].is_integer():
            moved[:, place] = np.trunc(moved[:, place])
    return field.start[rows] + moved


def _confidence(field: Field, rows: npt.NDArray[np.intp], said: Answers) -> Floats:
    """The probability of what was the most probable class before; 1 everywhere where there are no probabilities."""
    before = field.trial.before.numbers[rows]
    if not before.shape[1]:
        return np.ones(len(rows))
    if before.shape[1] == 1:
        return np.where(before[:, 0] >= 0.5, said.numbers[:, 0], 1 - said.numbers[:, 0])
    return said.numbers[np.arange(len(rows)), np.argmax(before, axis=1)]


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
