"""Files of a table that only got more rows at their end, proved by their chunks: what they had is not read."""

from typing import NamedTuple

from charkh.core.files import FileRef
from charkh.datasets.formats import format_of
from charkh.ports.vault import Vault

HEADER_MOST = 64 * 1024
"""A first line that is longer is no header that this looks for."""
REST_MOST = 8 * 1024 * 1024
"""Bytes that two files are compared by at most, behind their equal chunks."""


class Growth(NamedTuple):
    """What a file gained.

    Attributes:
        header: the first line of a CSV file, with its end; empty for JSON Lines.
        start: the byte at which the new lines begin.
    """

    header: bytes
    start: int


def growth_of(vault: Vault, path: str, old: FileRef, new: FileRef) -> Growth | None:
    """Where the rows that `new` has beyond `old` begin; None where it is not proved that the old ones come first.

    A text file whose bytes go on where the old file ended with a line has the old file's rows and then others: the
    old file was parsed whole when it was added, so no quote is open at its end.
    """
    kind = format_of(path)
    if kind not in {"csv", "jsonl"} or not 0 < old.size < new.size:
        return None
    if b"".join(vault.read(old, old.size - 1, 1)) != b"\n" or not _begins_with(vault, old, new):
        return None
    if kind == "jsonl":
        return Growth(b"", old.size)
    begin = b"".join(vault.read(old, 0, min(old.size, HEADER_MOST)))
    line, end, _ = begin.partition(b"\n")
    # A quoted name may hold the end of a line: such a header is left to the reader of the whole file.
    return Growth(line + end, old.size) if end and b'"' not in line else None


def _begins_with(vault: Vault, old: FileRef, new: FileRef) -> bool:
    """Whether the content of `new` begins with all of `old`: equal chunks are not read."""
    same = 0
    for before, after in zip(vault.chunks(old), vault.chunks(new), strict=False):
        if before != after:
            break
        same += before[1]
    rest = old.size - same
    if rest <= 0:
        return rest == 0
    # Cuts move beside an edit alone: where far more differs, something was edited before the end.
    if rest > REST_MOST:
        return False
    return b"".join(vault.read(old, same, rest)) == b"".join(vault.read(new, same, rest))
