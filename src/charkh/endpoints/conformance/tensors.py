"""Requests of the protocol for a model that only its metadata describe, as JSON and as binary tensors. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.endpoints.conformance.probe import Ask, Subject
from charkh.ports.runtimes import TensorSpec

Array = npt.NDArray[Any]

ITEM_BYTES: Mapping[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""NumPy's little-endian element type of each datatype of the protocol that has one."""

ROWS = 2
"""Rows of a request, where the model takes any number."""


def sample(spec: TensorSpec) -> Array:
    """Valid values for an input: small whole numbers, which every datatype can say."""
    shape = [size if size > 0 else (ROWS if axis == 0 else 1) for axis, size in enumerate(spec.shape)] or [1]
    numbers = np.arange(int(np.prod(shape))).reshape(shape) % 7
    if spec.datatype == "BYTES":
        texts = np.empty(numbers.size, object)
        texts[:] = [str(each) for each in numbers.ravel().tolist()]
        return texts.reshape(shape)
    if spec.datatype == "BOOL":
        return numbers % 2 == 1
    return numbers.astype(ITEM_BYTES.get(spec.datatype, "<f4"))


def model_path(subject: Subject, rest: str = "", *, version: str = "") -> str:
    """`/v2/models/NAME[/versions/VERSION]` and what follows."""
    return f"/v2/models/{quote(subject.name, safe='')}{f'/versions/{quote(version)}' if version else ''}{rest}"


def json_input(spec: TensorSpec, array: Array, **more: Any) -> dict[str, Any]:
    """An input with its data as JSON; `more` replaces what it says."""
    said = {"name": spec.name, "shape": list(array.shape), "datatype": spec.datatype, "data": array.ravel().tolist()}
    return {**said, **more}


def json_inputs(subject: Subject) -> list[dict[str, Any]]:
    """The valid request's inputs."""
    return [json_input(spec, subject.tensors[spec.name]) for spec in subject.inputs]


def infer(subject: Subject, inputs: Sequence[Mapping[str, Any]] | None = None, **more: Any) -> Ask:
    """The valid inference request as JSON; `inputs` and `more` replace what it says."""
    body = {"inputs": json_inputs(subject) if inputs is None else list(inputs), **more}
    return posted(subject, msgspec.json.encode(body))


def posted(subject: Subject, body: bytes, **headers: str) -> Ask:
    """A body posted to the model's `infer`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Ask(
        method="POST",
        path=model_path(subject, "/infer"),
        body=body,
        headers={"content-type": "application/json", **named},
    )


def binary(
    subject: Subject, *, cut: int = 0, extra: bytes = b"", length: str = "", more: Mapping[str, Any] | None = None
) -> Ask:
    """The valid inference request with every tensor behind the JSON.

    Args:
        subject: the model.
        cut: bytes that are left away at the end.
        extra: bytes that are added at the end.
        length: what the header says instead of the truth.
        more: members of the request beside its inputs.
    """
    raws = [raw_bytes(spec, subject.tensors[spec.name]) for spec in subject.inputs]
    inputs = [
        {
            "name": spec.name,
            "shape": list(subject.tensors[spec.name].shape),
            "datatype": spec.datatype,
            "parameters": {"binary_data_size": len(raw)},
        }
        for spec, raw in zip(subject.inputs, raws, strict=True)
    ]
    text = msgspec.json.encode({"inputs": inputs, **(more or {})})
    body = text + b"".join(raws)
    return Ask(
        method="POST",
        path=model_path(subject, "/infer"),
        body=(body[:-cut] if cut else body) + extra,
        headers={
            "content-type": "application/octet-stream",
            "inference-header-content-length": length or str(len(text)),
        },
    )


def raw_bytes(spec: TensorSpec, array: Array) -> bytes:
    """A tensor in the form of the binary extension."""
    if spec.datatype == "BYTES":
        cells = [cell if isinstance(cell, bytes) else str(cell).encode() for cell in array.ravel().tolist()]
        return b"".join(len(cell).to_bytes(4, "little") + cell for cell in cells)
    if spec.datatype == "BF16":
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return array.astype(ITEM_BYTES[spec.datatype]).tobytes()


def texts_of(raw: bytes) -> list[str]:
    """The texts in a tensor of BYTES; what is cut short is left away."""
    found, position = list[str](), 0
    while position + 4 <= len(raw):
        end = position + 4 + int.from_bytes(raw[position : position + 4], "little")
        found.append(raw[position + 4 : end].decode(errors="replace"))
        position = end
    return found
