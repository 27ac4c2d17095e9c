"""From what a model said to the body of an answer: JSON, and the tensors behind it asked for as bytes. No I/O."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.endpoints.binary import SIZE, write_binary
from charkh.endpoints.wire import (
    DATATYPES,
    NAMES,
    AnswerTensor,
    InferAnswer,
    InferOutput,
    Parameters,
    bad_request,
    cells,
)
from charkh.ports.runtimes import Tensors, TensorSpec

Array = npt.NDArray[Any]

BINARY = "binary_data"
ALL_BINARY = "binary_data_output"
LENGTH = "inference-header-content-length"
"""Header that says where the JSON of a body ends."""
OCTETS = "application/octet-stream"

_encode = msgspec.json.Encoder().encode


class BinaryTensor(msgspec.Struct, frozen=True, kw_only=True):
    """One output of an answer whose bytes stand behind the JSON."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Parameters


class BinaryAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer of which at least one output is binary."""

    model_name: str
    model_version: str
    id: str = ""
    parameters: Parameters = {}
    outputs: list[AnswerTensor | BinaryTensor]


class Answered(NamedTuple):
    """The body of an answer.

    Attributes:
        body: JSON, and what stands behind it.
        length: bytes of its JSON where something stands behind it; else 0.
    """

    body: bytes
    length: int = 0


class Told(NamedTuple):
    """What an answer says beside its outputs."""

    name: str
    version: str
    id: str = ""
    parameters: Parameters = {}  # noqa: RUF012 (it is never changed)


def encode_outputs(
    told: Told,
    outputs: Mapping[str, Array],
    asked: Sequence[InferOutput] = (),
    *,
    all_binary: bool = False,
    declared: Sequence[TensorSpec] = (),
) -> Answered:
    """The body of an answer.

    Args:
        told: model and id.
        outputs: everything that the model said.
        asked: the outputs that the request names; all, when it names none.
        all_binary: whether outputs are binary that do not say otherwise.
        declared: the outputs of the signature, whose datatypes an answer keeps to.

    Raises:
        Invalid: the request asks for an output that the model does not give.
    """
    if not asked and not all_binary:
        plain = _plain(told, outputs, declared)
        if plain is not None:
            return Answered(plain)
    chosen = choose(asked, outputs, all_binary=all_binary)
    kinds = {spec.name: spec.datatype for spec in declared}
    if not any(binary for _, binary in chosen):
        return Answered(
            _encode(
                InferAnswer(
                    model_name=told.name,
                    model_version=told.version,
                    id=told.id,
                    parameters=told.parameters,
                    outputs=[_json(name, outputs[name], kinds.get(name, "")) for name, _ in chosen],
                )
            )
        )
    tensors, tail = list[AnswerTensor | BinaryTensor](), list[bytes]()
    for name, binary in chosen:
        tensor = outputs[name]
        if not binary:
            tensors.append(_json(name, tensor, kinds.get(name, "")))
            continue
        datatype = datatype_as_declared(tensor, kinds.get(name, ""))
        raw = write_binary(tensor, datatype)
        tail.append(raw)
        tensors.append(BinaryTensor(name=name, datatype=datatype, shape=tensor.shape, parameters={SIZE: len(raw)}))
    answer = BinaryAnswer(
        model_name=told.name, model_version=told.version, id=told.id, parameters=told.parameters, outputs=tensors
    )
    head = _encode(answer)
    return Answered(b"".join((head, *tail)), len(head))


def _plain(told: Told, outputs: Mapping[str, Array], declared: Sequence[TensorSpec]) -> bytes | None:
    """The body of an answer whose every output is a tensor of numbers as declared; None where one is not.

    It has the bytes that `InferAnswer` has; its fixed parts are written once for each signature.
    """
    if len(declared) != len(outputs):
        return None
    parts = [_head(told.name, told.version)]
    if told.id:
        parts += (b',"id":', _encode(told.id))
    if told.parameters:
        parts += (b',"parameters":', _encode(told.parameters))
    between = b',"outputs":['
    for spec in declared:
        tensor = outputs.get(spec.name)
        if tensor is None or NAMES.get(tensor.dtype) != spec.datatype or tensor.dtype.kind not in "fiu":
            return None
        shape, data = tensor.shape, tensor.tolist() if tensor.ndim == 1 else tensor.ravel().tolist()
        parts += (between, _opening(spec.name, spec.datatype), _encode(shape), b',"data":', _encode(data), b"}")
        between = b","
    parts.append(b"]}")
    return b"".join(parts)


@functools.lru_cache(maxsize=256)
def _head(name: str, version: str) -> bytes:
    return _encode({"model_name": name, "model_version": version})[:-1]


@functools.lru_cache(maxsize=1024)
def _opening(name: str, datatype: str) -> bytes:
    return _encode({"name": name, "datatype": datatype})[:-1] + b',"shape":'


def choose(asked: Sequence[InferOutput], outputs: Tensors, *, all_binary: bool = False) -> list[tuple[str, bool]]:
    """The outputs that a request asks for, and whether each is binary.

    Raises:
        Invalid: it asks for one that the model does not give.
    """
    if not asked:
        return [(name, all_binary) for name in outputs]
    for each in asked:
        if each.name not in outputs:
            given = ", ".join(sorted(outputs))
            raise bad_request(f"unknown output {each.name!r}", f"The model gives: {given}.", tensor=each.name)
    return list({each.name: bool(each.parameters.get(BINARY, all_binary)) for each in asked}.items())


def datatype_as_declared(tensor: Array, declared: str) -> str:
    """The datatype of an answer's tensor: the declared one where it can say every value, else the array's own."""
    if tensor.dtype.kind in "OUST":
        return "BYTES"
    own = NAMES[tensor.dtype.newbyteorder("=")]
    if declared in ("", own, "BYTES") or declared not in DATATYPES:
        return own
    return declared if own != "BOOL" and np.can_cast(tensor.dtype, DATATYPES[declared]) else own


def _json(name: str, tensor: Array, declared: str) -> AnswerTensor:
    datatype = datatype_as_declared(tensor, declared)
    return AnswerTensor(name=name, datatype=datatype, shape=tensor.shape, data=cells(tensor.ravel()))
