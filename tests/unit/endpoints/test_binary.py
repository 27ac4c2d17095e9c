"""Binary tensors, as tritonclient sends them by default."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.endpoints.binary import split_body
from charkh.endpoints.inputs import read_inputs
from charkh.endpoints.wire import DATATYPES, decode_request
from charkh.ports.runtimes import Signature, TensorSpec


def signed(datatype: str, *, optional: bool = False) -> Signature:
    return Signature(inputs=(TensorSpec(name="x", datatype=datatype, optional=optional),), outputs=())


def packed(values: list[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        return b"".join(len(each).to_bytes(4, "little") + each for each in (value.encode() for value in values))
    if datatype == "BF16":
        return (np.array(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return np.array(values, DATATYPES[datatype].newbyteorder("<")).tobytes()


def asked(datatype: str, count: int, raw: bytes, size: object = None) -> tuple[Any, bytes]:
    tensor = {
        "name": "x",
        "shape": [count],
        "datatype": datatype,
        "parameters": {"binary_data_size": len(raw) if size is None else size},
    }
    return decode_request(msgspec.json.encode({"inputs": [tensor]})), raw


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    dtype = DATATYPES[datatype]
    if dtype.kind in "iu":
        return st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if datatype == "BF16":
        return st.integers(-256, 256).map(float)
    if dtype.kind == "f":
        return st.floats(allow_nan=False, width=dtype.itemsize * 8)  # type: ignore[arg-type]
    return st.booleans() if dtype.kind == "b" else st.text(max_size=5)


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@given(data=st.data())
def test_every_datatype_comes_through(datatype: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(values_of(datatype), min_size=1, max_size=6))
    request, tail = asked(datatype, len(values), packed(values, datatype))
    array = read_inputs(request, signed(datatype), tail)["x"]
    assert array.dtype == DATATYPES[datatype]
    assert array.tolist() == values


def test_json_and_binary_inputs_stand_side_by_side() -> None:
    signature = Signature(inputs=tuple(TensorSpec(name=name, datatype="FP64") for name in ("a", "b", "c")), outputs=())
    binary = {"shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    request = {
        "inputs": [
            {"name": "c", **binary},
            {"name": "b", "shape": [2], "datatype": "FP64", "data": [3, 4]},
            {"name": "a", **binary},
        ]
    }
    text = msgspec.json.encode(request)
    body = text + packed([5, 6], "FP32") + packed([1, 2], "FP32")
    head, tail = split_body(body, str(len(text)))
    inputs = read_inputs(decode_request(head), signature, tail)
    assert {name: array.tolist() for name, array in inputs.items()} == {"a": [1, 2], "b": [3, 4], "c": [5, 6]}


def test_nan_is_missing() -> None:
    request, tail = asked("FP32", 2, packed([1, np.nan], "FP32"))
    assert np.isnan(read_inputs(request, signed("FP32", optional=True), tail)["x"]).tolist() == [False, True]
    with pytest.raises(Invalid, match="value 1 is NaN, and this input is required"):
        read_inputs(request, signed("FP32"), tail)


@pytest.mark.parametrize(
    ("datatype", "count", "raw", "size", "why"),
    [
        ("FP64", 2, b"12345678", None, "expected 16 bytes for FP64 of shape .2., got 8"),
        ("FP64", 1, b"12345678", 4, "4 bytes behind the JSON belong to no input"),
        ("FP64", 1, b"12345678", 16, "binary_data_size is 16, and 8 bytes are left"),
        ("FP64", 1, b"12345678", -1, "binary_data_size is -1"),
        ("FP64", 1, b"12345678", "8", "binary_data_size is '8'"),
        ("BOOL", 1, b"\x02", None, "a BOOL is 0 or 1"),
        ("BYTES", 1, b"\x01\x00\x00\x00\xff", None, "not UTF-8"),
        ("BYTES", 1, b"\x05\x00\x00\x00a", None, "expected 1 texts .* got 0"),
        ("BYTES", 2, b"\x01\x00\x00\x00a", None, "expected 2 texts .* got 1"),
        ("BYTES", 1, b"\x00", None, "expected 1 texts"),
    ],
)
def test_what_does_not_fit_is_refused(datatype: str, count: int, raw: bytes, size: object, why: str) -> None:
    request, tail = asked(datatype, count, raw, size)
    with pytest.raises(Invalid, match=why):
        read_inputs(request, signed(datatype), tail)


@pytest.mark.parametrize("length", ["0", "-1", "9", "x", "1.5", "\u0661"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(Invalid, match="Inference-Header-Content-Length"):
        split_body(b"12345678", length)


@given(st.binary(max_size=40), st.sampled_from(sorted(DATATYPES)), st.integers(1, 4))
def test_any_bytes_are_read_or_refused(raw: bytes, datatype: str, count: int) -> None:
    request, tail = asked(datatype, count, raw)
    try:
        array = read_inputs(request, signed(datatype, optional=True), tail)["x"]
    except Invalid:
        return
    assert array.shape == (count,)
