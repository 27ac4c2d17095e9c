"""The pack: many records in one immutable object, readable without any index (docs/formats/packs.md).

Bytes in, bytes out; nothing here reads or writes a medium. A pack's name is the digest of its footer,
and the footer commits to every record.
"""

import struct
import threading
from collections.abc import ByteString, Iterator, Sequence
from typing import NamedTuple, cast

import zstandard
from blake3 import blake3

from charkh.core.digests import NODE_CONTEXT, digest_of
from charkh.core.errors import Corrupt
from charkh.core.frames import crc32c

MAGIC = b"charkhPK"
END_MAGIC = b"charkh"
VERSION = 1
HEADER = struct.Struct("<8sHHI")
RECORD = struct.Struct("<BBHII32s")
ENTRY = struct.Struct("<32sBBHIIII")
TRAILER = struct.Struct("<IIH6s")

NEWER = "asset.newer"
"""Code of the error of what a later charkh stored: nothing is damaged, and no repair may touch it."""

CHUNK = 1
NODE = 2
RAW = 0
ZSTD = 1

LEVEL = 1
"""zstd's fastest ordinary level: compression is the bottleneck of adding a table."""


class Record(NamedTuple):
    """What goes into a pack: its digest, whether it is a chunk or a node, its bytes, and whether to try to compress."""

    digest: bytes
    kind: int
    data: bytes | memoryview
    squeeze: bool


class Entry(NamedTuple):
    """A record as the footer lists it; `offset` is that of the stored bytes."""

    digest: bytes
    kind: int
    codec: int
    zero: int
    offset: int
    stored: int
    raw: int
    checksum: int


class Pack(NamedTuple):
    """A pack ready to be written: its name, its bytes in parts, and its entries."""

    name: str
    parts: list[bytes | memoryview]
    entries: list[Entry]


_local = threading.local()


def record_digest(kind: int, data: bytes | bytearray | memoryview) -> bytes:
    """The digest that names a record of this kind."""
    if kind == NODE:
        return blake3(data, derive_key_context=NODE_CONTEXT).digest()
    return blake3(data).digest()


def build_pack(records: Sequence[Record]) -> Pack:
    """Compress what should be, and lay the records out in their order."""
    squeezed = _squeeze([record.data for record in records if record.squeeze and record.data])
    parts: list[bytes | memoryview] = [HEADER.pack(MAGIC, VERSION, 0, 0)]
    entries: list[Entry] = []
    position = HEADER.size
    for record in records:
        data, codec, checksum, raw = record.data, RAW, 0, len(record.data)
        if record.squeeze and raw and (small := next(squeezed)) is not None:
            data, codec, checksum = small, ZSTD, crc32c(small)
        position += RECORD.size
        stored = len(data)
        parts.append(RECORD.pack(record.kind, codec, 0, stored, raw, record.digest))
        parts.append(data)
        entries.append(Entry(record.digest, record.kind, codec, 0, position, stored, raw, checksum))
        position += stored
    footer = b"".join([ENTRY.pack(*entry) for entry in entries])
    parts.append(footer)
    parts.append(TRAILER.pack(len(entries), crc32c(footer), VERSION, END_MAGIC))
    return Pack(digest_of(footer), parts, entries)


def footer_size(tail: bytes, name: str) -> int:
    """Bytes that footer and trailer take, from the last bytes of a pack.

    Raises:
        Corrupt: its end is not that of a pack, or, with the code `asset.newer`, that of a later version.
    """
    if len(tail) < TRAILER.size:
        raise damaged_pack(name, "it is cut off")
    count, _checksum, version, magic = TRAILER.unpack_from(tail, len(tail) - TRAILER.size)
    if magic != END_MAGIC:
        raise damaged_pack(name, "its end is not that of a pack")
    if version != VERSION:
        raise newer(f"the pack {name[:16]} is of version {version}; this charkh reads {VERSION}", {"pack": name})
    return count * ENTRY.size + TRAILER.size


def read_footer(tail: bytes, name: str) -> list[Entry]:
    """The entries of the pack `name`, from its last bytes, at least `footer_size` of them.

    Raises:
        Corrupt: they are not what the name and the checksum say.
    """
    size = footer_size(tail, name)
    _count, checksum, _version, _magic = TRAILER.unpack_from(tail, len(tail) - TRAILER.size)
    footer = tail[len(tail) - size : len(tail) - TRAILER.size]
    if len(tail) < size or crc32c(footer) != checksum or digest_of(footer) != name:
        raise damaged_pack(name, "its list of records is damaged")
    return list(map(Entry._make, ENTRY.iter_unpack(footer)))


