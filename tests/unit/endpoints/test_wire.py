"""The Open Inference JSON: what fits comes through unchanged, what does not is refused with one clear sentence."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.endpoints.inputs import read_inputs
from charkh.endpoints.outputs import Told, encode_outputs
from charkh.endpoints.records import read_records
from charkh.endpoints.wire import DATATYPES, datatype_of, decode_request
from charkh.ports.runtimes import Signature, TensorSpec


def signed(datatype: str, shape: tuple[int, ...] = (-1,), *, optional: bool = False) -> Signature:
    return Signature(inputs=(TensorSpec(name="x", datatype=datatype, shape=shape, optional=optional),), outputs=())


def tensor(data: object, datatype: str, shape: list[int], name: str = "x") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def read(signature: Signature, *tensors: dict[str, Any]) -> dict[str, Any]:
    return read_inputs(decode_request(msgspec.json.encode({"inputs": tensors})), signature)


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    dtype = DATATYPES[datatype]
    if dtype.kind in "iu":
        return st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if datatype == "BF16":
        return st.integers(-256, 256).map(float)
    if dtype.kind == "f":
        return st.floats(allow_nan=False, allow_infinity=False, width=dtype.itemsize * 8)  # type: ignore[arg-type]
    return st.booleans() if dtype.kind == "b" else st.text(max_size=5)


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@given(data=st.data())
def test_every_datatype_comes_through_flat_and_nested_and_back(datatype: str, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 3))
    rows = data.draw(st.lists(st.lists(values_of(datatype), min_size=width, max_size=width), min_size=1, max_size=4))
    signature = signed(datatype, (-1, width))
    flat = [cell for row in rows for cell in row]
    shape = [len(rows), width]
    seen = [read(signature, tensor(way, datatype, shape))["x"] for way in (flat, rows)]
    for array in seen:
        assert array.dtype == DATATYPES[datatype]
        assert array.tolist() == rows
    told, declared = Told("m", "1", "r"), [TensorSpec(name="y", datatype=datatype)]
    answer = msgspec.json.decode(encode_outputs(told, {"y": seen[0]}, declared=declared).body)
    assert answer["outputs"] == [{"name": "y", "datatype": datatype, "shape": shape, "data": flat}]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("m", "1", "r")


def test_null_is_missing_in_an_optional_input() -> None:
    assert np.isnan(read(signed("FP32", optional=True), tensor([None, 1], "FP32", [2]))["x"]).tolist() == [True, False]
    assert read(signed("BYTES", optional=True), tensor([None, "a"], "BYTES", [2]))["x"].tolist() == [None, "a"]
    whole = read(signed("INT64", optional=True), tensor([None, 7], "INT64", [2]))["x"]
    assert whole.dtype == np.float64
    assert math.isnan(whole[0])
    assert whole[1] == 7
    yes = read(signed("BOOL", optional=True), tensor([True, None], "BOOL", [2]))["x"]
    assert yes[0] == 1.0
    assert math.isnan(yes[1])
    widened = read(signed("FP64", optional=True), tensor([1, None], "INT32", [2]))["x"]
    assert widened.dtype == np.float64


def test_an_optional_input_may_stay_away() -> None:
    signature = Signature(
        inputs=(
            TensorSpec(name="x", datatype="FP64"),
            TensorSpec(name="y", datatype="FP32", optional=True),
            TensorSpec(name="z", datatype="BYTES", optional=True),
        ),
        outputs=(),
    )
    inputs = read(signature, tensor([1.0, 2.0], "FP64", [2]))
    assert list(inputs) == ["x", "y", "z"]
    assert np.isnan(inputs["y"]).all()
    assert inputs["z"].tolist() == [None, None]


def test_narrower_datatypes_widen_where_every_value_survives() -> None:
    assert read(signed("FP64"), tensor([1, 2], "INT32", [2]))["x"].tolist() == [1.0, 2.0]
    assert read(signed("INT64"), tensor([1, 2], "UINT8", [2]))["x"].dtype == np.int64
    for sent in ("FP64", "INT64", "BOOL", "BYTES"):
        with pytest.raises(Invalid, match=f"expected datatype INT32, got {sent}"):
            read(signed("INT32"), tensor([1], sent, [1]))


def test_a_column_may_come_as_a_matrix_of_one_column_and_the_other_way() -> None:
    assert read(signed("FP64"), tensor([1, 2], "FP64", [2, 1]))["x"].shape == (2,)
    assert read(signed("FP64"), tensor([[1], [2]], "FP64", [2, 1]))["x"].shape == (2,)
    assert read(signed("FP64", (-1, 1)), tensor([1, 2], "FP64", [2]))["x"].shape == (2, 1)


REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([], "no inputs"),
    ([tensor([1.0], "FP64", [1], "y")], "unknown input 'y'"),
    ([tensor([1.0], "FP64", [1]), tensor([1.0], "FP64", [1])], "twice"),
    ([tensor([1.0], "FP99", [1])], "expected datatype FP64, got FP99"),
    ([tensor([1.0], "FP64", [1, 2])], r"expected shape \[-1\], got \[1, 2\]"),
    ([tensor([1.0], "FP64", [])], "no shape of rows"),
    ([tensor([1.0], "FP64", [-1])], "no shape of rows"),
    ([tensor([], "FP64", [0])], "no rows"),
    ([tensor([1.0, 2.0], "FP64", [3])], "expected 3 values for shape .3., got 2"),
    ([tensor(["NaN"], "FP64", [1])], "expected numbers for FP64, got the text 'NaN'"),
    ([tensor([True], "FP64", [1])], "expected numbers for FP64, got true"),
    ([tensor([None], "FP64", [1])], "value 0 is null, and this input is required"),
    ([tensor(None, "FP64", [1])], "expected numbers for FP64, got null"),
    ([tensor({"a": 1}, "FP64", [1])], "expected numbers for FP64, got a dict"),
    ([tensor([[1.0], [2.0, 3.0]], "FP64", [2, 1])], "nested data are not of shape"),
    ([tensor([[1.0], 2.0], "FP64", [2, 1])], "nested data are not of shape"),
    ([tensor([10**400], "FP64", [1])], "out of range|malformed|expected numbers"),
]


@pytest.mark.parametrize(("tensors", "why"), REFUSED)
def test_what_does_not_fit_is_refused_with_the_tensors_name(tensors: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        read(signed("FP64"), *tensors)
    assert refused.value.code == "endpoint.bad_request"
    assert refused.value.hint


def test_a_missing_input_is_named_with_what_was_expected() -> None:
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP64"), TensorSpec(name="y", datatype="INT64", shape=(-1, 4))),
        outputs=(),
    )
    with pytest.raises(Invalid, match=r"input 'y' is missing: expected INT64 of shape \[-1, 4\]") as refused:
        read(signature, tensor([1.0], "FP64", [1]))
    assert refused.value.facts == {"tensor": "y"}
    with pytest.raises(Invalid, match="'y' has 2 rows, but 'x' has 1"):
        read(signature, tensor([1.0], "FP64", [1]), tensor([1] * 8, "INT64", [2, 4], "y"))


@pytest.mark.parametrize(
    ("datatype", "value"), [("INT8", 300), ("UINT8", -1), ("INT64", 2**63), ("FP32", 1e300), ("FP16", 1e6)]
)
def test_a_value_beyond_its_datatype_is_refused(datatype: str, value: float) -> None:
    with pytest.raises(Invalid, match=f"out of range for {datatype}"):
        read(signed(datatype), tensor([value], datatype, [1]))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[NaN]}]}', "not JSON"),
        (b"\xff\xfe", "not JSON|no inference request"),
        (b"[]", "no inference request"),
        (b'{"inputs":[{"name":"x"}]}', "no inference request"),
        (b'{"inputs":[{"name":"x","shape":["1"],"datatype":"FP64","data":[1]}]}', "no inference request"),
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        decode_request(body)


def test_data_may_not_stay_away_and_binary_tensors_are_named() -> None:
    with pytest.raises(Invalid, match="has no data"):
        read(signed("FP64"), {"name": "x", "shape": [1], "datatype": "FP64"})
    binary = {"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
    with pytest.raises(Invalid, match="0 bytes are left"):
        read(signed("FP64"), binary)


@given(st.binary(max_size=60))
def test_no_body_makes_it_fail_otherwise(body: bytes) -> None:
    for way in (lambda: read_inputs(decode_request(body), signed("FP64")), lambda: read_records(body, signed("FP64"))):
        with pytest.raises(Invalid):
            way()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)


@given(JSON, st.lists(st.integers(-1, 3), max_size=3), st.sampled_from(sorted(DATATYPES)), st.booleans())
def test_any_data_is_read_or_refused(data: object, shape: list[int], datatype: str, optional: bool) -> None:
    try:
        array = read(signed(datatype, optional=optional), tensor(data, datatype, shape))["x"]
    except Invalid:
        return
    assert array.shape == (shape[0],)


@given(
    st.lists(st.dictionaries(st.sampled_from(["x", "y"]), JSON, max_size=2), max_size=3),
    st.sampled_from(sorted(DATATYPES)),
)
def test_any_records_are_read_or_refused(records: list[dict[str, object]], datatype: str) -> None:
    for shape in ((-1,), (-1, 2)):
        try:
            array = read_records(msgspec.json.encode(records), signed(datatype, shape, optional=True))["x"]
        except Invalid:
            continue
        assert array.shape[0] == len(records)


def test_records_become_columns() -> None:
    signature = Signature(
        inputs=(
            TensorSpec(name="hour", datatype="INT64"),
            TensorSpec(name="wind", datatype="FP64", optional=True),
            TensorSpec(name="pair", datatype="FP32", shape=(-1, 2)),
        ),
        outputs=(),
    )
    inputs = read_records(b'[{"hour":1,"wind":null,"pair":[1,2]},{"hour":2,"wind":3,"pair":[3,4]}]', signature)
    assert inputs["hour"].tolist() == [1, 2]
    assert np.isnan(inputs["wind"][0])
    assert inputs["pair"].tolist() == [[1, 2], [3, 4]]
    for body, why in [
        (b'[{"hour":1,"pair":[1,2]},{"hour":"2","pair":[1,2]}]', "record 1: field 'hour': .* got the text '2'"),
        (b'[{"hour":1,"pair":[1,2]},{"pair":[1,2]}]', "record 1: field 'hour' is missing"),
        (b'[{"hour":1,"pair":[1]}]', "'pair'"),
        (b'[{"hour":1,"pair":[1,2],"colour":1}]', "record 0: unknown field 'colour'"),
        (b"[]", "no rows"),
        (b'{"hour":1}', "no list of records"),
    ]:
        with pytest.raises(Invalid, match=why):
            read_records(body, signature)


def test_an_answer_says_null_for_nan_and_text_for_bytes() -> None:
    outputs = {"y": np.array([np.nan, 1.0]), "t": np.array([b"a", "b"], object)}
    answer = msgspec.json.decode(encode_outputs(Told("m", "1"), outputs).body)
    assert [output["data"] for output in answer["outputs"]] == [[None, 1.0], ["a", "b"]]
    assert "id" not in answer
    assert datatype_of(np.array(["x"])) == "BYTES"
    assert datatype_of(np.array([1], ">i4")) == "INT32"


def test_members_that_are_null_are_as_if_they_were_not_there() -> None:
    body = (
        b'{"id":null,"parameters":null,"outputs":null,'
        b'"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[1],"parameters":null}]}'
    )
    request = decode_request(body)
    assert (request.id, request.parameters, request.outputs) == ("", {}, ())
    assert read_inputs(request, signed("FP64"))["x"].tolist() == [1.0]
    with pytest.raises(Invalid, match="no inference request"):
        decode_request(b'{"inputs":null}')


def test_texts_may_come_as_base64() -> None:
    given = tensor(["cw==", "xZlla2E="], "BYTES", [2])
    for request in (
        {"inputs": [{**given, "parameters": {"content_type": "base64"}}]},
        {"inputs": [given], "parameters": {"content_type": "base64"}},
    ):
        decoded = read_inputs(decode_request(msgspec.json.encode(request)), signed("BYTES"))
        assert decoded["x"].tolist() == ["s", "řeka"]
    kept = {**given, "parameters": {"content_type": "str"}}
    assert read(signed("BYTES"), kept)["x"].tolist() == ["cw==", "xZlla2E="]
    for wrong in ("c", "c w==", "/w=="):
        with pytest.raises(Invalid, match="no text in base64"):
            read(signed("BYTES"), {**tensor([wrong], "BYTES", [1]), "parameters": {"content_type": "base64"}})
