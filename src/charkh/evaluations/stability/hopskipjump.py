"""HopSkipJump (Chen, Jordan and Wainwright 2020) by adversarial-robustness-toolbox, of labels alone."""

import warnings
from typing import Any, cast

import numpy as np

from charkh.core.errors import Unavailable
from charkh.core.metrics import Floats
from charkh.core.stability_settings import AttackTest
from charkh.evaluations.stability.field import Field

ROUNDS = 10


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
    labels = field.trial.before.labels
    assert labels is not None  # attacks are of classes
    classes, codes = np.unique(labels.astype(str), return_inverse=True)
    rows = np.flatnonzero(~np.isnan(field.start).any(axis=1))
    ended = field.start.copy()
    if len(classes) < 2 or not len(rows):
        return ended
    unit = field.start / field.scale
    for row in rows.tolist():

        def told(values: Any, row: int = row) -> Floats:
            moved = np.asarray(values, dtype=np.float64) * field.scale
            said = field.ask(np.full(len(moved), row), moved)
            found = np.searchsorted(classes, np.asarray(said.labels).astype(str))
            return np.eye(len(classes))[np.minimum(found, len(classes) - 1)]

        classifier: Any = BlackBoxClassifier(told, (unit.shape[1],), len(classes))
        each = max(1, test.queries // (2 * ROUNDS))
        runner: Any = HopSkipJump(
            classifier, norm="inf", max_iter=ROUNDS, max_eval=each, init_eval=each, init_size=each, verbose=False
        )
        # The direction in which a row of the other class lies is where the attack begins.
        other = int(np.flatnonzero(codes != codes[row])[0]) if (codes != codes[row]).any() else row
        found = cast(
            Floats,
            _seeded(
                field, lambda r=runner, row=row, o=other: r.generate(x=unit[row : row + 1], x_adv_init=unit[o : o + 1])
            ),
        )
        ended[row] = np.asarray(found[0], dtype=np.float64) * field.scale
    return ended


def _seeded(field: Field, generate: Any) -> Any:
    """The toolbox draws from NumPy's own global generator: it is given our seed, and its state put back."""
    state = np.random.get_state()
    np.random.seed(int(field.trial.random.integers(2**31)))
    try:
        return generate()
    finally:
        np.random.set_state(state)
