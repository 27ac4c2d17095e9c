"""The messages of the protocol's gRPC services, as data; their classes live in a pool of this process' own.

Other packages bring descriptors with the same names (KServe, Triton, MLServer), and two of them cannot be in one pool
(kserve#3099). Names, numbers and types are those of the Open Inference Protocol (`inference`, with Triton's extensions
for models, statistics and streams), of gRPC's health checking and of its server reflection.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

INFERENCE = "inference"
HEALTH = "grpc.health.v1"
REFLECTION = ("grpc.reflection.v1", "grpc.reflection.v1alpha")

_NAMED = ("name string 1", "version string 2")
_PARAMETERS = "parameters map:InferParameter 4"
_COMPUTED = (
    "compute_input StatisticDuration 2",
    "compute_infer StatisticDuration 3",
    "compute_output StatisticDuration 4",
)

Fields = tuple[str, ...]
"""`name type number`: a scalar or a message; `[]` before it for many, `map:` from texts, `one:` in a oneof."""

_INFERENCE: Mapping[str, Fields] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("live bool 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("ready bool 1",),
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": ("ready bool 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (*_NAMED, "extensions []string 3"),
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": (
        "name string 1",
        "versions []string 2",
        "platform string 3",
        "inputs []ModelMetadataResponse.TensorMetadata 4",
        "outputs []ModelMetadataResponse.TensorMetadata 5",
    ),
    "ModelMetadataResponse.TensorMetadata": ("name string 1", "datatype string 2", "shape []int64 3"),
    "InferParameter": (
        "bool_param one:bool 1",
        "int64_param one:int64 2",
        "string_param one:string 3",
        "double_param one:double 4",
        "uint64_param one:uint64 5",
    ),
    "InferTensorContents": (
        "bool_contents []bool 1",
        "int_contents []int32 2",
        "int64_contents []int64 3",
        "uint_contents []uint32 4",
        "uint64_contents []uint64 5",
        "fp32_contents []float 6",
        "fp64_contents []double 7",
        "bytes_contents []bytes 8",
    ),
    "ModelInferRequest": (
        "model_name string 1",
        "model_version string 2",
        "id string 3",
        _PARAMETERS,
        "inputs []ModelInferRequest.InferInputTensor 5",
        "outputs []ModelInferRequest.InferRequestedOutputTensor 6",
        "raw_input_contents []bytes 7",
    ),
    "ModelInferRequest.InferInputTensor": (
        "name string 1",
        "datatype string 2",
        "shape []int64 3",
        _PARAMETERS,
        "contents InferTensorContents 5",
    ),
    "ModelInferRequest.InferRequestedOutputTensor": ("name string 1", "parameters map:InferParameter 2"),
    "ModelInferResponse": (
        "model_name string 1",
        "model_version string 2",
        "id string 3",
        _PARAMETERS,
        "outputs []ModelInferResponse.InferOutputTensor 5",
        "raw_output_contents []bytes 6",
    ),
    "ModelInferResponse.InferOutputTensor": (
        "name string 1",
        "datatype string 2",
        "shape []int64 3",
        _PARAMETERS,
        "contents InferTensorContents 5",
    ),
    "ModelStreamInferResponse": ("error_message string 1", "infer_response ModelInferResponse 2"),
    "RepositoryIndexRequest": ("repository_name string 1", "ready bool 2"),
    "RepositoryIndexResponse": ("models []RepositoryIndexResponse.ModelIndex 1",),
    "RepositoryIndexResponse.ModelIndex": (*_NAMED, "state string 3", "reason string 4"),
    "ModelRepositoryParameter": (
        "bool_param one:bool 1",
        "int64_param one:int64 2",
        "string_param one:string 3",
        "bytes_param one:bytes 4",
    ),
    "RepositoryModelLoadRequest": (
        "repository_name string 1",
        "model_name string 2",
        "parameters map:ModelRepositoryParameter 3",
    ),
    "RepositoryModelLoadResponse": (),
    "RepositoryModelUnloadRequest": (
        "repository_name string 1",
        "model_name string 2",
        "parameters map:ModelRepositoryParameter 3",
    ),
    "RepositoryModelUnloadResponse": (),
    "ModelConfigRequest": _NAMED,
    "ModelConfigResponse": ("config ModelConfig 1",),
    "ModelConfig": (
        "name string 1",
        "platform string 2",
        "max_batch_size int32 4",
        "input []ModelInput 5",
        "output []ModelOutput 6",
        "parameters map:ModelParameter 14",
        "backend string 17",
    ),
    "ModelInput": ("name string 1", "data_type enum:DataType 2", "dims []int64 4", "optional bool 8"),
    "ModelOutput": ("name string 1", "data_type enum:DataType 2", "dims []int64 3"),
    "ModelParameter": ("string_value string 1",),
    "ModelStatisticsRequest": _NAMED,
    "ModelStatisticsResponse": ("model_stats []ModelStatistics 1",),
    "ModelStatistics": (
        *_NAMED,
        "last_inference uint64 3",
        "inference_count uint64 4",
        "execution_count uint64 5",
        "inference_stats InferStatistics 6",
        "batch_stats []InferBatchStatistics 7",
    ),
    "InferStatistics": (
        "success StatisticDuration 1",
        "fail StatisticDuration 2",
        "queue StatisticDuration 3",
        "compute_input StatisticDuration 4",
        "compute_infer StatisticDuration 5",
        "compute_output StatisticDuration 6",
        "cache_hit StatisticDuration 7",
        "cache_miss StatisticDuration 8",
    ),
    "InferBatchStatistics": ("batch_size uint64 1", *_COMPUTED),
    "StatisticDuration": ("count uint64 1", "ns uint64 2"),
}

_DATA_TYPES = (
    *("INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16"),
    *("INT32", "INT64", "FP16", "FP32", "FP64", "STRING", "BF16"),
)
_SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")

_HEALTH: Mapping[str, Fields] = {
    "HealthCheckRequest": ("service string 1",),
    "HealthCheckResponse": ("status enum:ServingStatus 1",),
}

_REFLECTION: Mapping[str, Fields] = {
    "ServerReflectionRequest": (
        "host string 1",
        "file_by_filename one:string 3",
        "file_containing_symbol one:string 4",
        "file_containing_extension one:ExtensionRequest 5",
        "all_extension_numbers_of_type one:string 6",
        "list_services one:string 7",
    ),
    "ExtensionRequest": ("containing_type string 1", "extension_number int32 2"),
    "ServerReflectionResponse": (
        "valid_host string 1",
        "original_request ServerReflectionRequest 2",
        "file_descriptor_response one:FileDescriptorResponse 4",
        "all_extension_numbers_response one:ExtensionNumberResponse 5",
        "list_services_response one:ListServiceResponse 6",
        "error_response one:ErrorResponse 7",
    ),
    "FileDescriptorResponse": ("file_descriptor_proto []bytes 1",),
    "ExtensionNumberResponse": ("base_type_name string 1", "extension_number []int32 2"),
    "ListServiceResponse": ("service []ServiceResponse 1",),
    "ServiceResponse": ("name string 1",),
    "ErrorResponse": ("error_code int32 1", "error_message string 2"),
}

SERVICES: Mapping[str, Mapping[str, tuple[str, str, bool, bool]]] = {
    f"{INFERENCE}.GRPCInferenceService": {
        **{
            name: (f"{name}Request", f"{name}Response", False, False)
            for name in (
                *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"),
                *("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "ModelConfig", "ModelStatistics"),
            )
        },
        "ModelStreamInfer": ("ModelInferRequest", "ModelStreamInferResponse", True, True),
    },
    f"{HEALTH}.Health": {
        "Check": ("HealthCheckRequest", "HealthCheckResponse", False, False),
        "Watch": ("HealthCheckRequest", "HealthCheckResponse", False, True),
    },
    **{
        f"{package}.ServerReflection": {
            "ServerReflectionInfo": ("ServerReflectionRequest", "ServerReflectionResponse", True, True)
        }
        for package in REFLECTION
    },
}
"""Every service: by method, the request, the response, and whether each is a stream."""

_ENUMS = {"DataType": ("TYPE_", _DATA_TYPES), "ServingStatus": ("", _SERVING)}
_SCALARS = {
    name: getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("bool", "int32", "int64", "uint32", "uint64", "float", "double", "string", "bytes")
}


@cache
def message(package: str, name: str) -> Any:
    """The class of a message.

    Args:
        package: such as `inference`.
        name: such as `ModelInferRequest`.
    """
    return GetMessageClass(_pool().FindMessageTypeByName(f"{package}.{name}"))


@cache
def files() -> Mapping[str, bytes]:
    """The files that describe the services, as reflection hands them out, by name."""
    described = {
        INFERENCE: (_INFERENCE, ("DataType",)),
        HEALTH: (_HEALTH, ()),
        **dict.fromkeys(REFLECTION, (_REFLECTION, ())),
    }
    return {
        f"{package.replace('.', '/')}.proto": _file(package, messages, enums).SerializeToString(deterministic=True)
        for package, (messages, enums) in described.items()
    }


@cache
def _pool() -> Any:
    pool = DescriptorPool()
    for raw in files().values():
        pool.AddSerializedFile(raw)
    return pool


def _file(package: str, messages: Mapping[str, Fields], enums: tuple[str, ...]) -> FileDescriptorProto:
    file = FileDescriptorProto(name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for name, fields in messages.items():
        outer, _, inner = name.rpartition(".")
        made[name] = (made[outer].nested_type if outer else file.message_type).add(name=inner)
        for field in fields:
            _add_field(made[name], f".{package}.{name}", f".{package}.", field)
        if package == HEALTH and name == "HealthCheckResponse":
            _add_enum(made[name], "ServingStatus")
    for name in enums:
        _add_enum(file, name)
    for full, methods in SERVICES.items():
        if full.rpartition(".")[0] == package:
            service = file.service.add(name=full.rpartition(".")[2])
            for method, (request, response, asks_many, answers_many) in methods.items():
                service.method.add(
                    name=method,
                    input_type=f".{package}.{request}",
                    output_type=f".{package}.{response}",
                    client_streaming=asks_many,
                    server_streaming=answers_many,
                )
    return file


def _add_enum(owner: Any, name: str) -> None:
    prefix, values = _ENUMS[name]
    enum = owner.enum_type.add(name=name)
    for number, value in enumerate(values):
        enum.value.add(name=f"{prefix}{value}", number=number)


def _add_field(owner: DescriptorProto, full: str, package: str, said: str) -> None:
    name, kind, number = said.split()
    field = owner.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("[]"):
        kind, field.label = kind[2:], FieldDescriptorProto.LABEL_REPEATED
    if kind.startswith("one:"):
        kind, field.oneof_index = kind[4:], 0
        if not owner.oneof_decl:
            owner.oneof_decl.add(name="parameter_choice" if "Parameter" in full else "message_choice")
    if kind.startswith("map:"):
        entry = owner.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, full, package, "key string 1")
        _add_field(entry, full, package, f"value {kind[4:]} 2")
        field.label, field.type = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f"{full}.{entry.name}"
    elif kind.startswith("enum:"):
        field.type = FieldDescriptorProto.TYPE_ENUM
        field.type_name = f"{package}{kind[5:]}" if kind != "enum:ServingStatus" else f"{full}.{kind[5:]}"
    elif kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{package}{kind}"
