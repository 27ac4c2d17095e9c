"""UBJSON as XGBoost writes it (https://ubjson.org, with its typed arrays), decoded into JSON's values.

XGBoost's own reader is never given bytes that were not understood here.
"""

import struct
from typing import Any

from charkh.core.errors import Invalid

MAX_DEPTH = 100
_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_FORMATS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_CONSTANTS: dict[str, Any] = {"T": True, "F": False, "Z": None}


def decode(data: bytes) -> Any:
    """The value that the bytes hold.

    Raises:
        Invalid: they are no UBJSON, or there is more behind the value.
    """
    reader = _Reader(data)
    try:
        value = reader.value(reader.word(), 0)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise _bad(f"it breaks at byte {reader.at}: {error}") from error
    if reader.at != len(data):
        raise _bad("something stands behind its value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def word(self) -> str:
        word = chr(self._data[self.at])
        self.at += 1
        return word

    def value(self, kind: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if kind in _FORMATS:
            return self._number(kind)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == "S":
            return self._text()
        if kind == "C":
            return self.word()
        if kind == "[":
            return self._array(depth)
        if kind == "{":
            return self._object(depth)
        raise ValueError(f"{kind!r} begins no value")

    def _number(self, kind: str) -> Any:
        form = _FORMATS[kind]
        (value,) = struct.unpack_from(form, self._data, self.at)
        self.at += struct.calcsize(form)
        return value

    def _length(self) -> int:
        kind = self.word()
        length = self._number(kind) if kind in "iUIlL" else -1
        if length < 0:
            raise ValueError("a length is none")
        return int(length)

    def _text(self) -> str:
        length = self._length()
        piece = self._data[self.at : self.at + length]
        if len(piece) != length:
            raise ValueError("a text is cut")
        self.at += length
        return piece.decode()

    def _array(self, depth: int) -> Any:
        import numpy as np  # typed arrays of millions of numbers

        kind = ""
        if self._peek() == "$":
            self.at += 1
            kind = self.word()
        if self._peek() == "#":
            self.at += 1
            count = self._length()
            if kind in _NUMBERS:
                dtype = np.dtype(_NUMBERS[kind])
                if count * dtype.itemsize > len(self._data) - self.at:
                    raise ValueError("an array is cut")
                found = np.frombuffer(self._data, dtype, count, self.at)
                self.at += count * dtype.itemsize
                return found.tolist()
            if count > len(self._data) - self.at:
                raise ValueError("an array is longer than its bytes")
            return [self.value(kind or self.word(), depth + 1) for _ in range(count)]
        items: list[Any] = []
        while (word := self.word()) != "]":
            items.append(self.value(word, depth + 1))
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        if self._peek() in "$#":
            raise ValueError("objects of one type are not read")
        found: dict[str, Any] = {}
        while self._peek() != "}":
            key = self._text()
            found[key] = self.value(self.word(), depth + 1)
        self.at += 1
        return found

    def _peek(self) -> str:
        return chr(self._data[self.at])


def _bad(why: str) -> Invalid:
    return Invalid(f"this is no UBJSON: {why}", code="model.bad_ubjson", hint="Save the model as JSON.")
