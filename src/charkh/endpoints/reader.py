"""Reads the requests of one signature in one pass, straight into arrays.

What comes exactly as the signature says, in its order, is decoded by types that were made from it, JSON or binary.
Everything else, and every refusal, is the work of `inputs`, which says what is wrong. No I/O.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.gaps import has_gaps
from charkh.endpoints.binary import SIZE, split_body
from charkh.endpoints.inputs import dtype_of, read_inputs
from charkh.endpoints.wire import InferOutput, InferRequest, Parameters, bad_request, decode_request
from charkh.ports.runtimes import Signature, TensorSpec

Array = npt.NDArray[Any]

KEPT = 256
"""Readers that are kept, one a signature."""


class InferHead(Protocol):
    """What an answer needs of its request beside the inputs."""

    @property
    def id(self) -> str: ...

    @property
    def parameters(self) -> Parameters: ...

    @property
    def outputs(self) -> tuple[InferOutput, ...]: ...


class _Came(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def datatype(self) -> str: ...

    @property
    def data(self) -> list[Any] | None: ...

    @property
    def parameters(self) -> Parameters: ...


class _Request(InferHead, Protocol):
    @property
    def inputs(self) -> Sequence[_Came]: ...


_VALUES: dict[str, Any] = {"b": bool, "u": int, "i": int, "f": float, "O": str}
_FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "BF16": "f",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""What `struct` calls each datatype: it packs a list in a third of the time that NumPy takes to read one."""


_NOT_PLAIN = frozenset({"BOOL", "BYTES", "BF16"})
"""Datatypes whose bytes are not NumPy's, or must be looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """One input as it is expected."""

    name: str
    datatype: str
    rest: tuple[int, ...]
    dtype: np.dtype[Any]
    little: np.dtype[Any]
    format: str
    optional: bool

    def count(self, shape: tuple[int, ...], rows: int) -> int:
        """How many values there are; -1 where the shape is another one than expected."""
        if len(shape) != len(self.rest) + 1 or shape[0] != rows:
            return -1
        count = rows
        for want, got in zip(self.rest, shape[1:], strict=True):
            if got < 0 or want not in (-1, got):
                return -1
            count *= got
        return count

    def read(self, values: list[Any]) -> Array | None:
        if self.format:
            packed = bytearray(len(values) * self.little.itemsize)
            try:
                struct.pack_into(f"<{len(values)}{self.format}", packed, 0, *values)
                return np.frombuffer(packed, self.little)
            except (struct.error, OverflowError):
                if self.dtype.kind != "f" or None not in values or not self.optional:
                    return None
            wide = np.array(values, np.float64)
            return wide if self.dtype.itemsize == wide.itemsize else None
        if None in values and not self.optional:
            return None
        cells = np.empty(len(values), object)
        cells[:] = values
        return cells

    def cut(self, raw: memoryview, count: int) -> Array | None:
        """A tensor's own bytes as an array, where they are numbers and none of them is missing."""
        if self.datatype in _NOT_PLAIN or len(raw) != count * self.little.itemsize:
            return None
        array = np.frombuffer(bytearray(raw), self.little)
        if self.dtype.kind == "f" and not self.optional and has_gaps(array):
            return None
        return array


