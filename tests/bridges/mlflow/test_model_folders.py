"""Model folders both ways: MLflow serves what charkh exports, and charkh loads what MLflow saved."""

import json
import os
import pickle
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier

from charkh.bridges.mlflow.exporting.mlmodel_folder import version_files
from charkh.bridges.mlflow.mlmodel import signature_of
from charkh.core.errors import CharkhError, Denied, Unavailable
from charkh.core.mlmodel import read_mlmodel
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.models.register import register
from charkh.models.trust import trust
from charkh.ports.runtimes import ModelRuntime, Predictor
from charkh.runtimes.mlflow import MlflowRuntime
from charkh.testing.runtimes import ApartRuntimeSuite, RuntimeSuite, Sample, Touch, close, zip_of
from charkh.workspace.runtimes import installed_runtimes
from charkh.workspace.workspace import Workspace, open_workspace
from peers import peer_program

pytestmark = pytest.mark.needs("peer:mlflow-models")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(200, 3))
LABELS = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.5).astype(int)
NAMES = ("a", "b", "c")
SKOPS = "model.skops"
ASKED = {name: RNG.normal(size=7) for name in NAMES}
SAVE = """
import json, sys
import lightgbm, mlflow, numpy as np, pandas as pd, xgboost
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(1)
rows = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
labels = (rows["a"] + rows["b"] ** 2 > 0.5).astype(int)

class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] * 2

logistic = LogisticRegression().fit(rows, labels)
forest = xgboost.XGBClassifier(n_estimators=5).fit(rows, labels)
trees = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(rows, labels), 5)
saved = {
    "skops": (mlflow.sklearn, logistic, {"serialization_format": "skops"}),
    "pickle": (mlflow.sklearn, logistic, {"serialization_format": "cloudpickle"}),
    "ubj": (mlflow.xgboost, forest, {}),
    "json": (mlflow.xgboost, forest, {"model_format": "json"}),
    "text": (mlflow.lightgbm, trees, {}),
}
asked = pd.DataFrame(json.loads(sys.argv[2]))
answers = {}
for name, (flavour, model, more) in saved.items():
    signature = infer_signature(rows, model.predict(rows))
    flavour.save_model(model, f"{sys.argv[1]}/{name}", signature=signature, pip_requirements=["mlflow"], **more)
signature = infer_signature(rows, rows["a"])
mlflow.pyfunc.save_model(
    f"{sys.argv[1]}/pyfunc", python_model=Twice(), signature=signature, pip_requirements=["mlflow"]
)
for name in [*saved, "pyfunc"]:
    answers[name] = np.asarray(mlflow.pyfunc.load_model(f"{sys.argv[1]}/{name}").predict(asked)).tolist()
print(json.dumps(answers))
"""
ASK = """
import json, sys
import mlflow, numpy as np, pandas as pd

asked = pd.DataFrame(json.loads(sys.argv[1]))
print(json.dumps([np.asarray(mlflow.pyfunc.load_model(path).predict(asked)).tolist() for path in sys.argv[2:]]))
"""


