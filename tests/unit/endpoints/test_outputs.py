"""Answers: the outputs that are asked for, in the datatype that is declared, as JSON or as bytes behind it."""

from typing import Any

import msgspec
import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.endpoints.outputs import Told, choose, encode_outputs
from charkh.endpoints.wire import InferOutput
from charkh.ports.runtimes import TensorSpec

TOLD = Told("m", "1", "r")


def test_outputs_are_chosen_by_name() -> None:
    outputs = {"a": np.zeros(1), "b": np.ones(1)}
    assert choose((), outputs) == [("a", False), ("b", False)]
    assert choose((), outputs, all_binary=True) == [("a", True), ("b", True)]
    asked = [InferOutput(name="b", parameters={"binary_data": False}), InferOutput(name="a")]
    assert choose(asked, outputs, all_binary=True) == [("b", False), ("a", True)]
    with pytest.raises(Invalid, match="unknown output 'c'"):
        choose([InferOutput(name="c")], outputs)


def test_binary_outputs_stand_behind_the_json_in_their_order() -> None:
    outputs: dict[str, Any] = {
        "p": np.array([[0.25, 0.75]], np.float32),
        "label": np.array(["späť", b"x", None], object),
        "n": np.array([7], ">i8"),
    }
    asked = [InferOutput(name=name, parameters={"binary_data": name != "n"}) for name in ("label", "n", "p")]
    answer = encode_outputs(TOLD, outputs, asked)
    head, tail = msgspec.json.decode(answer.body[: answer.length]), answer.body[answer.length :]
    assert [each["name"] for each in head["outputs"]] == ["label", "n", "p"]
    assert head["outputs"][1]["data"] == [7]
    texts = b"".join(len(each).to_bytes(4, "little") + each for each in ("späť".encode(), b"x", b""))
    assert tail == texts + np.array([0.25, 0.75], "<f4").tobytes()
    sizes = [each.get("parameters", {}).get("binary_data_size") for each in head["outputs"]]
    assert sizes == [len(texts), None, 8]


def test_an_answer_keeps_to_what_is_declared_where_every_value_fits() -> None:
    declared = [
        TensorSpec(name="wide", datatype="FP64"),
        TensorSpec(name="narrow", datatype="INT8"),
        TensorSpec(name="brain", datatype="BF16"),
        TensorSpec(name="flag", datatype="FP32"),
    ]
    outputs: dict[str, Any] = {
        "wide": np.array([0.5], np.float32),
        "narrow": np.array([300]),
        "brain": np.array([1.5, -2.0], np.float32),
        "flag": np.array([True]),
    }
    answer = encode_outputs(TOLD, outputs, all_binary=True, declared=declared)
    head = msgspec.json.decode(answer.body[: answer.length])
    assert [each["datatype"] for each in head["outputs"]] == ["FP64", "INT64", "BF16", "BOOL"]
    halves = answer.body[answer.length + 16 : answer.length + 20]
    assert (np.frombuffer(halves, "<u2").astype("<u4") << 16).view("<f4").tolist() == [1.5, -2.0]
