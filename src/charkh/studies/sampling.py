"""Optuna behind four verbs: tell it what is known, ask for params, report on the way, say whether to give up.

Its storage is memory, because the truth is events; it is asked with a sampler that is seeded anew for each
trial, so that a resumed search proposes what an uninterrupted one would have. Importing it takes most of a
second: it is imported by the first study.
"""

import contextlib
import hashlib
import math
import warnings
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charkh.core.dimensions import Dimension, Scalar
from charkh.studies.study import Direction, TrialDone

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

RANDOM_TRIALS = 10
"""Trials that are chosen at random before the sampler learns from them."""

UNPRUNED_TRIALS = 5
"""Trials that are never given up early, so that there is a median to compare with."""


class Search:
    """One search in memory.

    Args:
        space: what may be chosen, by name.
        direction: whether greater or less is better.
        seed: of the sampler.
        known: trials that were done before.
    """

    def __init__(
        self, space: Mapping[str, Dimension], direction: Direction, seed: int, known: Sequence[TrialDone]
    ) -> None:
        with _quiet() as optuna:
            self._distributions = {name: _distribution(optuna, dimension) for name, dimension in space.items()}
            self._study = optuna.create_study(
                direction=direction, pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS)
            )
            for trial in known:
                self._study.add_trial(self._frozen(optuna, trial))
            if not known and all(_is_reachable(dimension) for dimension in space.values()):
                self._study.enqueue_trial({name: dimension.default for name, dimension in space.items()})
        self._seed = seed

    def ask(self, number: int) -> "Asked":
        """The params of trial `number`; those of the first are the defaults."""
        with _quiet() as optuna:
            self._study.sampler = optuna.samplers.TPESampler(
                seed=_seed_of(self._seed, number), n_startup_trials=RANDOM_TRIALS
            )
            trial = self._study.ask(self._distributions)
        return Asked(self._study, trial)

    def _frozen(self, optuna: Any, trial: TrialDone) -> "optuna.trial.FrozenTrial":
        states = optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[trial.state]
        return optuna.trial.create_trial(
            state=state,
            value=trial.value if trial.state == "complete" else None,
            params=trial.params,
            distributions=self._distributions,
            intermediate_values={point.step: point.value for point in trial.reported},
        )


class Asked:
    """A trial that is under way."""

    def __init__(self, study: "optuna.Study", trial: "optuna.Trial") -> None:
        self._study = study
        self._trial = trial
        self.reported: dict[int, float] = {}

    @property
    def params(self) -> dict[str, Scalar]:
        """What was chosen."""
        return dict(self._trial.params)

    def report(self, value: float, step: int) -> None:
        """Note a value on the way; of two for one step the first counts."""
        if step >= 0 and step not in self.reported and not math.isnan(value):
            self.reported[step] = value
            self._trial.report(value, step)

    def should_prune(self) -> bool:
        """Whether the trial is worse than the median of the others at its last step."""
        with _quiet():
            return self._trial.should_prune()

    def tell(self, state: str, value: float | None) -> None:
        """Say how it ended."""
        with _quiet() as optuna:
            states = {
                "complete": None,
                "pruned": optuna.trial.TrialState.PRUNED,
                "failed": optuna.trial.TrialState.FAIL,
            }
            self._study.tell(self._trial, value if state == "complete" else None, state=states[state])


def _distribution(optuna: Any, dimension: Dimension) -> "BaseDistribution":
    made = optuna.distributions
    if dimension.choices:
        return made.CategoricalDistribution(dimension.choices)
    low, high, step = dimension.low, dimension.high, dimension.step
    assert low is not None
    assert high is not None
    if step is not None:
        # Optuna would do the same with a warning: the greatest value that is a whole number of steps away.
        high = low + math.floor((high - low) / step + 1e-9) * step
    if dimension.integral:
        return made.IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))
    return made.FloatDistribution(float(low), float(high), log=dimension.log, step=step)


def _is_reachable(dimension: Dimension) -> bool:
    """Whether the default is one of the values that can be chosen."""
    if dimension.step is None or dimension.low is None or not isinstance(dimension.default, int | float):
        return True
    steps = (dimension.default - dimension.low) / dimension.step
    return abs(steps - round(steps)) < 1e-8


def _seed_of(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")


@contextlib.contextmanager
def _quiet() -> Generator[Any]:
    """Optuna without its log lines and its notes on experimental features, as it was afterwards."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)
