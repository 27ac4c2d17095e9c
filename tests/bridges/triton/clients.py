"""What Triton's own clients find at a server, printed as JSON: CLIENT is http, http-aio, grpc or grpc-aio."""

import asyncio
import functools
import gzip
import inspect
import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

http, grpc, token, kind = sys.argv[1:5]
module = {
    "http": tritonclient.http,
    "http-aio": tritonclient.http.aio,
    "grpc": tritonclient.grpc,
    "grpc-aio": tritonclient.grpc.aio,
}[kind]
is_grpc = kind.startswith("grpc")
headers = {"authorization": f"Bearer {token}"}
types = tritonclient.grpc if is_grpc else tritonclient.http


def tensor(name: str, array: np.ndarray, datatype: str, **options: bool) -> Any:
    made = types.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, **({} if is_grpc else options))
    return made


def said(message: Any) -> Any:
    return message if isinstance(message, dict | list) else tritonclient_json(message)


def tritonclient_json(message: Any) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)


async def main() -> dict[str, Any]:
    client = module.InferenceServerClient(grpc if is_grpc else http)

    async def call(name: str, *arguments: Any, **options: Any) -> Any:
        found = getattr(client, name)(*arguments, headers=dict(headers), **options)
        return await found if inspect.isawaitable(found) else found

    async def refusal(name: str, *arguments: Any, **options: Any) -> list[Any]:
        try:
            return ["answered", str(await call(name, *arguments, **options))]
        except InferenceServerException as error:
            return [error.status(), error.message()]

    first, second = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
    inputs = [tensor("INPUT0", first, "INT32"), tensor("INPUT1", second, "INT32")]
    texts = [
        tensor("INPUT0", first.astype(str).astype(object), "BYTES"),
        tensor("INPUT1", np.array([[f"{each}".encode() for each in second[0]]], object), "BYTES"),
    ]
    found: dict[str, Any] = {
        "live": await call("is_server_live"),
        "ready": await call("is_server_ready"),
        "model_ready": await call("is_model_ready", "simple"),
        "version_ready": await call("is_model_ready", "simple", "1"),
        "server": said(await call("get_server_metadata")),
        "metadata": said(await call("get_model_metadata", "simple")),
        "config": said(await call("get_model_config", "simple")),
        "index": said(await call("get_model_repository_index")),
    }
    answer = await call("infer", "simple", inputs, request_id="mine", model_version="1")
    found["sum"], found["difference"] = answer.as_numpy("OUTPUT0").tolist(), answer.as_numpy("OUTPUT1").tolist()
    found["dtype"], found["response"] = str(answer.as_numpy("OUTPUT0").dtype), said(answer.get_response())["id"]
    some = await call("infer", "simple", inputs, outputs=[types.InferRequestedOutput("OUTPUT1")])
    found["only"] = [some.as_numpy("OUTPUT0") is None, some.as_numpy("OUTPUT1").tolist()]
    answer = await call("infer", "simple_string", texts)
    found["texts"] = [each.decode() for each in answer.as_numpy("OUTPUT0")[0]]
    if is_grpc:
        packed = await call("infer", "simple", inputs, compression_algorithm="gzip", parameters={"mine": 1})
    else:
        packed = await call(
            "infer", "simple", inputs, request_compression_algorithm="gzip", response_compression_algorithm="deflate"
        )
        plain = [tensor("INPUT0", first, "INT32", binary_data=False), tensor("INPUT1", second, "INT32")]
        wanted = [types.InferRequestedOutput("OUTPUT0", binary_data=False), types.InferRequestedOutput("OUTPUT1")]
        mixed = await call("infer", "simple", plain, outputs=wanted)
        found["mixed"] = [mixed.as_numpy("OUTPUT0").tolist(), mixed.as_numpy("OUTPUT1").tolist()]
    found["packed"] = packed.as_numpy("OUTPUT0").tolist()
    found["refusals"] = {
        "model": await refusal("infer", "nothing", inputs),
        "tensor": await refusal("infer", "simple", [inputs[0], tensor("INPUT9", second, "INT32")]),
        "shape": await refusal("infer", "simple", [inputs[0], tensor("INPUT1", second[:, :4], "INT32")]),
        "datatype": await refusal("infer", "simple", [inputs[0], tensor("INPUT1", second.astype("f4"), "FP32")]),
        "metadata": await refusal("get_model_metadata", "nothing"),
        "override": await refusal("load_model", "simple", config=json.dumps({"backend": "python"})),
    }
    stats = said(await call("get_inference_statistics", "simple"))["model_stats"][0]
    found["statistics"] = [stats["name"], int(stats["inference_count"]) > 0]
    await call("load_model", "simple")
    await call("unload_model", "delay")
    found["unloaded"] = await refusal("infer", "delay", inputs)
    await call("load_model", "delay")
    found["loaded"] = await call("is_model_ready", "delay")
    if kind == "grpc":
        found["stream"] = streamed(client, inputs)
    if kind == "grpc-aio":
        found["stream"] = await streamed_here(client, inputs)
    if kind == "http":
        many = [client.async_infer("simple", inputs, headers=headers) for _ in range(8)]
        found["async"] = [each.get_result().as_numpy("OUTPUT0").tolist() for each in many]
        body, length = module.InferenceServerClient.generate_request_body(inputs)
        assert gzip.compress(body)
        answer = client._post(
            request_uri="v2/models/simple/infer",
            request_body=body,
            headers={**headers, "Inference-Header-Content-Length": str(length)},
            query_params=None,
        )
        result = module.InferenceServerClient.parse_response_body(
            answer.read(), header_length=int(answer.get("inference-header-content-length"))
        )
        found["by_hand"] = result.as_numpy("OUTPUT0").tolist()
    closed = client.close()
    if inspect.isawaitable(closed):
        await closed
    return found


def streamed(client: Any, inputs: Any) -> list[Any]:
    """What a stream answers to three requests, of which the second is refused."""
    answers: list[Any] = []
    client.start_stream(
        callback=functools.partial(lambda to, result, error: to.append((result, error)), answers), headers=headers
    )
    for number, model in enumerate(("simple", "nothing", "simple")):
        client.async_stream_infer(model, inputs, request_id=str(number))
    client.stop_stream()
    return [None if error else result.as_numpy("OUTPUT0").tolist() for result, error in answers]


async def streamed_here(client: Any, inputs: Any) -> list[Any]:
    async def requests() -> Any:
        for number, model in enumerate(("simple", "nothing", "simple")):
            yield {"model_name": model, "inputs": inputs, "request_id": str(number)}

    answers = client.stream_infer(requests(), headers=headers)
    return [None if error else result.as_numpy("OUTPUT0").tolist() async for result, error in answers]


sys.stdout.write(json.dumps(asyncio.run(main())))