class Reader:
    """Reads requests of one signature.

    Threads: it may be asked from several at once.

    Args:
        signature: what the model takes.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._slots = tuple(_slot(spec) for spec in signature.inputs)
        self._decode = _decoder(signature.inputs)

    def read(self, body: bytes, length: str = "") -> tuple[InferHead, dict[str, Array]]:
        """The request in a body, and its tensors in the order of the signature.

        Args:
            body: of the request.
            length: bytes of its JSON, where binary tensors follow; else empty.

        Raises:
            Invalid: as `decode_request` and `read_inputs`.
        """
        text, end = (body, len(body)) if not length else _text(body, length)
        try:
            request = self._decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._slowly(text, body[end:])
        arrays = self._read(request, body, end)
        return (request, arrays) if arrays is not None else self._slowly(text, body[end:])

    def _read(self, request: _Request, body: bytes, position: int) -> dict[str, Array] | None:
        """The tensors; None where something is not exactly as expected."""
        came = request.inputs
        if not came[0].shape or "content_type" in request.parameters:
            return None
        rows = came[0].shape[0]
        if rows < 1:
            return None
        arrays: dict[str, Array] = {}
        for slot, each in zip(self._slots, came, strict=True):
            count = slot.count(each.shape, rows)
            if count < 0 or each.name != slot.name or each.datatype != slot.datatype:
                return None
            if each.data is not None and not each.parameters:
                array = slot.read(each.data) if len(each.data) == count else None
            else:
                size = each.parameters.get(SIZE)
                if type(size) is not int or not 0 <= size <= len(body) - position or each.data is not None:
                    return None
                array = slot.cut(memoryview(body)[position : position + size], count)
                position += size
            if array is None:
                return None
            arrays[slot.name] = array if len(each.shape) == 1 else array.reshape(each.shape)
        return arrays if position == len(body) else None

    def _slowly(self, text: bytes, tail: bytes) -> tuple[InferHead, dict[str, Array]]:
        request: InferRequest = decode_request(text)
        return request, read_inputs(request, self.signature, tail)


_readers: dict[int, Reader] = {}


def reader_of(signature: Signature) -> Reader:
    """The reader of a signature, made once."""
    found = _readers.get(id(signature))
    if found is None or found.signature is not signature:
        if len(_readers) >= KEPT:
            _readers.clear()
        found = _readers[id(signature)] = Reader(signature)
    return found


def read_raw(body: bytes, signature: Signature) -> dict[str, Array]:
    """The tensor in a body that is nothing else (`Inference-Header-Content-Length: 0`).

    The model has one input, and at most one of its sizes is open: the bytes tell it.

    Raises:
        Invalid: the model has several inputs, or the bytes do not fit.
    """
    if len(signature.inputs) != 1:
        raise bad_request("a body of raw bytes is for a model with one input", "Send a JSON part with the inputs.")
    spec = signature.inputs[0]
    dtype, known = dtype_of(spec), prod(size for size in spec.shape if size >= 0)
    open_sizes = sum(size < 0 for size in spec.shape)
    if open_sizes > 1 or dtype.kind == "O" or not known:
        raise bad_request(f"input {spec.name!r}: raw bytes do not tell its shape", "Send a JSON part with the shape.")
    whole = (2 if spec.datatype == "BF16" else dtype.itemsize) * known
    if not body or len(body) % whole:
        raise bad_request(
            f"input {spec.name!r}: {len(body)} bytes are no whole rows of {whole} bytes", tensor=spec.name
        )
    shape = [size if size >= 0 else len(body) // whole for size in spec.shape]
    head = {"name": spec.name, "shape": shape, "datatype": spec.datatype, "parameters": {SIZE: len(body)}}
    request = msgspec.convert({"inputs": [head]}, InferRequest)
    return read_inputs(request, signature, body)


def _text(body: bytes, length: str) -> tuple[bytes, int]:
    text, _ = split_body(body, length)
    return text, len(text)


def _slot(spec: TensorSpec) -> _Slot:
    dtype = dtype_of(spec)
    return _Slot(
        name=spec.name,
        datatype=spec.datatype,
        rest=spec.shape[1:],
        dtype=dtype,
        little=np.dtype(f"<{dtype.str[1:]}") if dtype.kind != "O" else dtype,
        format=_FORMATS.get(spec.datatype, ""),
        optional=spec.optional,
    )


def _decoder(inputs: Sequence[TensorSpec]) -> Callable[[bytes], _Request]:
    """Decodes a request whose inputs are these in this order."""
    types: dict[tuple[str, bool], Any] = {}
    for spec in inputs:
        key = (dtype_of(spec).kind, spec.optional)
        if key not in types:
            value = _VALUES[key[0]]
            items = list[value | None] if spec.optional else list[value]
            fields: list[Any] = [
                ("name", str),
                ("shape", tuple[int, ...]),
                ("datatype", str),
                ("data", items | None, None),
                ("parameters", Parameters, {}),
            ]
            types[key] = msgspec.defstruct("Came", fields, frozen=True)
    made = tuple(types[dtype_of(spec).kind, spec.optional] for spec in inputs)
    head: list[Any] = [
        ("inputs", tuple[made] if made else tuple[()]),
        ("id", str, ""),
        ("parameters", Parameters, {}),
        ("outputs", tuple[InferOutput, ...], ()),
    ]
    request = msgspec.defstruct("Request", head, frozen=True)
    return cast(Callable[[bytes], _Request], msgspec.json.Decoder(request).decode)
