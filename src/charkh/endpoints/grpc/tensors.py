"""An inference as gRPC says it, and as REST says it with binary tensors: one to the other and back. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from charkh.core.errors import Invalid
from charkh.endpoints.binary import SIZE, write_binary
from charkh.endpoints.grpc.schema import INFERENCE, message
from charkh.endpoints.wire import DATATYPES, Parameters, bad_request

ALL_BINARY = "binary_data_output"
"""Parameter of a request that says whether its answer is bytes, whatever its own tensors are."""

FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The typed field of each datatype that has one."""

_encode = msgspec.json.Encoder().encode


class Said(NamedTuple):
    """An inference as REST says it.

    Attributes:
        body: JSON, and the tensors behind it.
        length: bytes of the JSON.
        typed: whether the answer goes into typed fields, where its datatypes have them.
    """

    body: bytes
    length: int
    typed: bool


class _Output(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any] | None = None
    parameters: Parameters = {}


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    model_name: str
    model_version: str = ""
    id: str = ""
    parameters: Parameters = {}
    outputs: tuple[_Output, ...] = ()


_decode = msgspec.json.Decoder(_Answer).decode


def to_rest(request: Any) -> Said:
    """A `ModelInferRequest` as the body of a REST request, whose answer comes as bytes.

    Raises:
        Invalid: tensors are said twice, or not in the field of their datatype.
    """
    raws = cast(Sequence[bytes], request.raw_input_contents)
    if raws and len(raws) != len(request.inputs):
        raise bad_request(f"raw_input_contents has {len(raws)} tensors, and inputs has {len(request.inputs)}")
    inputs, tail = list[dict[str, Any]](), list[bytes]()
    for number, each in enumerate(request.inputs):
        # MLServer's client leaves an empty message there beside its bytes.
        if raws and each.contents.ListFields():
            raise bad_request(
                f"input {each.name!r}: its data are in contents and in raw_input_contents",
                "Send one of the two.",
                tensor=each.name,
            )
        raw = raws[number] if raws else _packed(each)
        parameters = values_of(each.parameters) if each.parameters else {}
        parameters[SIZE] = len(raw)
        inputs.append(
            {"name": each.name, "datatype": each.datatype, "shape": list(each.shape), "parameters": parameters}
        )
        tail.append(raw)
    parameters = values_of(request.parameters)
    wanted = parameters.get(ALL_BINARY)
    head = {
        "id": request.id,
        "parameters": {**parameters, ALL_BINARY: True},
        "inputs": inputs,
        "outputs": [
            {"name": each.name, "parameters": {**values_of(each.parameters), "binary_data": True}}
            for each in request.outputs
        ],
    }
    text = _encode(head)
    return Said(b"".join((text, *tail)), len(text), not raws if wanted is None else not wanted)


def from_rest(body: bytes, length: int, *, typed: bool) -> Any:
    """A `ModelInferResponse` for the body of a REST answer.

    Args:
        body: of the answer.
        length: bytes of its JSON where tensors follow it; else 0.
        typed: as `Said` says.
    """
    answer = _decode(body[:length] if length else body)
    response = message(INFERENCE, "ModelInferResponse")(
        model_name=answer.model_name, model_version=answer.model_version, id=answer.id
    )
    set_parameters(response.parameters, answer.parameters)
    typed = typed and all(each.datatype in FIELDS for each in answer.outputs)
    position = length
    for each in answer.outputs:
        tensor = response.outputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
        set_parameters(
            tensor.parameters, {name: value for name, value in each.parameters.items() if not name.startswith("binary")}
        )
        size = each.parameters.get(SIZE, 0)
        raw = body[position : position + size] if SIZE in each.parameters else None
        position += size
        if typed:
            values = _values(each.datatype, raw) if raw is not None else _told(each)
            getattr(tensor.contents, FIELDS[each.datatype]).extend(values)
        else:
            response.raw_output_contents.append(raw if raw is not None else _raw(each))
    return response


def values_of(parameters: Mapping[str, Any]) -> Parameters:
    """What a map of parameters says, as JSON can say it; one without a value says nothing."""
    said: Parameters = {}
    for name, parameter in parameters.items():
        chosen = parameter.WhichOneof("parameter_choice")
        if chosen is not None:
            said[name] = getattr(parameter, chosen)
    return said


def set_parameters(parameters: Any, said: Mapping[str, Any]) -> None:
    """Say values in a map of parameters; lists and objects are said as JSON."""
    for name, value in said.items():
        if isinstance(value, bool):
            parameters[name].bool_param = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            parameters[name].int64_param = value
        elif isinstance(value, float | int):
            parameters[name].double_param = float(value)
        elif value is not None:
            parameters[name].string_param = value if isinstance(value, str) else _encode(value).decode()


def _packed(tensor: Any) -> bytes:
    """Typed contents as the bytes of their datatype."""
    field = FIELDS.get(tensor.datatype)
    if field is None:
        raise bad_request(
            f"input {tensor.name!r}: {tensor.datatype or 'no datatype'} has no typed field",
            "Send it in raw_input_contents." if tensor.datatype in DATATYPES else "",
            tensor=tensor.name,
        )
    filled = [found.name for found, _ in tensor.contents.ListFields()]
    if filled and filled != [field]:
        raise bad_request(
            f"input {tensor.name!r}: {tensor.datatype} stands in {field}, and {', '.join(filled)} has data",
            tensor=tensor.name,
        )
    values = list(getattr(tensor.contents, field))
    if tensor.datatype == "BYTES":
        return b"".join(len(cell).to_bytes(4, "little") + cell for cell in values)
    dtype = DATATYPES[tensor.datatype]
    try:
        return np.array(values, dtype).astype(dtype.newbyteorder("<"), copy=False).tobytes()
    except OverflowError as error:
        raise bad_request(
            f"input {tensor.name!r}: a value is out of range for {tensor.datatype}", tensor=tensor.name
        ) from error


def _values(datatype: str, raw: bytes) -> Iterable[Any]:
    """The values of a tensor's bytes."""
    if datatype != "BYTES":
        return cast(list[Any], np.frombuffer(raw, DATATYPES[datatype].newbyteorder("<")).tolist())
    cells, position = list[bytes](), 0
    while position < len(raw):
        end = position + 4 + int.from_bytes(raw[position : position + 4], "little")
        cells.append(raw[position + 4 : end])
        position = end
    return cells


def _told(output: _Output) -> list[Any]:
    """The values of an output that came as JSON; null is NaN, or an empty text."""
    data = output.data or []
    if output.datatype == "BYTES":
        return [b"" if cell is None else str(cell).encode(errors="replace") for cell in data]
    return [float("nan") if cell is None else cell for cell in data]


def _raw(output: _Output) -> bytes:
    dtype = DATATYPES.get(output.datatype)
    if dtype is None:
        raise Invalid(f"output {output.name!r}: unknown datatype {output.datatype}", code="endpoint.unknown_datatype")
    cells = np.empty(len(output.data or []), dtype)
    cells[:] = _told(output)
    return write_binary(cells, output.datatype)
