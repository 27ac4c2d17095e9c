"""Look for byte patterns in every record of a store, held or not, in packs, trash and quarantine."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from charkh.assets.pack import CHUNK, open_record
from charkh.assets.shelf import PACKS, TRASH
from charkh.assets.vault import PackVault
from charkh.assets.verify import QUARANTINE
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt, NotFound

FOLDERS = (PACKS, TRASH, QUARANTINE)


class Found(NamedTuple):
    """A record that has one of the patterns.

    Attributes:
        digest: of the chunk; empty where the pack cannot be read record by record and has it somewhere.
        key: of the pack on the medium.
    """

    digest: bytes
    key: str


def pattern_of(texts: Sequence[str]) -> re.Pattern[bytes]:
    """Any of the texts, as UTF-8 or as JSON escapes it, with no letter, digit or underscore beside it."""
    forms = {form for text in texts for form in (text, _escaped(text), _escaped(_escaped(text)))}
    words = b"|".join(re.escape(form.encode()) for form in sorted(forms, key=lambda form: (-len(form), form)))
    return re.compile(rb"(?<![0-9A-Za-z_])(?:" + words + rb")(?![0-9A-Za-z_])")


def find_in_records(
    vault: PackVault, pattern: re.Pattern[bytes], progress: Callable[[int], None] | None = None
) -> Iterator[Found]:
    """The chunks that match, unpacked one by one; a damaged pack is looked at as it lies.

    Args:
        vault: the store's bytes, flushed.
        pattern: what is looked for.
        progress: called with the number of packs looked at since the last call.
    """
    for folder in FOLDERS:
        for info in list(vault.shelf.blobs.list(folder)):
            name = info.key.removeprefix(folder)
            try:
                data = vault.shelf.blobs.get(info.key)
                entries = vault.shelf.footer(name, folder) if DIGEST_PATTERN.fullmatch(name) else []
            except NotFound:
                continue
            except Corrupt:
                data, entries = vault.shelf.blobs.get(info.key), []
            if not entries and pattern.search(data):
                yield Found(b"", info.key)
            for entry in entries:
                stored = data[entry.offset : entry.offset + entry.stored]
                try:
                    content = open_record(entry.kind, entry.codec, entry.raw, entry.digest, stored, name)
                except Corrupt:
                    content = stored
                if pattern.search(content):
                    yield Found(entry.digest if entry.kind == CHUNK else b"", info.key)
            if progress:
                progress(1)


def _escaped(text: str) -> str:
    """As a JSON text writes it, with all that is not ASCII escaped."""
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isascii():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
