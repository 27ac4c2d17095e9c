"""What a client may name as the source of a version: things of ours, or text that nobody opens."""

import builtins
import os
import socket
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charkh.bridges.mlflow.envelope import MlflowError
from charkh.bridges.mlflow.sources import check_source
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.index import ModelVersions
from unit.bridges.mlflow.conftest import Client

ROOT = "/api/2.0/mlflow-artifacts/artifacts"
REFUSED = (
    "/etc/passwd",
    "file:///etc/passwd",
    "file:etc/passwd",
    "FILE:///etc",
    "../../etc",
    "model/..",
    "C:\\Windows",
    "C:/Windows",
    "\\\\host\\share",
    "http://host/../",
    "https://host/api/2.0/mlflow-artifacts/artifacts/../../../",
    "mlflow-artifacts:/../",
    "mlflow-artifacts:/0/../../etc",
    "mlflow-artifacts://host:9000/models/..%2f..%2fartifacts",
    "mlflow-artifacts:/models/artifact%00",
    "s3://bucket/a/%252e%252e/b",
    "s3://bucket/a#../../etc",
    "s3://bucket/a?x=/../etc",
    "s3://bucket/a;../etc",
    "runs:/../x",
    "runs:/" + "0" * 32 + "/../../x",
    "models:/../../etc",
    "data:text/html,x",
    "javascript:alert(1)",
    "s3://bucket/\x00",
    "s3://bucket/\u202eb",
    "dbfs:/x/./y",
    "s3://" + "x" * 9000,
)


@pytest.mark.parametrize("tags", [(), ({"key": "mlflow.prompt.is_prompt", "value": "true"},)])
def test_a_path_of_a_machine_is_refused_whatever_the_tags_say(client: Client, tags: tuple[Any, ...]) -> None:
    client.post("registered-models/create", name="delay", tags=list(tags))
    for source in REFUSED:
        body = {"name": "delay", "source": source, "tags": list(tags)}
        answer = client.ask("POST", "/api/2.0/mlflow/model-versions/create", body)
        assert (answer.status, source) == (400, source), answer.body
    assert client.store.queries.ask(ModelVersions(name="delay")) == ()


def test_an_address_elsewhere_is_kept_as_text(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.post("registered-models/create", name="delay")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an address was dialled")

    monkeypatch.setattr(socket.socket, "connect", never)
    sources = ("s3://bucket/models/1", "http://host:9000/models", "mlflow-artifacts://host/x", "hdfs://h/x", "label")
    for source in sources:
        made = client.post("model-versions/create", name="delay", source=source)["model_version"]
        told = client.get("model-versions/get-download-uri", name="delay", version=made["version"])
        assert (made["source"], told["artifact_uri"]) == (source, source)
    assert {version.status for version in client.store.queries.ask(ModelVersions(name="delay"))} == {"elsewhere"}


def test_a_version_shares_the_bytes_of_its_run_and_outlives_it(client: Client) -> None:
    run = client.post("runs/create", experiment_id="0")["run"]["info"]
    place = f"0/{run['run_id']}/artifacts/model"
    for name, data in (("MLmodel", MLMODEL), ("model.pkl", b"not asked"), ("data/x", b"x")):
        assert client.ask("PUT", f"{ROOT}/{place}/{name}", data).status == 200
    client.post("registered-models/create", name="delay")
    source = f"mlflow-artifacts:/{place}"
    made = client.post("model-versions/create", name="delay", source=source, run_id=run["run_id"])["model_version"]
    version = find(client.store, "delay@1")
    assert (version.status, version.made.run) == ("ready", run["run_id"])
    assert sorted(read_files(client.store, version)) == ["MLmodel", "data/x", "model.pkl"]
    assert [(spec.name, spec.datatype) for spec in version.made.signature.inputs] == [("hour", "FP64")]
    assert version.made.safety.runs_code
    uri = {"name": "delay", "version": made["version"]}
    assert client.get("model-versions/get-download-uri", **uri)["artifact_uri"] == source
    client.ask("DELETE", f"{ROOT}/{place}/MLmodel")
    for name in ("model.pkl", "data/x"):
        client.ask("DELETE", f"{ROOT}/{place}/{name}")
    own = client.get("model-versions/get-download-uri", **uri)["artifact_uri"]
    assert own == f"mlflow-artifacts:/versions/{version.id}/artifacts"
    answer = client.ask("GET", f"{ROOT}/versions/{version.id}/artifacts/data/x")
    assert (answer.status, answer.body) == (200, b"x")


def test_a_version_cannot_be_made_of_another_runs_files(client: Client) -> None:
    mine, other = (client.post("runs/create", experiment_id="0")["run"]["info"]["run_id"] for _ in range(2))
    client.ask("PUT", f"{ROOT}/0/{other}/artifacts/model/x", b"x")
    client.post("registered-models/create", name="delay")
    for source in (f"runs:/{other}/model", f"mlflow-artifacts:/0/{other}/artifacts/model"):
        body = {"name": "delay", "source": source, "run_id": mine}
        assert client.ask("POST", "/api/2.0/mlflow/model-versions/create", body).status == 400
    logged = [client.post("logged-models", experiment_id="0")["model"]["info"]["model_id"] for _ in range(2)]
    body = {"name": "delay", "source": f"models:/{logged[0]}", "model_id": logged[1]}
    assert client.ask("POST", "/api/2.0/mlflow/model-versions/create", body).status == 400
    body = {"name": "delay", "source": "s3://x/y", "model_id": "m-" + "0" * 32}
    assert client.ask("POST", "/api/2.0/mlflow/model-versions/create", body).status == 404


ODD = st.lists(
    st.sampled_from([*"./\\:#?;%@ \x00", "..", "%2e", "%252e", "//", *string.ascii_letters[:4]]), max_size=12
)
SCHEMES = st.sampled_from(
    ["", "runs:/", "models:/", "mlflow-artifacts:/", "s3://", "http://h/", "file:", "file:///", "a:"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMES, ODD)
def test_what_is_accepted_climbs_nowhere_however_often_it_is_decoded(scheme: str, parts: list[str]) -> None:
    source = scheme + "".join(parts)
    try:
        check_source(source, "", "")
    except MlflowError:
        return
    assert not set(source) & set("\\#?;%\x00")
    assert ".." not in source.replace("\\", "/").split("/")
    assert not source.startswith(("/", "file:"))


def test_nothing_of_a_source_is_ever_opened(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.post("registered-models/create", name="delay")
    marker, opened = "surely-not-there-4711", []
    before, before_os = builtins.open, os.open

    def note(path: Any, *rest: Any, **more: Any) -> Any:
        opened.append(str(path))
        return before(path, *rest, **more)

    def note_os(path: Any, *rest: Any, **more: Any) -> Any:
        opened.append(str(path))
        return before_os(path, *rest, **more)

    monkeypatch.setattr(builtins, "open", note)
    monkeypatch.setattr(os, "open", note_os)
    for source in (f"/{marker}", f"file:///{marker}", f"s3://{marker}/x", f"mlflow-artifacts:/{marker}", marker):
        client.ask("POST", "/api/2.0/mlflow/model-versions/create", {"name": "delay", "source": source})
    assert not [path for path in opened if marker in path]


MLMODEL = b"""
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7}
  sklearn: {pickled_model: model.pkl, sklearn_version: 1.9.1}
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "hour", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
"""