def run_python(code: str, *arguments: str) -> Any:
    command = [peer_program("mlflow-models", "python"), "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **QUIET})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "ours").mkdir()
    with open_workspace(tmp_path / "ours", create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Folders that MLflow saved, and what it answers by each."""
    folder = tmp_path_factory.mktemp("saved")
    return folder, run_python(SAVE, str(folder), json.dumps({name: list(ASKED[name]) for name in NAMES}))


def take(workspace: Workspace, folder: Path) -> ModelVersion:
    files = folder_files(folder)
    signature = signature_of(read_mlmodel(files["MLmodel"]))
    runtimes = workspace.runtimes
    return register(workspace.store, folder.name, files, runtimes=runtimes, runtime="mlflow", signature=signature)


@pytest.mark.parametrize("name", ["skops", "ubj", "json", "text"])
def test_data_is_loaded_without_mlflow(name: str, saved: tuple[Path, Any], workspace: Workspace) -> None:
    folder, answers = saved
    version = take(workspace, folder / name)
    assert version.made.safety.level in {"inert", "listed"}
    assert [spec.name for spec in version.made.signature.inputs] == list(NAMES)
    predictor = load(workspace.store, version.id, runtimes=workspace.runtimes).predictor
    (answer,) = predictor.predict(ASKED).values()
    np.testing.assert_allclose(np.asarray(answer).ravel(), np.asarray(answers[name], np.float64).ravel(), rtol=1e-6)


@pytest.mark.parametrize("name", ["pickle", "pyfunc"])
def test_code_runs_apart_where_it_is_trusted(name: str, saved: tuple[Path, Any], workspace: Workspace) -> None:
    folder, answers = saved
    version = take(workspace, folder / name)
    assert version.made.safety.runs_code
    python = str(peer_program("mlflow-models", "python"))
    runtimes = installed_runtimes({"mlflow": python})
    with pytest.raises(Denied):
        load(workspace.store, version.id, runtimes=runtimes)
    trust(workspace.store, version.id, "we made it ourselves")
    predictor = load(workspace.store, version.id, runtimes=runtimes).predictor
    (answer,) = predictor.predict(ASKED).values()
    np.testing.assert_allclose(np.asarray(answer).ravel(), np.asarray(answers[name], np.float64).ravel())
    with pytest.raises(CharkhError) as refused:
        predictor.predict({name: values for name, values in ASKED.items() if name != "b"})
    assert refused.value.code == "model.input_misfit"
    with pytest.raises(Unavailable) as failed:
        MlflowRuntime("/nothing/python").load_apart({"MLmodel": b""}, version.made.signature)
    assert failed.value.code == "model.apart_failed"


Saved = tuple[Path, Any]


def folder_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sample_of(saved: Saved, name: str) -> Sample:
    """A folder's signature and what MLflow answers by it."""
    folder, answers = saved
    signature = signature_of(read_mlmodel((folder / name / "MLmodel").read_bytes()))
    return Sample(object(), signature, ASKED, {signature.outputs[0].name: np.asarray(answers[name])})


class TestSafeFolders(RuntimeSuite):
    """Of a safe flavour only the model's own file is read, by its native runtime."""

    @pytest.fixture(autouse=True)
    def _saved(self, saved: Saved) -> None:
        self._folders = saved

    def make(self) -> MlflowRuntime:
        return MlflowRuntime()

    def sample(self) -> Sample:
        return sample_of(self._folders, "skops")

    def saved(self, runtime: ModelRuntime, sample: Sample) -> Mapping[str, bytes]:
        del runtime, sample
        return folder_files(self._folders[0] / "skops")

    def altered(self, files: Mapping[str, bytes], change: Callable[[bytes], bytes]) -> Mapping[str, bytes]:
        return {**files, SKOPS: change(files[SKOPS])}

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        pickled = pickle.dumps(Touch(marker))
        described = files["MLmodel"].decode()

        def edited(old: str, new: str) -> Mapping[str, bytes]:
            assert old in described
            return {**files, "MLmodel": described.replace(old, new).encode(), "evil.pkl": pickled, "code/evil.py": b""}

        return {
            "pickle in its place": {**files, SKOPS: pickled},
            "archive in its place": {**files, SKOPS: zip_of({"data.pkl": pickled})},
            "another file is named": edited(f"pickled_model: {SKOPS}", "pickled_model: evil.pkl"),
            "another form is named": edited("serialization_format: skops", "serialization_format: cloudpickle"),
            "another loader is named": edited("loader_module: mlflow.sklearn", "loader_module: evil"),
            "it brings code": edited("loader_module: mlflow.sklearn", "loader_module: mlflow.sklearn\n    code: code"),
            "a file outside is named": edited(f"pickled_model: {SKOPS}", "pickled_model: ../../evil.pkl"),
            "no description": {name: data for name, data in files.items() if name != "MLmodel"},
            "a description that makes objects": {**files, "MLmodel": b"flavors: !!python/object/apply:os.getcwd []"},
        }

    def test_an_unknown_extra_file_is_code(self, tmp_path: Path) -> None:
        """In a folder it is not: there are always others beside the model, and none of them is read."""
        files = {**self.saved(self.make(), self.sample()), "custom.py": b"raise SystemExit", "evil.pkl": b"\x80\x04."}
        answers = self.make().load(files, self.sample().signature).predict(ASKED)
        for name, expected in self.sample().answers.items():
            np.testing.assert_array_equal(answers[name], expected)
        assert not list(tmp_path.iterdir())


class TestFoldersOfCode(ApartRuntimeSuite):
    """A model's own class is loaded by MLflow, in an environment that has it."""

    @pytest.fixture(autouse=True)
    def _saved(self, saved: Saved) -> None:
        self._folders = saved

    @pytest.fixture(scope="class")
    @classmethod
    def apart(cls, saved: Saved) -> Iterator[Predictor]:
        suite = cls()
        suite._folders = saved
        predictor = suite.make().load_apart(suite.files(), suite.sample().signature)
        yield predictor
        close(predictor)

    def make(self) -> MlflowRuntime:
        return MlflowRuntime(str(peer_program("mlflow-models", "python")))

    def sample(self) -> Sample:
        return sample_of(self._folders, "pyfunc")

    def files(self) -> Mapping[str, bytes]:
        return folder_files(self._folders[0] / "pyfunc")

    def hostile(self, marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        pickled = pickle.dumps(Touch(marker))
        return {
            "its object is another": {**self.files(), "python_model.pkl": pickled},
            "a pickled estimator": {**folder_files(self._folders[0] / "pickle"), "model.pkl": pickled},
            "nothing says what it is": {"MLmodel": b"", "python_model.pkl": pickled},
        }

    def broken(self) -> Mapping[str, Mapping[str, bytes]]:
        return {"its object is cut": {**self.files(), "python_model.pkl": b"\x80\x04"}}


def test_mlflow_serves_what_is_exported(workspace: Workspace, tmp_path: Path) -> None:
    models: dict[str, Any] = {
        "sklearn": RandomForestClassifier(n_estimators=5, random_state=0),
        "xgboost": xgboost.XGBClassifier(n_estimators=5),
        "lightgbm": lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
    }
    example = pl.DataFrame({name: ROWS[:5, place] for place, name in enumerate(NAMES)})
    table = pl.DataFrame({name: ROWS[:, place] for place, name in enumerate(NAMES)}).to_pandas()
    ours: dict[str, Any] = {}
    for name, model in models.items():
        fitted = model.fit(table, LABELS)
        version = register(workspace.store, name, fitted, runtimes=workspace.runtimes, example=example)
        for path, data in version_files(workspace.store, version).items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        ours[name] = load(workspace.store, version.id, runtimes=workspace.runtimes).predictor.predict(ASKED)
    asked = {name: list(ASKED[name]) for name in NAMES}
    answers = run_python(ASK, json.dumps(asked), *(str(tmp_path / name) for name in ("xgboost", "lightgbm")))
    assert answers[0] == ours["xgboost"]["predict"].tolist()
    np.testing.assert_allclose(answers[1], ours["lightgbm"]["predict_proba"][:, 1], rtol=1e-9)
    served = serve(
        tmp_path / "sklearn",
        {"dataframe_split": {"columns": list(NAMES), "data": list(zip(*asked.values(), strict=True))}},
    )
    assert served == {"predictions": ours["sklearn"]["predict"].tolist()}
    back = take(workspace, tmp_path / "sklearn")
    assert load(workspace.store, back.id, runtimes=workspace.runtimes).predictor.predict(ASKED)


def serve(folder: Path, question: Any) -> Any:
    """What `mlflow models serve` answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [peer_program("mlflow-models", "python"), "-m", "mlflow", "models", "serve", "-m", folder]
    log = folder / "serve.log"
    path = f"{peer_program('mlflow-models', 'python').parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*command, "--env-manager", "local", "--port", str(port)],
            stdout=told,
            stderr=told,
            env={**os.environ, **QUIET, "PATH": path},
            start_new_session=True,
        )
    try:
        for _ in range(300):
            try:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/invocations",
                    json.dumps(question).encode(),
                    {"Content-Type": "application/json"},
                )
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                raise AssertionError(error.read().decode()) from error
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise AssertionError(log.read_text()[-3000:])
    finally:
        os.killpg(process.pid, 15)
        process.wait()
