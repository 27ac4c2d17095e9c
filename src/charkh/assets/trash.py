"""The trash: what collections took out, when each pack may go for good, and how the last collection is undone."""

from collections.abc import Container, Sequence

import msgspec

from charkh.assets.pack import Entry
from charkh.assets.shelf import TRASH
from charkh.assets.vault import PackVault
from charkh.assets.verify import QUARANTINE
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt, NotFound
from charkh.ports.blobs import Blobs

COLLECTIONS = "collection/"


class Trashed(msgspec.Struct, frozen=True, kw_only=True):
    """A pack in the trash.

    Attributes:
        pack: its name.
        size: bytes.
        since: when it came there, by the medium's clock, in seconds since the epoch.
        records: how many it has; 0 where its list cannot be read.
        last: the last collection that moved anything moved it.
    """

    pack: str
    size: int
    since: float
    records: int
    last: bool


class _Collection(msgspec.Struct, frozen=True):
    """What one collection moved to the trash."""

    packs: tuple[str, ...]


def note_collection(blobs: Blobs, packs: Sequence[str]) -> None:
    """Write down which packs a collection moved, and forget the one before; one that moved none changes nothing."""
    before = _numbers(blobs)
    if packs:
        number = (before[-1] if before else 0) + 1
        blobs.put(f"{COLLECTIONS}{number:012}", [msgspec.json.encode(_Collection(tuple(packs)))])
    elif any(True for _ in blobs.list(TRASH)):
        return
    for old in before:
        blobs.delete(f"{COLLECTIONS}{old:012}")


def list_trash(vault: PackVault) -> tuple[Trashed, ...]:
    """What is in the trash, the newest first."""
    moved = set(_last(vault.shelf.blobs))
    found: list[Trashed] = []
    for info in vault.shelf.blobs.list(TRASH):
        name = info.key.removeprefix(TRASH)
        if DIGEST_PATTERN.fullmatch(name):
            records = len(_entries(vault, name))
            found.append(Trashed(pack=name, size=info.size, since=info.modified, records=records, last=name in moved))
    return tuple(sorted(found, key=lambda each: (-each.since, each.pack)))


def undo(vault: PackVault) -> tuple[str, ...]:
    """Put back what the last collection moved to the trash, as far as it is there; the packs' names.

    What it wrote anew stays beside them: a later collection merges it. What was erased leaves again with the next one.
    """
    restored = tuple(name for name in _last(vault.shelf.blobs) if vault.shelf.restore(name))
    for number in _numbers(vault.shelf.blobs):
        vault.shelf.blobs.delete(f"{COLLECTIONS}{number:012}")
    return restored


def clear_quarantine(vault: PackVault, erased: Container[bytes]) -> tuple[str, ...]:
    """Delete packs that were set aside and have something that was erased since; those of which nobody can say.

    What was sound in them was written anew when they were set aside, and an erasure outweighs keeping the rest.
    """
    unknown: list[str] = []
    for info in list(vault.shelf.blobs.list(QUARANTINE)):
        entries = _entries(vault, info.key.removeprefix(QUARANTINE), QUARANTINE)
        if any(entry.digest in erased for entry in entries):
            vault.shelf.blobs.delete(info.key)
        elif not entries:
            unknown.append(info.key)
    return tuple(unknown)


def _entries(vault: PackVault, name: str, folder: str = TRASH) -> list[Entry]:
    try:
        return vault.shelf.footer(name, folder)
    except (Corrupt, NotFound):
        return []


def _last(blobs: Blobs) -> tuple[str, ...]:
    numbers = _numbers(blobs)
    if not numbers:
        return ()
    try:
        return msgspec.json.decode(blobs.get(f"{COLLECTIONS}{numbers[-1]:012}"), type=_Collection).packs
    except (NotFound, msgspec.MsgspecError):
        return ()


def _numbers(blobs: Blobs) -> list[int]:
    names = [info.key.removeprefix(COLLECTIONS) for info in blobs.list(COLLECTIONS)]
    return sorted(int(name) for name in names if name.isdecimal())
