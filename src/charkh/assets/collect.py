"""Collect: free the bytes that nothing holds, without ever taking one that somebody may still need.

Packs without a live record move to the trash; packs with few are written anew first. The trash is emptied
after a grace, and everything in it is looked at again before: readers, writers and the next collection put
back what turns out to be needed. Only packs with erased records leave the medium at once.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext

import msgspec

from charkh.assets.chunk_index import Place
from charkh.assets.erasures import ErasedDigests
from charkh.assets.lease import leased_digests, medium_now, only_collector, writing_since
from charkh.assets.pack import ZSTD, Entry, Record
from charkh.assets.packing import PACK_SIZE
from charkh.assets.reach import reach
from charkh.assets.shelf import PACKS, TRASH, Shelf, place_of
from charkh.assets.trash import note_collection
from charkh.assets.vault import PackVault
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt, NotFound

YOUNG_SECONDS = 3600.0
GRACE_SECONDS = 14 * 24 * 3600.0
DEAD_SHARE = 0.3
"""A pack is written anew when more than this part of it is dead."""
SMALL_PACK = 4 * 1024 * 1024
SMALL_PACKS = 16
"""So many small packs are merged."""


class CollectReport(msgspec.Struct, kw_only=True):
    """What a collection did, or with `dry_run` would do.

    Attributes:
        dry_run: nothing was changed.
        live: records that are held.
        freed: digests of records that nothing holds, or that were erased, in the packs that go.
        freed_bytes: bytes that they take on the medium.
        kept: packs that stay as they are.
        young: of those, packs with something that nothing holds, left alone because they were written just now.
        rewritten: packs whose live records were written anew.
        trashed: packs that were moved to the trash, written anew before or not.
        erased: packs that left the medium at once, because something in them was erased.
        restored: packs that came back from the trash, because something in them is held.
        emptied: packs whose grace in the trash had ended.
        emptied_bytes: bytes that those took.
        missing: held digests that are in no pack.
    """

    dry_run: bool
    live: int = 0
    freed: tuple[str, ...] = ()
    freed_bytes: int = 0
    kept: int = 0
    young: int = 0
    rewritten: int = 0
    trashed: int = 0
    erased: int = 0
    restored: int = 0
    emptied: int = 0
    emptied_bytes: int = 0
    missing: tuple[str, ...] = ()


class Others(msgspec.Struct, frozen=True, kw_only=True):
    """What else is known to use the medium.

    Attributes:
        roots: held digests of other workspaces, as they reported last.
        since: the medium's time of the oldest of those reports; None where there is no other workspace. What was
            written later may be held by one that has not said so yet, so it stays.
    """

    roots: Collection[str] = ()
    since: float | None = None


ALONE = Others()


def collect(
    vault: PackVault,
    roots: Iterable[str],
    *,
    dry_run: bool = True,
    young_seconds: float = YOUNG_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
    despite_unknown: bool = False,
    others: Others = ALONE,
    timeout: float = 0.0,
    waits: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> CollectReport:
    """Free what cannot be reached from the roots and the valid leases.

    Args:
        vault: the store's bytes.
        roots: every held digest (`charkh.lineage.index.HeldDigests`) of the store.
        dry_run: only say what would be freed.
        young_seconds: packs younger than this stay, by the medium's clock: their event may not be out yet.
        grace_seconds: how long a pack stays in the trash.
        despite_unknown: collect though a tree or chunk list that is held is missing; whatever it names and
            nothing else holds goes to the trash.
        others: other workspaces that use the medium.
        timeout: seconds to wait for another collection to end.
        waits: told who collects, when that has to be waited for.
        progress: called with the number of records looked at since the last call.

    Raises:
        Locked: another process collects.
        Corrupt: a held tree or chunk list is missing or damaged, so nobody can say what it names.
    """
    vault.flush()
    vault.shelf.refresh()
    now = medium_now(vault.shelf.blobs)
    with nullcontext() if dry_run else only_collector(vault.shelf.blobs, now, timeout=timeout, waits=waits):
        erased = vault.erased.now()
        in_trash = vault.shelf.trashed()
        roots = {*roots, *others.roots, *leased_digests(vault.shelf.blobs, now)}
        reached = reach(vault, roots, erased, progress)
        if reached.unknown and not despite_unknown:
            raise _unknown(reached.unknown)
        report = CollectReport(
            dry_run=dry_run,
            live=len(reached.live),
            restored=len(in_trash - vault.shelf.trashed()),
            missing=tuple(sorted(digest.hex() for digest in reached.missing | reached.unknown)),
        )
        collection = _Collection(vault.shelf, vault.erased, reached.live, now, report)
        collection.empty_trash(grace_seconds, others.since)
        begun = [moment for moment in (others.since, writing_since(vault.shelf.blobs, now)) if moment is not None]
        collection.sweep(min([now, *begun]) - young_seconds)
    return report


class _Collection:
    """One collection under way: what is live, when it began, and what it has done so far."""

    def __init__(
        self, shelf: Shelf, erased: ErasedDigests, live: set[bytes], now: float, report: CollectReport
    ) -> None:
        self._shelf = shelf
        self._blobs = shelf.blobs
        self._erased = erased.now()
        self._live = live
        self._now = now
        self._report = report
        self._written: set[str] = set()
        self._gone: list[str] = []
        self._trashed: list[str] = []

    def empty_trash(self, grace_seconds: float, since: float | None) -> None:
        """Remove what has been there longer than the grace; what is held has been put back while it was reached.

        Nothing goes that came into the trash after the last word of another workspace: it may have taken it up before.
        """
        for info in list(self._blobs.list(TRASH)):
            name = info.key.removeprefix(TRASH)
            if not DIGEST_PATTERN.fullmatch(name):
                continue
            try:
                entries = self._shelf.footer(name, TRASH)
            except (Corrupt, NotFound):
                entries = []
            if self._blobs.has(PACKS + name):
                self._act(lambda key=info.key: self._blobs.delete(key))
            elif self._has_erased(entries):
                # The sweep takes out what was erased; the rest keeps its grace.
                self._act(lambda name=name: self._shelf.restore(name))
            elif self._now - info.modified >= grace_seconds and (since is None or info.modified < since):
                self._report.emptied += 1
                self._report.emptied_bytes += info.size
                self._act(lambda key=info.key: self._blobs.delete(key))

    def sweep(self, young: float) -> None:
        """Move packs without live records to the trash, and write those with few, or with erased ones, anew.

        Packs that were written later than `young` stay: their event may not be out yet.
        """
        freed: set[bytes] = set()
        small: list[tuple[str, list[Entry]]] = []
        for info in list(self._blobs.list(PACKS)):
            name = info.key.removeprefix(PACKS)
            try:
                entries = self._shelf.footer(name) if DIGEST_PATTERN.fullmatch(name) else []
            except (Corrupt, NotFound):
                entries = []
            if not entries:
                self._report.kept += 1
            elif self._has_erased(entries):
                self._drop_erased(name, entries, freed)
            elif info.modified > young:
                self._report.kept += 1
                self._report.young += self._dead_share(entries) > 0
            elif self._dead_share(entries) > DEAD_SHARE:
                self._replace(name, entries, freed)
            elif info.size < SMALL_PACK:
                small.append((name, entries))
            else:
                self._report.kept += 1
        self._merge(small, freed)
        self._act(lambda: self._shelf.index.drop(self._gone))
        self._act(lambda: note_collection(self._blobs, self._trashed))
        self._report.freed = tuple(sorted(digest.hex() for digest in freed))

    def _replace(self, name: str, entries: Sequence[Entry], freed: set[bytes]) -> None:
        living = [entry for entry in entries if entry.digest in self._live]
        if living:
            self._report.rewritten += 1
            self._act(lambda: self._write_anew([(name, living)]))
        self._trash(name, entries, freed)

    def _drop_erased(self, name: str, entries: Sequence[Entry], freed: set[bytes]) -> None:
        """Take the erased records off the medium; every other one stays, held or not: it may be young."""
        staying = [entry for entry in entries if entry.digest not in self._erased]
        gone = [entry for entry in entries if entry.digest in self._erased]
        self._count(gone, freed)
        self._report.erased += 1
        if staying:
            self._report.rewritten += 1
            self._act(lambda: self._write_anew([(name, staying)]))
        self._act(lambda: self._blobs.delete(PACKS + name))
        self._gone.append(name)

    def _merge(self, small: list[tuple[str, list[Entry]]], freed: set[bytes]) -> None:
        if len(small) < SMALL_PACKS:
            self._report.kept += len(small)
            return
        living = [(name, [entry for entry in entries if entry.digest in self._live]) for name, entries in small]
        self._report.rewritten += len(small)
        self._act(lambda: self._write_anew(living))
        for name, entries in small:
            self._trash(name, entries, freed)

    def _write_anew(self, packs: Sequence[tuple[str, Sequence[Entry]]]) -> None:
        records: list[Record] = []
        done: set[bytes] = set()
        size = 0
        for name, entries in packs:
            some = [entry for entry in entries if entry.digest not in done]
            done.update(entry.digest for entry in some)
            wanted: list[tuple[bytes, Place]] = [(entry.digest, place_of(name, entry)) for entry in some]
            for entry, data in zip(some, self._shelf.read_run(wanted), strict=True):
                records.append(Record(entry.digest, entry.kind, data, entry.codec == ZSTD))
                size += len(data)
                if size >= PACK_SIZE:
                    self._written.add(self._shelf.write(records).name)
                    records, size = [], 0
        if records:
            self._written.add(self._shelf.write(records).name)

    def _trash(self, name: str, entries: Sequence[Entry], freed: set[bytes]) -> None:
        if name in self._written:
            # Written anew it came out as it was.
            return
        self._count([entry for entry in entries if entry.digest not in self._live], freed)
        self._report.trashed += 1
        if not self._report.dry_run:
            self._blobs.put(TRASH + name, [self._blobs.get(PACKS + name)])
            self._blobs.delete(PACKS + name)
            self._gone.append(name)
            self._trashed.append(name)

    def _count(self, entries: Iterable[Entry], freed: set[bytes]) -> None:
        for entry in entries:
            freed.add(entry.digest)
            self._report.freed_bytes += entry.stored

    def _dead_share(self, entries: Sequence[Entry]) -> float:
        total = sum(entry.stored for entry in entries)
        dead = sum(entry.stored for entry in entries if entry.digest not in self._live)
        return dead / total if total else float(any(entry.digest not in self._live for entry in entries))

    def _has_erased(self, entries: Sequence[Entry]) -> bool:
        return bool(self._erased) and any(entry.digest in self._erased for entry in entries)

    def _act(self, change: Callable[[], object]) -> None:
        if not self._report.dry_run:
            change()


def _unknown(digests: set[bytes]) -> Corrupt:
    some = ", ".join(digest.hex()[:16] for digest in sorted(digests)[:3])
    return Corrupt(
        f"{len(digests)} held trees or chunk lists are missing or damaged ({some}), so nobody can say what they name",
        code="asset.unknown_roots",
        hint="Run `charkh fsck`; fetch them with `charkh sync`, or delete the versions that hold them.",
        facts={"digests": sorted(digest.hex() for digest in digests)},
    )
