"""A sealed blob that is read by parts: an index, and what it places (docs/formats/runs.md).

MAGIC, length of the index (u32, little-endian), index (msgpack, zstd), what the index places
"""

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
import zstandard

from charkh.core.errors import Corrupt

_LENGTH = struct.Struct("<I")

Read = Callable[[int, int], bytes]
"""Reads `length` bytes of the blob from `start`."""

Index = TypeVar("Index")


def write_indexed(magic: bytes, index: object, parts: Iterable[bytes], *, level: int) -> bytes:
    """A blob: its index, compressed, and the parts that the index places, as they are."""
    packed = zstandard.ZstdCompressor(level=level, write_content_size=True).compress(msgspec.msgpack.encode(index))
    return b"".join((magic, _LENGTH.pack(len(packed)), packed, *parts))


def read_indexed(
    read: Read, magic: bytes, decode: Callable[[bytes], Index], *, most: int, what: str, code: str
) -> tuple[Index, int]:
    """The index of a blob, and the place of the first byte behind it.

    Args:
        read: reads parts of the blob.
        magic: how blobs of this kind begin.
        decode: of the index' msgpack.
        most: bytes that an index may have when it is unpacked.
        what: is sealed, as an error names it.
        code: of the error.

    Raises:
        Corrupt: it is no such blob, or of a later format.
    """
    begin = len(magic) + _LENGTH.size
    prefix = read(0, begin)
    if len(prefix) != begin or not prefix.startswith(magic):
        raise Corrupt(f"sealed {what} do not begin as they should", code=code)
    (length,) = _LENGTH.unpack_from(prefix, len(magic))
    encoded = read(begin, length)
    try:
        if not 0 < zstandard.frame_content_size(encoded) <= most:
            raise Corrupt(f"the index of sealed {what} claims an impossible size", code=code)
        index = decode(zstandard.ZstdDecompressor().decompress(encoded))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise Corrupt(f"the index of sealed {what} cannot be read: {error}", code=code) from error
    return index, begin + length
