"""What MLServer's own messages, stubs and codecs make of a server, printed as JSON."""

import json
import sys
import urllib.request
from typing import Any

import grpc
import mlserver.grpc.dataplane_pb2 as pb
import numpy as np
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, StringCodec
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, RequestInput

http, authority, token = sys.argv[1:4]
metadata = (("authorization", f"Bearer {token}"),)
FIRST, SECOND = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
numbers = InferenceRequest(
    id="mine",
    inputs=[NumpyCodec.encode_input("INPUT0", FIRST), NumpyCodec.encode_input("INPUT1", SECOND)],
)
columns = InferenceRequest(
    inputs=[
        NumpyCodec.encode_input("hour", np.array([1.0, 9.0])),
        NumpyCodec.encode_input("wind", np.array([3.5, 2.0])),
    ]
)


def texts(*, as_bytes: bool) -> InferenceRequest:
    """In gRPC a text is bytes, and in JSON a text."""
    cells = ([str(each) for each in array[0]] for array in (FIRST, SECOND))
    data = [[cell.encode() for cell in row] if as_bytes else row for row in cells]
    names = ("INPUT0", "INPUT1")
    return InferenceRequest(
        inputs=[
            RequestInput(name=name, shape=[1, 16], datatype="BYTES", data=row)
            for name, row in zip(names, data, strict=True)
        ]
    )


def arrays(response: InferenceResponse) -> dict[str, Any]:
    return {each.name: NumpyCodec.decode_output(each).tolist() for each in response.outputs}


def decoded(response: InferenceResponse) -> dict[str, Any]:
    return {each.name: StringCodec.decode_output(each) for each in response.outputs}


def over_grpc(stub: Any, model: str, request: InferenceRequest, **options: Any) -> InferenceResponse:
    # Its converter takes the data out of what it is given.
    copy = request.model_copy(deep=True)
    message = ModelInferRequestConverter.from_types(copy, model_name=model, model_version=None, **options)
    return ModelInferResponseConverter.to_types(stub.ModelInfer(message, metadata=metadata))


def over_rest(path: str, request: InferenceRequest | None = None) -> bytes:
    body = None if request is None else request.model_dump_json(exclude_none=True).encode()
    sent = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(f"http://{http}{path}", body, sent), timeout=20) as answer:
        return answer.read()


def rest_infer(model: str, request: InferenceRequest) -> InferenceResponse:
    return InferenceResponse.model_validate_json(over_rest(f"/v2/models/{model}/infer", request))


def main() -> dict[str, Any]:
    with grpc.insecure_channel(authority) as channel:
        stub = GRPCInferenceServiceStub(channel)
        asked = {"metadata": metadata, "timeout": 20}
        described = stub.ModelMetadata(pb.ModelMetadataRequest(name="simple"), **asked)
        found: dict[str, Any] = {
            "live": stub.ServerLive(pb.ServerLiveRequest(), **asked).live,
            "ready": stub.ServerReady(pb.ServerReadyRequest(), **asked).ready,
            "model_ready": stub.ModelReady(pb.ModelReadyRequest(name="simple"), **asked).ready,
            "server": stub.ServerMetadata(pb.ServerMetadataRequest(), **asked).name,
            "versions": list(described.versions),
            "typed": arrays(over_grpc(stub, "simple", numbers)),
            "raw": arrays(over_grpc(stub, "simple", numbers, use_raw=True)),
            "id": over_grpc(stub, "simple", numbers).id,
            "typed_texts": decoded(over_grpc(stub, "simple_string", texts(as_bytes=True))),
            "columns": list(arrays(over_grpc(stub, "delay", columns))),
        }
    found["rest"] = arrays(rest_infer("simple", numbers))
    found["rest_texts"] = decoded(rest_infer("simple_string", texts(as_bytes=False)))
    found["rest_columns"] = list(arrays(rest_infer("delay", columns)))
    encoded = NumpyRequestCodec.encode_request(FIRST)
    found["content_type"] = encoded.parameters.content_type
    model = MetadataModelResponse.model_validate_json(over_rest("/v2/models/simple"))
    found["metadata"] = [[each.name, each.datatype, each.shape] for each in model.inputs]
    return found


sys.stdout.write(json.dumps(main()))
