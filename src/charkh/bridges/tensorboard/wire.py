"""The wire format of protocol buffers, as far as event files need it: fields in, fields out, no schema.

Source: https://protobuf.dev/programming-guides/encoding. Groups, which no message here has, are passed over.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

from charkh.core.errors import Corrupt

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")
_WORD = (1 << 64) - 1

Field = tuple[int, int, "int | bytes"]
"""Number, wire type, and the value: an unsigned integer, or bytes; fixed widths are integers of their bits."""


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message, in order.

    Raises:
        Corrupt: it is no message.
    """
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if not number:
            raise _bad("a field has the number 0")
        if kind == VARINT:
            value, position = _varint(data, position)
            yield number, kind, value & _WORD
        elif kind == BYTES:
            size, position = _varint(data, position)
            if position + size > end:
                raise _bad("a field is longer than its message")
            yield number, kind, data[position : position + size]
            position += size
        elif kind in (FIXED64, FIXED32):
            form = _U64 if kind == FIXED64 else _U32
            if position + form.size > end:
                raise _bad("a number is cut off")
            yield number, kind, form.unpack_from(data, position)[0]
            position += form.size
        elif kind == GROUP:
            position = _behind_group(data, position, number)
        else:
            raise _bad(f"there is no wire type {kind}")


def as_bytes(value: int | bytes) -> bytes:
    """The value of a field that has to be bytes.

    Raises:
        Corrupt: it is a number.
    """
    if isinstance(value, int):
        raise _bad("a field is a number and not bytes")
    return value


def as_text(value: int | bytes) -> str:
    """The value of a field that has to be text; what is no UTF-8 is replaced."""
    return as_bytes(value).decode("utf-8", "replace")


def as_unsigned(value: int | bytes) -> int:
    """The value of a field that has to be a number.

    Raises:
        Corrupt: it is bytes.
    """
    if isinstance(value, bytes):
        raise _bad("a field is bytes and not a number")
    return value


def as_signed(value: int | bytes) -> int:
    """An int64 as it stands in a varint."""
    number = as_unsigned(value)
    return number - (1 << 64) if number >> 63 else number


def as_double(value: int | bytes) -> float:
    """The double whose bits a field has."""
    return _DOUBLE.unpack(_U64.pack(as_unsigned(value)))[0]


def as_float(value: int | bytes) -> float:
    """The float whose bits a field has."""
    return _FLOAT.unpack(_U32.pack(as_unsigned(value) & 0xFFFFFFFF))[0]


def doubles(kind: int, value: int | bytes) -> list[float]:
    """One occurrence of a repeated double, packed or not."""
    if kind != BYTES:
        return [as_double(value)]
    data = as_bytes(value)
    if len(data) % 8:
        raise _bad("packed doubles are cut off")
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def varints(kind: int, value: int | bytes) -> list[int]:
    """One occurrence of a repeated int64, packed or not."""
    if kind != BYTES:
        return [as_signed(value)]
    data, found, position = as_bytes(value), list[int](), 0
    while position < len(data):
        number, position = _varint(data, position)
        found.append(as_signed(number & _WORD))
    return found


def write_varint(number: int) -> bytes:
    """An int64 or uint64 as a varint."""
    rest = number & _WORD
    if rest < 0x80:
        return bytes((rest,))
    parts = bytearray()
    while rest >= 0x80:
        parts.append(rest & 0x7F | 0x80)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


def write_bytes(number: int, data: bytes | str) -> bytes:
    """A field of bytes, text or an embedded message."""
    plain = data.encode("utf-8", "replace") if isinstance(data, str) else data
    return b"".join((write_varint(number << 3 | BYTES), write_varint(len(plain)), plain))


def write_integer(number: int, value: int) -> bytes:
    """A field of a whole number, enum or bool."""
    return write_varint(number << 3 | VARINT) + write_varint(value)


def write_double(number: int, value: float) -> bytes:
    """A field of a double."""
    return write_varint(number << 3 | FIXED64) + _DOUBLE.pack(value)


def write_float(number: int, value: float) -> bytes:
    """A field of a float; what is beyond its range becomes infinite, as in NumPy."""
    return write_varint(number << 3 | FIXED32) + float_bits(value)


def float_bits(value: float) -> bytes:
    """The four bytes of a float."""
    try:
        return _FLOAT.pack(value)
    except OverflowError:
        return _FLOAT.pack(float("inf") if value > 0 else float("-inf"))


def write_doubles(number: int, values: Sequence[float]) -> bytes:
    """A packed field of doubles."""
    return write_bytes(number, struct.pack(f"<{len(values)}d", *values))


def write_varints(number: int, values: Iterable[int]) -> bytes:
    """A packed field of whole numbers."""
    return write_bytes(number, b"".join(map(write_varint, values)))


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result, position
            shift += 7
            if shift > 63:
                raise _bad("a varint has more than ten bytes")
    except IndexError as error:
        raise _bad("a varint is cut off") from error


def _behind_group(data: bytes, position: int, number: int) -> int:
    """Where the group that was begun ends; a flat search, because nesting is what hostile input has."""
    open_groups = [number]
    while open_groups:
        key, position = _varint(data, position)
        kind = key & 7
        if kind == GROUP:
            open_groups.append(key >> 3)
        elif kind == END_GROUP:
            if open_groups.pop() != key >> 3:
                raise _bad("a group ends that was not begun")
        elif kind == VARINT:
            _, position = _varint(data, position)
        elif kind == BYTES:
            size, position = _varint(data, position)
            position += size
        elif kind in (FIXED64, FIXED32):
            position += 8 if kind == FIXED64 else 4
        else:
            raise _bad(f"there is no wire type {kind}")
    if position > len(data):
        raise _bad("a group is longer than its message")
    return position


def _bad(reason: str) -> Corrupt:
    return Corrupt(f"an event cannot be read: {reason}", code="tensorboard.bad_event")
