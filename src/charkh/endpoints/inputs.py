"""From a request's tensors to arrays that fit the signature.

Every refusal is one `Invalid` that names the tensor, what was expected and what came. No I/O.
"""

from base64 import b64decode
from collections.abc import Sequence
from math import prod
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.gaps import has_gaps
from charkh.endpoints.binary import read_binary, split_tail
from charkh.endpoints.wire import DATATYPES, NAMES, InferInput, InferRequest, bad_request
from charkh.ports.runtimes import Signature, TensorSpec

Array = npt.NDArray[Any]

WANTED = {"b": "true or false", "u": "whole numbers", "i": "whole numbers", "f": "numbers", "O": "texts"}
"""What a person is told to send, by the kind of NumPy's element type."""

CONTENT_TYPE = "content_type"
"""Parameter of MLServer's codecs; but for base64 they say how Python reads a tensor, which the signature says here."""
BASE64 = "base64"

_NOTHING = type(None)
_TYPES: dict[str, frozenset[type]] = {
    "b": frozenset({bool, _NOTHING}),
    "u": frozenset({int, _NOTHING}),
    "i": frozenset({int, _NOTHING}),
    "f": frozenset({int, float, _NOTHING}),
    "O": frozenset({str, _NOTHING}),
}
_decode_any = msgspec.json.Decoder().decode
_decoders: dict[str, msgspec.json.Decoder[list[Any]]] = {
    "b": msgspec.json.Decoder(cast(Any, list[bool | None])),
    "u": msgspec.json.Decoder(cast(Any, list[int | None])),
    "i": msgspec.json.Decoder(cast(Any, list[int | None])),
    "f": msgspec.json.Decoder(cast(Any, list[float | None])),
    "O": msgspec.json.Decoder(cast(Any, list[str | None])),
}


def read_inputs(request: InferRequest, signature: Signature, tail: bytes = b"") -> dict[str, Array]:
    """The request's tensors in the order of the signature.

    A tensor may come in a narrower datatype than declared where every value survives, as `[N, 1]` for a column,
    and flat or nested. In an optional input null means missing: NaN in a number (whole numbers and booleans become
    FP64 where something is missing), None in a text. An optional input that does not come is missing in every row.

    Args:
        request: what came.
        signature: what the model takes.
        tail: the bytes behind the JSON, with the binary tensors in the order of the inputs.

    Raises:
        Invalid: a tensor is missing or unknown, or its datatype, shape, length or values do not fit.
    """
    by_name = {each.name: each for each in request.inputs}
    if len(by_name) != len(request.inputs):
        raise bad_request("an input stands twice in the request")
    known = {spec.name for spec in signature.inputs}
    takes = f"The model takes: {', '.join(sorted(known))}."
    if not request.inputs:
        raise bad_request("the request has no inputs", takes)
    for name in by_name:
        if name not in known:
            raise bad_request(f"unknown input {name!r}", takes, tensor=name)
    rows = _common_rows(request.inputs)
    parts = split_tail(request, tail)
    default = request.parameters.get(CONTENT_TYPE)
    return {
        spec.name: _tensor(spec, by_name.get(spec.name), rows, parts.get(spec.name), default)
        for spec in signature.inputs
    }


def _common_rows(inputs: Sequence[InferInput]) -> int:
    for each in inputs:
        if not each.shape or min(each.shape) < 0:
            raise bad_request(f"input {each.name!r}: shape {list(each.shape)} is no shape of rows", tensor=each.name)
    first = inputs[0]
    for each in inputs:
        if each.shape[0] != first.shape[0]:
            raise bad_request(
                f"input {each.name!r} has {each.shape[0]} rows, but {first.name!r} has {first.shape[0]}",
                tensor=each.name,
            )
    if not first.shape[0]:
        raise bad_request("the request has no rows")
    return first.shape[0]


def _tensor(spec: TensorSpec, came: InferInput | None, rows: int, raw: bytes | None, default: object) -> Array:
    if came is None:
        if spec.optional:
            return _missing(spec, rows)
        raise bad_request(f"input {spec.name!r} is missing: expected {said(spec)}", tensor=spec.name)
    wanted = dtype_of(spec)
    sent = DATATYPES.get(came.datatype)
    if sent is None or not _fits(sent, wanted):
        raise bad_request(
            f"input {spec.name!r}: expected datatype {spec.datatype}, got {came.datatype}", tensor=spec.name
        )
    shape = _shape(spec, came.shape)
    if raw is not None:
        return _fitted(spec, read_binary(came, raw, prod(shape))).reshape(shape)
    values = _values(spec.name, came, sent.kind, prod(shape))
    if came.datatype == "BYTES" and came.parameters.get(CONTENT_TYPE, default) == BASE64:
        values = [_decoded(spec.name, value) for value in values]
    return to_array(spec, values, sent).reshape(shape)


def _shape(spec: TensorSpec, came: Sequence[int]) -> tuple[int, ...]:
    """The shape as declared; a column may come as `[N, 1]`, and a matrix of one column as `[N]`."""
    shape = tuple(came)
    if len(shape) == len(spec.shape) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    elif len(shape) == len(spec.shape) - 1 and spec.shape[-1] == 1:
        shape = (*shape, 1)
    if len(shape) != len(spec.shape) or any(
        want not in (-1, got) for want, got in zip(spec.shape[1:], shape[1:], strict=True)
    ):
        raise bad_request(
            f"input {spec.name!r}: expected shape {list(spec.shape)}, got {list(came)}",
            "-1 stands for any number.",
            tensor=spec.name,
        )
    return shape


