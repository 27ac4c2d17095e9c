"""Move records between two vaults: whole packs where most of a pack is wanted, else records in packs of their own.

What arrives was compared with its digests on the way. Packs are moved by several threads; each is durable when it has
arrived, so that whoever is interrupted goes on where it was.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from charkh.assets.chunk_index import Place
from charkh.assets.pack import ZSTD, Pack, Record, check_pack, open_record, read_footer
from charkh.assets.packing import PACK_SIZE
from charkh.assets.shelf import PACKS, TRASH, Shelf
from charkh.assets.vault import PackVault
from charkh.core.errors import Corrupt, NotFound

THREADS = 4
LEAST_WHOLE = 4 * 1024 * 1024
"""Smaller packs are merged on their way."""
WANTED_SHARE = 0.75
"""A pack is moved as it is when at least this part of it is wanted."""

Wanted = tuple[bytes, Place]
"""A digest, and where it lies at the source."""


class Moved(NamedTuple):
    """What one task, or a whole transfer, came to.

    Attributes:
        packs: written at the target.
        size: bytes of content and lists in them, as they lie there.
        records: that arrived.
        failed: by digest, why it did not arrive.
    """

    packs: int = 0
    size: int = 0
    records: int = 0
    failed: Mapping[bytes, str] = {}


def move(
    source: PackVault,
    target: PackVault,
    wanted: Iterable[Wanted],
    *,
    progress: Callable[[int], None] | None = None,
    threads: int = THREADS,
) -> Moved:
    """Copy records from one vault to another; on return they are durable and found there.

    A record that is damaged at the source is left out and named; everything else arrives.

    Args:
        source: where they are.
        target: where they are to be.
        wanted: what to copy, none of it erased.
        progress: called with the bytes that arrived since the last call.
        threads: packs under way at once; each takes about twice a pack's size in memory.

    Raises:
        Unavailable: a medium refuses or is full; what arrived before stays, and the next call goes on from there.
    """
    tasks = _tasks(source, target, wanted)
    total, under_way = Moved(), set[Future[Moved]]()
    with ThreadPoolExecutor(threads, thread_name_prefix="charkh-move") as pool:
        try:
            for task in tasks:
                under_way.add(pool.submit(task))
                if len(under_way) > threads:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    total = _counted(total, done, progress)
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                total = _counted(total, done, progress)
        except BaseException:
            for each in under_way:
                each.cancel()
            raise
    return total


def expunge(vault: PackVault, erased: Mapping[bytes, bytes]) -> int:
    """Take erased records off a medium: packs that hold one are written anew without it; how many there were.

    Everything else in them stays, held or not. Packs in the trash are looked at too.
    """
    shelf = vault.shelf
    shelf.refresh()
    found = {place.pack for digest in _here(shelf, erased) for place in shelf.index.places(digest)}
    for name in found:
        with contextlib.suppress(NotFound):
            _write_without(shelf, PACKS, name, erased)
    trashed = [name for name in shelf.trashed() if _holds(shelf, name, erased)]
    for name in trashed:
        with contextlib.suppress(NotFound):
            _write_without(shelf, TRASH, name, erased)
    shelf.index.drop(found)
    return len(found) + len(trashed)


def _counted(total: Moved, done: Iterable[Future[Moved]], progress: Callable[[int], None] | None) -> Moved:
    for each in done:
        moved = each.result()
        total = Moved(
            total.packs + moved.packs,
            total.size + moved.size,
            total.records + moved.records,
            {**total.failed, **moved.failed},
        )
        if progress:
            progress(moved.size)
    return total


def _tasks(source: PackVault, target: PackVault, wanted: Iterable[Wanted]) -> Iterator[Callable[[], Moved]]:
    """What to do, a pack at a time: packs that are moved whole, then the rest in the order in which it lies."""
    sizes = source.shelf.index.packs()
    by_pack: dict[str, list[Wanted]] = defaultdict(list)
    for item in wanted:
        by_pack[item[1].pack].append(item)
    rest: list[Wanted] = []
    size = 0
    for name, items in by_pack.items():
        items.sort(key=lambda item: item[1].offset)
        whole = sizes.get(name, 0)
        if whole >= LEAST_WHOLE and sum(item[1].stored for item in items) >= WANTED_SHARE * whole:
            yield lambda name=name, items=items: _move_pack(source, target, name, items)
            continue
        for item in items:
            rest.append(item)
            size += item[1].raw
            if size >= PACK_SIZE:
                yield lambda some=rest: _move_records(source, target, some)
                rest, size = [], 0
    if rest:
        yield lambda some=rest: _move_records(source, target, some)


def _move_pack(source: PackVault, target: PackVault, name: str, items: Sequence[Wanted]) -> Moved:
    """A pack as it is; its records one by one where it is damaged, gone, or holds something that was erased."""
    try:
        data = source.shelf.blobs.get(PACKS + name)
        entries = check_pack(data, name)
    except (NotFound, Corrupt):
        return _move_records(source, target, items)
    erased = target.erased.now()
    if erased and any(entry.digest in erased for entry in entries):
        return _move_records(source, target, items)
    target.shelf.put(Pack(name, [data], entries))
    return Moved(1, len(data), len(items))


def _move_records(source: PackVault, target: PackVault, items: Sequence[Wanted]) -> Moved:
    failed: dict[bytes, str] = {}
    records: list[Record] = []
    erased = target.erased.now()
    for (digest, place), data in _contents(source.shelf, items, failed):
        if digest not in erased:
            records.append(Record(digest, place.kind, data, place.codec == ZSTD))
    if not records:
        return Moved(failed=failed)
    pack = target.shelf.write(records)
    return Moved(1, sum(map(len, pack.parts)), len(records), failed)


def _contents(shelf: Shelf, items: Sequence[Wanted], failed: dict[bytes, str]) -> Iterator[tuple[Wanted, bytes]]:
    """The verified contents; what cannot be had is put into `failed`."""
    try:
        yield from zip(items, list(shelf.read_run(items)), strict=True)
        return
    except (NotFound, Corrupt):
        pass
    for item in items:
        try:
            yield item, shelf.read(*item)
        except (NotFound, Corrupt) as error:
            failed[item[0]] = error.message


def _here(shelf: Shelf, erased: Mapping[bytes, bytes]) -> list[bytes]:
    return list(shelf.index.find(list(erased)))


def _holds(shelf: Shelf, name: str, erased: Mapping[bytes, bytes]) -> bool:
    try:
        return any(entry.digest in erased for entry in shelf.footer(name, TRASH))
    except (NotFound, Corrupt):
        return False


def _write_without(shelf: Shelf, folder: str, name: str, erased: Mapping[bytes, bytes]) -> None:
    data = shelf.blobs.get(folder + name)
    records: list[Record] = []
    for entry in read_footer(data, name):
        # What is damaged beside them cannot be kept either: whoever has it whole sends it again.
        with contextlib.suppress(Corrupt):
            if entry.digest not in erased:
                stored = data[entry.offset : entry.offset + entry.stored]
                content = open_record(entry.kind, entry.codec, entry.raw, entry.digest, stored, name)
                records.append(Record(entry.digest, entry.kind, content, entry.codec == ZSTD))
    if records:
        shelf.write(records)
    shelf.blobs.delete(folder + name)
