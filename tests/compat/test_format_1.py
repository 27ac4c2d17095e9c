"""A workspace that was stored in format 1 opens for ever, and answers what it answered then.

`scripts/make_compat_workspace.py` made it, at the release of the format; nothing here may be changed to
make a later version pass, except where an answer is rightly said in other words.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from charkh.assets.index import Erasures
from charkh.assets.verify import verify
from charkh.cards.index import CardOf
from charkh.checks.index import Checks
from charkh.core.errors import NotFound
from charkh.core.events import Edge, Event, decode_event
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.datasets.read import read_table
from charkh.endpoints.index import Deployments, Endpoints
from charkh.endpoints.read import prediction, predictions
from charkh.evaluations.index import EvaluationsOf
from charkh.lineage.index import FactsAbout, HeldDigests, Walk
from charkh.loops.index import Decisions
from charkh.models.alias import holder_of
from charkh.models.find import find as find_model
from charkh.models.index import AliasHistory, ModelVersions
from charkh.models.load import load
from charkh.monitors.alert_index import Alerts
from charkh.monitors.index import MonitorHistory
from charkh.pipelines.index import Executions
from charkh.recipes.find import find as find_recipe
from charkh.runs.history import metric_history
from charkh.runs.index import ArtifactsOf
from charkh.runs.run import Run
from charkh.runs.search import search
from charkh.stores.audit import verify_chain
from charkh.stores.journal_folder import FolderJournal
from charkh.studies.index import Studies
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.sealing import seal_all
from charkh.workspace.workspace import Workspace, open_workspace

ARCHIVE = Path(__file__).parent / "format-1.tar.gz"
KINDS = {
    "alert.raised/1": 1,
    "asset.erased/1": 1,
    "card.made/1": 1,
    "check.ran/1": 1,
    "dataset.deleted/1": 1,
    "dataset.made_again/1": 1,
    "dataset.version/1": 7,
    "endpoint.deployed/1": 2,
    "endpoint.sealed/1": 1,
    "endpoint.stopped/1": 1,
    "evaluation.made/1": 1,
    "loop.decided/1": 1,
    "model.alias_moved/1": 4,
    "model.deleted/1": 1,
    "model.version/1": 3,
    "monitor.collected/1": 1,
    "pipeline.ended/1": 2,
    "pipeline.started/1": 2,
    "recipe.recorded/1": 1,
    "run.artifact/1": 3,
    "run.deleted/1": 1,
    "run.ended/1": 9,
    "run.linked/1": 3,
    "run.params/1": 8,
    "run.provenance/1": 2,
    "run.sealed/1": 3,
    "run.started/1": 10,
    "planet.found/7": 1,
    "run.tagged/1": 10,
    "step.done/1": 1,
    "step.failed/1": 1,
    "step.forgotten/1": 1,
    "study.ended/1": 1,
    "study.started/1": 1,
    "trial.done/1": 3,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    with open_workspace(folder) as workspace:
        yield workspace


def run_named(workspace: Workspace, name: str) -> Run:
    (run,) = [run for run in search(workspace.store, limit=100) if run.name == name]
    return run


def _events(workspace: Workspace) -> list[Event]:
    return [decode_event(each) for batch in workspace.journal.read({}) for each in batch.payloads]


def test_every_event_is_there_and_readable(workspace: Workspace) -> None:
    events = _events(workspace)
    assert Counter(event.kind for event in events) == KINDS
    assert {event.actor for event in events} == {"ann@laptop"}
    assert workspace.catalog.set_aside() == []
    known = {kind for projection in PROJECTIONS if projection.kinds for kind in projection.kinds}
    # The lineage of all nouns reads these, one for its edges alone, one from the future.
    assert known >= set(KINDS) - {"dataset.made_again/1", "planet.found/7"}


def test_all_bytes_are_there_and_the_trail_is_whole(workspace: Workspace) -> None:
    report = verify(workspace.vault, level="everything", roots=workspace.store.queries.ask(HeldDigests()))
    assert report.problems == []
    assert isinstance(workspace.journal, FolderJournal)
    trail = verify_chain(workspace.journal)
    assert (trail.sound, trail.problems) == (True, ())


def test_datasets(workspace: Workspace) -> None:
    store = workspace.store
    assert [summary.name for summary in store.queries.ask(Datasets())] == [
        *("flights", "flights.quarantine", "notes", "tidied", "wide")
    ]
    assert [version.made.message for version in store.queries.ask(DatasetVersions(name="flights"))] == [
        "February",
        "January",
    ]
    assert read_table(store, find_dataset(store, "flights@1")).height == 20
    frame = read_table(store, find_dataset(store, "flights@latest")).sort("flight")
    assert frame.schema == {"flight": pl.Int64, "origin": pl.String, "wind": pl.Float64, "late": pl.Int64}
    assert frame["flight"].to_list() == list(range(40))
    assert frame["late"].sum() == 16
    with pytest.raises(NotFound):
        find_dataset(store, "gone")


def test_what_was_erased_stays_erased(workspace: Workspace) -> None:
    store = workspace.store
    assert len(store.queries.ask(Erasures())) == 1
    version = find_dataset(store, "notes@1")
    read = {
        Path(entry.path).name: b"".join(store.vault.read(entry.file))
        for entry in store.vault.entries(version.made.tree.root)
    }
    assert read == {"kept.txt": b"kept\n", "secret.txt": b"erased\n"}


def test_runs_and_their_points(workspace: Workspace) -> None:
    store = workspace.store
    first = run_named(workspace, "first")
    assert (first.status, first.params["rate"], first.tags["team"]) == ("finished", 0.1, "delay")
    curve = metric_history(store, first.id, "loss")
    assert curve.steps.tolist() == list(range(10))
    assert curve.values.tolist() == [1.0 / (step + 1) for step in range(10)]
    late = metric_history(store, first.id, "loss", context="val")
    assert late.steps.tolist() == [2**53 + 1]
    assert np.isnan(late.values).all()
    (artifact,) = store.queries.ask(ArtifactsOf(run=first.id))
    assert b"".join(store.vault.read(artifact.file)) == b"hello from format 1\n"
    assert [run.name for run in search(store, "params.rate > 0.15 and metrics.loss < 0.2")] == ["second"]
    assert not [run for run in search(store) if run.name == "forgotten"]


def test_a_run_that_died_keeps_its_points_open_and_sealed(workspace: Workspace) -> None:
    store = workspace.store
    died = run_named(workspace, "died")
    assert died.status != "finished"
    assert metric_history(store, died.id, "loss").points()[0][::2] == (7, 0.25)
    seal_all(workspace)
    assert [segment.header.content for segment in store.journal.list_data()] == ["console"]
    assert metric_history(store, died.id, "loss").points()[0][::2] == (7, 0.25)
    records = list(store.journal.read_data("0" * 31 + "1"))
    assert [record.payload for record in records] == [b"a line of the console"]


def test_what_a_later_charkh_said_is_kept(workspace: Workspace) -> None:
    store = workspace.store
    assert [each.edge for each in store.queries.ask(Walk(subject="planet:1"))] == [
        Edge("planet:1", "orbits", "star:1"),
    ]
    (fact,) = store.queries.ask(FactsAbout(subject="planet:1"))
    assert (fact.name, fact.value) == ("far", True)
    (found,) = [event for event in _events(workspace) if event.kind == "planet.found/7"]
    assert set(found.holds) <= set(store.queries.ask(HeldDigests()))
    assert msgspec.msgpack.decode(found.body)["moons"] == [1, None, {"name": "x"}]


def test_models_and_aliases(workspace: Workspace) -> None:
    store = workspace.store
    assert [version.made.number for version in store.queries.ask(ModelVersions(name="delay"))] == [2, 1]
    holder = holder_of(store, "delay", "champion")
    assert holder is not None
    assert holder.version is not None
    assert holder.version.ref == "delay@1"
    assert len(store.queries.ask(AliasHistory(name="delay", alias="champion"))) == 3
    assert find_model(store, "delay@challenger").ref == "delay@2"
    loaded = load(store, "delay@champion", runtimes=workspace.runtimes)
    (name,) = [spec.name for spec in loaded.version.made.signature.inputs]
    answer = loaded.predictor.predict({name: np.array([[0.0], [6.0]])})
    assert np.asarray(answer["predict"]).tolist() == [0, 1]


def test_what_was_said_about_a_model(workspace: Workspace) -> None:
    store = workspace.store
    model = find_model(store, "delay@1")
    (evaluation,) = store.queries.ask(EvaluationsOf(subject=model.subject))
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=model.subject))}
    assert facts["auc"] == 1.0
    assert evaluation.made.on == find_dataset(store, "flights@2").subject
    assert store.queries.ask(CardOf(about=model.subject)) is not None
    (check,) = store.queries.ask(Checks())
    assert check.ran.ok is False
    assert find_recipe(store, "tidy").recorded.name == "tidy"


def test_pipelines_and_studies(workspace: Workspace) -> None:
    store = workspace.store
    executions = store.queries.ask(Executions())
    assert sorted((each.pipeline, each.status) for each in executions) == [("never", "failed"), ("twice", "finished")]
    (study,) = store.queries.ask(Studies())
    assert study.name == "rates"


def test_from_a_prediction_to_the_rows_it_came_from(workspace: Workspace) -> None:
    store = workspace.store
    assert [each.name for each in store.queries.ask(Endpoints())] == ["delay", "old"]
    assert len(store.queries.ask(Deployments(endpoint="delay"))) == 1
    table = predictions(store, "delay")
    assert table["predict"].to_list() == [0, 1]
    found = prediction(store, table["prediction_id"][1])
    model = find_model(store, "delay@1")
    assert found.model == model.subject
    reached = {each.edge.target for each in store.queries.ask(Walk(subject=f"deployment:{found.deployment}"))}
    assert {model.subject, find_dataset(store, "flights@2").subject} <= reached


def test_monitors_alerts_and_loops(workspace: Workspace) -> None:
    store = workspace.store
    (collection,) = store.queries.ask(MonitorHistory(monitor="delay"))
    assert collection.made.monitor == "delay"
    assert len(store.queries.ask(Alerts())) == 1
    (decision,) = store.queries.ask(Decisions(loop="delay"))
    assert decision.decided.outcome == "refused"


def test_work_goes_on(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        before = workspace.identifier
        seal_all(workspace)
        workspace.catalog.rebuild()
        assert len(workspace.store.queries.ask(ModelVersions(name="delay"))) == 2
    with open_workspace(folder) as workspace:
        assert workspace.identifier == before
        assert isinstance(workspace.journal, FolderJournal)
        assert workspace.journal.open_segments() == 0
        assert verify_chain(workspace.journal).sound
