"""What lies over gRPC: raw contents too short or too long, shapes, datatypes, messages cut or changed anywhere.

Never INTERNAL or UNKNOWN, never a call that hangs, never a prediction for tensors that are not whole.
"""

import asyncio
import math
import socket
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bridges.conformance.models import servables

from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.endpoints.grpc.listen import listening
from charkh.endpoints.grpc.schema import INFERENCE, message

METHOD = f"/{INFERENCE}.GRPCInferenceService/ModelInfer"
SECONDS = 20.0
ROWS = np.arange(8.0).reshape(2, 4)
ITEM = {"BOOL": 1, "UINT8": 1, "INT8": 1, "INT64": 8, "UINT64": 8, "FP16": 2, "FP32": 4, "FP64": 8}
REFUSED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
SIZES = st.integers(-3, 9) | st.sampled_from([2**31, 2**40, 2**62, 2**63 - 1, -(2**63)])
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=4),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
        "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
        "fp32_contents": st.lists(st.floats(width=32), max_size=4),
        "fp64_contents": st.lists(st.floats(), max_size=8),
        "bytes_contents": st.lists(st.binary(max_size=5), max_size=4),
    },
)
INPUT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "hour", "origin", "wind", "late", ""]),
        "datatype": st.sampled_from([*ITEM, "BF16", "BYTES", "fp64", "", "X"]),
        "shape": st.lists(SIZES, max_size=4),
    },
    optional={"contents": CONTENTS, "parameters": st.just({"binary_data_size": {"int64_param": 3}})},
)


@pytest.fixture(scope="module")
def channel() -> Iterator[Any]:
    """A channel to the server, which runs in a thread of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    loop, end, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        application = Application(servables(), Door("127.0.0.1", open_inference=True))
        async with listening(application.respond, "127.0.0.1", port, grace=1):
            ready.set()
            await end.wait()
        application.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    loop.call_soon_threadsafe(end.set)
    thread.join()
    loop.close()


def ask(channel: Any, raw: bytes) -> Any:
    """The answer, or None for a refusal that says why."""
    try:
        said = channel.unary_unary(METHOD)(raw, timeout=SECONDS)
    except grpc.RpcError as error:
        assert error.code() in REFUSED, f"{error.code()}: {error.details()}"
        assert error.details()
        return None
    answer = message(INFERENCE, "ModelInferResponse").FromString(said)
    for each, contents in zip(answer.outputs, answer.raw_output_contents, strict=False):
        if each.datatype in ITEM:
            assert len(contents) == math.prod(each.shape) * ITEM[each.datatype]
    return answer


def check(channel: Any, raw: bytes) -> None:
    """Where it is answered, what was asked was whole."""
    answer = ask(channel, raw)
    if answer is None:
        return
    asked = message(INFERENCE, "ModelInferRequest").FromString(raw)
    assert asked.inputs
    for each, contents in zip(asked.inputs, asked.raw_input_contents, strict=False):
        if each.datatype in ITEM:
            assert len(contents) == math.prod(each.shape) * ITEM[each.datatype]


def valid() -> Any:
    tensor = {"name": "x", "datatype": "FP64", "shape": [2, 4]}
    made = message(INFERENCE, "ModelInferRequest")
    return made(model_name="iris", inputs=[tensor], raw_input_contents=[ROWS.tobytes()])


def test_the_request_that_is_changed_below_is_answered(channel: Any) -> None:
    answer = ask(channel, valid().SerializeToString())
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == [1, 1]


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 200).filter(lambda size: size != ROWS.nbytes))
def test_raw_contents_that_are_too_short_or_too_long_are_never_answered(channel: Any, size: int) -> None:
    request = valid()
    request.raw_input_contents[0] = (ROWS.tobytes() * 4)[:size]
    assert ask(channel, request.SerializeToString()) is None


@settings(max_examples=150, deadline=None)
@given(
    model=st.sampled_from(["iris", "echo"]),
    inputs=st.lists(INPUT, max_size=4),
    raws=st.lists(st.binary(max_size=40) | st.just(ROWS.tobytes()), max_size=4),
)
def test_lying_tensors_are_refused(channel: Any, model: str, inputs: Any, raws: list[bytes]) -> None:
    made = message(INFERENCE, "ModelInferRequest")
    check(channel, made(model_name=model, inputs=inputs, raw_input_contents=raws).SerializeToString())


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_valid_message_that_is_cut_or_changed_anywhere(channel: Any, data: st.DataObject) -> None:
    body = bytearray(valid().SerializeToString())
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(0, len(body) - 1)) :]
        assert ask(channel, bytes(body)) is None, "the tensor comes last, so what is cut short is never whole"
    else:
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        check(channel, bytes(body))
