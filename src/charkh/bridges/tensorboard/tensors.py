"""TensorProto, HistogramProto, and the old image and audio summaries, to and from plain values.

Source: tensorboard/compat/proto/{tensor,tensor_shape,summary}.proto.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.bridges.tensorboard.wire import (
    BYTES,
    as_bytes,
    as_float,
    as_signed,
    as_text,
    doubles,
    fields,
    varints,
    write_bytes,
    write_double,
    write_doubles,
    write_float,
    write_integer,
)
from charkh.core.errors import Corrupt

FLOAT, DOUBLE, STRING = 1, 2, 7
MAX_ELEMENTS = 1 << 28
_TYPES: dict[int, tuple[str, int]] = {
    1: ("<f4", 5),
    2: ("<f8", 6),
    3: ("<i4", 7),
    4: ("u1", 7),
    5: ("<i2", 7),
    6: ("i1", 7),
    9: ("<i8", 10),
    10: ("?", 11),
    17: ("<u2", 7),
    19: ("<f2", 13),
    22: ("<u4", 16),
    23: ("<u8", 17),
}
"""By data type: how its elements lie in `tensor_content`, and the field that lists them otherwise."""

Array = npt.NDArray[Any]


class Tensor(msgspec.Struct, frozen=True):
    """A tensor of texts: its shape, and its elements row by row."""

    shape: tuple[int, ...]
    strings: tuple[bytes, ...]


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """HistogramProto: `counts[i]` values lie at most at `limits[i]` and above the limit before it."""

    least: float = 0.0
    greatest: float = 0.0
    number: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    limits: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Summary.Image."""

    height: int = 0
    width: int = 0
    channels: int = 0
    encoded: bytes = b""


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """Summary.Audio; `rate` is hertz."""

    rate: float = 0.0
    channels: int = 0
    frames: int = 0
    encoded: bytes = b""
    mime: str = ""


def decode_tensor(data: bytes) -> Array | Tensor:
    """The numbers or texts of a TensorProto.

    Raises:
        Corrupt: it is none, its elements do not fill its shape, or their type is none of numbers and texts.
    """
    kind, content, shape = 0, b"", ()
    listed: dict[int, list[tuple[int, int | bytes]]] = {}
    for number, wire, value in fields(data):
        if number == 1:
            kind = as_signed(value)
        elif number == 2:
            shape = _shape(as_bytes(value))
        elif number == 4:
            content = as_bytes(value)
        else:
            listed.setdefault(number, []).append((wire, value))
    if kind == STRING:
        return Tensor(shape, tuple(as_bytes(value) for _, value in listed.get(8, [])))
    if kind not in _TYPES:
        raise Corrupt(f"a tensor has the type {kind}, which is none of numbers or texts", code="tensorboard.bad_event")
    form, field = _TYPES[kind]
    count = math.prod(shape)
    if not 0 <= count <= MAX_ELEMENTS or any(each < 0 for each in shape):
        raise Corrupt(f"a tensor has the shape {shape}", code="tensorboard.bad_event")
    if content:
        if len(content) != count * np.dtype(form).itemsize:
            raise Corrupt("a tensor's content does not fill its shape", code="tensorboard.bad_event")
        return np.frombuffer(content, form).reshape(shape)
    elements = _elements(form, listed.get(field, []))
    if elements.size == count:
        return elements.reshape(shape)
    if not elements.size or elements.size > count:
        raise Corrupt("a tensor's elements do not fill its shape", code="tensorboard.bad_event")
    # The last one stands for all that are left out.
    return np.concatenate([elements, np.full(count - elements.size, elements[-1])]).reshape(shape)


def encode_numbers(array: Array) -> bytes:
    """A TensorProto of float32 or float64."""
    plain = np.ascontiguousarray(array, "<f8" if array.dtype == np.float64 else "<f4")
    kind = DOUBLE if plain.dtype == np.float64 else FLOAT
    shape = _encoded_shape(array.shape)
    return b"".join((write_integer(1, kind), write_bytes(2, shape), write_bytes(4, plain.tobytes())))


