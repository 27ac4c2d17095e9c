"""Identifiers: UUIDv7 values written as 32 hex digits, so that text order is creation order to the millisecond."""

import os
import re
import time

from charkh.core.errors import Invalid

ID_PATTERN = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562 §5.7) as 32 lowercase hex digits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return f"{value:032x}"


def parse_id(text: str) -> str:
    """The id in `text` (dashes allowed), or `Invalid`."""
    compact = text.replace("-", "").lower()
    if not ID_PATTERN.fullmatch(compact):
        raise Invalid(f"{text!r} is not an id", hint="An id is 32 hex digits.")
    return compact


def created_at(identifier: str) -> float:
    """Seconds since the epoch at which a UUIDv7 was made."""
    return int(parse_id(identifier)[:12], 16) / 1000
