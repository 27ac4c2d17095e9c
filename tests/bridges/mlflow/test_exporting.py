"""What is exported MLflow reads, as a folder of its file store and on a server of its own; and it comes back whole."""

import json
import math
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charkh.bridges.mlflow.exporting.exporter import export_mlflow
from charkh.bridges.mlflow.exporting.selection import Selection
from charkh.bridges.mlflow.importing.importer import import_mlflow
from charkh.bridges.mlflow.importing.report import MlflowReport
from charkh.bridges.mlflow.run_filters import run_order
from charkh.models.declare import declare
from charkh.models.log import add_logged_file, change_logged, link_logged, log_model, measure
from charkh.models.logged import Measurement
from charkh.runs.delete import delete_run
from charkh.runs.history import metric_history
from charkh.runs.inputs import input_draft
from charkh.runs.project import Project
from charkh.runs.projects import create_project
from charkh.runs.run import Run
from charkh.runs.search import find_runs
from charkh.runs.start import start
from charkh.workspace.workspace import Workspace, open_workspace
from peers import peer_program

QUIET = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
READ = """
import json, sys
import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_registry_uri(sys.argv[1])
client, said = MlflowClient(), {}
for experiment in client.search_experiments(view_type=ViewType.ALL):
    for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
        said[run.info.run_name] = {
            "id": run.info.run_id, "experiment": experiment.name, "status": run.info.status,
            "stage": run.info.lifecycle_stage, "start": run.info.start_time, "params": run.data.params,
            "tags": run.data.tags, "metrics": {key: repr(value) for key, value in run.data.metrics.items()},
            "loss": [[each.step, each.value] for each in client.get_metric_history(run.info.run_id, "loss")],
            "files": [each.path for each in client.list_artifacts(run.info.run_id)],
            "inputs": [[each.dataset.name, each.dataset.digest] for each in run.inputs.dataset_inputs],
        }
        if "note.txt" in said[run.info.run_name]["files"]:
            said["note"] = mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt")
said["models"] = {
    model.name: [model.description, model.aliases, [
        [version.version, version.tags.get("ok"), version.current_stage]
        for version in sorted(client.search_model_versions(f"name='{model.name}'"), key=lambda each: each.version)
    ]]
    for model in client.search_registered_models()
}
print(json.dumps(said))
"""


def fill(workspace: Workspace) -> tuple[Run, Project]:
    store = workspace.store
    project = create_project(store, "flights/delay", tags={"owner": "ann"})
    with start(store, name="first", params={"rate": 0.1, "deep": {"layers": [1, 2]}}, project=project.id) as run:
        for step in range(1500):
            run.log({"loss": 1 / (step + 1)}, step=step, time=1_700_000_000 + step)
        run.log({"loss": 0.5}, step=1, context="val", time=1_700_000_000)
        run.log({"odd": math.nan}, step=0, time=1_700_000_000)
        run.set_tags(
            {"stage": "draft", "note": "ein Satz — ناهمانند\n  mehr: 'Zeilen'", "mlflow.note.content": "x" * 3000}
        )
        run.add_artifact("note.txt", b"hello")
        run.add_artifact("deep/in/it.bin", np.arange(1000).tobytes())
        with start(store, name="child", parent=run.id, project=project.id) as child:
            child.log({"score": 1.0}, step=0)
    data = input_draft(
        store, run.id, name="train", digest="abc", source_type="local", source="t.csv", context="training"
    )
    store.record(data)
    with start(store, name="trash", project=project.id) as trash:
        pass
    delete_run(store, trash.id)
    logged = log_model(store, "net", project=project.id, run=run.id, params={"a": "1"}, tags={"b": "2"}, created=1e9)
    add_logged_file(store, logged.id, "model.txt", store.vault.put_bytes(b"tree", "model.txt"))
    change_logged(store, logged.id, status="ready")
    measure(store, run.id, {logged.id: [Measurement(key="auc", value=0.75, time=1000, step=2)]})
    link_logged(store, run.id, {logged.id: 3}, "output")
    declare(store, "empty", description="no version yet", tags={"kind": "none"})
    return run_named(workspace, "first"), project


def run_named(workspace: Workspace, name: str) -> Run:
    (found,) = [each for each in find_runs(workspace.store, None, run_order(()), deleted=None) if each.name == name]
    return found


def everything(workspace: Workspace) -> Any:
    """All that an export knows of a store, without what only its own moment says."""
    selection = Selection(workspace.store)
    found: dict[str, Any] = {}
    for experiment in selection.experiments():
        found[experiment.name] = [experiment.id, experiment.tags, experiment.deleted]
        for run in selection.runs(experiment.id):
            points = {
                each.key: [each.steps.tolist(), each.times.tolist(), list(map(repr, each.values.tolist()))]
                for each in selection.points(run)
            }
            found[run.id] = [run, points, selection.files("", run.id).refs]
        for model in selection.logged(experiment.id):
            found[model.id] = [model, selection.files("", model.id).refs]
    for registered in selection.registered():
        found[f"model {registered.name}"] = [registered.description, registered.tags, registered.aliases]
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "ours").mkdir()
    with open_workspace(tmp_path / "ours", create=True) as opened:
        yield opened


