"""JSON values of clients as they may be kept: without credentials, of bounded depth, with numbers that JSON can say."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

from charkh.core.redact import redact_value

MAX_DEPTH = 60
"""Levels of lists and objects; what lies deeper is left out, and an ellipsis says so."""

_SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def kept_value(value: object) -> object:
    """A value as it is kept: what is no finite number, or needs more than 64 bits, is text."""
    return redact_value(_plain(value, 0))


def _plain(value: object, depth: int) -> object:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _SPELLED[str(value)]
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        pairs = cast(Mapping[object, object], value).items()
        return {str(key): _plain(each, depth + 1) for key, each in pairs}
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in cast(Sequence[object], value)]
    return str(value)
