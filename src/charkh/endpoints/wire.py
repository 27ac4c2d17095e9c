"""The Open Inference Protocol's JSON: the messages, typed, read from a body and written to one. No I/O."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid

Array = npt.NDArray[Any]

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": np.dtype(np.float32),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
"""NumPy's element type of each datatype; BF16, which NumPy has not, is the upper half of an FP32."""

NAMES = {dtype: name for name, dtype in DATATYPES.items()}

Parameters = dict[str, Any]


class InferInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a request; `data` is still JSON, flat or nested."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: Parameters = {}


class InferOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output that a request asks for."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came."""

    inputs: tuple[InferInput, ...]
    id: str = ""
    parameters: Parameters = {}
    outputs: tuple[InferOutput, ...] = ()


class AnswerTensor(msgspec.Struct, frozen=True, kw_only=True):
    """One output of an answer; `data` is flat, row after row, missing numbers are null."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


class InferAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer."""

    model_name: str
    model_version: str
    id: str = ""
    parameters: Parameters = {}
    outputs: list[AnswerTensor]


_decode_request = msgspec.json.Decoder(InferRequest).decode


def decode_request(body: bytes) -> InferRequest:
    """The request in a body; its tensors are still to be read.

    Raises:
        Invalid: it is no JSON, or no inference request.
    """
    try:
        return _decode_request(body)
    except msgspec.ValidationError as error:
        request = _with_nulls(body)
        if request is not None:
            return request
        raise bad_request(f"the body is no inference request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is not JSON: {error}", "Note that NaN is not JSON: write null.") from error


class _NullInput(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: Parameters | None = None


class _NullOutput(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    parameters: Parameters | None = None


class _NullRequest(msgspec.Struct, frozen=True, kw_only=True):
    inputs: tuple[_NullInput, ...]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: tuple[_NullOutput, ...] | None = None


_decode_nulls = msgspec.json.Decoder(_NullRequest).decode


def _with_nulls(body: bytes) -> InferRequest | None:
    """The request, where all that is odd are members that are null: MLServer's client writes those that it lacks."""
    try:
        came = _decode_nulls(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return InferRequest(
        inputs=tuple(
            InferInput(
                name=each.name,
                shape=each.shape,
                datatype=each.datatype,
                data=each.data,
                parameters=each.parameters or {},
            )
            for each in came.inputs
        ),
        id=came.id or "",
        parameters=came.parameters or {},
        outputs=tuple(InferOutput(name=each.name, parameters=each.parameters or {}) for each in came.outputs or ()),
    )


def datatype_of(tensor: Array) -> str:
    """The Open Inference datatype of an array."""
    return "BYTES" if tensor.dtype.kind in "OUST" else NAMES[tensor.dtype.newbyteorder("=")]


def cells(tensor: Array) -> list[Any]:
    """An array as lists that JSON can say: bytes as text, NaN as null."""
    values: list[Any] = tensor.tolist()
    if tensor.dtype.kind in "OUST" and tensor.ndim == 1:
        return [cell.decode(errors="replace") if isinstance(cell, bytes) else cell for cell in values]
    return values


def bad_request(message: str, hint: str = "", *, tensor: str = "") -> Invalid:
    """The one refusal of a request: what, which tensor, and what to do."""
    return Invalid(
        message,
        code="endpoint.bad_request",
        hint=hint or "Compare the request with `GET /v2/models/NAME`.",
        facts={"tensor": tensor} if tensor else {},
    )
