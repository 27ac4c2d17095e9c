"""The ONNX runtime: the suite of the port, and what only this format can do wrong."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from charkh.core.errors import Denied, Invalid
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.onnx import OnnxRuntime
from charkh.runtimes.onnx_file import onnx_reasons
from charkh.testing.runtimes import RuntimeSuite, Sample, disguises

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(80, 3)).astype(np.float32)
TRUTH = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(np.int64)
INPUTS = tuple(TensorSpec(name=name, datatype="FP32") for name in "abc")
COLUMNS = {name: ROWS[:, place] for place, name in enumerate("abc")}
OUTPUTS = (
    TensorSpec(name="label", datatype="INT64"),
    TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),
)


@cache
def graph() -> Any:
    return to_onnx(LogisticRegression().fit(ROWS, TRUTH), ROWS[:1], options={"zipmap": False})


class TestOnnxRuntime(RuntimeSuite):
    def make(self) -> OnnxRuntime:
        return OnnxRuntime()

    def sample(self) -> Sample:
        from onnx.reference import ReferenceEvaluator

        label, _ = ReferenceEvaluator(graph()).run(None, {"X": ROWS})
        signature = Signature(inputs=INPUTS, outputs=OUTPUTS)
        return Sample(graph(), signature, COLUMNS, {"label": label})

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        name = next(iter(files))
        return {
            **disguises(files, marker),
            "operator of a library": {name: _with(domain="com.evil").SerializeToString()},
            "weights outside": {name: _with(outside="/etc/passwd").SerializeToString()},
        }


def _with(domain: str = "", outside: str = "") -> Any:
    node = helper.make_node("Add", ["x", "w"], ["y"], domain=domain)
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if outside:
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=outside)
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    return helper.make_model(helper.make_graph([node], "g", [shape], [answer], [weights]))


def test_a_hidden_operator_of_a_library_is_found_in_a_branch() -> None:
    inner = _with(domain="com.evil").graph
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    model = helper.make_model(helper.make_graph([branch], "outer", [condition], [answer]))
    assert any("com.evil" in reason for reason in onnx_reasons(model.SerializeToString()))
    with pytest.raises(Denied, match=r"com\.evil"):
        OnnxRuntime().save(model)


def test_inputs_go_by_name_or_as_the_columns_of_one_matrix() -> None:
    runtime = OnnxRuntime()
    files = runtime.save(_with())
    by_name = Signature(inputs=(TensorSpec(name="x", datatype="FP32"),), outputs=())
    assert runtime.load(files, by_name).predict({"x": np.array([1.0, 2.0], np.float32)})["y"].tolist() == [2.0, 3.0]
    with pytest.raises(Invalid, match="takes x"):
        runtime.load(files, Signature(inputs=INPUTS, outputs=()))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    assert onnx_reasons(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_is_judged_without_an_error(place: int, byte: int) -> None:
    data = bytearray(graph().SerializeToString())
    data[place % len(data)] = byte
    assert all(isinstance(reason, str) for reason in onnx_reasons(bytes(data)))
