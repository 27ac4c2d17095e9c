"""The gRPC server on a free port, asked by a real channel with the protocol's own bytes."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import msgspec
import numpy as np
import pytest

from charkh.core.errors import Unavailable
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.endpoints.grpc.listen import listening
from charkh.endpoints.grpc.schema import HEALTH, INFERENCE, REFLECTION, message
from charkh.endpoints.instruments import Instruments
from charkh.endpoints.metrics_page import MetricsPage
from charkh.endpoints.read import predictions
from charkh.endpoints.servable import Servable
from charkh.endpoints.serve import grpc_beside
from charkh.endpoints.watch import Watch
from charkh.ports.runtimes import Signature, Tensors, TensorSpec
from charkh.ports.store import Store
from charkh.stores.meters_file import FileMeters

TOKEN = "a-token-of-the-test"
BEARER = (("authorization", f"Bearer {TOKEN}"),)
PAIR = Signature(
    inputs=(TensorSpec(name="a", datatype="INT32", shape=(-1, 2)), TensorSpec(name="t", datatype="BYTES")),
    outputs=(TensorSpec(name="sum", datatype="INT32"), TensorSpec(name="upper", datatype="BYTES")),
)


def shout(inputs: Tensors) -> Tensors:
    """The sum of each row, and the text in capitals."""
    texts = np.array([cell.upper() for cell in inputs["t"]], object)
    return {"sum": inputs["a"].sum(axis=1, dtype=np.int32), "upper": texts}


class Channel:
    """Calls by their names."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    async def __call__(self, call: str, *, metadata: Any = BEARER, timeout: float = 20, **fields: Any) -> Any:
        request = message(INFERENCE, f"{call}Request")(**fields)
        ask = self.channel.unary_unary(
            f"/{INFERENCE}.GRPCInferenceService/{call}",
            request_serializer=lambda said: said.SerializeToString(),
            response_deserializer=message(INFERENCE, f"{call}Response").FromString,
        )
        return await ask(request, metadata=metadata, timeout=timeout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def served(*servables: Servable, token: str = TOKEN, **options: Any) -> AsyncIterator[Channel]:
    application = Application(servables, Door("127.0.0.1", token=token, open_inference=not token))
    port = free_port()
    async with (
        listening(application.respond, "127.0.0.1", port, grace=1, **options),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Channel(channel)
    application.close()


def pair(name: str = "pair") -> Servable:
    return Servable(name=name, version="7", subject="model:1", signature=PAIR, predict=shout)


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_what_a_server_and_a_model_say_of_themselves() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            assert (await call("ServerLive")).live
            assert (await call("ServerReady")).ready
            assert (await call("ModelReady", name="pair")).ready
            assert (await call("ServerMetadata")).name == "charkh"
            said = await call("ModelMetadata", name="pair", version="7")
            assert (said.name, list(said.versions)) == ("pair", ["7"])
            assert [(each.name, each.datatype, list(each.shape)) for each in said.inputs] == [
                ("a", "INT32", [-1, 2]),
                ("t", "BYTES", [-1]),
            ]
            index = await call("RepositoryIndex")
            assert [(each.name, each.version, each.state) for each in index.models] == [("pair", "7", "READY")]

    run(test)


def request(*, raw: bool, **changes: Any) -> dict[str, Any]:
    """A request of two rows, with its tensors as bytes or in typed fields."""
    inputs: list[dict[str, Any]] = [
        {"name": "a", "datatype": "INT32", "shape": [2, 2]},
        {"name": "t", "datatype": "BYTES", "shape": [2]},
    ]
    if raw:
        texts = b"".join(len(each).to_bytes(4, "little") + each for each in (b"x", b"yz"))
        return {
            "model_name": "pair",
            "id": "42",
            "inputs": inputs,
            "raw_input_contents": [np.arange(4, dtype="<i4").tobytes(), texts],
            **changes,
        }
    inputs[0]["contents"] = {"int_contents": [0, 1, 2, 3]}
    inputs[1]["contents"] = {"bytes_contents": [b"x", b"yz"]}
    return {"model_name": "pair", "id": "42", "inputs": inputs, **changes}


def test_bytes_come_back_as_bytes_and_typed_fields_as_typed_fields() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            raw = await call("ModelInfer", **request(raw=True))
            assert (raw.model_name, raw.model_version, raw.id) == ("pair", "7", "42")
            assert [(each.name, each.datatype, list(each.shape)) for each in raw.outputs] == [
                ("sum", "INT32", [2]),
                ("upper", "BYTES", [2]),
            ]
            assert np.frombuffer(raw.raw_output_contents[0], "<i4").tolist() == [1, 5]
            assert raw.raw_output_contents[1] == b"\x01\0\0\0X\x02\0\0\0YZ"
            assert not raw.outputs[0].HasField("contents")
            typed = await call("ModelInfer", **request(raw=False))
            assert not typed.raw_output_contents
            assert list(typed.outputs[0].contents.int_contents) == [1, 5]
            assert list(typed.outputs[1].contents.bytes_contents) == [b"X", b"YZ"]
            asked = await call("ModelInfer", **request(raw=False, parameters={"binary_data_output": {"bool_param": 1}}))
            assert asked.raw_output_contents == raw.raw_output_contents

    run(test)


@pytest.mark.parametrize("takes", [0.0, 0.01])
def test_both_protocols_are_counted_apart(takes: float) -> None:
    def predict(inputs: Tensors) -> Tensors:
        time.sleep(takes)
        return shout(inputs)

    async def whole(_limit: int) -> bytes:
        tensors = [
            {"name": "a", "datatype": "INT32", "shape": [1, 2], "data": [1, 2]},
            {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["x"]},
        ]
        return msgspec.json.encode({"inputs": tensors})

    async def test() -> None:
        meters = FileMeters()
        watch = Watch(Instruments(meters), MetricsPage(meters))
        servable = replace(pair(), predict=predict)
        application = Application([servable], Door("127.0.0.1", open_inference=True), watch=watch)
        port = free_port()
        async with (
            grpc_beside(application, "127.0.0.1", port, grace=1),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            for _ in range(20):
                await Channel(channel)("ModelInfer", **request(raw=True))
            for _ in range(10):
                reply = await application.respond("POST", "/v2/models/pair/infer", "127.0.0.1", {}, whole)
                assert reply.status == 200
        application.close()
        (requests,) = [each for each in meters.read() if each.name == "charkh_inference_requests"]
        counted = {(each.labels["protocol"], each.labels["code"]): each.value for each in requests.samples}
        assert counted == {("grpc", "200"): 20, ("rest", "200"): 10}

    run(test)


def test_the_outputs_that_are_asked_for() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            some = await call("ModelInfer", **request(raw=True, outputs=[{"name": "upper"}]))
            assert [each.name for each in some.outputs] == ["upper"]
            with pytest.raises(grpc.aio.AioRpcError, match="unknown output 'no'"):
                await call("ModelInfer", **request(raw=True, outputs=[{"name": "no"}]))

    run(test)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"model_name": "nope"}, "NOT_FOUND", "nope"),
        ({"model_name": ""}, "NOT_FOUND", "no model"),
        ({"model_name": "pair/ready"}, "NOT_FOUND", "no model"),
        ({"model_version": "9"}, "NOT_FOUND", "9"),
        ({"raw_input_contents": [b""]}, "INVALID_ARGUMENT", "has 1 tensors, and inputs has 2"),
        ({"raw_input_contents": [b"123", b""]}, "INVALID_ARGUMENT", "input 'a'"),
        ({"inputs": []}, "INVALID_ARGUMENT", "raw_input_contents has 2 tensors"),
        ({"inputs": [], "raw_input_contents": []}, "INVALID_ARGUMENT", "no inputs"),
    ],
)
def test_what_is_wrong_is_refused_with_the_protocols_status(changes: dict[str, Any], code: str, says: str) -> None:
    async def test() -> None:
        async with served(pair()) as call:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call("ModelInfer", **request(raw=True, **changes))
            assert refused.value.code() is grpc.StatusCode[code]
            assert says in refused.value.details()

    run(test)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"contents": {"fp32_contents": [1.0]}}, "INT32 stands in int_contents, and fp32_contents has data"),
        ({"contents": {"int_contents": [1]}}, "expected 16 bytes"),
        ({"datatype": "FP16", "contents": {"fp32_contents": [1.0]}}, "FP16 has no typed field"),
        ({"datatype": "INT8", "contents": {"int_contents": [300, 1, 2, 3]}}, "out of range for INT8"),
        ({"datatype": "", "contents": {"int_contents": [300]}}, "no datatype"),
    ],
)
def test_typed_fields_that_do_not_fit_are_named(tensor: dict[str, Any], says: str) -> None:
    async def test() -> None:
        async with served(pair()) as call:
            asked = request(raw=False)
            asked["inputs"][0].update(tensor)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call("ModelInfer", **asked)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "input 'a'" in refused.value.details()
            assert says in refused.value.details()

    run(test)


