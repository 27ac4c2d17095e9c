"""The sealed form of a media segment: one blob, an index and the payloads behind it (docs/formats/runs.md).

    MAGIC, length of the index (u32, little-endian), index (msgpack, zstd), payloads

The payloads lie as they were given: the vault compresses where that pays, and an item is read by its byte range.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from charkh.runs.indexed_blob import Read, read_indexed, write_indexed

MAGIC = b"charkh media 1\n"
MAX_INDEX_BYTES = 1 << 28
LEVEL = 3


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
    return write_indexed(MAGIC, entries, payloads, level=LEVEL)


def read_media_index(read: Read) -> PlacedMedia:
    """The index of a blob.

    Raises:
        Corrupt: it is no blob of media, or of a later format.
    """
    entries, begin = read_indexed(
        read, MAGIC, _decode_index, most=MAX_INDEX_BYTES, what="media", code="run.bad_media_blob"
    )
    return PlacedMedia(entries, begin)
