"""The chain: a fixed-size record for each sealed fact segment, each naming the digest of the one before.

`charkh audit verify` walks it: a changed, removed or reordered sealed segment breaks it. Its length is
also the journal's generation: a reader that has folded the chain to its end needs only the open segments.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from blake3 import blake3

from charkh.core.errors import Corrupt
from charkh.core.frames import crc32c

_FIELDS = struct.Struct("<16sIQQI32s32s")
_CHECKSUM = struct.Struct("<I")
RECORD_SIZE = _FIELDS.size + _CHECKSUM.size
GENESIS = bytes(32)


class ChainRecord(NamedTuple):
    """One sealed segment: where it lies, how long it is, and its place in the chain.

    Attributes:
        segment: id, 32 hex digits.
        archive: number of the archive file.
        offset: first byte in the archive.
        length: bytes, header frame included.
        frames: facts, header frame not counted.
        digest: BLAKE3 of the segment's bytes.
        previous: BLAKE3 of the previous record's bytes; zeros for the first.
    """

    segment: str
    archive: int
    offset: int
    length: int
    frames: int
    digest: bytes
    previous: bytes

    @property
    def end(self) -> int:
        """The byte behind the segment in its archive."""
        return self.offset + self.length


def encode_record(record: ChainRecord) -> bytes:
    """The 108 bytes of a record."""
    fields = _FIELDS.pack(
        bytes.fromhex(record.segment),
        record.archive,
        record.offset,
        record.length,
        record.frames,
        record.digest,
        record.previous,
    )
    return fields + _CHECKSUM.pack(crc32c(fields))


def decode_record(data: bytes) -> ChainRecord:
    """The record in 108 bytes.

    Raises:
        Corrupt: the checksum is wrong.
    """
    fields, (checksum,) = data[: _FIELDS.size], _CHECKSUM.unpack_from(data, _FIELDS.size)
    if crc32c(fields) != checksum:
        raise Corrupt(
            "a record of the journal's chain is damaged",
            code="journal.chain_damaged",
            hint="Run `charkh audit verify` to see where; restore journal/sealed from a copy.",
        )
    segment, archive, offset, length, frames, digest, previous = _FIELDS.unpack(fields)
    return ChainRecord(segment.hex(), archive, offset, length, frames, digest, previous)


def record_digest(record: ChainRecord) -> bytes:
    """What the next record names as `previous`."""
    return blake3(encode_record(record)).digest()


def decode_chain(data: bytes) -> Iterator[ChainRecord]:
    """The whole records in `data`; a torn tail is not yet written."""
    for start in range(0, len(data) - len(data) % RECORD_SIZE, RECORD_SIZE):
        yield decode_record(data[start : start + RECORD_SIZE])
