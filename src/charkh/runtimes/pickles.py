"""What a pickle would do, read from its opcodes without running them: deny by default.

A pickle is a program (PEP 307, PEP 574). The opcodes listed as harmless only build numbers, text and
containers; every other one, and every doubt about where the program ends, is a reason. Nothing here
decides that a pickle may be loaded: it says what to tell the person who wanted to.
"""

import bz2
import io
import lzma
import pickletools
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

MAX_PEEK = 64 * 2**20
"""Bytes of a compressed file that are unpacked to look for a pickle inside."""

MAX_REASONS = 12

_HARMLESS_NAMES = """
MARK STOP POP POP_MARK DUP FLOAT BINFLOAT INT BININT BININT1 BININT2 LONG LONG1 LONG4 NONE NEWTRUE NEWFALSE STRING
BINSTRING SHORT_BINSTRING UNICODE BINUNICODE BINUNICODE8 SHORT_BINUNICODE BINBYTES BINBYTES8 SHORT_BINBYTES
BYTEARRAY8 EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS
EMPTY_SET ADDITEMS FROZENSET GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE PROTO FRAME
"""
HARMLESS = frozenset(_HARMLESS_NAMES.split())

_WRAPPERS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", lambda data: zlib.decompressobj(31).decompress(data, MAX_PEEK)),
    (b"\x78", "zlib", lambda data: zlib.decompressobj().decompress(data, MAX_PEEK)),
    (b"BZh", "bzip2", lambda data: bz2.BZ2Decompressor().decompress(data, MAX_PEEK)),
    (b"\xfd7zXZ\x00", "xz", lambda data: lzma.LZMADecompressor().decompress(data, MAX_PEEK)),
)


def pickle_reasons(data: bytes) -> tuple[str, ...]:
    """Why these bytes would run code if they were unpickled; empty when they are no pickle at all."""
    for magic, wrapper, unpack in _WRAPPERS:
        if data.startswith(magic):
            try:
                inner = unpack(data)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
                return ()
            return tuple(f"inside {wrapper}: {reason}" for reason in pickle_reasons(inner))
    if not _looks_like_pickle(data):
        return ()
    reasons = list(dict.fromkeys(_opcode_reasons(data)))
    return ("it is a pickle, a program that runs when it is loaded", *reasons[:MAX_REASONS])


def _opcodes(stream: io.BytesIO) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    """The opcodes of a pickle and their arguments; what a hostile one escapes wrongly is no warning of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for opcode, argument, _position in pickletools.genops(stream):
            yield opcode, argument


def _looks_like_pickle(data: bytes) -> bool:
    """Whether unpickling would get past the first opcodes: any run of four known ones counts."""
    seen = 0
    try:
        for _opcode in _opcodes(io.BytesIO(data)):
            seen += 1
            if seen == 4:
                return True
    except (ValueError, IndexError, UnicodeError):
        return data[:1] == b"\x80"
    return seen > 0


def _opcode_reasons(data: bytes) -> Iterator[str]:
    stream, texts = io.BytesIO(data), list[str]()
    try:
        for opcode, argument in _opcodes(stream):
            if opcode.name in {"GLOBAL", "INST"}:
                yield f"it imports {str(argument).replace(' ', '.')}"
            elif opcode.name == "STACK_GLOBAL":
                # The two texts may come from the memo, so the names are a hint and the opcode is the verdict.
                yield f"it imports {'.'.join(texts[-2:])}"
            elif opcode.name not in HARMLESS:
                yield f"it executes {opcode.name}"
            if isinstance(argument, str):
                texts.append(argument[:100])
    except (ValueError, IndexError, UnicodeError) as error:
        yield f"its opcodes cannot be read to the end: {str(error)[:100]}"
        return
    if stream.read(1):
        yield "bytes follow the end of the program"