def other(folder: Path) -> Workspace:
    folder.mkdir()
    return open_workspace(folder, create=True)


def new(report: MlflowReport) -> dict[str, int]:
    return {kind: count.new for kind, count in report.counts.items() if count.new}


def test_a_folder_comes_back_as_it_was(workspace: Workspace, tmp_path: Path) -> None:
    fill(workspace)
    folder = tmp_path / "mlruns"
    report = export_mlflow(workspace, folder=folder)
    assert report.counts["run"] == 3
    assert not report.trouble
    assert not report.left
    assert new(import_mlflow(workspace, str(folder))) == {}
    with other(tmp_path / "theirs") as second:
        back = import_mlflow(second, str(folder))
        assert not back.trouble
        assert everything(second) == everything(workspace)
        assert metric_history(second.store, run_named(second, "first").id, "loss", context="val").values.tolist() == [
            0.5
        ]
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.bin")}
    export_mlflow(workspace, ["first"], folder=folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.bin")} == kept


def test_no_name_leads_out_of_the_folder(workspace: Workspace, tmp_path: Path) -> None:
    with start(workspace.store, name="odd", params={"../../out": 1, "a": 1}) as run:
        run.set_tags({"/etc/x": "1", "a/../../../b": "2"})
        run.log({"../m": 1.0}, step=0)
    report = export_mlflow(workspace, folder=tmp_path / "deep" / "mlruns")
    assert sum(each.count for each in report.left if each.what == "key") == 3
    assert len(report.trouble) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"ours", "deep"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mlruns"]


@pytest.mark.needs("peer:mlflow")
@pytest.mark.parametrize("peer", ["mlflow", pytest.param("mlflow2", marks=pytest.mark.needs("peer:mlflow2"))])
def test_mlflow_opens_the_folder(peer: str, workspace: Workspace, tmp_path: Path) -> None:
    run, _ = fill(workspace)
    export_mlflow(workspace, folder=tmp_path / "mlruns")
    _check(_read(peer, f"file://{tmp_path}/mlruns"), run)


@pytest.mark.needs("peer:mlflow")
def test_a_server_takes_it_and_gives_it_back(workspace: Workspace, tmp_path: Path) -> None:
    run, _ = fill(workspace)
    with Mlflow(tmp_path) as server:
        report = export_mlflow(workspace, server=server.url)
        assert not report.trouble
        assert not report.left
        said = _read("mlflow", server.url)
        assert said["first"]["tags"].pop("charkh.run") == run.id
        parent = said["first"].pop("id")
        _check({**said, "first": {**said["first"], "id": run.id}}, run, parent)
        again = export_mlflow(workspace, server=server.url)
        assert set(again.counts) <= {"tag"}
        back = import_mlflow(workspace, server.url)
        assert new(back) == {}
        with other(tmp_path / "theirs") as second:
            whole = import_mlflow(second, server.url)
            assert not whole.trouble
            assert whole.counts["artifact"].new == 3
            theirs = everything(second)
            for identifier, mine in everything(workspace).items():
                if identifier.startswith("m-"):
                    assert theirs[identifier][1] == mine[1]
            assert run_named(second, "first").id == run.id
            assert run_named(second, "child").started.parent == run.id
            assert len(metric_history(second.store, run.id, "loss")) == 1500
            assert new(import_mlflow(second, server.url)) == {}


def _check(said: Any, run: Run, parent: str = "") -> None:
    parent = parent or run.id
    first = said["first"]
    assert first["id"] == run.id
    assert first["experiment"] == "flights/delay"
    assert first["status"] == "FINISHED"
    assert first["start"] == round(run.created * 1000)
    assert first["params"] == {"rate": "0.1", "deep.layers": "[1,2]"}
    assert first["loss"] == [[step, 1 / (step + 1)] for step in range(1500)]
    assert first["metrics"] == {"loss": repr(1 / 1500), "odd": "nan", "val/loss": "0.5"}
    assert first["tags"]["note"] == "ein Satz — ناهمانند\n  mehr: 'Zeilen'"
    assert sorted(first["files"]) == ["deep", "note.txt"]
    assert first["inputs"] == [["train", "abc"]]
    assert said["note"] == "hello"
    assert said["trash"]["stage"] == "deleted"
    assert said["child"]["tags"]["mlflow.parentRunId"] == parent
    assert said["models"]["empty"] == ["no version yet", {}, []]


def _read(peer: str, uri: str) -> Any:
    command = [peer_program(peer, "python"), "-c", READ, uri]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


class Mlflow:
    """MLflow's own server on a fresh SQLite store.

    Attributes:
        url: its address.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "server.log").open("wb")
        self._command = [
            *(peer_program("mlflow", "python"), "-m", "mlflow", "server", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/artifacts"),
        ]
        self._folder = folder

    def __enter__(self) -> "Mlflow":
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise AssertionError((self._folder / "server.log").read_text()[-2000:])

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, 15)
        self._process.wait()
        self._log.close()
