"""The message of Seldon's first protocol is read in every form, and answered in the same."""

import json
from typing import Any

import numpy as np
import pytest

from charkh.bridges.seldon.messages import Meta, read_feedback, read_message, true_value, write_message
from charkh.core.errors import Invalid
from charkh.ports.runtimes import Signature, TensorSpec

COLUMNS = Signature(
    inputs=(TensorSpec(name="a", datatype="FP64"), TensorSpec(name="b", datatype="BYTES", optional=True)), outputs=()
)
VECTORS = Signature(inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, 2)),), outputs=())


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_model_of_vectors_takes_whole_rows() -> None:
    asked = read_message(body({"data": {"names": ["p", "q"], "ndarray": [[1, 2]]}, "meta": {"puid": "7"}}), VECTORS)
    assert (asked.tensors["x"].tolist(), asked.form, asked.puid) == ([[1.0, 2.0]], "ndarray", "7")


@pytest.mark.parametrize(
    ("message", "form"),
    [
        ({"data": {"names": ["b", "a"], "ndarray": [["p", 1]]}}, "ndarray"),
        ({"data": {"ndarray": [[1, "p"]]}}, "ndarray"),
        ({"data": {"tensor": {"shape": [1, 2], "values": [1, "p"]}}}, "tensor"),
        ({"jsonData": {"a": 1, "b": "p"}}, "jsonData"),
        ({"jsonData": [{"a": 1, "b": "p"}]}, "jsonData"),
    ],
)
def test_a_message_is_read_in_every_form(message: Any, form: str) -> None:
    asked = read_message(body(message), COLUMNS)
    assert (asked.tensors["a"].tolist(), asked.tensors["b"].tolist(), asked.form) == ([1.0], ["p"], form)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"{", "not JSON"),
        (body([]), "no message"),
        (body({}), "no data"),
        (body({"data": {}}), "neither ndarray nor tensor"),
        (body({"data": {"tftensor": {}}}), "tftensor is not taken"),
        (body({"binData": "AA=="}), "binData is not taken"),
        (body({"data": {"ndarray": []}}), "no rows"),
        (body({"data": {"ndarray": [[1]]}}), "row 0 has 1 values, and the model takes 2: a, b"),
        (body({"data": {"names": ["a"], "ndarray": [[1, 2]]}}), "row 0 has 2 values for 1 names"),
        (body({"data": {"names": ["a", "z"], "ndarray": [[1, 2]]}}), "unknown field 'z'"),
        (body({"data": {"tensor": {"shape": [2, 2], "values": [1]}}}), "1 values for shape"),
        (body({"data": {"tensor": {"shape": [-1], "values": [1]}}}), "1 values for shape"),
        (body({"data": {"ndarray": [["x", "p"]]}}), "expected numbers"),
    ],
)
def test_what_does_not_fit_is_refused(message: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read_message(message, COLUMNS)


def test_an_answer_has_the_form_of_its_request() -> None:
    outputs = {"predict": np.array([1, 0]), "predict_proba": np.array([[0.25, 0.75], [np.nan, 0.5]])}
    meta = Meta(puid="7", tags={"version": "3"})
    said = {
        form: json.loads(write_message(outputs, form, meta)) for form in ("ndarray", "tensor", "jsonData", "strData")
    }
    assert said["ndarray"] == {
        "meta": {"puid": "7", "tags": {"version": "3"}},
        "data": {"names": ["t:0", "t:1"], "ndarray": [[0.25, 0.75], [None, 0.5]]},
    }
    assert said["tensor"]["data"]["tensor"] == {"shape": [2, 2], "values": [0.25, 0.75, None, 0.5]}
    assert said["jsonData"]["jsonData"] == [[0.25, 0.75], [None, 0.5]]
    assert json.loads(said["strData"]["strData"]) == [[0.25, 0.75], [None, 0.5]]


def test_feedback_carries_the_routing_back() -> None:
    found = read_feedback(body({"response": {"meta": {"routing": {"eg": 1}}}, "reward": 1}))
    assert (found.response.meta.routing, found.reward, found.truth) == ({"eg": 1}, 1.0, None)
    with pytest.raises(Invalid, match="no message"):
        read_feedback(body({"reward": "much"}))


@pytest.mark.parametrize(
    ("truth", "value"),
    [
        ({"data": {"ndarray": [[1]]}}, 1),
        ({"data": {"tensor": {"shape": [1, 1], "values": [0.5]}}}, 0.5),
        ({"strData": "late"}, "late"),
        ({"jsonData": True}, True),
    ],
)
def test_the_truth_of_feedback_is_one_value(truth: Any, value: Any) -> None:
    found = read_feedback(body({"response": {"meta": {"puid": "7", "tags": {"prediction_id": "E"}}}, "truth": truth}))
    assert (found.prediction_id, found.reward, true_value(found)) == ("E", None, value)


@pytest.mark.parametrize("truth", [{"data": {"ndarray": [1, 0]}}, {"jsonData": {"a": 1}}, {}])
def test_what_is_not_one_value_is_no_truth(truth: Any) -> None:
    with pytest.raises(Invalid, match="not one value"):
        true_value(read_feedback(body({"truth": truth})))
