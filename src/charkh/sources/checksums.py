"""A file against the checksum that somebody published for it: `sha256:…`."""

import hashlib
from pathlib import Path

from blake3 import blake3

from charkh.core.errors import Corrupt
from charkh.sources.staging import BLOCK


def verify_checksum(place: Path, expected: str, what: str) -> None:
    """Refuse a file that is not what its checksum says.

    Args:
        place: of the file.
        expected: the algorithm, a colon and hex digits.
        what: the file is, for the error.

    Raises:
        Corrupt: it is another file.
    """
    algorithm, _, digits = expected.partition(":")
    # MD5 proves nothing against an attacker; where it is all that was published, it still finds a broken download.
    hasher = blake3() if algorithm == "blake3" else hashlib.new(algorithm, usedforsecurity=False)
    with place.open("rb") as file:
        while data := file.read(BLOCK):
            hasher.update(data)
    found = hasher.hexdigest()
    if found != digits:
        raise Corrupt(
            f"{what} is not what its checksum says: {algorithm} is {found}, expected {digits}",
            code="source.checksum",
            hint="It changed at the publisher, or on the way; mend `checksums` if you trust it.",
        )
