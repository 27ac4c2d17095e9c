"""The search for a change that turns a label, by asking alone; probabilities lead it where there are any. Pure."""

import numpy as np
import numpy.typing as npt

from charkh.core.metrics import Floats
from charkh.core.stability_settings import AttackTest
from charkh.evaluations.stability.field import Field
from charkh.evaluations.stability.subject import Answers

HALVINGS = 6
"""Steps of the walk back from a turned row towards the row as it was."""


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
