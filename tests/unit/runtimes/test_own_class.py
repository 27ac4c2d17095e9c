"""A plain class of the workspace's as a runtime: the suite of the port, and what it is told."""

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors

from charkh.core.errors import CharkhError, Denied, Invalid, NotFound
from charkh.ports.runtimes import ModelRuntime, Signature, TensorSpec
from charkh.runtimes.own_class import MARK, OwnClassRuntime, OwnPlace
from charkh.runtimes.plain_files import is_safetensors, plain_reasons
from charkh.testing.runtimes import RuntimeSuite, Sample, Touch, disguises, zip_of

MODULE = '''
"""A model class as a user writes it."""

import json
import pickle
from pathlib import Path

import numpy as np


class Nearest:
    """The name of the nearest of some points."""

    libraries = ("msgspec",)

    def __init__(self, names, points):
        self.names = names
        self.points = np.asarray(points, np.float64)

    def predict(self, inputs):
        place = np.stack([inputs["x"], inputs["y"]], axis=1)
        if np.isinf(place).any():
            raise ValueError("a place is infinite")
        distance = np.abs(place[:, None] - self.points).sum(axis=2)
        return {"name": np.array(self.names, object)[distance.argmin(axis=1)], "distance": distance.min(axis=1)}

    def save(self, folder):
        (folder / "names.json").write_text(json.dumps(self.names))
        np.save(folder / "points.npy", self.points)

    @classmethod
    def load(cls, folder):
        return cls(json.loads((folder / "names.json").read_text()), np.load(folder / "points.npy"))


class Pickled(Nearest):
    """The same, lazily saved."""

    def save(self, folder):
        (folder / "model.pkl").write_bytes(pickle.dumps(self))

    @classmethod
    def load(cls, folder):
        return pickle.loads((folder / "model.pkl").read_bytes())


class Broken:
    def predict(self, inputs):
        return [1, 2]
'''
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64"), TensorSpec(name="y", datatype="FP64")),
    outputs=(TensorSpec(name="name", datatype="BYTES"), TensorSpec(name="distance", datatype="FP64")),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "own_models.py").write_text(MODULE)
    return folder


def runtime_of(home: Path, name: str = "Nearest") -> OwnClassRuntime:
    return OwnClassRuntime("nearest", OwnPlace(f"own_models:{name}", home))


def model_of(name: str = "Nearest") -> Any:
    import own_models  # pyright: ignore[reportMissingImports]

    return getattr(own_models, name)(["origin", "far"], [[0, 0], [10, 10]])


class TestOwnClassRuntime(RuntimeSuite):
    @pytest.fixture(autouse=True)
    def _at_home(self, home: Path) -> None:
        self.home = home

    def make(self) -> ModelRuntime:
        return runtime_of(self.home)

    def sample(self) -> Sample:
        runtime_of(self.home)
        inputs = {"x": np.array([1.0, 9.0, 0.0]), "y": np.array([1.0, 8.0, 0.0])}
        return Sample(model_of(), SIGNATURE, inputs, model_of().predict(inputs))

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        pickled = pickle.dumps(Touch(marker))
        objects = io.BytesIO()
        np.save(objects, np.array([Touch(marker)], object), allow_pickle=True)
        return {
            **disguises(files, marker),
            "pickle for names": {**files, "names.json": pickled},
            "pickle of text": {**files, "names.json": pickle.dumps(Touch(marker), 0)},
            "array of objects": {**files, "points.npy": objects.getvalue()},
            "archive of objects": {**files, "points.npy": zip_of({"a.npy": objects.getvalue()})},
            "another class": {**files, MARK: b"os:system"},
            "library": {**files, "fast.so": b"\x7fELF"},
        }


def test_a_class_that_pickles_is_code_and_answers_apart_where_it_is_trusted(home: Path) -> None:
    runtime = runtime_of(home, "Pickled")
    files = runtime.save(model_of("Pickled"))
    assert runtime.inspect(files).runs_code
    with pytest.raises(Denied):
        runtime.load(files, SIGNATURE)
    assert runtime.takes(files)
    answers = runtime.load_apart(files, SIGNATURE).predict({"x": np.array([9.0]), "y": np.array([9.0])})
    assert answers["name"].tolist() == ["far"]


def test_versions_are_those_that_the_class_names(home: Path) -> None:
    assert set(runtime_of(home).libraries) == {"python", "numpy", "msgspec"}


def test_a_value_error_of_the_model_is_about_the_rows(home: Path) -> None:
    runtime = runtime_of(home)
    predictor = runtime.load(runtime.save(model_of()), SIGNATURE)
    with pytest.raises(Invalid, match="infinite"):
        predictor.predict({"x": np.array([np.inf]), "y": np.array([1.0])})


def test_what_is_not_there_is_said(home: Path) -> None:
    for path, error, message in (
        ("own_models:Nothing", NotFound, "no class 'Nothing'"),
        ("no_such_module:Nearest", NotFound, "no module 'no_such_module'"),
        ("own_models:Broken", Invalid, "no save and no load"),
    ):
        with pytest.raises(error, match=message) as raised:
            OwnClassRuntime("x", OwnPlace(path, home))
        assert isinstance(raised.value, CharkhError)
        assert raised.value.hint


@pytest.mark.parametrize(
    ("name", "data", "plain"),
    [
        ("weights.safetensors", to_safetensors({"a": np.zeros(3, np.float32), "b": np.ones((2, 2))}), True),
        ("weights.safetensors", to_safetensors({"a": np.zeros(3)}) + b"\xff", False),
        ("words.txt", "Grüße\n".encode(), True),
        ("run.py", b"print()", False),
        ("run", b"#!/bin/sh\n", False),
        ("blob.bin", b"\xff\xfe\xfd", False),
        ("empty.txt", b"", False),
    ],
)
def test_data_is_told_from_what_might_be_code(name: str, data: bytes, plain: bool) -> None:
    assert (not plain_reasons(name, data)) == plain


@given(st.binary(max_size=120))
def test_no_bytes_make_the_judge_fail(data: bytes) -> None:
    header = json.dumps({"a": {"data_offsets": [0, len(data)]}}).encode()
    assert is_safetensors(len(header).to_bytes(8, "little") + header + data)
    for start in (b"", b"\x93NUMPY", b"PK\x03\x04"):
        assert isinstance(plain_reasons("x", start + data), tuple)
