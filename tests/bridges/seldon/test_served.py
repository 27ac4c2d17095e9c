"""Manifests of Seldon, KServe and MLServer run by the real command, and what cannot be honoured is refused by name."""

import json
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from charkh.endpoints.rollouts.index import FeedbackSums
from charkh.endpoints.truth import scan_truths
from charkh.workspace.workspace import open_workspace
from functional.conftest import Charkh
from functional.test_server import Server

ROWS = [[0.5, -1.0], [2.0, 1.0]]
MANIFESTS = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: fraud}
spec:
  protocol: seldon
  predictors:
    - name: main
      replicas: 2
      graph:
        name: both
        type: COMBINER
        implementation: AVERAGE_COMBINER
        children:
          - {name: one, implementation: SKLEARN_SERVER, modelUri: "file://FOLDER/one"}
          - {name: two, implementation: SKLEARN_SERVER, modelUri: "file://FOLDER/two"}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: late}
spec:
  predictor:
    minReplicas: 1
    model: {modelFormat: {name: sklearn}, storageUri: "pvc://models/one"}
---
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: chosen}
spec:
  nodes:
    root:
      routerType: Ensemble
      steps: [{serviceName: late, name: first}]
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: {name: alpha}
spec: {storageUri: one, requirements: [sklearn]}
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: {name: beta}
spec: {storageUri: two, requirements: [sklearn]}
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Experiment
metadata: {name: duel}
spec:
  default: alpha
  candidates: [{name: alpha, weight: 50}, {name: beta, weight: 50}]
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata: {name: joined}
spec:
  steps: [{name: alpha}, {name: beta, inputs: [joined.inputs.predict]}]
  output: {steps: [alpha, beta]}
"""


def fitted(scale: float) -> LogisticRegression:
    rows = np.random.default_rng(3).normal(size=(200, 2))
    return LogisticRegression(C=scale).fit(rows, (rows[:, 0] > 0).astype(int))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the files of two models and the manifests."""
    made = tmp_path_factory.mktemp("manifests")
    for name, scale in (("one", 1.0), ("two", 0.01)):
        (made / name).mkdir()
        skops.io.dump(fitted(scale), made / name / "model.skops")
    (made / "all.yaml").write_text(MANIFESTS.replace("FOLDER", str(made)))
    Charkh(made)("init")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    words = ("serve", "-f", str(folder / "all.yaml"), "--map", f"models={folder}", "--open-inference")
    started = Server(folder, *words)
    yield started
    if started.process.poll() is None:
        started.stop()


def ask(server: Server, path: str, body: Any) -> Any:
    status, answer = server.ask(path, body)
    assert status == 200, answer
    return answer


def test_every_manifest_answers_in_its_own_protocol(server: Server) -> None:
    one, two = (fitted(scale).predict_proba(ROWS) for scale in (1.0, 0.01))
    said = ask(server, "/seldon/default/fraud/api/v1.0/predictions", {"data": {"ndarray": ROWS}, "meta": {"puid": "7"}})
    np.testing.assert_allclose(said["data"]["ndarray"], (one + two) / 2, atol=1e-6)
    assert said["meta"]["puid"] == "7"
    assert ask(server, "/v1/models/late:predict", {"instances": ROWS})["predictions"] == [
        int(each) for each in fitted(1.0).predict(ROWS)
    ]
    tensor = {"shape": [2, 2], "datatype": "FP64", "data": ROWS}
    chosen = ask(server, "/v2/models/chosen/infer", {"inputs": [{"name": "input-0", **tensor}]})
    probability = next(each for each in chosen["outputs"] if each["name"].endswith("predict_proba"))
    np.testing.assert_allclose(np.reshape(probability["data"], (2, 2)), one, atol=1e-6)
    joined = ask(server, "/v2/models/joined/infer", {"inputs": [{"name": "predict", **tensor}]})
    assert {each["name"] for each in joined["outputs"]} == {
        *(f"alpha_{name}" for name in ("predict", "predict_proba")),
        *(f"beta_{name}" for name in ("predict", "predict_proba")),
    }