def _values(name: str, came: InferInput, kind: str, count: int) -> list[Any]:
    if not memoryview(came.data).nbytes:
        raise bad_request(f"input {name!r}: it has no data", tensor=name)
    try:
        values = _decoders[kind].decode(came.data)
    except msgspec.ValidationError as error:
        values = _flattened(name, came, kind, error)
    if len(values) != count:
        raise bad_request(
            f"input {name!r}: expected {count} values for shape {list(came.shape)}, got {len(values)}", tensor=name
        )
    return values


def _decoded(name: str, value: str | None) -> str | None:
    """The text that was sent as base64."""
    if value is None:
        return None
    try:
        return b64decode(value, validate=True).decode()
    except ValueError as error:
        raise bad_request(f"input {name!r}: {value[:40]!r} is no text in base64", tensor=name) from error


def _flattened(name: str, came: InferInput, kind: str, error: msgspec.ValidationError) -> list[Any]:
    """Nested data as a flat list; each level as long as the shape says."""
    level = cast(object, _decode_any(came.data))
    items = cast(list[Any], level) if isinstance(level, list) else list[Any]()
    if not any(isinstance(item, list) for item in items):
        wrong = wrong_value(cast(object, level), kind) or error
        raise bad_request(
            f"input {name!r}: expected {WANTED[kind]} for {came.datatype}, got {wrong}",
            "Write null, without quotes, for a missing value.",
            tensor=name,
        ) from error
    for wanted in came.shape[1:]:
        lists = [cast(list[Any], item) for item in items if isinstance(item, list)]
        if len(lists) != len(items) or any(len(item) != wanted for item in lists):
            raise bad_request(
                f"input {name!r}: its nested data are not of shape {list(came.shape)}", tensor=name
            ) from error
        items = [value for item in lists for value in item]
    wrong = wrong_value(items, kind)
    if wrong:
        raise bad_request(
            f"input {name!r}: expected {WANTED[kind]} for {came.datatype}, got {wrong}", tensor=name
        ) from error
    return items


def wrong_value(values: object, kind: str) -> str:
    """The first value that is not of the kind, as it is shown to a person; empty when all are."""
    if not isinstance(values, list):
        return "null" if values is None else f"a {type(values).__name__}"
    items = cast(list[Any], values)
    fitting = _TYPES[kind]
    if fitting.issuperset(map(type, items)):
        return ""
    value = next(item for item in items if type(item) not in fitting)
    return (
        f"the text {value[:40]!r}"
        if isinstance(value, str)
        else msgspec.json.encode(value)[:40].decode(errors="replace")
    )


def to_array(spec: TensorSpec, values: list[Any], sent: np.dtype[Any]) -> Array:
    """Flat values of datatype `sent` as the declared one; null is missing where the input is optional."""
    gaps = None in values
    if gaps and not spec.optional:
        raise bad_request(
            f"input {spec.name!r}: value {values.index(None)} is null, and this input is required",
            "Send a value, or declare the input optional.",
            tensor=spec.name,
        )
    wanted = dtype_of(spec)
    if wanted.kind == "O":
        cells = np.empty(len(values), object)
        cells[:] = values
        return cells
    if gaps:
        wanted = sent = wanted if wanted.kind == "f" else np.dtype(np.float64)
    try:
        with np.errstate(over="raise"):
            return np.array(values, sent).astype(wanted, copy=False)
    except (OverflowError, FloatingPointError) as error:
        raise bad_request(
            f"input {spec.name!r}: a value is out of range for {NAMES[sent]}", tensor=spec.name
        ) from error


def _fitted(spec: TensorSpec, array: Array) -> Array:
    """A binary tensor as the declared datatype; what is NaN is missing."""
    wanted = dtype_of(spec)
    if wanted.kind == "f" and not spec.optional and has_gaps(array):
        raise bad_request(
            f"input {spec.name!r}: value {int(np.isnan(array).argmax())} is NaN, and this input is required",
            "Send a value, or declare the input optional.",
            tensor=spec.name,
        )
    return array if wanted.kind == "O" else array.astype(wanted, copy=False)


def _missing(spec: TensorSpec, rows: int) -> Array:
    shape = (rows, *(max(size, 1) for size in spec.shape[1:]))
    dtype = dtype_of(spec)
    if dtype.kind == "O":
        return np.full(shape, None, object)
    return np.full(shape, np.nan, dtype if dtype.kind == "f" else np.float64)


def _fits(sent: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    if sent == wanted:
        return True
    return "b" not in (sent.kind, wanted.kind) and "O" not in (sent.kind, wanted.kind) and np.can_cast(sent, wanted)


def datatypes_that_fit(spec: TensorSpec) -> list[str]:
    """The datatypes in which an input may come: its own, and those whose every value it can say."""
    wanted = dtype_of(spec)
    return [name for name, sent in DATATYPES.items() if _fits(sent, wanted)]


def dtype_of(spec: TensorSpec) -> np.dtype[Any]:
    """NumPy's element type of what the signature declares."""
    dtype = DATATYPES.get(spec.datatype)
    if dtype is None:
        raise bad_request(f"input {spec.name!r}: {spec.datatype} is no datatype of the protocol", tensor=spec.name)
    return dtype


def said(spec: TensorSpec) -> str:
    """An input as it is told to a person."""
    return f"{spec.datatype} of shape {list(spec.shape)}"
