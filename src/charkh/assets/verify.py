"""Verify: is every byte what its digest says, is everything held here; and mend what can be mended.

Nothing is ever deleted: a damaged pack is set aside under `quarantine/`, and what is sound in it is written anew.
"""

# ruff: noqa: S311 - which records are looked at is no secret

import random
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from charkh.assets.chunk_index import Place
from charkh.assets.pack import (
    HEADER,
    MAGIC,
    NEWER,
    VERSION,
    ZSTD,
    Entry,
    Record,
    build_pack,
    check_pack,
    damaged_pack,
    open_record,
    scan_records,
)
from charkh.assets.reach import reach
from charkh.assets.shelf import PACKS, place_of
from charkh.assets.vault import PackVault
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt, NotFound

QUARANTINE = "quarantine/"
Level = Literal["index", "sample", "everything"]
SAMPLED = 8
"""Records of each pack that are read at the level `sample`."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be.

    Attributes:
        what: `pack` (damaged), `newer` (of a later charkh; never touched), `index` (differs from a pack), `foreign`
            (no pack of charkh), `missing` (held, and in no pack), `adopted` (a file outside the store no longer serves
            what no pack has).
        detail: in words.
        pack: name of the pack, where there is one.
        digest: of the chunk or node, where it is one.
    """

    what: str
    detail: str
    pack: str = ""
    digest: str = ""


class VerifyReport(msgspec.Struct, kw_only=True):
    """What was looked at, what is wrong, and what was done about it.

    Attributes:
        level: how thoroughly.
        packs: packs that were looked at.
        records: records that were read and are sound.
        problems: in the order in which they were found.
        quarantined: packs that were set aside.
        saved: records that were written anew out of them.
        lost: digests of records that were only in them and are gone; add the files again, or sync.
    """

    level: Level
    packs: int = 0
    records: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list[Problem])
    quarantined: list[str] = msgspec.field(default_factory=list[str])
    saved: int = 0
    lost: list[str] = msgspec.field(default_factory=list[str])

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    vault: PackVault,
    *,
    level: Level = "index",
    roots: Iterable[str] = (),
    repair: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> VerifyReport:
    """Compare packs, index and what is held.

    Args:
        vault: the store's bytes.
        level: `index` compares the packs' lists with the index; `sample` also reads a few records of each
            pack; `everything` reads and verifies every byte.
        roots: held digests; everything below them must be here.
        repair: make the index anew where it is wrong, set damaged packs aside and save what is sound in them.
        seed: of the choice of samples.
        progress: called with the number of packs looked at since the last call.
    """
    vault.flush()
    report = VerifyReport(level=level)
    listed = _listed_packs(vault, report)
    damaged: list[str] = []
    lists: dict[str, list[Entry]] = {}
    for name in sorted(listed):
        try:
            lists[name] = _check(vault, name, level, random.Random(f"{seed} {name}"), report)
        except Corrupt as error:
            digest = str(error.facts.get("digest", ""))
            what = "newer" if error.code == NEWER and (digest or _says_newer(vault, name)) else "pack"
            report.problems.append(Problem(what=what, detail=error.message, pack=name, digest=digest))
            if what == "pack":
                damaged.append(name)
        except NotFound:
            continue
        report.packs += 1
        if progress:
            progress(1)
    if _check_index(vault, lists, report) and repair:
        vault.shelf.index.clear()
        vault.shelf.refresh()
    if repair:
        for name in damaged:
            _set_aside(vault, name, report)
    _check_roots(vault, roots, report)
    return report


def _listed_packs(vault: PackVault, report: VerifyReport) -> list[str]:
    names: list[str] = []
    for info in vault.shelf.blobs.list(PACKS):
        name = info.key.removeprefix(PACKS)
        if DIGEST_PATTERN.fullmatch(name):
            names.append(name)
        else:
            report.problems.append(
                Problem(what="foreign", detail=f"{info.key} has no name that a pack has; it is left alone")
            )
    return names


def _check(vault: PackVault, name: str, level: Level, source: random.Random, report: VerifyReport) -> list[Entry]:
    blobs = vault.shelf.blobs
    if level == "everything":
        check_pack(blobs.get(PACKS + name), name)
    entries = vault.shelf.footer(name)
    if level == "everything":
        report.records += len(entries)
    elif level == "sample":
        if HEADER.unpack(blobs.get(PACKS + name, 0, HEADER.size)) != (MAGIC, VERSION, 0, 0):
            raise damaged_pack(name, "its beginning is not that of a pack of this version")
        for entry in source.sample(entries, min(SAMPLED, len(entries))):
            stored = blobs.get(PACKS + name, entry.offset, entry.stored)
            open_record(entry.kind, entry.codec, entry.raw, entry.digest, stored, name)
            report.records += 1
    return entries


def _says_newer(vault: PackVault, name: str) -> bool:
    """Whether a pack's beginning, too, is of a version that this charkh does not know."""
    header = vault.shelf.blobs.get(PACKS + name, 0, HEADER.size)
    return len(header) == HEADER.size and header.startswith(MAGIC) and HEADER.unpack(header)[1] != VERSION


def _check_index(vault: PackVault, lists: dict[str, list[Entry]], report: VerifyReport) -> bool:
    """Whether the index differs from the packs' own lists; what it does not know yet it learns first."""
    vault.shelf.refresh()
    rows: dict[str, set[tuple[bytes, Place]]] = {}
    for digest, place in vault.shelf.index.rows():
        rows.setdefault(place.pack, set()).add((digest, place))
    wrong = False
    for name, entries in lists.items():
        expected = {(entry.digest, place_of(name, entry)) for entry in entries}
        if rows.get(name, set()) != expected:
            wrong = True
            report.problems.append(
                Problem(what="index", detail="the index differs from the pack's list; the pack is right", pack=name)
            )
    return wrong


def _set_aside(vault: PackVault, name: str, report: VerifyReport) -> None:
    """Keep a damaged pack under another key, and write what is sound in it anew."""
    shelf = vault.shelf
    data = shelf.blobs.get(PACKS + name)
    try:
        entries = shelf.footer(name)
    except Corrupt:
        entries = list(scan_records(data))
    saved: list[Record] = []
    lost: list[bytes] = []
    for entry in entries:
        try:
            stored = data[entry.offset : entry.offset + entry.stored]
            content = open_record(entry.kind, entry.codec, entry.raw, entry.digest, stored, name)
            saved.append(Record(entry.digest, entry.kind, content, entry.codec == ZSTD))
        except Corrupt:
            lost.append(entry.digest)
    shelf.blobs.put(QUARANTINE + name, [data])
    anew = build_pack(saved) if saved else None
    if anew and anew.name != name:
        shelf.put(anew)
    shelf.blobs.delete(PACKS + name)
    shelf.refresh()
    if anew and anew.name == name:
        shelf.put(anew)
    elsewhere = shelf.index.find(lost)
    report.quarantined.append(name)
    report.saved += len(saved)
    report.lost += [digest.hex() for digest in lost if digest not in elsewhere]


def _check_roots(vault: PackVault, roots: Iterable[str], report: VerifyReport) -> None:
    reached = reach(vault, roots, vault.erased.now())
    for digest in sorted(reached.missing | reached.unknown):
        report.problems.append(
            Problem(what="missing", detail="something holds it, and no pack has it whole", digest=digest.hex())
        )