def test_a_tensor_is_not_said_twice() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            asked = request(raw=False, raw_input_contents=[b"", b""])
            with pytest.raises(grpc.aio.AioRpcError, match="in contents and in raw_input_contents"):
                await call("ModelInfer", **asked)

    run(test)


def test_bytes_that_are_no_message_are_refused() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            for name in ("ModelInfer", "ModelReady"):
                send = call.channel.unary_unary(f"/{INFERENCE}.GRPCInferenceService/{name}")
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await send(b"\xff\xff\xff", metadata=BEARER)
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(test)


def test_a_stream_answers_each_request_and_outlives_a_refusal() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            stream = call.channel.stream_stream(f"/{INFERENCE}.GRPCInferenceService/ModelStreamInfer")(metadata=BEARER)
            read = message(INFERENCE, "ModelStreamInferResponse").FromString
            for changes in ({"id": "1"}, {"id": "2", "model_name": "nope"}, {"id": "3"}):
                asked = message(INFERENCE, "ModelInferRequest")(**request(raw=True, **changes))
                await stream.write(asked.SerializeToString())
            answers = [read(await stream.read()) for _ in range(3)]
            await stream.done_writing()
            assert [each.infer_response.id for each in answers] == ["1", "2", "3"]
            assert [bool(each.error_message) for each in answers] == [False, True, False]

    run(test)


