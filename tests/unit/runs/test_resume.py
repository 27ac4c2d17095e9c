"""A run is taken up again: its curves go on, a later attempt shows, and it is over only when it ends again."""

import logging
from typing import Any

import pytest

from charkh.core.errors import CharkhError, Invalid, NotFound, Unavailable
from charkh.core.events import Edge
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs.delete import delete_run
from charkh.runs.find import by_id
from charkh.runs.held import PROJECTION as HELD
from charkh.runs.history import metric_history
from charkh.runs.index import PROJECTION, ArtifactsOf, LinksOf
from charkh.runs.media import list_media
from charkh.runs.membership import shared_id
from charkh.runs.points_log import PointsLog
from charkh.runs.resume import resumed, resumed_if_there
from charkh.runs.start import start
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, HELD, LINEAGE, DATASETS)


def test_the_same_curve_goes_on(store: Store) -> None:
    with start(store, name="first") as run:
        for value in (3.0, 2.0):
            run.log({"loss": value})
        run.log({"auc": 0.5}, step=40, context="val")
        run.log_text("said", "one")
    with start(store, resumed=resumed(store, "first")) as again:
        assert again.id == run.id
        assert not by_id(store, run.id).over
        again.log({"loss": 1.0})
        again.log({"auc": 0.6}, context="val")
        again.log({"new": 7.0})
        again.log_text("said", "two")
    found = by_id(store, run.id)
    assert (found.name, found.over, found.status) == ("first", True, "finished")
    curve = metric_history(store, run.id, "loss")
    assert (curve.steps.tolist(), curve.values.tolist()) == ([0, 1, 2], [3.0, 2.0, 1.0])
    assert metric_history(store, run.id, "auc", context="val").steps.tolist() == [40, 41]
    assert metric_history(store, run.id, "new").steps.tolist() == [0]
    assert [each.step for each in list_media(store, run.id)] == [0, 1]


def test_it_goes_on_while_its_segments_are_not_sealed(store: Store) -> None:
    run = start(store)
    run.end()
    killed = PointsLog(store.journal, run.id, "0")
    killed.log({"loss": 3.0}, None, "", None)
    killed.log({"loss": 2.0}, None, "", None)
    killed.close()
    with start(store, resumed=resumed(store, run.id)) as again:
        again.log({"loss": 1.5}, step=1)
        again.log({"loss": 1.0})
    assert metric_history(store, run.id, "loss").values.tolist() == [3.0, 1.5, 1.0]


def test_a_word_names_a_run_that_is_begun_once(store: Store) -> None:
    assert resumed_if_there(store, "job-7") is None
    with start(store, identifier=shared_id("job-7")) as run:
        run.log({"loss": 1.0})
    going_on = resumed_if_there(store, "job-7")
    assert going_on is not None
    assert (going_on.run, going_on.steps) == (run.id, {"": {"loss": 1}})
    delete_run(store, run.id)
    with pytest.raises(NotFound):
        resumed_if_there(store, "job-7")
    with pytest.raises(NotFound):
        resumed(store, run.id)


def test_one_process_may_join_the_run_that_it_is_in(store: Store) -> None:
    with start(store) as run, start(store, resumed=resumed(store, run.id)) as inner:
        inner.log({"loss": 1.0})
        inner.end()
        assert not by_id(store, run.id).over
    assert by_id(store, run.id).over


def failing(store: Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A switch: while it is on, the journal takes no fact."""
    state = {"on": False}
    append = store.journal.append

    def refuse(payloads: Any, *, durable: bool = False) -> None:
        if state["on"]:
            raise Unavailable("the disk is full", code="journal.unavailable")
        append(payloads, durable=durable)

    monkeypatch.setattr(store.journal, "append", refuse)
    return state


def test_a_training_goes_on_and_what_waits_is_recorded(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    switch = failing(store, monkeypatch)
    switch["on"] = True
    with caplog.at_level(logging.WARNING, "charkh"), start(store, strict=False, params={"a": 1}) as run:
        run.set_params({"b": {"c": "x" * 5000}})
        run.set_tags({"stage": "draft"})
        assert run.add_artifact("a.txt", b"abc") == ()
        run.use("dataset:" + "0" * 32)
        for wrong in (
            lambda: run.set_params({"d": object()}),
            lambda: run.set_tags({"": "x"}),
            lambda: run.add_artifact("../x", b""),
            lambda: run.use(3),
        ):
            with pytest.raises(Invalid):
                wrong()
        switch["on"] = False
    assert len(caplog.records) == 1
    found = by_id(store, run.id)
    assert (found.status, found.lost_records) == ("finished", 0)
    assert set(found.params) == {"a", "b.c"}
    assert found.tags == {"stage": "draft"}
    assert [each.path for each in store.queries.ask(ArtifactsOf(run=run.id))] == ["a.txt"]
    assert store.queries.ask(LinksOf(run=run.id)) == (Edge(run.subject, "used", "dataset:" + "0" * 32),)


def test_what_a_store_never_takes_waits_beside_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = memory_store(PROJECTION, HELD, LINEAGE)
    switch = failing(store, monkeypatch)
    switch["on"] = True
    with start(store, name="moved", strict=False, params={"a": 1}) as run:
        run.aside = lambda: beside
        run.add_artifact("a.txt", b"abc")
    found = by_id(beside, run.id)
    assert (found.name, found.status, found.params, found.lost_records) == ("moved", "finished", {"a": 1}, 0)
    assert [each.path for each in beside.queries.ask(ArtifactsOf(run=run.id))] == ["a.txt"]


def test_who_is_strict_sees_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = failing(store, monkeypatch)
    run = start(store)
    switch["on"] = True
    for wrong in (lambda: run.set_params({"a": 1}), lambda: run.set_tags({"a": "b"}), run.end):
        with pytest.raises(CharkhError):
            wrong()


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (SystemExit(0), "finished"),
        (SystemExit(2), "failed"),
        (KeyboardInterrupt(), "killed"),
        (ValueError("x"), "failed"),
    ],
)
def test_how_a_block_was_left_says_how_the_run_ended(store: Store, raised: BaseException, status: str) -> None:
    run = start(store)
    with pytest.raises(type(raised)), run:
        raise raised
    assert by_id(store, run.id).status == status
