"""What is in an ONNX file, read from its bytes without running or opening anything.

The messages and field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3; the encoding is
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import NamedTuple

from charkh.runtimes.refusal import foreign_reasons

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators of these domains are the standard's own."""

MAX_DEPTH = 64


class _Kind(NamedTuple):
    """A message: what each of its fields holds, by number; None for what is only passed over."""

    fields: "dict[int, str | None]"


_MESSAGES: dict[str, _Kind] = {
    "model": _Kind({1: None, 2: None, 3: None, 4: None, 5: None, 6: None, 7: "graph", 8: "opset", 14: None}),
    "graph": _Kind({1: "node", 2: None, 5: "tensor", 10: None, 11: None, 12: None, 13: None, 14: None, 15: "sparse"}),
    "node": _Kind({1: None, 2: None, 3: None, 4: None, 5: "attribute", 6: None, 7: "domain", 8: None, 9: None}),
    "attribute": _Kind(
        {
            **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 20, 21)),
            5: "tensor",
            6: "graph",
            10: "tensor",
            11: "graph",
            22: "sparse",
            23: "sparse",
        }
    ),
    "tensor": _Kind({**dict.fromkeys(range(1, 13)), 13: "external", 14: "location", 16: None}),
    "sparse": _Kind({1: "tensor", 2: "tensor", 3: None}),
    "opset": _Kind({1: "domain", 2: None}),
}


class _NotOnnx(ValueError):
    """The bytes are no message of the format."""


def onnx_reasons(data: bytes) -> tuple[str, ...]:
    """Why this file is not a whole graph of standard operators with its weights inside; empty when it is."""
    try:
        seen = set[str]()
        reasons = list(dict.fromkeys(_walk(memoryview(data), "model", seen, 0)))
    except _NotOnnx as error:
        return foreign_reasons(data, "ONNX", str(error))
    if not {"graph", "opset"} <= seen:
        return foreign_reasons(data, "ONNX", "it has no graph, or names no set of operators")
    return tuple(reasons)


def _walk(data: memoryview, message: str, seen: set[str], depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise _NotOnnx("its graphs are nested too deeply")
    known = _MESSAGES[message].fields
    for number, wire, content in _fields(data):
        if number not in known:
            raise _NotOnnx(f"a {message} has the unknown field {number}")
        held = known[number]
        if held is None:
            continue
        seen.add(held)
        if held == "domain":
            domain = bytes(content).decode("utf-8", "replace")
            if domain not in DOMAINS:
                yield f"it uses operators of {domain!r}, which come from a library"
        elif held in {"external", "location"}:
            if wire == 2 or any(content):
                yield "weights lie in a file beside it"
        elif wire != 2:
            raise _NotOnnx(f"field {number} of a {message} is no message")
        else:
            yield from _walk(content, held, seen, depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Field number, wire type and content; for numbers the content is their bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _NotOnnx("a field has no number")
        start = at
        if wire == 0:
            value, at = _varint(data, at)
            yield number, wire, memoryview(value.to_bytes(10, "little"))
            continue
        if wire == 2:
            length, start = _varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(wire, -1)
        at = start + length
        if length < 0 or at > len(data):
            raise _NotOnnx("a field ends behind the file")
        yield number, wire, data[start:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _NotOnnx("a number ends behind the file")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
