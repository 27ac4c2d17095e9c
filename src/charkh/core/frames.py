"""The frame: how one payload lies in a segment, `length, crc32c, payload` (docs/formats/journal.md).

Length and checksum are unsigned 32-bit little-endian integers; the checksum is CRC-32C (RFC 3720)
of the payload. Nothing here does I/O.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, cast

import google_crc32c

from charkh.core.errors import Bug

crc32c = cast(Callable[[bytes], int], google_crc32c.value)  # pyright: ignore[reportUnknownMemberType]
HEADER = struct.Struct("<II")
MAX_PAYLOAD = 64 * 1024 * 1024


class Frame(NamedTuple):
    """One whole frame found in a buffer: where its payload is, and where the next frame starts."""

    payload: bytes
    end: int


class Scan(NamedTuple):
    """The whole frames at the start of a buffer, and what stopped the scan.

    `end` is the offset behind the last whole frame. `damaged` is true when the bytes there are all
    present but their checksum is wrong: with a live writer that still may be a write under way.
    """

    frames: list[Frame]
    end: int
    damaged: bool


def encode_frame(payload: bytes) -> bytes:
    """The frame that carries `payload`."""
    return b"".join(encode_apart(payload))


def encode_apart(payload: bytes) -> tuple[bytes, bytes]:
    """The same in two parts, the second of which is the payload itself."""
    return HEADER.pack(len(payload), crc32c(payload)), payload


def encode_frames(payloads: Iterable[bytes]) -> bytes:
    """The frames that carry these payloads, one behind the other.

    Raises:
        Bug: a payload is empty, or longer than a frame may be.
    """
    frames: list[bytes] = []
    for payload in payloads:
        if not 0 < len(payload) <= MAX_PAYLOAD:
            raise Bug(f"a payload of {len(payload)} bytes does not fit a frame")
        frames.append(encode_frame(payload))
    return b"".join(frames)


def frame_size(payload_size: int) -> int:
    """Bytes that a payload of this size takes in a segment."""
    return HEADER.size + payload_size


def scan_frames(buffer: bytes, start: int = 0) -> Scan:
    """Every whole, sound frame from `start` on; stops at the first that is torn or damaged."""
    frames: list[Frame] = []
    size = len(buffer)
    unpack = HEADER.unpack_from
    position = start
    while position + HEADER.size <= size:
        length, expected = unpack(buffer, position)
        begin = position + HEADER.size
        end = begin + length
        if length > MAX_PAYLOAD:
            return Scan(frames, position, True)
        if end > size:
            break
        payload = buffer[begin:end]
        if length == 0 or crc32c(payload) != expected:
            return Scan(frames, position, True)
        frames.append(Frame(payload, end))
        position = end
    return Scan(frames, position, False)


def payloads(buffer: bytes, start: int = 0) -> Iterator[bytes]:
    """The payloads of the whole frames in `buffer`."""
    return (frame.payload for frame in scan_frames(buffer, start).frames)
