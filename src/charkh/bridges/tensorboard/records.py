"""The records of an event file: length, its checksum, data, its checksum (TensorFlow's TFRecord framing).

    u64 length | u32 masked CRC-32C of the length | data | u32 masked CRC-32C of the data      little-endian

A tail that is shorter than it says is not yet written: whoever reads goes on from there later.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, cast

import google_crc32c

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
OVERHEAD = HEADER.size + FOOTER.size
LOOK_EVERY = 1024
"""Records after which it is seen whether their lengths come in turns."""

MAX_RECORD = 1 << 31
"""A longer record is damage: a protocol buffer cannot be longer."""

_MASK = 0xA282EAD8
_LENGTH = struct.Struct("<Q")


class Damage(NamedTuple):
    """Where the records of a file can no longer be told apart, or what one of them is not.

    Attributes:
        offset: of the record.
        reason: for people.
        lost: the length itself is damaged, so that nothing behind can be found.
    """

    offset: int
    reason: str
    lost: bool


class Framed(NamedTuple):
    """What a buffer holds.

    Attributes:
        offsets: of the whole records whose length is sound, and the end of the last one.
        damage: what ended the walk; None where the buffer ends, or is torn.
    """

    offsets: list[int]
    damage: Damage | None


def masked_crc(data: bytes) -> int:
    """The checksum as it is written: rotated and moved, so that checksums of checksums are none."""
    crc = cast(int, google_crc32c.value(data))  # pyright: ignore[reportUnknownMemberType]
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


def encode_record(data: bytes) -> bytes:
    """`data` framed."""
    length = _LENGTH.pack(len(data))
    return b"".join((length, FOOTER.pack(masked_crc(length)), data, FOOTER.pack(masked_crc(data))))


def walk(buffer: bytes, start: int = 0) -> Framed:
    """The borders of the whole records from `start`; every length is proved by its checksum, the data by nobody yet."""
    offsets = [start]
    note = offsets.append
    unpack = HEADER.unpack_from
    sound = _sound_lengths
    end, position, look = len(buffer), start, LOOK_EVERY
    while position + HEADER.size <= end:
        header = unpack(buffer, position)
        if sound.get(header[0]) != header[1]:
            if header[0] > MAX_RECORD or masked_crc(buffer[position : position + 8]) != header[1]:
                return Framed(offsets, Damage(position, "the length of a record is damaged", lost=True))
            _remember(header)
        following = position + header[0] + OVERHEAD
        if following > end:
            break
        note(following)
        position = following
        if len(offsets) >= look:
            _leap(buffer, offsets)
            # What has no turns is looked at ever less often.
            look = len(offsets) + (LOOK_EVERY if offsets[-1] > position else len(offsets))
            position = offsets[-1]
    return Framed(offsets, None)


def _leap(buffer: bytes, offsets: list[int]) -> None:
    """Where the lengths have come in turns, as those of metrics do, go on in turns for as long as it holds."""
    import numpy as np  # whoever walks so far has columns to read

    recent = np.array(offsets[-LOOK_EVERY:], np.int64)
    lengths = np.diff(recent)
    period = _period(lengths)
    if not period:
        return
    turn = lengths[-period:]
    turns = (len(buffer) - offsets[-1]) // int(turn.sum())
    if turns < 2:
        return
    borders = offsets[-1] + np.cumsum(np.tile(turn, turns))
    begins = np.concatenate([[offsets[-1]], borders[:-1]])
    raw = np.frombuffer(buffer, np.uint8)
    headers = np.lib.stride_tricks.as_strided(raw, (raw.size - HEADER.size + 1, HEADER.size), (1, 1), writeable=False)
    # Headers of the turn before were proved; those that are equal to them say the same lengths.
    proved = np.tile(headers[recent[-period - 1 : -1]], (turns, 1))
    differs = (headers[begins] != proved).any(axis=1)
    held = int(differs.argmax()) if differs.any() else int(borders.size)
    offsets += borders[:held].tolist()


def _period(lengths: npt.NDArray[np.int64]) -> int:
    """After how many records the lengths come again; 0 where they do not."""
    import numpy as np  # see `_leap`

    last = lengths[-1]
    for period in (int(lengths.size - 1 - each) for each in np.flatnonzero(lengths[:-1] == last)[::-1]):
        if period * 2 <= lengths.size and (lengths[period:] == lengths[:-period]).all():
            return period
    return 0


def resound(buffer: bytes, start: int) -> int | None:
    """Where the next whole and sound record begins, behind bytes that are none; None where there is none."""
    import numpy as np  # only damage needs it here

    from charkh.bridges.tensorboard.crc_columns import contributions, crc_of_zeros, masked

    raw = np.frombuffer(buffer, np.uint8)[start:]
    count = raw.size - HEADER.size + 1
    if count <= 0:
        return None
    parts = [contributions(7 - place)[raw[place : place + count]] for place in range(8)]
    expected = masked(np.bitwise_xor.reduce(parts, axis=0) ^ np.uint32(crc_of_zeros(8)))
    written = sum(raw[8 + place : 8 + place + count].astype(np.uint32) << np.uint32(8 * place) for place in range(4))
    for found in (np.flatnonzero(expected == written) + start).tolist():
        (length, _) = HEADER.unpack_from(buffer, found)
        end = found + length + OVERHEAD
        if end <= len(buffer):
            data = buffer[found + HEADER.size : end - FOOTER.size]
            if FOOTER.unpack_from(buffer, end - FOOTER.size)[0] == masked_crc(data):
                return found
    return None


_sound_lengths: dict[int, int] = {}
"""Checksums of lengths that were seen: event files have a handful of different ones."""


def _remember(header: tuple[int, int]) -> None:
    if len(_sound_lengths) >= 4096:
        _sound_lengths.clear()
    _sound_lengths[header[0]] = header[1]
