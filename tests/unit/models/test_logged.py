"""Logged models: what is said of them, measured about them, and found again."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid, NotFound
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, HeldDigests
from charkh.models.log import (
    MAX_MEASUREMENTS,
    add_logged_file,
    change_logged,
    delete_logged,
    find_logged,
    link_logged,
    log_model,
    measure,
)
from charkh.models.logged import ID_PATTERN, Measurement, latest_value
from charkh.models.logged_index import PROJECTION, LoggedById, LoggedFiles, LoggedModels, ModelLinks
from charkh.models.texts import all_tags
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


def test_a_logged_model_is_found_with_what_was_said_of_it(store: Store) -> None:
    model = log_model(store, "trees", project="7", run="r1", type="forest", params={"depth": "3"}, tags={"a": "1"})
    assert ID_PATTERN.fullmatch(model.id)
    assert (model.status, model.params, model.tags) == ("pending", {"depth": "3"}, {"a": "1"})
    change_logged(store, model.id, status="ready", params={"depth": "9", "leaves": "7"}, tags={"a": None, "b": "2"})
    now = find_logged(store, model.id)
    assert (now.status, now.params, now.tags) == ("ready", {"depth": "3", "leaves": "7"}, {"b": "2"})
    assert [each.id for each in store.queries.ask(LoggedModels(projects=("7",)))] == [model.id]
    assert store.queries.ask(LoggedModels(projects=("8",))) == ()
    assert [each.id for each in store.queries.ask(LoggedModels(run="r1"))] == [model.id]
    edges = store.queries.ask(EdgesFrom(subject=model.subject))
    assert [(edge.relation, edge.target) for edge in edges] == [("produced_by", "run:r1")]
    described = store.queries.ask(Describe(subject=model.subject))
    assert described is not None
    assert described.title == "trees"


def test_a_long_param_is_bytes(store: Store) -> None:
    text = "layer " * 500
    model = log_model(store, "net", params={"layers": text})
    assert model.params == {}
    assert all_tags(store, model.params, model.long_params) == {"layers": text}


def test_what_is_measured_twice_counts_once(store: Store) -> None:
    model = log_model(store, "trees", run="r1")
    values = [Measurement("auc", 0.7, 1000, 1), Measurement("auc", 0.8, 2000, 2, "march", "d1")]
    values += [Measurement("loss", math.nan, 1000, 1), Measurement("gain", math.inf, 1000, 1)]
    for _ in range(2):
        measure(store, "r1", {model.id: values})
    found = find_logged(store, model.id)
    assert [(each.value.key, each.value.step, each.run) for each in found.metrics] == [
        ("auc", 1, "r1"),
        ("auc", 2, "r1"),
        ("gain", 1, "r1"),
        ("loss", 1, "r1"),
    ]
    assert latest_value(found, "auc") == 0.8
    assert latest_value(found, "auc", dataset="april") is None
    assert latest_value(found, "auc", dataset="march", digest="d1") == 0.8
    loss = latest_value(found, "loss")
    assert loss is not None
    assert math.isnan(loss)
    with pytest.raises(Invalid):
        measure(store, "r1", {model.id: [Measurement("a", 1.0, 0)] * (MAX_MEASUREMENTS + 1)})


def test_its_files_are_held_until_it_is_deleted(store: Store) -> None:
    model = log_model(store, "trees")
    file = store.vault.put_bytes(b"data", "model.bin")
    store.vault.flush()
    add_logged_file(store, model.id, "model/data", file)
    assert [each.path for each in store.queries.ask(LoggedFiles(logged=model.id))] == ["model/data"]
    assert file.held in set(store.queries.ask(HeldDigests()))
    delete_logged(store, model.id)
    assert file.held not in set(store.queries.ask(HeldDigests()))
    with pytest.raises(NotFound):
        find_logged(store, model.id)
    gone = store.queries.ask(LoggedById(logged=model.id))
    assert gone is not None
    assert gone.deleted is not None
    assert store.queries.ask(LoggedModels()) == ()


def test_a_run_says_what_it_left_and_used(store: Store) -> None:
    model = log_model(store, "trees")
    link_logged(store, "r1", {model.id: 5}, "output")
    link_logged(store, "r2", {model.id: 0}, "input")
    links = store.queries.ask(ModelLinks(runs=("r1", "r2")))
    assert [(link.run, link.role, link.step) for link in links] == [("r1", "output", 5), ("r2", "input", 0)]


def test_an_id_is_never_a_path(store: Store) -> None:
    for bad in ("", "m-1", "m-" + "g" * 32, "../m-" + "0" * 32, "m-" + "0" * 32 + "/x"):
        with pytest.raises(Invalid):
            find_logged(store, bad)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(["ready", "failed", "tag", "untag", "param", "measure", "file", "delete"]), max_size=8))
def test_the_tables_are_a_function_of_the_set_of_events(actions: list[str]) -> None:
    store = memory_store(PROJECTION)
    model = log_model(store, "trees", run="r1", params={"a": "0"})
    for place, action in enumerate(actions):
        if store.queries.ask(LoggedModels()) == ():
            break
        if action in {"ready", "failed"}:
            change_logged(store, model.id, status="ready" if action == "ready" else "failed")
        elif action in {"tag", "untag"}:
            change_logged(store, model.id, tags={"a": str(place) if action == "tag" else None})
        elif action == "param":
            change_logged(store, model.id, params={"a": str(place)})
        elif action == "measure":
            measure(store, "r1", {model.id: [Measurement("auc", float(place), 0)]})
        elif action == "file":
            add_logged_file(store, model.id, "x", store.vault.put_bytes(b"x" * place, "x"))
        else:
            delete_logged(store, model.id)
    questions = [LoggedById(logged=model.id), LoggedModels(), LoggedFiles(logged=model.id)]
    assert assert_order_free([PROJECTION], payloads_of(store), questions, rounds=2)["logged_model"]
