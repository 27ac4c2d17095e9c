"""HopSkipJump (Chen, Jordan and Wainwright 2020) by adversarial-robustness-toolbox, of labels alone."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from charkh.core.errors import Unavailable
from charkh.core.metrics import Floats
from charkh.core.stability_settings import AttackTest
from charkh.evaluations.stability.field import Field

ROUNDS = 10


class Spent(Exception):
    """A row has been asked as often as it may be: the toolbox itself has loops without an end."""


def hop_skip_jump(field: Field, test: AttackTest) -> Floats:
    """Where the attack moved each row; rows with a missing number stay where they are.

    Raises:
        Unavailable: the library is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells which of the frameworks that it knows are not installed
            from art.attacks.evasion import HopSkipJump
            from art.estimators.classification import BlackBoxClassifier
    except ImportError as error:
        raise Unavailable(
            "the attack hopskipjump needs adversarial-robustness-toolbox, which is not installed",
            code="stability.no_toolbox",
            hint="Install it: pip install 'charkh[adversarial]'; or use the attack `search`.",
        ) from error
    labels = np.asarray(field.trial.before.labels).astype(str)
    known = ~np.isnan(field.start).any(axis=1)
    unit = field.start / field.scale
    ended = field.start.copy()
    each = max(1, test.queries // (2 * ROUNDS))
    for row in np.flatnonzero(known).tolist():
        others = np.flatnonzero(known & (labels != labels[row]))
        if not len(others):
            continue
        victim = Victim(field, row, test.queries)
        classifier: Any = BlackBoxClassifier(victim.told, (unit.shape[1],), 2)
        attack: Any = HopSkipJump(
            classifier, norm="inf", max_iter=ROUNDS, max_eval=each, init_eval=each, init_size=1, verbose=False
        )
        # The nearest row with another label is where the attack begins.
        start = others[np.argmin(np.abs(unit[others] - unit[row]).max(axis=1))]
        # What was found until its queries are spent counts.
        with _seeded(field), suppress(Spent):
            attack.generate(x=unit[row : row + 1], x_adv_init=unit[start : start + 1])
        ended[row] = victim.nearest
    return ended


class Victim:
    """One row under attack: tells labels until it has been asked too often, and keeps the nearest that turned.

    Args:
        field: the room of the attack.
        row: its place.
        queries: how often it may be asked.
    """

    def __init__(self, field: Field, row: int, queries: int) -> None:
        self._field = field
        self._row = row
        self._left = queries
        self._away = np.inf
        self.nearest = field.start[row].copy()

    def told(self, values: Any) -> Floats:
        """Of moved rows, one-hot: the label is the row's own, or another one.

        Raises:
            Spent: it has been asked as often as it may be.
        """
        moved = np.asarray(values, dtype=np.float64)[: self._left] * self._field.scale
        if not len(moved):
            raise Spent
        self._left -= len(moved)
        rows = np.full(len(moved), self._row)
        said = self._field.ask(rows, moved)
        turned = self._field.turned(rows, said)
        away = np.where(turned, self._field.distance(rows, moved), np.inf)
        best = int(np.argmin(away))
        if away[best] < self._away:
            self._away, self.nearest = float(away[best]), moved[best]
        if len(moved) < len(values):
            raise Spent
        return np.eye(2)[turned.astype(np.intp)]


@contextmanager
def _seeded(field: Field) -> Generator[None]:
    """The toolbox draws from NumPy's own global generator: it is given our seed, and its state put back."""
    state = np.random.get_state()
    np.random.seed(int(field.trial.random.integers(2**31)))
    try:
        yield
    finally:
        np.random.set_state(state)
