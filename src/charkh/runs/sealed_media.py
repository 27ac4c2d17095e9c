"""The sealed form of a media segment: one blob, an index and the payloads behind it (docs/formats/runs.md).

    MAGIC, length of the index (u32, little-endian), index (msgpack, zstd), payloads

The payloads lie as they were given: the vault compresses where that pays, and an item is read by its byte range.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import zstandard

from charkh.core.errors import Corrupt

MAGIC = b"charkh media 1\n"
_LENGTH = struct.Struct("<I")
PREFIX_BYTES = len(MAGIC) + _LENGTH.size
MAX_INDEX_BYTES = 1 << 28
LEVEL = 3

Read = Callable[[int, int], bytes]
"""Reads `length` bytes of the blob from `start`."""


class MediaEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item in the index; `offset` counts from the first byte behind the index, `length` is in bytes."""

    key: str
    kind: str
    step: int
    time: float
    mime: str
    details: dict[str, Any]
    ordinal: int
    offset: int
    length: int


class PlacedMedia(msgspec.Struct, frozen=True):
    """An index, and where the payloads begin in the blob."""

    entries: tuple[MediaEntry, ...]
    begin: int


_decode_index = msgspec.msgpack.Decoder(tuple[MediaEntry, ...]).decode


def encode_media_blob(items: Sequence[tuple[MediaEntry, bytes]]) -> bytes:
    """The blob of these items; their offsets and lengths are set here, and equal payloads are laid once."""
    placed: dict[bytes, int] = {}
    payloads: list[bytes] = []
    entries: list[MediaEntry] = []
    end = 0
    for entry, payload in items:
        if payload not in placed:
            placed[payload] = end
            payloads.append(payload)
            end += len(payload)
        entries.append(msgspec.structs.replace(entry, offset=placed[payload], length=len(payload)))
    index = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(msgspec.msgpack.encode(entries))
    return b"".join((MAGIC, _LENGTH.pack(len(index)), index, *payloads))


def read_media_index(read: Read) -> PlacedMedia:
    """The index of a blob.

    Raises:
        Corrupt: it is no blob of media, or of a later format.
    """
    prefix = read(0, PREFIX_BYTES)
    if len(prefix) != PREFIX_BYTES or not prefix.startswith(MAGIC):
        raise Corrupt("sealed media do not begin as they should", code="run.bad_media_blob")
    (length,) = _LENGTH.unpack_from(prefix, len(MAGIC))
    encoded = read(PREFIX_BYTES, length)
    try:
        if not 0 < zstandard.frame_content_size(encoded) <= MAX_INDEX_BYTES:
            raise Corrupt("the index of sealed media claims an impossible size", code="run.bad_media_blob")
        entries = _decode_index(zstandard.ZstdDecompressor().decompress(encoded))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise Corrupt(f"the index of sealed media cannot be read: {error}", code="run.bad_media_blob") from error
    return PlacedMedia(entries, PREFIX_BYTES + length)
