"""Unmodified MLflow clients of two generations train against `charkh up`: what they log is there, for all."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.mlflow.tracking_client import client_of
from tests.functional.test_server import Server, charkh

from charkh.workspace.workspace import open_workspace

PEERS = [
    pytest.param("mlflow", marks=pytest.mark.needs("peer:mlflow")),
    pytest.param("mlflow2", marks=pytest.mark.needs("peer:mlflow2")),
]
LOGGING = """
import json, math, sys, time
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client, said = MlflowClient(), {}
mlflow.set_experiment(sys.argv[1])
with mlflow.start_run(run_name="parent", tags={"stage": "draft"}, description="what it is about") as parent:
    mlflow.log_params({"rate": 0.1, "deep": {"layers": [1, 2]}})
    for step in range(20):
        mlflow.log_metrics({"loss": 1 / (step + 1), "auc": step / 20}, step=step)
    mlflow.log_metric("odd", math.nan)
    mlflow.log_metric("big", math.inf)
    mlflow.set_tag("stage", "done")
    for number in range(5):
        with mlflow.start_run(nested=True, run_name=f"child {number}"):
            mlflow.log_param("number", number)
            mlflow.log_metric("score", number % 3)
experiment = parent.info.experiment_id
run = client.get_run(parent.info.run_id)
assert run.info.status == "FINISHED" and run.info.run_name == "parent"
assert run.data.params == {"rate": "0.1", "deep": "{'layers': [1, 2]}"}, run.data.params
assert math.isnan(run.data.metrics.pop("odd")) and run.data.metrics.pop("big") >= 1.7e308
assert run.data.metrics == {"loss": 0.05, "auc": 0.95}
assert run.data.tags["stage"] == "done" and run.data.tags["mlflow.note.content"] == "what it is about"
history = client.get_metric_history(parent.info.run_id, "loss")
assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(20)]

where = f"tags.mlflow.parentRunId = '{parent.info.run_id}' and metrics.score < 2"
children = mlflow.search_runs([experiment], where, order_by=["metrics.score DESC"])
assert children["tags.mlflow.runName"].tolist() == ["child 4", "child 1", "child 3", "child 0"]
token, names = None, []
while True:
    page = client.search_runs([experiment], order_by=["attributes.start_time ASC"], max_results=2, page_token=token)
    names += [each.info.run_name for each in page]
    token = page.token
    if not token:
        break
assert names == ["parent", *(f"child {number}" for number in range(5))], names

with mlflow.start_run(run_id=parent.info.run_id):
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"
    mlflow.log_metric("loss", 0.01, step=20)
client.log_batch(
    parent.info.run_id,
    metrics=[Metric("many", step / 2, 1000 + step, step) for step in range(1000)],
    params=[],
    tags=[RunTag("batch", "yes")],
)
assert len(client.get_metric_history(parent.info.run_id, "many")) == 1000
try:
    with mlflow.start_run(run_name="broken") as broken:
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
assert client.get_run(broken.info.run_id).info.status == "FAILED"

made = client.create_run(experiment, run_name="trash")
client.delete_run(made.info.run_id)
assert client.get_run(made.info.run_id).info.lifecycle_stage == "deleted"
trash = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
assert [each.info.run_id for each in trash] == [made.info.run_id]

other = client.create_experiment(sys.argv[1] + "/other", tags={"a": "b"})
client.rename_experiment(other, sys.argv[1] + "/renamed")
client.set_experiment_tag(other, "c", "d")
assert client.get_experiment(other).tags == {"a": "b", "c": "d"}
client.delete_experiment(other)
assert client.get_experiment_by_name(sys.argv[1] + "/renamed").lifecycle_stage == "deleted"
client.restore_experiment(other)

for name, call in {
    "run": lambda: client.get_run("f" * 32),
    "deleted": lambda: client.log_metric(made.info.run_id, "a", 1),
    "param": lambda: client.log_param(parent.info.run_id, "rate", "0.2"),
    "filter": lambda: client.search_runs([experiment], "metrics.loss = 'x' OR 1"),
    "tag": lambda: client.delete_tag(parent.info.run_id, "nothing"),
    "experiment": lambda: client.create_experiment(sys.argv[1]),
    "page": lambda: client.search_runs([experiment], page_token="no token"),
}.items():
    try:
        call()
    except MlflowException as error:
        said[name] = error.error_code
assert client.get_experiment_by_name("nothing") is None
json.dump({"run": parent.info.run_id, "experiment": experiment, "said": said}, open(sys.argv[2], "w"))
"""
KEEPING = """
import filecmp, json, os, sys, tempfile
import mlflow, numpy as np, pandas as pd
from mlflow import MlflowClient

client = MlflowClient()
mlflow.set_experiment(sys.argv[1])
folder = tempfile.mkdtemp()
os.makedirs(f"{folder}/deep/er")
with open(f"{folder}/large.bin", "wb") as file:
    file.write(os.urandom(20_000_000))
with open(f"{folder}/deep/er/note \\u00fc.txt", "w") as file:
    file.write("hello")
