"""KServe's first protocol: rows in, the model's answer a row out."""

import json
from typing import Any

import numpy as np
import pytest

from charkh.bridges.kserve.first_protocol import read_instances, write_predictions
from charkh.core.errors import Invalid
from charkh.ports.runtimes import Signature, TensorSpec

COLUMNS = Signature(
    inputs=(TensorSpec(name="a", datatype="FP64"), TensorSpec(name="b", datatype="BYTES", optional=True)), outputs=()
)
VECTORS = Signature(inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, 2)),), outputs=())


@pytest.mark.parametrize(
    "instances", [[[1, "p"], [2.5, None]], [{"a": 1, "b": "p"}, {"a": 2.5}], [{"b": "p", "a": 1.0}, [2.5, None]]]
)
def test_rows_are_lists_or_records(instances: Any) -> None:
    tensors = read_instances(json.dumps({"instances": instances}).encode(), COLUMNS)
    assert tensors["a"].tolist() == [1.0, 2.5]
    assert tensors["b"].tolist() == ["p", None]


def test_a_model_of_vectors_takes_whole_rows() -> None:
    assert read_instances(b'{"inputs": [[1, 2], [3, 4]]}', VECTORS)["x"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("given", "said"), [(b"[]", "no prediction request"), (b"{}", "no instances"), (b"x", "not JSON")]
)
def test_what_is_no_request_is_refused(given: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read_instances(given, COLUMNS)


def test_the_answer_is_what_the_model_predicts() -> None:
    outputs = {"predict_proba": np.array([[0.25, 0.75], [np.nan, 0.5]]), "predict": np.array([1, 0])}
    first = json.loads(write_predictions(outputs, model="delay", version="3"))
    assert first == {"predictions": [1, 0], "model_name": "delay", "model_version": "3"}
