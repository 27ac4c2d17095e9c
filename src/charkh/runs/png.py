"""Arrays of pixels as PNG (W3C PNG, third edition): no imaging library is needed to log a picture."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from charkh.core.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's colour type by the number of channels: gray, gray and alpha, RGB, RGB and alpha."""

LEVEL = 4
"""zlib's own default takes three times as long for a tenth less."""


class Picture(NamedTuple):
    """An encoded picture and its measures in pixels."""

    data: bytes
    width: int
    height: int
    channels: int


def encode_png(pixels: Any) -> Picture:
    """A picture from an array of height by width, or height by width by channels; channels may come first.

    Whole numbers are from 0 to 255, and cut to that; floats from 0 to 1; NaN is black.

    Raises:
        Invalid: the array has another shape, or holds no numbers.
    """
    import numpy as np  # whoever has an array has loaded it; `import charkh` must not

    array = _channels_last(np.asarray(pixels))
    height, width, channels = array.shape
    body = np.empty((height, 1 + width * channels), np.uint8)
    # Filter 1 (Sub): what a pixel differs from its left neighbour packs better than the pixel.
    body[:, 0] = 1
    flat = _bytes_of(array)
    body[:, 1 : 1 + channels] = flat[:, 0]
    body[:, 1 + channels :] = (flat[:, 1:] - flat[:, :-1]).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    data = b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(body.tobytes(), LEVEL)),
            _chunk(b"IEND", b""),
        )
    )
    return Picture(data, width, height, channels)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _channels_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    shape = array.shape
    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim == 3 and shape[2] not in COLOUR_TYPES and shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    sound = array.ndim == 3 and array.shape[2] in COLOUR_TYPES and 0 not in array.shape
    if not sound or max(array.shape) > 1 << 20 or array.dtype.kind not in "buif":
        raise Invalid(
            f"an array of shape {shape} and type {array.dtype} is no picture",
            code="run.bad_media",
            hint="Give height by width, or height by width by 1 to 4 channels, of numbers; one picture a call.",
        )
    return array


def _bytes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    import numpy as np  # see `encode_png`

    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        plain = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
        return np.rint(np.clip(plain, 0.0, 1.0) * 255).astype(np.uint8)
    return np.clip(array, 0, 255).astype(np.uint8)