with mlflow.start_run() as run:
    mlflow.log_artifacts(folder, "files")
    mlflow.log_dict({"a": [1, 2]}, "conf/settings.json")
    mlflow.log_text("h\\u00e9llo", "notes/text.txt")
    mlflow.log_table({"q": ["a", "b"], "n": [1, 2]}, "tables/t.json")
    mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "pictures/black.png")
    data = mlflow.data.from_pandas(pd.DataFrame({"x": [1.5, 2.5]}), source="https://example.com/tiny.csv", name="tiny")
    mlflow.log_input(data, context="training")
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    rows = np.random.default_rng(0).random((60, 3))
    LogisticRegression(C=0.5).fit(rows, rows[:, 0] > 0.5)
identifier = run.info.run_id
files = {each.path: (each.is_dir, each.file_size) for each in client.list_artifacts(identifier, "files")}
assert files == {"files/deep": (True, None), "files/large.bin": (False, 20_000_000)}, files
assert client.list_artifacts(identifier, "notes/text.txt") == []
here = client.download_artifacts(identifier, "files")
assert filecmp.cmp(f"{here}/large.bin", f"{folder}/large.bin", shallow=False)
assert open(f"{here}/deep/er/note \\u00fc.txt").read() == "hello"
assert mlflow.artifacts.load_text(run.info.artifact_uri + "/notes/text.txt") == "h\\u00e9llo"
assert mlflow.load_table("tables/t.json", run_ids=[identifier])["n"].tolist() == [1, 2]
shown = client.get_run(identifier)
assert shown.data.params["C"] == "0.5" and 0.5 < shown.data.metrics["training_score"] <= 1
(used,) = shown.inputs.dataset_inputs
assert used.dataset.name == "tiny" and "colspec" in used.dataset.schema and used.tags[0].value == "training"
where = "dataset.name = 'tiny' and datasets.context = 'training'"
found = mlflow.search_runs(experiment_names=[sys.argv[1]], filter_string=where)
assert found.run_id.tolist() == [identifier]
json.dump({"run": identifier}, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tracking")
    open_workspace(folder, create=True).close()
    started = Server(folder, "up", "--every", "0s")
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.mark.parametrize("peer", PEERS)
def test_a_script_logs_nests_resumes_searches_and_reads_errors(server: Server, peer: str, tmp_path: Path) -> None:
    told = client_of(server, peer, LOGGING, tmp_path / "out.json", f"{peer}/delay")
    assert told["said"] == {
        "run": "RESOURCE_DOES_NOT_EXIST",
        "deleted": "INVALID_PARAMETER_VALUE",
        "param": "INVALID_PARAMETER_VALUE",
        "filter": "INVALID_PARAMETER_VALUE",
        "tag": "RESOURCE_DOES_NOT_EXIST",
        "experiment": "RESOURCE_ALREADY_EXISTS",
        "page": "INVALID_PARAMETER_VALUE",
    }
    where = "metrics.loss < 0.02 and tags.stage = 'done'"
    searched = charkh(server.folder, "run", "search", where, "--json")
    assert searched.returncode == 0, searched.stderr
    (found,) = [each for each in json.loads(searched.stdout) if each["started"]["run"] == told["run"]]
    assert (found["name"], found["project"], found["status"]) == ("parent", told["experiment"], "finished")


@pytest.mark.parametrize("peer", PEERS)
def test_a_script_keeps_files_data_and_what_its_library_logs(server: Server, peer: str, tmp_path: Path) -> None:
    told = client_of(server, peer, KEEPING, tmp_path / "out.json", f"{peer}/files")
    status, _ = server.ask(f"/api/runs/run?ref={told['run']}")
    assert status == 200


@pytest.mark.needs("peer:mlflow")
def test_a_large_file_comes_in_parts(server: Server, tmp_path: Path) -> None:
    variables = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(15_000_000),
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(6_000_000),
    }
    script = """
import json, os, sys, mlflow
content = os.urandom(20_000_000)
with open("large.bin", "wb") as file:
    file.write(content)
with mlflow.start_run() as run:
    mlflow.log_artifact("large.bin", "folder")
place = mlflow.artifacts.download_artifacts(run.info.artifact_uri + "/folder/large.bin")
json.dump(open(place, "rb").read() == content, open(sys.argv[1], "w"))
"""
    assert client_of(server, "mlflow", script, tmp_path / "out.json", **variables) is True
    assert list((server.folder / ".charkh" / "cache" / "scratch").rglob("part-*")) == []


@pytest.mark.needs("peer:mlflow")
def test_a_wrong_token_is_told_as_such(server: Server, tmp_path: Path) -> None:
    script = """
import json, sys, mlflow
try:
    mlflow.MlflowClient().get_experiment("0")
except mlflow.exceptions.MlflowException as error:
    json.dump({"code": error.error_code, "status": error.get_http_status_code()}, open(sys.argv[1], "w"))
"""
    told = client_of(server, "mlflow", script, tmp_path / "out.json", MLFLOW_TRACKING_TOKEN="wrong")
    assert told == {"code": "UNAUTHENTICATED", "status": 401}
    basic = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": server.token, "MLFLOW_TRACKING_TOKEN": ""}
    script = (
        "import json, sys, mlflow; json.dump(mlflow.MlflowClient().get_experiment('0').name, open(sys.argv[1], 'w'))"
    )
    assert client_of(server, "mlflow", script, tmp_path / "out2.json", **basic) == "Default"
