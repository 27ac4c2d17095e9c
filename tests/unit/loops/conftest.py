"""A store in memory with every noun that a loop composes, and a model that can be made good or bad."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from charkh.core.ids import new_id
from charkh.datasets.add import add_table
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.endpoints.index import PROJECTION as ENDPOINTS
from charkh.endpoints.log_index import PROJECTION as PREDICTIONS
from charkh.endpoints.rollouts.index import PROJECTION as ROLLOUTS
from charkh.evaluations.index import PROJECTION as EVALUATIONS
from charkh.evaluations.score import Rival, evaluate
from charkh.evaluations.stability.index import PROJECTION as STABILITY
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.loops.index import PROJECTION as LOOPS
from charkh.loops.loop import Candidate, Trigger
from charkh.loops.notified_index import PROJECTION as NOTIFICATIONS
from charkh.models.alias import holder_of
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.index import PROJECTION as MODELS
from charkh.models.model import CHAMPION
from charkh.models.register import register
from charkh.monitors.index import PROJECTION as MONITORS
from charkh.ports.projections import Projection
from charkh.ports.store import Store
from charkh.runtimes.sklearn import SklearnRuntime
from charkh.testing.stores import memory_store

PROJECTIONS: tuple[Projection, ...] = (
    LINEAGE,
    DATASETS,
    MODELS,
    GOVERNANCE,
    EVALUATIONS,
    STABILITY,
    MONITORS,
    ENDPOINTS,
    PREDICTIONS,
    ROLLOUTS,
    LOOPS,
    NOTIFICATIONS,
)
ROWS = 200
TRUTH = (np.arange(ROWS) % 3 == 0).astype(int)


@pytest.fixture
def store() -> Store:
    return memory_store(*PROJECTIONS)


@pytest.fixture
def month(store: Store) -> Callable[..., str]:
    """Adds a version to the dataset `truth`; its subject."""
    return lambda row=1: add_table(store, "truth", pl.DataFrame({"row": [row]}), append=True).subject


class Retraining:
    """Makes candidates of a given skill, evaluated on a given truth beside the champion of now.

    Attributes:
        triggers: what it was called for.
        before: called in the middle of each retraining.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.skill = 3.0
        self.on = f"dataset:{new_id()}"
        self.triggers: list[Trigger] = []
        self.before: Callable[[], Any] | None = None

    def __call__(self, trigger: Trigger) -> Candidate:
        self.triggers.append(trigger)
        slope = float(len(self.triggers))
        model = LinearRegression().fit(np.array([[0.0], [1.0]]), np.array([0.0, slope]))
        made = register(
            self.store, "delay", model, runtimes=[SklearnRuntime()], example=np.array([[0.5]]), metrics={"n": slope}
        )
        holder = holder_of(self.store, "delay", CHAMPION)
        champion = holder.version if holder is not None else None
        evaluate(
            self.store,
            about=made.subject,
            truth=TRUTH,
            scores=self._scores(self.skill),
            on=self.on,
            rounds=50,
            model="delay",
            champion=Rival(champion.subject, self._scores(1.0)) if champion is not None else None,
        )
        if self.before is not None:
            self.before()
        return Candidate(model=made.id, judged_on=self.on)

    def _scores(self, skill: float) -> Any:
        noise = np.random.default_rng(7).normal(size=ROWS)
        return 1 / (1 + np.exp(-(skill * (TRUTH - 0.5) + noise)))


@pytest.fixture
def retrain(store: Store) -> Retraining:
    return Retraining(store)
