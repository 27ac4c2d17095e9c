"""A tiny model that adds two columns, served from a store in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from charkh.core.clock import Clock
from charkh.core.ids import new_id
from charkh.endpoints.deploy import deploy
from charkh.endpoints.index import PROJECTION as ENDPOINTS
from charkh.endpoints.log import PredictionLog
from charkh.endpoints.log_index import PROJECTION as PREDICTIONS
from charkh.endpoints.servable import Servable
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.runtimes import Signature, Tensors, TensorSpec
from charkh.ports.store import Store
from charkh.stores.catalog import Catalog
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.testing.stores import memory_store
from charkh.testing.vaults import MemoryVault

SIGNATURE = Signature(
    inputs=(
        TensorSpec(name="x", datatype="FP64"),
        TensorSpec(name="wind", datatype="FP64", optional=True),
        TensorSpec(name="hour", datatype="INT64"),
        TensorSpec(name="origin", datatype="BYTES", optional=True),
    ),
    outputs=(
        TensorSpec(name="score", datatype="FP64"),
        TensorSpec(name="probability", datatype="FP64", shape=(-1, 2)),
        TensorSpec(name="label", datatype="BYTES"),
    ),
)
MODEL = f"model:{'ab' * 16}"


def add(inputs: Tensors) -> Tensors:
    """x + hour; the probability is of its sign."""
    score = inputs["x"] + inputs["hour"]
    high = 1 / (1 + np.exp(-score))
    label = np.where(score > 0, "up", "down").astype(object)
    return {"score": score, "probability": np.column_stack([1 - high, high]), "label": label}


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store in memory, and one whose journal is a folder."""
    if request.param == "memory":
        yield memory_store(ENDPOINTS, PREDICTIONS, LINEAGE)
        return
    clock, journal = Clock(), FolderJournal(tmp_path / "journal", new_id())
    catalog = Catalog(sqlite_engine(None), journal, (ENDPOINTS, PREDICTIONS, LINEAGE), clock, "ann@laptop")
    yield Store(
        journal=journal, vault=MemoryVault(), commands=catalog, queries=catalog, clock=clock, actor="ann@laptop"
    )
    catalog.close()
    journal.close()


@pytest.fixture
def servable(store: Store) -> Callable[..., Servable]:
    """Makes a servable whose requests are logged in the store."""

    def make(name: str = "delay", capture: float = 1.0, version: str = "3", model: str = MODEL) -> Servable:
        made = deploy(store, name, model, signature=SIGNATURE, capture=capture)
        log = PredictionLog(
            store.journal, endpoint=name, deployment=made.id, model=model, version=version, capture=capture
        )
        return Servable(name=name, version=version, subject=model, signature=SIGNATURE, predict=add, log=log)

    return make
