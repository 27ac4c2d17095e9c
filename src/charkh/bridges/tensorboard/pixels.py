"""Pictures, films and boxes from arrays in the layouts that TensorBoard's writers take (`CHW`, `NHWC`, …)."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid
from charkh.runs.png import SIGNATURE, encode_png

Array = npt.NDArray[Any]
RED = (255, 0, 0)


def to_array(value: Any) -> Array:
    """A tensor of any library as an array."""
    detached = getattr(value, "detach", None)
    if callable(detached):
        plain: Any = detached()
        return np.asarray(plain.cpu().numpy())
    return np.asarray(value)


def to_pictures(value: Any, layout: str) -> list[Array]:
    """The pictures in an array, each height by width by channels, of bytes.

    Args:
        value: whole numbers from 0 to 255, or floats from 0 to 1.
        layout: a letter for each axis: `N`, `H`, `W`, `C`.

    Raises:
        Invalid: the layout does not fit.
    """
    array, letters = to_array(value), layout.upper()
    if array.ndim != len(letters) or set(letters) - set("NHWC") or not set("HW") <= set(letters):
        raise Invalid(
            f"an array of shape {array.shape} has no layout {layout!r}",
            code="tensorboard.bad_layout",
            hint="Say a letter for each axis with dataformats=, such as CHW, HWC, HW or NCHW.",
        )
    order = [letters.index(letter) for letter in "NHWC" if letter in letters]
    array = array.transpose(order)
    array = array if "N" in letters else array[None]
    array = array if "C" in letters else array[..., None]
    return [_bytes(each) for each in array]


def encode_film(frames: Sequence[Array], rate: float) -> bytes:
    """Frames as an animated PNG (W3C PNG, third edition, §11.3.6): browsers play it, and no codec is needed.

    Args:
        frames: pictures of one size.
        rate: frames a second.
    """
    parts: list[bytes] = []
    numbers = itertools.count()
    delay = struct.pack(">HH", max(1, min(65535, round(1000 / rate))) if rate > 0 else 1000, 1000)
    for place, frame in enumerate(frames):
        picture = encode_png(frame)
        chunks = list(_chunks(picture.data))
        if not place:
            parts += [SIGNATURE, _chunk(*chunks[0]), _chunk(b"acTL", struct.pack(">II", len(frames), 0))]
        control = struct.pack(">IIIII", next(numbers), picture.width, picture.height, 0, 0) + delay + b"\0\0"
        parts.append(_chunk(b"fcTL", control))
        for name, data in chunks:
            if name == b"IDAT":
                parts.append(_chunk(b"fdAT", struct.pack(">I", next(numbers)) + data) if place else _chunk(name, data))
    return b"".join([*parts, _chunk(b"IEND", b"")])


def with_boxes(picture: Array, boxes: Array, colour: Sequence[int] = RED) -> Array:
    """A copy with a frame drawn around each box (left, top, right, bottom, in pixels)."""
    drawn = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture.copy()
    height, width = drawn.shape[:2]
    for box in np.asarray(boxes, np.float64).reshape(-1, 4):
        left, right = (int(np.clip(np.nan_to_num(each), 0, width - 1)) for each in (box[0], box[2]))
        top, bottom = (int(np.clip(np.nan_to_num(each), 0, height - 1)) for each in (box[1], box[3]))
        for row in (top, bottom):
            drawn[row, left : right + 1, :3] = colour
        for column in (left, right):
            drawn[top : bottom + 1, column, :3] = colour
    return drawn


def _bytes(picture: Array) -> Array:
    if picture.dtype.kind == "f":
        return np.clip(np.nan_to_num(picture) * 255, 0, 255).astype(np.uint8)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(SIGNATURE)
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
