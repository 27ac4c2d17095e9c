"""Graphs and canaries of KServe and a router of Seldon: served from their manifests, asked, and exported again.

The models of the manifests were trained on named columns, and are asked with matrices, as those platforms do.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from ruamel.yaml import YAML
from sklearn.linear_model import LogisticRegression

from charkh.models.register import register
from charkh.workspace.workspace import open_workspace
from functional.conftest import Charkh
from functional.test_server import Server

ROWS = [[0.5, -1.0], [2.0, 1.0], [-2.0, 1.0], [1.0, 0.0]]
SCALES = {"one": 1.0, "two": 0.01, "three": 100.0}
SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: NAME}
spec: {predictor: {model: {modelFormat: {name: sklearn}, storageUri: URI}}}
---
"""
GRAPH = """\
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: NAME}
spec: {nodes: NODES}
---
"""
NODES = {
    "split": "{root: {routerType: Splitter, steps: [{serviceName: s1, weight: 40}, {serviceName: s2, weight: 60}]}}",
    "ensemble": "{root: {routerType: Ensemble, steps: [{serviceName: s1}, {serviceName: s2}]}}",
    "switch": "{root: {routerType: Switch, steps: "
    "[{serviceName: c1, condition: '[@this].#(x>=1)'}, {serviceName: c2}]}}",
    "sequence": "{root: {steps: [{nodeName: first}]}, first: {routerType: Splitter, "
    "steps: [{serviceName: s1, weight: 100}]}}",
}
ROUTED = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: routed}
spec:
  predictors:
    - name: main
      graph:
        name: ab
        implementation: RANDOM_ABTEST
        parameters: [{name: ratioA, value: "0.7", type: FLOAT}]
        children:
          - {name: one, implementation: SKLEARN_SERVER, modelUri: one}
          - name: both
            implementation: AVERAGE_COMBINER
            children:
              - {name: two, implementation: SKLEARN_SERVER, modelUri: two}
              - {name: three, implementation: SKLEARN_SERVER, modelUri: three}
---
"""
CANARY = SERVICE.replace("predictor: {", "predictor: {canaryTrafficPercent: 30, ")
MANIFESTS = "".join(
    [
        *(SERVICE.replace("NAME", name).replace("URI", uri) for name, uri in (("s1", "one"), ("s2", "two"))),
        *(SERVICE.replace("NAME", name).replace("URI", uri) for name, uri in (("c1", "c@1"), ("c2", "c@2"))),
        *(GRAPH.replace("NAME", name).replace("NODES", nodes) for name, nodes in NODES.items()),
        ROUTED,
    ]
)
ENDPOINTS = ("routed", "late", *NODES)


def fitted(scale: float) -> Any:
    rows = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 2)), columns=["x", "y"])
    estimator: Any = LogisticRegression(C=scale)
    return estimator.fit(rows, (rows["x"] > 0).astype(int))


def said_by(name: str) -> Any:
    """The probabilities that the estimator gives for every row."""
    return fitted(SCALES[name]).predict_proba(pd.DataFrame(ROWS, columns=["x", "y"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of models, two versions of a registered one, and a service that is read for the second time."""
    made = tmp_path_factory.mktemp("graphs")
    for name, scale in SCALES.items():
        (made / name).mkdir()
        skops.io.dump(fitted(scale), made / name / "model.skops")
    charkh = Charkh(made)
    charkh("init")
    with open_workspace(made) as workspace:
        for name in ("one", "two"):
            example = {"x": np.array([1.0, 2.0]), "y": np.array([0.5, 1.0])}
            register(workspace.store, "c", fitted(SCALES[name]), runtimes=workspace.runtimes, example=example)
    for number, name in enumerate(("one", "two")):
        late = CANARY.replace("NAME", "late").replace("URI", name)
        (made / "all.yaml").write_text(late + MANIFESTS * number)
        if not number:
            Server(made, "serve", "-f", str(made / "all.yaml"), "--open-inference").stop()
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    started = Server(folder, "serve", "-f", str(folder / "all.yaml"), "--open-inference")
    yield started
    if started.process.poll() is None:
        started.stop()


def probabilities(server: Server, name: str, tensor: str) -> dict[str, Any]:
    """The outputs that are probabilities, by name; `late` is a test of two models."""
    asked = {"name": tensor, "shape": [len(ROWS), 2], "datatype": "FP64", "data": ROWS}
    status, answer = server.ask(f"/v2/models/{name}/infer", {"inputs": [asked]})
    assert status == 200, answer
    outputs = {each["name"]: np.reshape(each["data"], each["shape"]) for each in answer["outputs"]}
    return {key: value for key, value in outputs.items() if key.endswith("proba")}


def one_of(rows: Any, *choices: Any) -> bool:
    return all(any(np.allclose(row, choice[at], atol=1e-6) for choice in choices) for at, row in enumerate(rows))


def test_each_graph_answers_as_its_models_do(server: Server) -> None:
    one, two, three = (said_by(name) for name in SCALES)
    (split,) = probabilities(server, "split", "input-0").values()
    assert one_of(split, one, two)
    np.testing.assert_allclose(list(probabilities(server, "ensemble", "input-0").values()), [one, two], atol=1e-6)
    (sequence,) = probabilities(server, "sequence", "input-0").values()
    np.testing.assert_allclose(sequence, one, atol=1e-6)
    (routed,) = probabilities(server, "routed", "predict").values()
    assert one_of(routed, one, (two + three) / 2)


def test_a_switch_asks_each_row(server: Server) -> None:
    status, answer = server.ask("/predict/switch", [{"x": x, "y": y} for x, y in ROWS])
    assert status == 200, answer
    one, two = said_by("one"), said_by("two")
    expected = [one[at] if x >= 1 else two[at] for at, (x, _) in enumerate(ROWS)]
    found = [each["predict_proba"] for each in answer["predictions"]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_canary_splits_between_the_version_before_and_this_one(server: Server) -> None:
    found = [next(iter(probabilities(server, "late", "input-0").values())) for _ in range(60)]
    first = [np.allclose(each, said_by("one"), atol=1e-6) for each in found]
    assert all(each or np.allclose(rows, said_by("two"), atol=1e-6) for each, rows in zip(first, found, strict=True))
    assert 0 < sum(first) < len(first)


@pytest.mark.parametrize("form", ["seldon", "kserve", "kubernetes"])
def test_what_is_exported_serves_what_was_read(folder: Path, server: Server, tmp_path: Path, form: str) -> None:
    assert server.process.poll() is None
    said = Charkh(folder)("serve", "-f", folder / "all.yaml", "--dry-run")
    meant = tomllib.loads(said)["endpoint"]
    shared = '[store]\njournal = "postgresql://db.example/charkh"\nblobs = "s3://bucket/charkh"\n'
    (tmp_path / "charkh.toml").write_text(f"{shared}\n{said}")
    for name in ENDPOINTS:
        text = Charkh(tmp_path)("endpoint", "export", name, "--to", form, "--image", "r/charkh:1")
        (settings,) = [each for each in YAML(typ="safe", pure=True).load_all(text) if each["kind"] == "ConfigMap"]
        written = settings["data"]["charkh.toml"]
        assert tomllib.loads(written)["endpoint"] == {name: meant[name]}
        assert all(f"    {line}" in text for line in written.splitlines() if line), "people can read and change it"