def test_the_token_is_asked_for_and_health_needs_none() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            assert (await call("ServerReady", metadata=())).ready
            for metadata in ((), (("authorization", "Bearer wrong"),)):
                for name, fields in (("ServerMetadata", {}), ("ModelInfer", request(raw=True))):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await call(name, metadata=metadata, **fields)
                    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

    run(test)


def test_a_message_that_is_too_long_is_refused() -> None:
    async def test() -> None:
        async with served(pair(), max_message=10_000) as call:
            long = b"\0" * 20_000
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call("ModelInfer", **request(raw=True, raw_input_contents=[long, b""]))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            send = call.channel.unary_unary(f"/{INFERENCE}.GRPCInferenceService/ModelInfer")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(bytes(50_000_000), metadata=BEARER, compression=grpc.Compression.Gzip)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(test)


def test_health_of_the_server_and_of_a_model() -> None:
    async def test() -> None:
        async with served(pair()) as call:
            check = call.channel.unary_unary(f"/{HEALTH}.Health/Check")
            asked, told = message(HEALTH, "HealthCheckRequest"), message(HEALTH, "HealthCheckResponse")
            for name in ("", "inference.GRPCInferenceService", "pair"):
                answer = await check(asked(service=name).SerializeToString(), metadata=BEARER)
                assert told.FromString(answer).status == 1
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await check(asked(service="nope").SerializeToString(), metadata=BEARER)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            watching = call.channel.unary_stream(f"/{HEALTH}.Health/Watch")(asked().SerializeToString())
            assert told.FromString(await watching.read()).status == 1
            watching.cancel()

    run(test)


@pytest.mark.parametrize("package", REFLECTION)
def test_reflection_names_the_services_and_gives_their_files(package: str) -> None:
    async def test() -> None:
        async with served(pair()) as call:
            made, read = message(package, "ServerReflectionRequest"), message(package, "ServerReflectionResponse")
            stream = call.channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo")(metadata=BEARER)
            answers: list[Any] = []
            for asked in (
                {"list_services": ""},
                {"file_containing_symbol": "inference.GRPCInferenceService"},
                {"file_by_filename": "nope.proto"},
                {"all_extension_numbers_of_type": "inference.ModelConfig"},
            ):
                await stream.write(made(**asked).SerializeToString())
                answers.append(read.FromString(await stream.read()))
            await stream.done_writing()
            names = [each.name for each in answers[0].list_services_response.service]
            assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(names)
            assert b"ModelInfer" in answers[1].file_descriptor_response.file_descriptor_proto[0]
            assert [each.error_response.error_code for each in answers[2:]] == [5, 12]

    run(test)


def test_what_gRPC_asks_is_in_the_log_of_predictions(store: Store, servable: Callable[..., Servable]) -> None:
    async def test() -> None:
        async with served(servable()) as call:
            asked = {
                "model_name": "delay",
                "id": "from-grpc",
                "inputs": [
                    {"name": "x", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [1.5]}},
                    {"name": "hour", "datatype": "INT64", "shape": [1], "contents": {"int64_contents": [2]}},
                ],
            }
            answer = await call("ModelInfer", **asked)
            assert list(answer.outputs[0].contents.fp64_contents) == [3.5]
            assert answer.parameters["prediction_id"].string_param

    run(test)
    logged = predictions(store, endpoint="delay").to_dicts()
    assert [(each["x"], each["hour"], each["score"]) for each in logged] == [(1.5, 2, 3.5)]


def test_a_port_that_is_taken_is_refused() -> None:
    async def test() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            application = Application([], Door("127.0.0.1", token=TOKEN))
            with pytest.raises(Unavailable) as refused:
                async with listening(application.respond, "127.0.0.1", taken.getsockname()[1]):
                    raise AssertionError("it listens")
            assert refused.value.code == "endpoint.cannot_listen"
            application.close()

    run(test)


FORKS = """
import asyncio, json, os
from charkh.endpoints.grpc.listen import listening

async def refuse(*_given, **_named):
    raise NotImplementedError

def fork():
    child = os.fork()
    if not child:
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def main():
    async with listening(refuse, "127.0.0.1", PORT):
        import grpc.aio
        async with grpc.aio.insecure_channel("127.0.0.1:PORT") as channel:
            await channel.channel_ready()
            ends = []
            for _ in range(100):
                call = channel.unary_unary("/nobody/knows")(b"")
                ends.append(await asyncio.to_thread(fork))
            print(json.dumps(ends))

asyncio.run(main())
"""


def test_children_of_the_server_live() -> None:
    script = FORKS.replace("PORT", str(free_port()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert json.loads(done.stdout) == [0] * 100
