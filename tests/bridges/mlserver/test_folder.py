"""A folder of MLServer's is served as it is; a pickle in it only where somebody trusts it."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from functional.conftest import Charkh
from functional.test_server import Server
from peers import peer_program

ROWS = [[0.5, -1.0], [2.0, 1.0]]


def fitted() -> LogisticRegression:
    rows = np.random.default_rng(3).normal(size=(200, 2))
    return LogisticRegression().fit(rows, (rows[:, 0] > 0).astype(int))


@pytest.mark.needs("peer:mlserver")
def test_a_folder_of_mlserver_is_served_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    Charkh(folder)("init")
    models = tmp_path / "models"
    code = (
        "import joblib, numpy as np\nfrom sklearn.linear_model import LogisticRegression\n"
        "X = np.random.default_rng(3).normal(size=(200, 2))\n"
        "joblib.dump(LogisticRegression().fit(X, (X[:, 0] > 0).astype(int)), 'model.joblib')\n"
    )
    home = models / "iris"
    home.mkdir(parents=True)
    subprocess.run([peer_program("mlserver", "python"), "-c", code], cwd=home, check=True, env=dict(os.environ))
    settings = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "model.joblib"},
    }
    (home / "model-settings.json").write_text(json.dumps(settings))
    refused = Charkh(folder).run("serve", "-f", models, "--open-inference", "--port", "1")
    assert refused.returncode != 0
    assert "charkh model trust" in refused.stderr
    skops.io.dump(fitted(), home / "model.skops")
    (home / "model-settings.json").write_text(json.dumps({**settings, "parameters": {"uri": "model.skops"}}))
    server = Server(folder, "serve", "-f", str(models), "--open-inference")
    try:
        body = {"inputs": [{"name": "predict", "shape": [2, 2], "datatype": "FP32", "data": ROWS}]}
        status, answer = server.ask("/v2/models/iris/infer", body)
        assert status == 200, answer
        labels = next(each for each in answer["outputs"] if each["name"] == "predict")
        assert labels["data"] == [int(each) for each in fitted().predict(ROWS)]
    finally:
        server.stop()
