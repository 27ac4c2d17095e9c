"""One folder, served by the real MLServer and by `charkh serve -f`: the same requests, the same answers.

What charkh says besides (ids of predictions, a hint) is left out here; what differs on purpose is a test of its own.
"""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests.bridges.conformance.servers import free_port, running
from tests.peers import peer_program

from functional.conftest import Charkh
from functional.test_server import Server

FIT = """
import joblib, numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
rows = np.random.default_rng(3).normal(size=(200, 2))
joblib.dump(LogisticRegression().fit(rows, (rows[:, 0] > 0).astype(int)), "late/model.joblib")
joblib.dump(LinearRegression().fit(rows, rows[:, 0] * 3), "delay/model.joblib")
"""
RUNTIME = "mlserver_sklearn.SKLearnModel"
INPUTS = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
LATE: dict[str, Any] = {
    "name": "late",
    "implementation": RUNTIME,
    "platform": "sklearn",
    "versions": ["1"],
    "inputs": INPUTS,
    "outputs": [
        {"name": "predict", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ],
    "parameters": {"uri": "./model.joblib", "version": "1"},
}
DELAY: dict[str, Any] = {
    "name": "delay",
    "implementation": RUNTIME,
    "platform": "sklearn",
    "versions": ["1"],
    "inputs": INPUTS,
    "outputs": [{"name": "predict", "datatype": "FP64", "shape": [-1, 1]}],
    "parameters": {"uri": "./model.joblib", "version": "1"},
}
ROWS = [0.5, -1.0, -2.0, 1.0, 3.25, 0.125]
TENSOR = {"name": "x", "datatype": "FP32", "shape": [3, 2], "data": ROWS}
NESTED = {**TENSOR, "data": [ROWS[:2], ROWS[2:4], ROWS[4:]]}
ONE = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": ROWS[:2]}

pytestmark = pytest.mark.needs("peer:mlserver")


class Both(NamedTuple):
    """The addresses of the two servers."""

    mlserver: str
    charkh: str


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both of them over one folder, whose pickles somebody trusts."""
    folder = tmp_path_factory.mktemp("models")
    for each in (LATE, DELAY):
        (folder / each["name"]).mkdir()
        (folder / each["name"] / "model-settings.json").write_text(json.dumps(each))
    subprocess.run([peer_program("mlserver", "python"), "-c", FIT], cwd=folder, check=True, env=dict(os.environ))
    ports = {f"{name}_port": free_port() for name in ("http", "grpc", "metrics")}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0, **ports}))
    charkh = Charkh(tmp_path_factory.mktemp("work"))
    charkh("init")
    charkh.run("serve", "-f", folder, "--open-inference", "--port", "1")
    for name in ("late", "delay"):
        asked = charkh.run("model", "trust", f"{name}@1", "--reason", "fitted above")
        confirmed = re.search(r"--yes (\w+)", asked.stderr)
        assert confirmed, asked.stderr
        charkh("model", "trust", f"{name}@1", "--reason", "fitted above", "--yes", confirmed[1])
    server = Server(charkh.folder, "serve", "-f", str(folder), "--open-inference")
    words = [str(peer_program("mlserver", "mlserver")), "start", "."]
    try:
        with running(words, folder, ports["http_port"], ready=("late", "delay")) as mlserver:
            yield Both(mlserver, f"http://127.0.0.1:{server.port}")
    finally:
        server.stop()


def ask(url: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def outputs(answer: Any) -> list[dict[str, Any]]:
    """The tensors; `content_type` says to MLServer's own codecs what they were before."""
    return [{name: each[name] for name in ("name", "datatype", "shape", "data")} for each in answer["outputs"]]


@pytest.mark.parametrize("model", ["late", "delay"])
def test_a_model_says_the_same_of_itself(both: Both, model: str) -> None:
    (status, theirs), (own_status, ours) = (ask(url, f"/v2/models/{model}") for url in both)
    assert status == own_status == 200
    described = {name: theirs[name] for name in ("name", "versions", "inputs", "outputs")}
    assert {name: ours[name] for name in described} == described


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2/models/late/ready", 200),
        ("/v2/models/late/versions/1/ready", 200),
        ("/v2/models/late/versions/7/ready", 404),
        ("/v2/models/nobody", 404),
        ("/v2/models/nobody/ready", 404),
    ],
)
def test_both_are_ready_for_the_same(both: Both, path: str, status: int) -> None:
    assert [ask(url, path)[0] for url in both] == [status, status]


@pytest.mark.parametrize("request_id", ["mine", ""])
@pytest.mark.parametrize("tensor", [TENSOR, NESTED, ONE], ids=["flat", "nested", "one"])
@pytest.mark.parametrize(
    ("model", "wanted"),
    [("late", ["predict"]), ("late", ["predict_proba"]), ("late", ["predict", "predict_proba"]), ("delay", [])],
)
def test_an_inference_is_answered_alike(
    both: Both, model: str, wanted: list[str], tensor: dict[str, Any], request_id: str
) -> None:
    body: dict[str, Any] = {"inputs": [tensor], "outputs": [{"name": name} for name in wanted]}
    body = {name: value for name, value in {**body, "id": request_id}.items() if value}
    (status, theirs), (own_status, ours) = (ask(url, f"/v2/models/{model}/infer", body) for url in both)
    assert status == own_status == 200
    assert outputs(theirs) == outputs(ours)
    assert (theirs["model_name"], theirs["model_version"]) == (ours["model_name"], ours["model_version"])
    if request_id:
        assert theirs["id"] == ours["id"] == request_id


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": [{**TENSOR, "shape": [3, 3]}]},
        {"inputs": [TENSOR], "outputs": [{"name": "nonsense"}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": ["a", "b"]}]},
    ],
)
def test_what_is_malformed_is_answered_by_neither(both: Both, body: Any) -> None:
    status, own = (ask(url, "/v2/models/late/infer", body)[0] for url in both)
    assert status >= 400
    assert own == 400, "charkh calls every one of them the client's mistake"


def test_what_differs_on_purpose(both: Both) -> None:
    """Without a name, charkh gives every declared output; a declared name and datatype are held to."""
    theirs, ours = (ask(url, "/v2/models/late/infer", {"inputs": [TENSOR]})[1] for url in both)
    assert outputs(ours)[:1] == outputs(theirs)
    assert [each["name"] for each in ours["outputs"]] == ["predict", "predict_proba"]
    for changed in ({"name": "anything"}, {"datatype": "FP64"}):
        body = {"inputs": [{**TENSOR, **changed}]}
        assert [ask(url, "/v2/models/late/infer", body)[0] for url in both] == [200, 400]
