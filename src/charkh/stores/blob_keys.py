"""The grammar of blob keys, one for every medium."""

import re

from charkh.core.errors import Invalid, NotFound

MAX_KEY = 512
_KEY = re.compile(r"[0-9a-zA-Z_\-][0-9a-zA-Z._\-]*(?:/[0-9a-zA-Z_\-][0-9a-zA-Z._\-]*)*")
_PREFIX = re.compile(r"(?:[0-9a-zA-Z_\-][0-9a-zA-Z._\-]*/)*(?:[0-9a-zA-Z_\-][0-9a-zA-Z._\-]*)?")


def parse_key(key: str) -> str:
    """The key itself, or `Invalid`: nothing that climbs, hides or means something to some medium."""
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise Invalid(
            f"{key[:80]!r} is not a blob key",
            code="blobs.bad_key",
            hint="Use letters, digits, '_', '-' and '.', with single '/' between parts; no part starts with a dot.",
        )
    return key


def parse_prefix(prefix: str) -> str:
    """The prefix itself, or `Invalid`: the beginning of a key, possibly empty."""
    if len(prefix) > MAX_KEY or not _PREFIX.fullmatch(prefix):
        raise Invalid(
            f"{prefix[:80]!r} is not the beginning of a blob key",
            code="blobs.bad_key",
            hint="Give the first parts of a key, or nothing for every object.",
        )
    return prefix


def no_such_blob(key: str, where: str) -> NotFound:
    """The error of `get` for an absent key."""
    return NotFound(
        f"there is no object {key} in {where}",
        code="blobs.not_found",
        hint="Run `charkh fsck`; if the store is shared, look whether it was moved or cleaned by hand.",
        facts={"key": key},
    )
