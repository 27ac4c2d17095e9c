"""One object with facts: stretches of many segments, compressed together (docs/formats/remotes.md).

Bytes in, bytes out; nothing here reads or writes a medium.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import zstandard

from charkh.core.errors import Corrupt, Invalid
from charkh.core.frames import MAX_PAYLOAD, encode_frame, encode_frames, scan_frames
from charkh.core.ids import ID_PATTERN
from charkh.ports.exchange import Part, check_facts

FORMAT = 1
OBJECT_BYTES = 8 * 1024 * 1024
"""Bytes of payload after which an object is closed."""
LEVEL = 3
MAX_RAW = OBJECT_BYTES + MAX_PAYLOAD + 64 * 1024 * 1024


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """Facts `seq` to `seq + count` of a segment."""

    segment: str
    seq: int
    count: int


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of an object.

    Attributes:
        format: of the object.
        raw: bytes of the frames in the second frame, before compression.
        stretches: what they are, in their order.
    """

    format: int
    raw: int
    stretches: tuple[Stretch, ...]


class Laid(NamedTuple):
    """An object ready to be written: its bytes in parts, and what is in it."""

    parts: list[bytes]
    stretches: tuple[Stretch, ...]


def lay_out(parts: Sequence[Part]) -> Laid:
    """The object that carries these parts."""
    frames = encode_frames([payload for part in parts for payload in part.payloads])
    stretches = tuple(Stretch(part.segment, part.seq, len(part.payloads)) for part in parts)
    contents = msgspec.msgpack.encode(Contents(format=FORMAT, raw=len(frames), stretches=stretches))
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(frames)
    return Laid([encode_frame(contents), encode_frame(packed)], stretches)


def read_contents(key: str, payload: bytes) -> Contents:
    """What an object's first frame says.

    Raises:
        Corrupt: it says what no object has, or a later charkh wrote it.
    """
    try:
        contents = msgspec.msgpack.decode(payload, type=Contents)
    except msgspec.MsgspecError as error:
        raise damaged_facts(key, "its list of stretches cannot be read") from error
    if contents.format > FORMAT:
        raise damaged_facts(key, f"a later charkh wrote it (format {contents.format})")
    for each in contents.stretches:
        if not ID_PATTERN.fullmatch(each.segment) or each.seq < 0 or each.count < 1:
            raise damaged_facts(key, "it names a stretch that no segment has")
    if not 0 < contents.raw <= MAX_RAW:
        raise damaged_facts(key, "it says that it holds more than an object may")
    return contents


def read_parts(key: str, data: bytes) -> list[Part]:
    """What is in an object.

    Raises:
        Corrupt: it is not what was written.
    """
    scan = scan_frames(data)
    if len(scan.frames) != 2 or scan.end != len(data):
        raise damaged_facts(key, "a frame is cut off or its checksum is wrong")
    contents = read_contents(key, scan.frames[0].payload)
    packed = scan.frames[1].payload
    try:
        if zstandard.frame_content_size(packed) != contents.raw:
            raise damaged_facts(key, "its size is not what it says")
        frames = zstandard.ZstdDecompressor().decompress(packed, max_output_size=contents.raw)
    except zstandard.ZstdError as error:
        raise damaged_facts(key, "it cannot be decompressed") from error
    inner = scan_frames(frames)
    payloads = [frame.payload for frame in inner.frames]
    if inner.end != len(frames) or len(payloads) != sum(each.count for each in contents.stretches):
        raise damaged_facts(key, "it does not hold the facts that it says")
    parts: list[Part] = []
    begin = 0
    for each in contents.stretches:
        part = Part(each.segment, each.seq, payloads[begin : begin + each.count])
        try:
            check_facts(part)
        except Invalid as error:
            raise damaged_facts(key, error.message) from error
        parts.append(part)
        begin += each.count
    return parts


def damaged_facts(key: str, what: str) -> Corrupt:
    """The error of an object that is not what was written."""
    return Corrupt(
        f"the facts in {key} cannot be read: {what}",
        code="remote.bad_facts",
        hint="Run `charkh sync --verify` where these facts are: it sets the object aside and sends them again.",
        facts={"key": key},
    )


def joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Parts of one segment that overlap or follow one another, as one; the others as they are."""
    last: Part | None = None
    for part in sorted(parts, key=lambda each: (each.segment, each.seq)):
        if last is None or part.segment != last.segment or part.seq > last.seq + len(last.payloads):
            if last is not None:
                yield last
            last = part
            continue
        rest = part.payloads[last.seq + len(last.payloads) - part.seq :]
        last = Part(last.segment, last.seq, [*last.payloads, *rest])
    if last is not None:
        yield last
