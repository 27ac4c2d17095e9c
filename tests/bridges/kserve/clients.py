"""What KServe's own REST and gRPC clients find at a server, printed as JSON."""

import asyncio
import json
import sys
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.errors import InferenceError
from kserve.protocol.infer_type import RequestedOutput

http, authority, token = sys.argv[1:4]
headers = {"authorization": f"Bearer {token}"}
FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)


def request(model: str, *, binary: bool, first: np.ndarray = FIRST, **more: Any) -> InferRequest:
    inputs = [
        InferInput(name=name, shape=list(array.shape), datatype="INT32")
        for name, array in (("INPUT0", first), ("INPUT1", SECOND))
    ]
    for each, array in zip(inputs, (first, SECOND), strict=True):
        each.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=inputs, request_id="mine", **more)


def texts() -> InferRequest:
    inputs = [InferInput(name=name, shape=[1, 16], datatype="BYTES") for name in ("INPUT0", "INPUT1")]
    for each, array in zip(inputs, (FIRST, SECOND), strict=True):
        each.set_data_from_numpy(array.astype(str).astype(object), binary_data=True)
    return InferRequest(model_name="simple_string", infer_inputs=inputs)


def tensors(response: Any) -> dict[str, Any]:
    return {each.name: texts_in(each.as_numpy().tolist()) for each in response.outputs}


def texts_in(rows: list[list[Any]]) -> list[list[Any]]:
    return [[cell.decode() if isinstance(cell, bytes) else cell for cell in row] for row in rows]


async def refusal(asked: Any) -> str:
    try:
        await asked
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    except (RuntimeError, ValueError, OSError, httpx.HTTPError, InferenceError) as error:
        return f"{type(error).__name__}: {error}"
    return "answered"


async def rest() -> dict[str, Any]:
    client, url = InferenceRESTClient(RESTConfig(protocol="v2", retries=1)), f"http://{http}"
    found: dict[str, Any] = {
        "live": await client.is_server_live(url, headers=dict(headers)),
        "ready": await client.is_server_ready(url, headers=dict(headers)),
        "model_ready": await client.is_model_ready(url, "simple", headers=dict(headers)),
        "unknown_ready": await client.is_model_ready(url, "nothing", headers=dict(headers)),
    }
    for name, binary in (("json", False), ("binary", True)):
        answer = await client.infer(url, request("simple", binary=binary), model_name="simple", headers=dict(headers))
        found[name] = {**tensors(answer), "id": answer.id}
    wanted = [RequestedOutput("OUTPUT1", parameters={"binary_data": True})]
    some = await client.infer(
        url, request("simple", binary=True, request_outputs=wanted), model_name="simple", headers=dict(headers)
    )
    found["only"] = tensors(some)
    answer = await client.infer(url, texts(), model_name="simple_string", headers=dict(headers))
    found["texts"] = tensors(answer)
    found["unknown"] = await refusal(
        client.infer(url, request("nothing", binary=True), model_name="nothing", headers=dict(headers))
    )
    wrong = client.infer(
        url, request("simple", binary=False, first=FIRST[:, :4]), model_name="simple", headers=dict(headers)
    )
    found["shape"] = await refusal(wrong)
    await client.close()
    return found


async def grpc_client() -> dict[str, Any]:
    client, metadata = InferenceGRPCClient(authority), list(headers.items())
    found: dict[str, Any] = {
        "live": await client.is_server_live(headers=metadata),
        "ready": await client.is_server_ready(headers=metadata),
        "model_ready": await client.is_model_ready("simple", headers=metadata),
    }
    found["unknown_ready"] = await refusal(client.is_model_ready("nothing", headers=metadata))
    for name, binary in (("json", False), ("binary", True)):
        answer = await client.infer(request("simple", binary=binary), headers=metadata)
        found[name] = {**tensors(answer), "id": answer.id}
    wanted = [RequestedOutput("OUTPUT1")]
    some = await client.infer(request("simple", binary=True, request_outputs=wanted), headers=metadata)
    found["only"] = tensors(some)
    found["texts"] = tensors(await client.infer(texts(), headers=metadata))
    found["unknown"] = await refusal(client.infer(request("nothing", binary=True), headers=metadata))
    found["shape"] = await refusal(client.infer(request("simple", binary=False, first=FIRST[:, :4]), headers=metadata))
    await client.close()
    return found


async def main() -> None:
    sys.stdout.write(json.dumps({"rest": await rest(), "grpc": await grpc_client()}, default=str))


asyncio.run(main())