def open_record(entry_kind: int, codec: int, raw: int, digest: bytes, stored: bytes | memoryview, name: str) -> bytes:
    """The verified bytes of a record.

    Raises:
        Corrupt: they are not what the digest says, or, with the code `asset.newer`, of a kind or stored in a way
            that a later charkh brought; it names the digest and the pack.
    """
    if entry_kind not in (CHUNK, NODE) or codec not in (RAW, ZSTD):
        what = f"the record {digest.hex()} in the pack {name} is of kind {entry_kind}, stored in way {codec}"
        raise newer(f"{what}; this charkh does not know both", {"digest": digest.hex(), "pack": name})
    data: bytes | memoryview = stored
    if codec == ZSTD:
        data = _unsqueeze(stored, raw, digest, name)
    if len(data) != raw or record_digest(entry_kind, data) != digest:
        raise damaged_record(digest, name, "its bytes are not what its digest says")
    return bytes(data)


def scan_records(pack: bytes) -> Iterator[Entry]:
    """The records as their own headers describe them, for a pack whose footer is lost; stops where no header is."""
    position = HEADER.size
    while position + RECORD.size <= len(pack):
        kind, codec, zero, stored, raw, digest = RECORD.unpack_from(pack, position)
        position += RECORD.size
        if kind not in (CHUNK, NODE) or codec not in (RAW, ZSTD) or zero or position + stored > len(pack):
            return
        checksum = crc32c(pack[position : position + stored]) if codec == ZSTD else 0
        yield Entry(digest, kind, codec, zero, position, stored, raw, checksum)
        position += stored


def check_pack(pack: bytes, name: str) -> list[Entry]:
    """Verify every byte of a pack; its records.

    Raises:
        Corrupt: a byte is not what it was when the pack was written.
    """
    entries = read_footer(pack, name)
    if HEADER.unpack_from(pack) != (MAGIC, VERSION, 0, 0):
        raise damaged_pack(name, "its beginning is not that of a pack of this version")
    position = HEADER.size
    for entry in entries:
        header = RECORD.pack(entry.kind, entry.codec, entry.zero, entry.stored, entry.raw, entry.digest)
        position += RECORD.size
        stored = pack[position : position + entry.stored]
        if entry.offset != position or pack[position - RECORD.size : position] != header:
            raise damaged_record(entry.digest, name, "its header differs from the pack's list")
        if entry.codec == ZSTD and crc32c(stored) != entry.checksum:
            raise damaged_record(entry.digest, name, "its checksum is wrong")
        open_record(entry.kind, entry.codec, entry.raw, entry.digest, stored, name)
        position += entry.stored
    if position + len(entries) * ENTRY.size + TRAILER.size != len(pack):
        raise damaged_pack(name, "there are bytes in it that belong to no record")
    return entries


def pays(sample: bytes | memoryview) -> bool:
    """Whether compression saves at least a twentieth of a sample."""
    return len(_compressor().compress(sample)) <= len(sample) * 0.95


def damaged_pack(name: str, what: str) -> Corrupt:
    """The error of a pack that is not sound as a whole."""
    return Corrupt(
        f"the pack {name[:16]} is damaged: {what}",
        code="asset.corrupt",
        hint="Run `charkh fsck --repair`: it sets the pack aside, keeps what is sound in it and lists what is lost.",
        facts={"pack": name},
    )


def newer(what: str, facts: dict[str, object]) -> Corrupt:
    """The error of what a later charkh stored."""
    return Corrupt(what, code=NEWER, hint="Upgrade with: pip install --upgrade charkh", facts=facts)


def damaged_record(digest: bytes, name: str, what: str) -> Corrupt:
    """The error of one chunk or node in a pack."""
    return Corrupt(
        f"the chunk {digest.hex()} in the pack {name} is damaged: {what}",
        code="asset.corrupt",
        hint="Run `charkh fsck --repair`, then fetch the chunk again: `charkh sync` from a store that has it, "
        "or add the same file once more.",
        facts={"digest": digest.hex(), "pack": name},
    )


def _squeeze(buffers: list[bytes | memoryview]) -> Iterator[bytes | None]:
    """Each buffer compressed, or None where that saves nothing; one call without the interpreter's lock."""
    if not buffers:
        return
    compressed = _compressor().multi_compress_to_buffer(cast("list[ByteString]", buffers))
    for position, buffer in enumerate(buffers):
        segment = compressed[position]
        yield segment.tobytes() if len(segment) < len(buffer) else None


def _unsqueeze(stored: bytes | memoryview, raw: int, digest: bytes, name: str) -> bytes:
    try:
        # A frame may claim any size; no more is unpacked than the record says.
        if zstandard.frame_content_size(stored) != raw:
            raise damaged_record(digest, name, "its size is not what the pack's list says")
        return _decompressor().decompress(stored, max_output_size=raw)
    except zstandard.ZstdError as error:
        raise damaged_record(digest, name, "it cannot be decompressed") from error


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=LEVEL)
    return _local.compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    return _local.decompressor
