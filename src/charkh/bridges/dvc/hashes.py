"""DVC's names for content: MD5, the older MD5 of text with Unix line ends, and the list that names a folder.

Checked against dvc and dvc-data: `dvc_data/hashfile/{hash,istextfile,tree}.py`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from charkh.core.errors import Corrupt

DIRECTORY = ".dir"
"""Ends the name of a folder's list."""
BLOCK = 1024 * 1024
LOOKED_AT = 512
"""First bytes of a block that say whether it is text."""
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"
_OID = re.compile(r"[0-9a-f]{32}(?:\.dir)?")


class Hasher(Protocol):
    """What a content is shown to, stretch by stretch."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class DirectoryEntry(NamedTuple):
    """A file of a folder: its path below the folder, and the name of its content."""

    path: str
    oid: str


class LegacyHasher:
    """MD5 as DVC before 3.0 took it: in each block of 1 MiB that looks like text, `\\r\\n` counts as `\\n`.

    A pair that lies across the edge of two blocks stays as it is.
    """

    def __init__(self) -> None:
        self._hash = hashlib.md5(usedforsecurity=False)
        self._waiting = bytearray()

    def update(self, data: bytes | memoryview, /) -> None:
        self._waiting += data
        while len(self._waiting) >= BLOCK:
            self._take(bytes(self._waiting[:BLOCK]))
            del self._waiting[:BLOCK]

    def hexdigest(self) -> str:
        rest = self._hash.copy()
        rest.update(_unix(bytes(self._waiting)))
        return rest.hexdigest()

    def _take(self, block: bytes) -> None:
        self._hash.update(_unix(block))


def hasher(*, legacy: bool = False) -> Hasher:
    """A hash to be fed with a content."""
    return LegacyHasher() if legacy else hashlib.md5(usedforsecurity=False)


def oid_of(data: bytes, *, legacy: bool = False) -> str:
    """The name of a content."""
    taken = hasher(legacy=legacy)
    taken.update(data)
    return taken.hexdigest()


def oid_of_file(path: Path, *, legacy: bool = False) -> str:
    """The name of a file's content."""
    taken = hasher(legacy=legacy)
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            taken.update(data)
    return taken.hexdigest()


def is_text(block: bytes) -> bool:
    """Whether a block counts as text: no NUL, and at most three in ten of its first bytes outside plain ASCII."""
    start = block[:LOOKED_AT]
    if not start:
        return True
    return b"\0" not in start and len(start.translate(None, _TEXT)) / len(start) <= 0.30


def is_oid(text: str) -> bool:
    """Whether this can be the name of a content or folder."""
    return _OID.fullmatch(text) is not None


def is_directory(oid: str) -> bool:
    """Whether it names a folder."""
    return oid.endswith(DIRECTORY)


def directory_bytes(entries: Iterable[DirectoryEntry]) -> bytes:
    """The list of a folder's files, byte for byte as DVC writes it."""
    listed = [{"md5": entry.oid, "relpath": entry.path} for entry in sorted(entries)]
    return json.dumps(listed, sort_keys=True).encode()


def directory_oid(entries: Iterable[DirectoryEntry]) -> str:
    """The name of a folder with these files."""
    return oid_of(directory_bytes(entries)) + DIRECTORY


def parse_directory(data: bytes, oid: str) -> tuple[DirectoryEntry, ...]:
    """The files of a folder's list, by path.

    Raises:
        Corrupt: it is no such list.
    """
    try:
        listed = json.loads(data)
        if not isinstance(listed, list):
            raise TypeError("it is no list")
        found = [_entry(cast(dict[str, Any], each)) for each in cast(Sequence[Any], listed)]
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(
            f"the folder list {oid} cannot be read: {error}",
            code="dvc.bad_directory",
            hint="Delete it from the DVC cache and run `dvc fetch`.",
            facts={"oid": oid},
        ) from error
    return tuple(sorted(found))


def _entry(listed: dict[str, Any]) -> DirectoryEntry:
    path, oid = listed["relpath"], listed["md5"]
    if not isinstance(path, str) or not isinstance(oid, str) or not is_oid(oid) or is_directory(oid):
        raise ValueError("an entry needs 'relpath' and 'md5'")
    return DirectoryEntry(path, oid)


def _unix(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n") if is_text(block) else block