def test_feedback_tells_a_reward_and_the_truth(server: Server, folder: Path) -> None:
    message = {"data": {"ndarray": ROWS[:1]}, "meta": {"puid": "7"}}
    answers = [ask(server, "/seldon/default/alpha/api/v1.0/predictions", message) for _ in range(2)]
    named = [each["meta"]["tags"]["prediction_id"] for each in answers]
    path = "/seldon/default/alpha/api/v1.0/feedback"
    ask(server, path, {"response": answers[0], "reward": 0.5})
    ask(server, path, {"response": answers[1], "truth": {"data": {"ndarray": [[1]]}}})
    status, refused = server.ask(path, {"response": answers[1], "truth": {"data": {"ndarray": [1, 0]}}})
    assert (status, refused["error"]) == (400, "the truth is not one value")
    with open_workspace(folder) as workspace:
        truths = pl.concat(scan_truths(workspace.store, "alpha"))
        rewards = workspace.store.queries.ask(FeedbackSums(endpoint="alpha"))
    assert truths.select("prediction_id", "number").rows() == [(named[1], 1.0)]
    assert {route: (sums.count, sums.total) for route, sums in rewards.items()} == {"": (1, 0.5)}


def test_an_experiment_splits_and_says_the_route(server: Server, folder: Path) -> None:
    body = json.dumps({"inputs": [{"name": "predict", "shape": [1, 2], "datatype": "FP64", "data": ROWS[0]}]}).encode()
    routes = set()
    for _ in range(40):
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v2/models/duel/infer", body)
        with urllib.request.urlopen(request) as answer:
            routes.add(answer.headers["x-charkh-route"])
    assert routes == {"champion", "beta"}
    Charkh(folder)("endpoint", "rollout", "move", "duel", "30")
    (found,) = Charkh(folder).json("endpoint", "rollout", "show", "duel")["routes"]
    assert (found["route"], found["facts"]["share"]) == ("beta", 0.3), "one number is the only candidate's"


def test_equal_files_register_nothing_new_and_a_dry_run_serves_nothing(folder: Path, server: Server) -> None:
    assert server.process.poll() is None
    charkh = Charkh(folder)
    before = charkh.json("model", "list")
    words = ("serve", "-f", folder / "all.yaml", "--map", f"models={folder}", "--dry-run")
    done = charkh.run(*words)
    assert done.returncode == 0, done.stderr
    said = tomllib.loads(done.stdout)["endpoint"]
    assert said["fraud"]["graph"]["node"]["both"] == {"kind": "combiner", "of": ["one", "two"]}
    rollout = said["duel"]["rollout"]
    assert rollout.pop("candidates").keys() == {"beta"}
    assert rollout == {"way": "ab", "percent": 50.0, "sticky": "x-seldon-route"}
    assert "spec.predictors[0].replicas has a meaning in a cluster only" in done.stderr
    assert charkh.json("model", "list") == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("AVERAGE_COMBINER", "SIMPLE_MODEL", "SIMPLE_MODEL cannot be run here"),
        ("replicas: 2", "replica: 2", "not known: replica"),
        ("pvc://models/one", "gs://bucket/one", "gs:// is not read here"),
        ("name: sklearn", "name: tensorflow", "'tensorflow' cannot be run here"),
        ("serviceName: late", "serviceName: later", "'later', which the files do not have"),
        ("inputs: [joined.inputs.predict]", "triggers: [alpha]", "triggers cannot be honoured"),
        ("kind: Experiment", "kind: Server", "Server of mlops.seldon.io/v1alpha1 is not known"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    folder: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (folder / "all.yaml").read_text()
    assert old in text
    for name in ("one", "two"):
        text = text.replace(f"storageUri: {name}", f"storageUri: {folder}/{name}")
    (tmp_path / "bad.yaml").write_text(text.replace(old, new))
    words = ("serve", "-f", tmp_path / "bad.yaml", "--map", f"models={folder}", "--dry-run")
    assert said in Charkh(folder).fails(2, *words)
