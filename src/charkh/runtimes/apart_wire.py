"""Frames between a process and the worker that runs foreign code for it: lengths, msgpack, tensors as plain memory.

What a worker says is no more believed than any other input: sizes are bounded, and arrays are made of numbers, or of
texts, bytes and nothing, never of objects.
"""

import math
import re
import struct
from typing import IO, Any

import msgspec
import numpy as np

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Tensors

MAX_FRAME = 512 * 2**20
_LENGTH = struct.Struct("<Q")
_NUMBERS = re.compile(r"[<>|=]?(?:b1|[iuf][1248])")


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """A tensor: its NumPy type and memory, or for texts its elements one by one."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes = b""
    items: tuple[Any, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame: what is loaded, by which function, and what the worker may use.

    Attributes:
        loader: `module:function`, called with the folder and the signature; it answers with a predictor.
        folder: of the model's files.
        signature: of the model, as builtins.
        memory: bytes of address space.
        file_size: bytes of the largest file that may be written.
        open_files: how many.
        network: the worker may reach one.
        options: further arguments for the loader.
    """

    loader: str
    folder: str
    signature: Any
    memory: int
    file_size: int
    open_files: int
    network: bool = False
    options: tuple[str, ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a prediction."""

    inputs: dict[str, Packed]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker says: outputs (none when it has just loaded the model), or what went wrong.

    Attributes:
        outputs: of a prediction.
        refused: the rows do not fit, as the model said it.
        failed: what else went wrong.
    """

    outputs: dict[str, Packed] = {}
    refused: str = ""
    failed: str = ""


def pack(tensors: Tensors) -> dict[str, Packed]:
    """Tensors as they travel.

    Raises:
        Invalid: an element is neither a number nor text, bytes or nothing.
    """
    return {name: _pack(name, np.asarray(tensor)) for name, tensor in tensors.items()}


def unpack(tensors: dict[str, Packed]) -> dict[str, Any]:
    """Tensors from what travelled.

    Raises:
        Invalid: one is not what it says.
    """
    return {name: _unpack(name, tensor) for name, tensor in tensors.items()}


def write_frame(stream: IO[bytes], message: msgspec.Struct) -> None:
    """Send one message."""
    payload = msgspec.msgpack.encode(message)
    if len(payload) > MAX_FRAME:
        raise Invalid(f"{len(payload)} bytes are too many for one request", code="model.apart_frame")
    stream.write(_LENGTH.pack(len(payload)))
    stream.write(payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """One message, or None at the end of the stream.

    Raises:
        Invalid: it claims to be longer than any may be.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise Invalid("the model's process sent a frame that is too long", code="model.apart_frame")
    payload = stream.read(length)
    return payload if len(payload) == length else None


def _pack(name: str, array: Any) -> Packed:
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype == object:
        items = tuple(array.ravel().tolist())
        if not _are_texts(items):
            raise Invalid(f"{name!r} holds what is neither number nor text", code="model.apart_frame")
        return Packed("O", array.shape, items=items)
    if not _NUMBERS.fullmatch(array.dtype.str):
        raise Invalid(f"{name!r} has the type {array.dtype}, which does not travel", code="model.apart_frame")
    return Packed(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())


def _unpack(name: str, tensor: Packed) -> Any:
    count = math.prod(tensor.shape)
    if tensor.dtype == "O":
        if len(tensor.items) == count and _are_texts(tensor.items) and all(size >= 0 for size in tensor.shape):
            array = np.empty(count, dtype=object)
            array[:] = tensor.items
            return array.reshape(tensor.shape)
    elif _NUMBERS.fullmatch(tensor.dtype) and all(size >= 0 for size in tensor.shape):
        dtype = np.dtype(tensor.dtype)
        if count * dtype.itemsize == len(tensor.data):
            return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
    raise Invalid(f"the tensor {name!r} is not what it says", code="model.apart_frame")


def _are_texts(items: tuple[Any, ...]) -> bool:
    return all(item is None or isinstance(item, str | bytes) for item in items)
