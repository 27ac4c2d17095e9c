"""Stores that MLflow itself wrote come over whole, once, and again only what is new."""

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import from_url

from charkh.bridges.mlflow.exchanged import KeyPoints, MlflowRun
from charkh.bridges.mlflow.importing.file_store import FileStore
from charkh.bridges.mlflow.importing.importer import import_mlflow
from charkh.bridges.mlflow.importing.report import MlflowReport
from charkh.bridges.mlflow.run_filters import run_order
from charkh.core.errors import Invalid, NotFound
from charkh.models.index import ModelVersions
from charkh.models.logged_index import LoggedFiles, LoggedModels, ModelLinks
from charkh.models.texts import read_text
from charkh.runs.delete import delete_run
from charkh.runs.find import by_id
from charkh.runs.history import metric_history
from charkh.runs.index import ArtifactsOf
from charkh.runs.inputs import InputsOfRuns
from charkh.runs.projects import find_project
from charkh.runs.run import LargeValue, Run
from charkh.runs.search import find_runs, search
from charkh.workspace.workspace import Workspace, open_workspace
from peers import peer_program

WRITE = Path(__file__).with_name("stores.py")
QUIET = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
KINDS = [
    pytest.param("sqlite", marks=pytest.mark.needs("peer:mlflow")),
    pytest.param("file", marks=pytest.mark.needs("peer:mlflow")),
    pytest.param("file2", marks=pytest.mark.needs("peer:mlflow2")),
]


