"""Content digests: BLAKE3-256 as 64 hex digits, with a separate domain for tree nodes."""

import re

from blake3 import blake3

from charkh.core.errors import Invalid

DIGEST_PATTERN = re.compile(r"[0-9a-f]{64}")
NODE_CONTEXT = "charkh 2026 tree node 1"


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """The digest of bytes as they are."""
    return blake3(data).hexdigest()


def node_digest_of(data: bytes) -> str:
    """The digest of an encoded tree node; never equal to that of a file with the same bytes."""
    return blake3(data, derive_key_context=NODE_CONTEXT).hexdigest()


def parse_digest(text: str) -> str:
    """The digest in `text`, or `Invalid`."""
    if not DIGEST_PATTERN.fullmatch(text):
        raise Invalid(f"{text!r} is not a digest", hint="A digest is 64 lowercase hex digits.")
    return text
