"""The prediction id: a text that says where a prediction lies (docs/formats/predictions.md).

A prediction is no event. Its id holds the deployment that answered, and, where the request was logged, the data
segment, the record in it and the row. A checksum tells a mistyped id from one that is not there.
"""

import base64
import binascii
import functools
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from charkh.core.errors import Invalid
from charkh.core.frames import crc32c
from charkh.core.ids import parse_id

LOGGED = 0x11
UNLOGGED = 0x12
CHECKSUM = 3
NONCE = 8
ID = 16
MAX_NUMBER = 2**63 - 1

_TO_URL = bytes.maketrans(b"+/", b"-_")


class PredictionId(msgspec.Struct, frozen=True, kw_only=True):
    """Where a prediction lies.

    Attributes:
        deployment: id of the deployment that answered.
        segment: id of the data segment with its record; empty when the request was not logged.
        ordinal: the record's ordinal in the segment.
        row: the row of the request, from 0.
        nonce: 16 hex digits that tell requests apart that were not logged; empty otherwise.
    """

    deployment: str
    segment: str = ""
    ordinal: int = 0
    row: int = 0
    nonce: str = ""

    @property
    def logged(self) -> bool:
        """Whether inputs and outputs were recorded."""
        return bool(self.segment)

    def __str__(self) -> str:
        return next(iter(_texts(self, [self.row])))


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction, walked back to what made it.

    Attributes:
        id: its text id.
        deployment: id of the deployment that answered.
        endpoint: name of the endpoint.
        model: subject of the model version, `model:ID`.
        logged: whether inputs and outputs were recorded; without, the four below are empty.
        time: seconds since the epoch at which it was answered, or None.
        request: the id that the client gave the request, or empty.
        inputs: what the row was, by input.
        outputs: what the model said, by output.
        route: of a rollout that answered, or `champion`.
        error: why there is no answer; empty where there is one.
    """

    id: str
    deployment: str
    endpoint: str
    model: str
    logged: bool
    time: float | None = None
    request: str = ""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    route: str = ""
    error: str = ""


def new_unlogged(deployment: str) -> PredictionId:
    """An id for a request that is not logged: unique, and still tracing to its deployment."""
    return PredictionId(deployment=deployment, nonce=os.urandom(NONCE).hex())


def row_of_request(first: str, row: int) -> str:
    """How a client names a row of a request whose answer carries the id of its first row alone: `ID.ROW`."""
    return f"{first}.{row}"


def row_ids(first: PredictionId, rows: int) -> list[str]:
    """The text ids of the first `rows` rows of a request."""
    return _texts(first, range(rows))


def parse_prediction_id(text: str) -> PredictionId:
    """The id in a text; `ID.ROW` is that of a later row of the request whose first row `ID` is.

    Raises:
        Invalid: it is no prediction id, or was mistyped.
    """
    first, dot, row = text.strip().partition(".")
    if dot:
        if not row.isascii() or not row.isdigit() or (row != "0" and row.startswith("0")) or len(row) > 12:
            raise _no_id(text)
        named = parse_prediction_id(first)
        return msgspec.structs.replace(named, row=named.row + int(row))
    packed = _unarmoured(first)
    body, checksum = packed[:-CHECKSUM], packed[-CHECKSUM:]
    if not body or checksum != _checksum(body):
        raise _no_id(text)
    if body[0] == LOGGED and len(body) > 1 + 2 * ID:
        numbers = _read_numbers(body[1 + 2 * ID :])
        if len(numbers) == 2:
            segment = body[1 + ID : 1 + 2 * ID].hex()
            return PredictionId(deployment=body[1 : 1 + ID].hex(), segment=segment, ordinal=numbers[0], row=numbers[1])
    if body[0] == UNLOGGED and len(body) > 1 + ID + NONCE:
        numbers = _read_numbers(body[1 + ID + NONCE :])
        if len(numbers) == 1:
            nonce = body[1 + ID : 1 + ID + NONCE].hex()
            return PredictionId(deployment=body[1 : 1 + ID].hex(), nonce=nonce, row=numbers[0])
    raise _no_id(text)


def _texts(where: PredictionId, rows: Sequence[int]) -> list[str]:
    if where.segment:
        prefix = _logged_prefix(where.deployment, where.segment) + _number(where.ordinal)
    else:
        prefix = _unlogged_prefix(where.deployment) + bytes.fromhex(where.nonce or "00" * NONCE)
    bodies = [prefix + _number(row) for row in rows]
    return [_armoured(body + _checksum(body)) for body in bodies]


@functools.lru_cache(maxsize=64)
def _logged_prefix(deployment: str, segment: str) -> bytes:
    """What the ids of one segment begin with; a process writes to few of them at once."""
    return bytes([LOGGED]) + bytes.fromhex(parse_id(deployment)) + bytes.fromhex(parse_id(segment))


@functools.lru_cache(maxsize=64)
def _unlogged_prefix(deployment: str) -> bytes:
    return bytes([UNLOGGED]) + bytes.fromhex(parse_id(deployment))


def _armoured(packed: bytes) -> str:
    return binascii.b2a_base64(packed, newline=False).translate(_TO_URL, b"=").decode("ascii")


def _unarmoured(text: str) -> bytes:
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_id(text) from error
    if _armoured(packed) != text:
        raise _no_id(text)
    return packed


def _checksum(body: bytes) -> bytes:
    return crc32c(body).to_bytes(4, "big")[:CHECKSUM]


def _number(value: int) -> bytes:
    """LEB128: seven bits a byte, least significant first."""
    if value < 0x80:
        return bytes([value])
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _read_numbers(data: bytes) -> list[int]:
    """The numbers in `data`; nothing where the last is cut off or one was not written in its shortest form."""
    numbers, value, shift = list[int](), 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if (byte == 0 and shift > 7) or value > MAX_NUMBER:
                return []
            numbers.append(value)
            value, shift = 0, 0
    return [] if shift else numbers


def _no_id(text: str) -> Invalid:
    return Invalid(
        f"{text[:80]!r} is not a prediction id",
        code="prediction.invalid_id",
        hint="Copy it whole from the response's `prediction_id`; one wrong letter is enough.",
    )
