"""What an MLmodel file of a stranger says, and that reading it builds nothing."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.bridges.mlflow.mlmodel import EMPTY, flavours_of, libraries_of, safety_of, signature_of
from charkh.bridges.mlflow.registrations import registrations, registrations_text
from charkh.core.mlmodel import read_mlmodel


def test_columns_and_tensors_become_specs() -> None:
    fields = read_mlmodel(
        b"signature:\n"
        b'  inputs: \'[{"type": "string", "name": "origin", "required": false}, {"type": "long", "name": "hour"}]\'\n'
        b'  outputs: \'[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]\'\n'
    )
    signature = signature_of(fields)
    assert [(spec.name, spec.datatype, spec.optional) for spec in signature.inputs] == [
        ("origin", "BYTES", True),
        ("hour", "INT64", False),
    ]
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == [("output", "FP32", (-1, 2))]


@pytest.mark.parametrize(
    ("flavours", "paths", "runs_code"),
    [
        ({"python_function": {}, "sklearn": {}}, ["model.pkl"], True),
        ({"python_function": {}, "sklearn": {}}, ["model.skops"], True),
        ({"python_function": {}, "onnx": {}}, ["model.onnx"], False),
        ({"python_function": {}, "onnx": {}}, ["model.onnx", "code/evil.py"], True),
        ({"python_function": {}, "xgboost": {}}, ["model.ubj"], False),
        ({"python_function": {}, "lightgbm": {}}, ["model.pkl"], True),
        ({"python_function": {}}, ["x.bin"], True),
        ({}, [], True),
    ],
)
def test_only_formats_without_code_are_inert(flavours: dict[str, Any], paths: list[str], *, runs_code: bool) -> None:
    assert safety_of({"flavors": flavours}, paths).runs_code is runs_code


def test_no_tag_of_yaml_is_followed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for text in (
        f"x: !!python/object/apply:os.system ['touch {canary}']",
        f"x: !!python/object/new:subprocess.Popen [['touch', '{canary}']]",
        "x: !include /etc/passwd",
    ):
        assert isinstance(read_mlmodel(text.encode()), dict)
    assert not canary.exists()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_no_model(data: bytes) -> None:
    fields = read_mlmodel(data)
    assert signature_of(fields).inputs == ()
    assert flavours_of(fields) == tuple(sorted(flavours_of(fields), key=lambda name: (name == "python_function", name)))
    assert isinstance(libraries_of(fields), dict)


def test_a_signature_that_no_tensors_can_say_is_empty() -> None:
    for said in ('[{"type": "object", "name": "x"}]', "{", '{"a": 1}', "[1]", '[{"type": "tensor"}]', 7):
        assert signature_of({"signature": {"inputs": said}}) == EMPTY


def test_each_registration_stands_there_once() -> None:
    text = '[{"name": "m", "version": 1}, {"name": "m", "version": "1"}, {"name": "m", "version": 2}, 3, {"x": 1}]'
    assert registrations(text) == [("m", 1), ("m", 2)]
    assert registrations_text([("m", 1)]) == '[{"name": "m", "version": 1}]'
    assert registrations("{") == registrations("") == registrations("[" * 100_000) == []