def encode_strings(strings: tuple[bytes, ...], shape: tuple[int, ...]) -> bytes:
    """A TensorProto of texts."""
    listed = b"".join(write_bytes(8, each) for each in strings)
    return b"".join((write_integer(1, STRING), write_bytes(2, _encoded_shape(shape)), listed))


def decode_histogram(data: bytes) -> Histogram:
    """HistogramProto.

    Raises:
        Corrupt: it is none, or has not one limit for every count.
    """
    named: dict[str, float] = {}
    limits: list[float] = []
    counts: list[float] = []
    for number, kind, value in fields(data):
        if number in _MOMENTS:
            (named[_MOMENTS[number]],) = doubles(kind, value) or [0.0]
        elif number == 6:
            limits += doubles(kind, value)
        elif number == 7:
            counts += doubles(kind, value)
    if len(limits) != len(counts):
        raise Corrupt("a histogram has not one limit for every count", code="tensorboard.bad_event")
    return Histogram(**named, limits=tuple(limits), counts=tuple(counts))


_MOMENTS = {1: "least", 2: "greatest", 3: "number", 4: "total", 5: "squares"}


def encode_histogram(histogram: Histogram) -> bytes:
    """The bytes of a HistogramProto."""
    moments = [write_double(number, getattr(histogram, name)) for number, name in _MOMENTS.items()]
    return b"".join((*moments, write_doubles(6, histogram.limits), write_doubles(7, histogram.counts)))


def decode_image(data: bytes) -> Image:
    """Summary.Image."""
    found: dict[int, int | bytes] = {number: value for number, _, value in fields(data)}
    sizes = [as_signed(found.get(number, 0)) for number in (1, 2, 3)]
    return Image(height=sizes[0], width=sizes[1], channels=sizes[2], encoded=as_bytes(found.get(4, b"")))


def encode_image(image: Image) -> bytes:
    """The bytes of a Summary.Image."""
    sizes = (write_integer(1, image.height), write_integer(2, image.width), write_integer(3, image.channels))
    return b"".join((*sizes, write_bytes(4, image.encoded)))


def decode_audio(data: bytes) -> Audio:
    """Summary.Audio."""
    found: dict[int, int | bytes] = {number: value for number, _, value in fields(data)}
    return Audio(
        rate=as_float(found.get(1, 0)),
        channels=as_signed(found.get(2, 0)),
        frames=as_signed(found.get(3, 0)),
        encoded=as_bytes(found.get(4, b"")),
        mime=as_text(found.get(5, b"")),
    )


def encode_audio(audio: Audio) -> bytes:
    """The bytes of a Summary.Audio."""
    numbers = (write_float(1, audio.rate), write_integer(2, audio.channels), write_integer(3, audio.frames))
    return b"".join((*numbers, write_bytes(4, audio.encoded), write_bytes(5, audio.mime)))


def _shape(data: bytes) -> tuple[int, ...]:
    dimensions = [as_bytes(value) for number, _, value in fields(data) if number == 2]
    return tuple(next((as_signed(value) for number, _, value in fields(each) if number == 1), 0) for each in dimensions)


def _encoded_shape(shape: tuple[int, ...]) -> bytes:
    return b"".join(write_bytes(2, write_integer(1, each)) for each in shape)


def _elements(form: str, listed: list[tuple[int, int | bytes]]) -> Array:
    parts = [np.zeros(0, form)]
    for wire, value in listed:
        if form in ("<f4", "<f8"):
            if wire == BYTES:
                data = as_bytes(value)
                if len(data) % np.dtype(form).itemsize:
                    raise Corrupt("a tensor's elements are cut off", code="tensorboard.bad_event")
                parts.append(np.frombuffer(data, form))
            else:
                parts.append(np.array(doubles(wire, value) if form == "<f8" else [as_float(value)], form))
        elif form == "<f2":
            parts.append(np.array(varints(wire, value), np.int64).astype("<u2").view("<f2"))
        else:
            parts.append(np.array(varints(wire, value), np.int64).astype(form))
    return np.concatenate(parts)
