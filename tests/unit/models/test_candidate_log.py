"""A candidate is logged as one fact with its files, and registered later without being saved again."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.core.errors import Invalid
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.models.candidate import make_candidate
from charkh.models.candidate_log import log_candidate, register_logged
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.index import PROJECTION, ModelsFromLogged
from charkh.models.load import load
from charkh.models.log import delete_logged, find_logged, log_model
from charkh.models.logged_index import PROJECTION as LOGGED
from charkh.runtimes.sklearn import SklearnRuntime
from charkh.testing.projections import payloads_of
from charkh.testing.stores import memory_store

RUNTIMES = (SklearnRuntime(),)
ROWS = pl.DataFrame({"hour": [1.0, 9.0, 17.0, 22.0], "wind": [3.5, 2.0, 1.0, 2.0]})


def test_a_candidate_is_one_fact_and_a_version_shares_its_bytes() -> None:
    store = memory_store(PROJECTION, GOVERNANCE, LOGGED, LINEAGE)
    estimator = LogisticRegression().fit(ROWS.to_numpy(), [0, 1, 1, 0])
    candidate = make_candidate(
        estimator, example=ROWS, runtimes=RUNTIMES, metrics={"auc": 0.7}, run="r1", origins=("dataset:d1",)
    )
    logged = log_candidate(store, "epoch-3", candidate, project="7")
    assert len(payloads_of(store)) == 1
    model = find_logged(store, logged)
    assert (model.made.name, model.status, model.made.project) == ("epoch-3", "ready", "7")
    content = model.made.content
    assert content is not None
    assert content.safety.level == "listed"
    assert content.libraries["scikit-learn"]
    version = register_logged(store, "delay", logged, description="The third.")
    assert (version.ref, version.made.tree, version.made.logged) == ("delay@1", content.tree, logged)
    assert register_logged(store, "delay", logged, description="The third.").id == version.id
    assert [each.id for each in store.queries.ask(ModelsFromLogged(logged=logged))] == [version.id]
    edges = {(edge.relation, edge.target) for edge in store.queries.ask(EdgesFrom(subject=version.subject))}
    assert edges == {("produced_by", "run:r1"), ("registered_from", f"logged_model:{logged}")}
    edges = {(edge.relation, edge.target) for edge in store.queries.ask(EdgesFrom(subject=model.subject))}
    assert edges == {("produced_by", "run:r1"), ("trained_on", "dataset:d1")}
    assert {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=version.subject))} == {"auc": 0.7}
    delete_logged(store, logged)
    assert content.tree.root in set(store.queries.ask(HeldDigests())), "the version holds them still"
    loaded = load(store, "delay@1", runtimes=RUNTIMES)
    inputs = {name: ROWS[name].to_numpy() for name in ROWS.columns}
    np.testing.assert_array_equal(loaded.predictor.predict(inputs)["predict"], estimator.predict(ROWS.to_numpy()))


def test_what_another_tool_uploaded_is_registered_by_that_tool() -> None:
    store = memory_store(PROJECTION, GOVERNANCE, LOGGED)
    logged = log_model(store, "trees").id
    with pytest.raises(Invalid):
        register_logged(store, "delay", logged)