def write(folder: Path, peer: str, uri: str, *words: str) -> None:
    done = subprocess.run(
        [peer_program(peer, "python"), WRITE, uri, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def address(folder: Path, kind: str) -> str:
    return f"sqlite:///{folder}/mlflow.db" if kind == "sqlite" else str(folder / "mlruns")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, Path]":
    return {}


@pytest.fixture
def source(request: pytest.FixtureRequest, written: "dict[str, Path]", tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A copy of a store of the kind that the test names, and its folder: MLflow writes each kind once."""
    kind = request.param
    if kind not in written:
        folder = request.getfixturevalue("tmp_path_factory").mktemp(kind)
        uri = address(folder, kind) if kind == "sqlite" else f"file://{folder}/mlruns"
        write(folder, "mlflow2" if kind == "file2" else "mlflow", uri)
        written[kind] = folder
    copy = tmp_path / "theirs"
    shutil.copytree(written[kind], copy)
    yield kind, copy


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "ours").mkdir()
    with open_workspace(tmp_path / "ours", create=True) as opened:
        yield opened


def named(workspace: Workspace, name: str) -> Run:
    (found,) = [run for run in search(workspace.store, "", limit=100) if run.name == name]
    return found


def facts(workspace: Workspace) -> int:
    return sum(len(batch.payloads) for batch in workspace.store.journal.read({}))


def new(report: MlflowReport) -> dict[str, int]:
    return {kind: count.new for kind, count in report.counts.items() if count.new}


@pytest.mark.parametrize("source", KINDS, indirect=True)
def test_everything_comes_over_once(source: tuple[str, Path], workspace: Workspace) -> None:
    kind, folder = source
    store = workspace.store
    dry = import_mlflow(workspace, address(folder, kind), dry=True)
    assert dry.dry
    assert not search(store, "", limit=10)
    report = import_mlflow(workspace, address(folder, kind))
    assert not report.trouble
    assert dry.counts["point"].new == report.counts["point"].new >= 10_043
    assert dry.counts["run"].new == report.counts["run"].new == 4
    assert report.bytes == dry.bytes

    project = find_project(store, "flights/delay")
    assert project.tags == {"owner": "ann"}
    assert project.location == ""
    assert find_project(store, "gone").deleted is not None
    run = named(workspace, "parent")
    assert run.project == project.id
    assert run.status == "finished"
    assert run.params["rate"] == "0.1"
    assert isinstance(run.params["long"], LargeValue)
    assert run.tags["mlflow.note.content"] == "what it is about"
    assert run.tags["stage"] == "draft"
    loss = metric_history(store, run.id, "loss")
    assert [(point.step, point.value) for point in loss.points()] == [(step, 1 / (step + 1)) for step in range(20)]
    many = metric_history(store, run.id, "many")
    assert len(many) == 10_000
    assert many.values[7000] == 1000.0
    assert math.isnan(run.metrics["odd"])
    assert run.metrics["big"] >= 1.7e308
    child = named(workspace, "child")
    assert child.started.parent == run.id
    assert named(workspace, "killed").status == "killed"
    (trash,) = find_runs(store, None, run_order(()), deleted=True)
    assert trash.name == "trash"
    hello = next(each for each in store.queries.ask(ArtifactsOf(run=run.id)) if each.path == "notes/hello.txt")
    assert b"".join(store.vault.read(hello.file)) == b"hello"
    (used,) = store.queries.ask(InputsOfRuns(runs=(run.id,)))[run.id]
    assert (used.name, used.context, used.source_type) == ("train", "training", "local")

    (version,) = store.queries.ask(ModelVersions(name="delay"))
    assert version.made.run == run.id
    assert version.aliases == ("champion",)
    assert version.tags == {"ok": "yes"}
    assert not version.made.elsewhere
    assert {entry.path for entry in store.vault.entries(version.made.tree.root)} >= {"MLmodel", "python_model.pkl"}
    far = store.queries.ask(ModelVersions(name="elsewhere"))
    assert [each.made.number for each in far] == [3, 1]
    assert far[0].made.elsewhere
    assert far[0].stage == "Staging"
    assert read_text(store, far[1].description) == "in a bucket"
    if kind != "file2":
        (logged,) = store.queries.ask(LoggedModels())
        assert logged.made.run == run.id
        assert logged.status == "ready"
        assert store.queries.ask(LoggedFiles(logged=logged.id))
        assert [link.logged for link in store.queries.ask(ModelLinks(runs=(run.id,)))] == [logged.id]

    before = facts(workspace)
    again = import_mlflow(workspace, address(folder, kind))
    assert new(again) == {}
    assert facts(workspace) == before


@pytest.mark.parametrize("source", KINDS[:2], indirect=True)
def test_what_is_new_there_is_added_and_what_was_deleted_here_stays_so(
    source: tuple[str, Path], workspace: Workspace
) -> None:
    kind, folder = source
    import_mlflow(workspace, address(folder, kind))
    child = named(workspace, "child")
    delete_run(workspace.store, child.id)
    uri = address(folder, kind) if kind == "sqlite" else f"file://{folder}/mlruns"
    write(folder, "mlflow", uri, "more")
    report = import_mlflow(workspace, address(folder, kind))
    assert new(report) == {"run": 1, "param": 1, "tag": new(report)["tag"], "point": 2, "artifact": 1}
    assert [each.why for each in report.left if each.what == "run"] == ["it was deleted here"]
    run = named(workspace, "parent")
    assert run.tags["stage"] == "done"
    assert run.params["late"] == "yes"
    assert run.metrics["loss"] == 0.01
    assert len(metric_history(workspace.store, run.id, "loss")) == 21
    assert named(workspace, "new").metrics["score"] == 2.0
    assert by_id(workspace.store, child.id).deleted is not None


@pytest.mark.parametrize("source", KINDS[1:2], indirect=True)
def test_a_damaged_file_costs_what_it_describes_and_nothing_else(
    source: tuple[str, Path], workspace: Workspace
) -> None:
    _, folder = source
    root = folder / "mlruns"
    metas = {path.parent.name: path for path in root.glob("*/*/meta.yaml")}
    names = {path.read_text(): path.parent.parent.name for path in root.glob("*/*/tags/mlflow.runName")}
    metas[names["child"]].write_bytes(b"run_id: [cut")
    metas[names["killed"]].write_bytes(b"\0\xff\xfe!!python/object/apply:os.system [date]")
    losses = next(path for path in root.glob(f"*/{names['parent']}/metrics/loss"))
    losses.write_text(losses.read_text() + "nonsense\n1 2\n17e 1.0 3\n1700000000000 -inf 99\n")
    report = import_mlflow(workspace, str(root))
    assert report.counts["run"].new == 2
    assert len(report.trouble) == 3
    assert sum("meta.yaml" in each.where for each in report.trouble) == 2
    curve = metric_history(workspace.store, named(workspace, "parent").id, "loss")
    assert curve.values[-1] == -math.inf
    assert len(curve) == 22


def test_files_that_are_gone_or_lead_elsewhere_are_not_taken(workspace: Workspace, tmp_path: Path) -> None:
    root, run, other = tmp_path / "mlruns", "0" * 31 + "1", "0" * 31 + "2"
    for name, uri in ((run, f"file://{root}/0/{run}/artifacts"), (other, "file:///etc")):
        folder = root / "0" / name
        (folder / "artifacts").mkdir(parents=True)
        (folder / "meta.yaml").write_text(f"artifact_uri: {uri}\nstart_time: 1000\nstatus: 3\nrun_name: r{name[-1]}\n")
    (root / "0" / "meta.yaml").write_text("name: Default\nexperiment_id: '0'\n")
    kept = root / "0" / run / "artifacts"
    (kept / "good.txt").write_text("good")
    (kept / "link.txt").symlink_to("/etc/passwd")
    (kept / "gone.txt").symlink_to(root / "nothing")
    report = import_mlflow(workspace, str(root))
    assert [each.path for each in workspace.store.queries.ask(ArtifactsOf(run=run))] == ["good.txt"]
    assert not workspace.store.queries.ask(ArtifactsOf(run=other))
    assert [each.what for each in report.left] == ["artifact folder"]


def test_an_interrupted_import_goes_on(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "mlruns"
    for number in range(30):
        folder = root / "0" / f"{number:032x}"
        (folder / "metrics").mkdir(parents=True)
        (folder / "meta.yaml").write_text(f"start_time: {1000 + number}\nstatus: 3\nrun_name: run {number}\n")
        (folder / "metrics" / "loss").write_text("".join(f"{time} {time / 7} {time}\n" for time in range(1000)))
    (root / "0" / "meta.yaml").write_text("name: Default\nexperiment_id: '0'\n")
    monkeypatch.setattr("charkh.bridges.mlflow.importing.landing.COMMIT_FACTS", 10)
    reads = 0
    points = FileStore.points

    def stop(self: FileStore, run: MlflowRun) -> Iterator[KeyPoints]:
        nonlocal reads
        reads += 1
        if reads == 17:
            raise KeyboardInterrupt
        return points(self, run)

    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "points", stop)
        with pytest.raises(KeyboardInterrupt):
            import_mlflow(workspace, str(root))
    partly = search(workspace.store, "", limit=100)
    assert 0 < len(partly) < 17
    assert all(run.metrics for run in partly)
    report = import_mlflow(workspace, str(root))
    assert report.counts["run"].new == 30 - len(partly)
    assert all(len(metric_history(workspace.store, f"{number:032x}", "loss")) == 1000 for number in range(30))


@pytest.mark.needs("peer:mlflow-postgres", "postgresql")
def test_a_store_in_postgresql_comes_over(workspace: Workspace, postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    write(tmp_path / "theirs", "mlflow-postgres", postgres_url.replace("postgresql://", "postgresql+psycopg2://"))
    report = import_mlflow(workspace, postgres_url)
    assert not report.trouble
    assert report.counts["run"].new == 4
    assert report.counts["point"].new == 10_043
    assert report.counts["version"].new == 3
    assert new(import_mlflow(workspace, postgres_url)) == {}


@pytest.mark.needs("moto")
def test_what_lies_in_a_bucket_comes_where_it_is_asked_for(
    workspace: Workspace, s3_url: str, s3_config: dict[str, str], tmp_path: Path
) -> None:
    root, run = tmp_path / "mlruns", "0" * 31 + "1"
    bucket = s3_url.rstrip("/")
    folder = root / "1" / run
    folder.mkdir(parents=True)
    (root / "1" / "meta.yaml").write_text(f"name: far\nexperiment_id: '1'\nartifact_location: {bucket}/1\n")
    (folder / "meta.yaml").write_text(f"artifact_uri: {bucket}/1/{run}/artifacts\nstart_time: 1000\nstatus: 3\n")
    obstore.put(from_url(f"{bucket}/1/{run}/artifacts"), "deep/note.txt", b"hello")
    report = import_mlflow(workspace, str(root))
    assert [each.what for each in report.left] == ["artifact folder"]
    assert find_project(workspace.store, "far").location == f"{bucket}/1"
    report = import_mlflow(workspace, str(root), buckets=True)
    assert new(report) == {"artifact": 1}
    (file,) = workspace.store.queries.ask(ArtifactsOf(run=run))
    assert b"".join(workspace.store.vault.read(file.file)) == b"hello"
    assert new(import_mlflow(workspace, str(root), buckets=True)) == {}
    assert s3_config


@pytest.mark.parametrize("where", ["mlruns", "sqlite:///nothing.db", "redis://x", "mysql://x/y", "http://a:b@c"])
def test_what_is_no_store_is_refused(where: str, workspace: Workspace) -> None:
    with pytest.raises((NotFound, Invalid)) as raised:
        import_mlflow(workspace, where)
    assert raised.value.code.startswith("mlflow.")
