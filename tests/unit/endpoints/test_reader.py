"""The one pass reads what the careful one reads, and leaves to it whatever is not exactly as expected."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.endpoints.inputs import read_inputs
from charkh.endpoints.reader import KEPT, Reader, read_raw, reader_of
from charkh.endpoints.wire import decode_request
from charkh.ports.runtimes import Signature, TensorSpec

MIXED = Signature(
    inputs=(
        TensorSpec(name="wind", datatype="FP32", optional=True),
        TensorSpec(name="hour", datatype="INT64"),
        TensorSpec(name="origin", datatype="BYTES", optional=True),
        TensorSpec(name="late", datatype="BOOL"),
        TensorSpec(name="point", datatype="FP64", shape=(-1, 2)),
    ),
    outputs=(),
)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "wind": st.none() | st.floats(width=32, allow_nan=False),
    "hour": st.integers(-(2**63), 2**63 - 1),
    "origin": st.none() | st.text(max_size=4),
    "late": st.booleans(),
}
ODD = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)


def body_of(inputs: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"id": "r", "inputs": inputs})


def plain(rows: int, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": [rows, *spec.shape[1:]],
            "data": columns[spec.name],
        }
        for spec in MIXED.inputs
    ]


def read_both(body: bytes, length: str = "") -> list[Any]:
    """What the two ways make of a body: arrays, or the sentence of the refusal."""

    def carefully() -> dict[str, Any]:
        end = int(length) if length else len(body)
        return read_inputs(decode_request(body[:end]), MIXED, body[end:])

    seen: list[Any] = []
    for way in (carefully, lambda: Reader(MIXED).read(body, length)[1]):
        try:
            seen.append({name: (array.dtype, array.tolist()) for name, array in way().items()})
        except Invalid as error:
            seen.append(str(error))
    return seen


@given(data=st.data(), rows=st.integers(1, 4))
def test_what_fits_is_read_in_one_pass(data: st.DataObject, rows: int) -> None:
    columns = {name: data.draw(st.lists(cells, min_size=rows, max_size=rows)) for name, cells in CELLS.items()}
    columns["point"] = [float(each) for each in range(2 * rows)]
    careful, quick = read_both(body_of(plain(rows, columns)))
    assert repr(careful) == repr(quick), "NaN is equal by its text"


@given(data=st.data())
def test_what_does_not_fit_gets_the_careful_refusal(data: st.DataObject) -> None:
    columns: dict[str, list[Any]] = {
        "wind": [1.0],
        "hour": [1],
        "origin": ["a"],
        "late": [True],
        "point": [1.0, 2.0],
    }
    inputs = plain(1, columns)
    which = data.draw(st.integers(0, 4))
    member = data.draw(st.sampled_from(["data", "shape", "datatype", "name"]))
    odd: dict[str, st.SearchStrategy[Any]] = {
        "data": st.lists(ODD, max_size=3) | st.lists(st.lists(ODD, max_size=3), max_size=3) | ODD,
        "shape": st.lists(st.integers(-2, 2**40), max_size=3) | ODD,
        "datatype": st.sampled_from(["FP16", "FP32", "FP64", "INT8", "UINT64", "BYTES", "BOOL", "BF16", "X"]) | ODD,
        "name": st.sampled_from(["wind", "hour", "nonsense"]) | ODD,
    }
    inputs[which][member] = data.draw(odd[member])
    careful, quick = read_both(body_of(inputs))
    assert repr(careful) == repr(quick)


@given(raw=st.binary(max_size=40), size=st.integers(-1, 40) | ODD, length=st.integers(0, 400))
def test_bytes_behind_the_json_are_read_alike(raw: bytes, size: object, length: int) -> None:
    columns: dict[str, list[Any]] = {"hour": [1], "origin": ["a"], "late": [True], "point": [1.0, 2.0], "wind": []}
    inputs = plain(1, columns)
    inputs[0] = {"name": "wind", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    text = body_of(inputs)
    for said in (str(len(text)), str(length)):
        careful, quick = read_both(text + raw, said) if 0 < int(said) <= len(text + raw) else ("", "")
        assert repr(careful) == repr(quick)


def test_arrays_may_be_written_to() -> None:
    signature = Signature(inputs=(TensorSpec(name="x", datatype="FP64"),), outputs=())
    head = msgspec.json.encode(
        {"inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}]}
    )
    request, arrays = Reader(signature).read(head + np.array([1.0, 2.0]).tobytes(), str(len(head)))
    arrays["x"][0] = 7
    assert (request.id, arrays["x"].tolist()) == ("", [7.0, 2.0])


def test_nan_is_missing_in_bytes_too() -> None:
    signature = Signature(inputs=(TensorSpec(name="x", datatype="FP32"),), outputs=())
    head = msgspec.json.encode(
        {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]}
    )
    with pytest.raises(Invalid, match="value 1 is NaN, and this input is required"):
        Reader(signature).read(head + np.array([1, np.nan], "<f4").tobytes(), str(len(head)))


@pytest.mark.parametrize(("datatype", "form"), [("FP32", "<f4"), ("INT16", "<i2"), ("BOOL", "?")])
def test_a_body_may_be_one_tensor_alone(datatype: str, form: str) -> None:
    signature = Signature(inputs=(TensorSpec(name="x", datatype=datatype, shape=(-1, 2)),), outputs=())
    values = np.array([[0, 1], [1, 0]], form)
    assert read_raw(values.tobytes(), signature)["x"].tolist() == values.tolist()
    for wrong in (b"", values.tobytes()[:-1]):
        with pytest.raises(Invalid, match="no whole rows"):
            read_raw(wrong, signature)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ((TensorSpec(name="x", datatype="FP32"), TensorSpec(name="y", datatype="FP32")), "for a model with one input"),
        ((TensorSpec(name="x", datatype="BYTES"),), "do not tell its shape"),
        ((TensorSpec(name="x", datatype="FP32", shape=(-1, -1)),), "do not tell its shape"),
    ],
)
def test_raw_bytes_must_tell_a_shape(inputs: tuple[TensorSpec, ...], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        read_raw(b"\0" * 8, Signature(inputs=inputs, outputs=()))


def test_a_signature_has_one_reader_and_few_are_kept() -> None:
    assert reader_of(MIXED) is reader_of(MIXED)
    many = [Signature(inputs=(), outputs=()) for _ in range(KEPT + 1)]
    assert len({id(reader_of(each)) for each in many}) > 1
    assert reader_of(MIXED).signature is MIXED
