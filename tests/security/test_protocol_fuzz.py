"""The inference protocol with what lies: shapes, sizes, datatypes, cut bodies. Never a 500, never a prediction."""

import asyncio
import math
import subprocess
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bridges.conformance.models import servables
from tests.bridges.conformance.servers import charkh
from tests.peers import peer_program

from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.endpoints.route import Reply

HOST = "127.0.0.1"
DATATYPES = ["BOOL", "UINT8", "INT8", "INT64", "UINT64", "FP16", "BF16", "FP32", "FP64", "BYTES", "fp64", "", "X"]
SIZES = st.integers(-3, 9) | st.sampled_from([2**31, 2**40, 2**63, 2**64, -(2**63)])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)
INPUT = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "hour", "origin", "wind", "late", ""]), "shape": st.lists(SIZES, max_size=4)},
    optional={
        "datatype": st.sampled_from(DATATYPES),
        "data": VALUES,
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_size", "content_type"]), SIZES | VALUES, max_size=2
        ),
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(INPUT, max_size=4) | VALUES},
    optional={"id": VALUES, "parameters": VALUES, "outputs": VALUES},
)


@pytest.fixture(scope="module")
def app() -> Application:
    return Application(servables(), Door(HOST, open_inference=True))


def post(app: Application, path: str, body: bytes, **headers: str) -> Reply:
    async def read(_limit: int) -> bytes:
        return body

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(app.respond("POST", path, HOST, named, read))


def check(reply: Reply) -> None:
    """An answer whose tensors are whole, or a refusal that says why."""
    assert reply.status in {200, 400, 415}, reply.body
    length = dict(reply.headers).get("inference-header-content-length")
    said = msgspec.json.decode(reply.body[: int(length)] if length else reply.body)
    if reply.status != 200:
        assert said["error"]
        return
    for each in said["outputs"]:
        if "data" in each:
            assert len(each["data"]) == math.prod(each["shape"])


@settings(max_examples=300, deadline=None)
@given(request=REQUEST, model=st.sampled_from(["iris", "echo"]), tail=st.binary(max_size=40), cut=st.integers(-2, 3))
def test_lying_tensors_are_refused(app: Application, request: Any, model: str, tail: bytes, cut: int) -> None:
    text = msgspec.json.encode(request)
    path = f"/v2/models/{model}/infer"
    check(post(app, path, text))
    check(post(app, path, text + tail, inference_header_content_length=str(len(text) + cut)))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_valid_binary_request_that_is_changed_anywhere(app: Application, data: st.DataObject) -> None:
    raw = np.arange(8.0).tobytes()
    head = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    text = msgspec.json.encode({"inputs": [head]})
    body = bytearray(text + raw)
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body) - 1)) :]
        changed = post(app, "/v2/models/iris/infer", bytes(body), inference_header_content_length=str(len(text)))
        assert changed.status == 400, "what is cut short is never answered"
    else:
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        changed = post(app, "/v2/models/iris/infer", bytes(body), inference_header_content_length=str(len(text)))
    check(changed)


@settings(max_examples=150, deadline=None)
@given(length=st.integers(-200, 400) | st.sampled_from([2**31, 2**63, 2**64]))
def test_a_whole_body_with_a_length_that_is_not_its_own(app: Application, length: int) -> None:
    raw = np.arange(8.0).tobytes()
    head = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    text = msgspec.json.encode({"inputs": [head]})
    reply = post(app, "/v2/models/iris/infer", text + raw, inference_header_content_length=str(length))
    check(reply)
    # A length of 0 says that the whole body is one tensor, as Triton's clients may; its rows are not whole here.
    assert (reply.status == 200) == (length == len(text))


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=80) | VALUES.map(msgspec.json.encode),
    path=st.sampled_from(["/predict/iris", "/predict/echo", "/v2/models/iris/infer", "/v2/repository/index"]),
    kind=st.sampled_from(["application/json", "text/csv", "application/octet-stream", ""]),
    length=st.sampled_from(["", "0", "-1", "1e3", "٣", "999999999999", "+1"]),
    encoding=st.sampled_from(["identity", "gzip", "deflate", "br"]),
)
def test_any_body_with_any_header(
    app: Application, body: bytes, path: str, kind: str, length: str, encoding: str
) -> None:
    reply = post(
        app,
        path,
        body,
        content_type=kind,
        inference_header_content_length=length,
        content_encoding=encoding,
    )
    assert reply.status in {200, 400, 415}, reply.body
    if reply.status != 200:
        assert msgspec.json.decode(reply.body)["error"]


def test_a_refused_output_asks_no_model(app: Application) -> None:
    body = {
        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}],
        "outputs": [{"name": "nonsense"}],
    }
    reply = post(app, "/v2/models/iris/infer", msgspec.json.encode(body))
    assert reply.status == 400
    assert "unknown output 'nonsense'" in msgspec.json.decode(reply.body)["error"]


@pytest.mark.needs("peer:schemathesis")
def test_schemathesis_finds_nothing_against_our_own_document() -> None:
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance,negative_data_rejection"
    )
    with charkh() as url:
        words = [str(peer_program("schemathesis", "st")), "run", f"{url}/openapi.json", "--checks", checks]
        words += ["--phases", "coverage,fuzzing", "-n", "15", "--seed", "1", "--no-color"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-5000:]
