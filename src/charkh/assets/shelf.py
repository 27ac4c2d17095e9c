"""The shelf: packs on a blob medium under the keys `pack/NAME`, and the index over them.

Reading goes from the index to the pack; where the two disagree, the pack is right. A pack that has been
moved to the trash is put back when somebody needs it. What no pack has, a registered foreign file may have.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from charkh.assets.chunk_index import ChunkIndex, Place
from charkh.assets.foreign import ForeignFiles, changed_foreign, is_foreign, read_foreign
from charkh.assets.pack import (
    TRAILER,
    Entry,
    Pack,
    Record,
    build_pack,
    footer_size,
    open_record,
    read_footer,
)
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt, NotFound
from charkh.ports.blobs import Blobs

PACKS = "pack/"
TRASH = "trash/"
TAIL = 64 * 1024
"""Bytes read from the end of a pack at first: most footers fit."""
WINDOW = 1024 * 1024
"""Bytes read at once when small records are read one behind the other."""
RUN = 8 * 1024 * 1024
GAP = 64 * 1024
"""Neighbouring records are read together when at most so many unwanted bytes lie between them."""
_WINDOWS = 8
READERS = 16
"""Footers of unknown packs read at once: a bucket answers each in tens of milliseconds."""
FEW_PACKS = 4


class _Window(NamedTuple):
    start: int
    data: bytes


class Shelf:
    """Records by digest, on one medium.

    Threads: shared between threads. Processes: each writes packs of its own, and finds another's when it
    misses a digest.
    """

    def __init__(self, blobs: Blobs, index: ChunkIndex, foreign: ForeignFiles | None = None) -> None:
        self.blobs = blobs
        self.index = index
        self.foreign = foreign if foreign is not None else ForeignFiles(None)
        self._refreshing = threading.Lock()
        self._unreadable: set[str] = set()
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._windows_lock = threading.Lock()
        self._ends: dict[str, int] = {}

    def forget_threads(self) -> None:
        """In the child of a fork: no thread of the parent will ever release its locks here."""
        self._refreshing, self._windows_lock = threading.Lock(), threading.Lock()
        self.index.forget_connection()
        self.foreign.forget_connection()

    def write(self, records: Sequence[Record]) -> Pack:
        """Store records in one pack; on return they are durable and found."""
        pack = build_pack(records)
        self.put(pack)
        return pack

    def put(self, pack: Pack) -> None:
        """Store a pack that is laid out."""
        self.blobs.put(PACKS + pack.name, pack.parts)
        self._unreadable.discard(pack.name)
        self.index.add(pack.name, sum(map(len, pack.parts)), pack.entries)

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Where the digests lie, as far as is known here: in a pack, or else in a foreign file."""
        found = self.index.find(digests)
        if len(found) < len(digests) and (missing := [digest for digest in digests if digest not in found]):
            found.update(self.foreign.find(missing))
        return found

    def locate(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Where the digests lie; looks for other processes' packs, and into the trash, before it leaves one out."""
        found = self.find(digests)
        if len(found) == len(set(digests)):
            return found
        self.refresh()
        found = self.find(digests)
        missing = [digest for digest in digests if digest not in found]
        if missing and self._restore_any(missing):
            found = self.find(digests)
        return found

    def refresh(self) -> None:
        """Learn packs that others wrote, and forget packs that are gone.

        A pack whose footer is damaged is left out; `charkh.assets.verify` finds and repairs it.
        """
        with self._refreshing:
            listed = self.list_packs()
            known = self.index.packs()
            if gone := known.keys() - listed.keys():
                self.index.drop(gone)
            fresh = sorted(listed.keys() - known.keys() - self._unreadable)
            for name, entries in zip(fresh, self._footers(fresh), strict=True):
                if entries is not None:
                    self.index.add(name, listed[name], entries)

    def _footers(self, names: Sequence[str]) -> Iterator[list[Entry] | None]:
        """The entries of packs, several read at once; None for one that is gone or unreadable."""
        if len(names) < FEW_PACKS:
            yield from map(self._footer_or_none, names)
            return
        with ThreadPoolExecutor(READERS, thread_name_prefix="charkh-footers") as pool:
            for start in range(0, len(names), READERS):
                yield from pool.map(self._footer_or_none, names[start : start + READERS])

    def _footer_or_none(self, name: str) -> list[Entry] | None:
        try:
            return self.footer(name)
        except NotFound:
            return None
        except Corrupt:
            self._unreadable.add(name)
            return None

    def list_packs(self) -> dict[str, int]:
        """The packs on the medium, by name, and their sizes in bytes."""
        return dict(_named(self.blobs, PACKS))

    def trashed(self) -> set[str]:
        """The packs in the trash, by name."""
        return {name for name, _size in _named(self.blobs, TRASH)}

    def footer(self, name: str, folder: str = PACKS) -> list[Entry]:
        """The entries of a pack.

        Raises:
            NotFound: there is no such pack.
            Corrupt: its footer is damaged.
        """
        tail = self.blobs.get(folder + name, -TAIL)
        size = footer_size(tail, name)
        if size > len(tail) >= TRAILER.size:
            tail = self.blobs.get(folder + name, -size)
        return read_footer(tail, name)

    def has_pack(self, name: str) -> bool:
        """Whether the pack is on the medium, put back from the trash if it has to be."""
        return self.blobs.has(PACKS + name) or self.restore(name)

    def restore(self, name: str) -> bool:
        """Put a pack back from the trash; False when it is not there."""
        try:
            data = self.blobs.get(TRASH + name)
        except NotFound:
            return False
        self.blobs.put(PACKS + name, [data])
        self.blobs.delete(TRASH + name)
        self._unreadable.discard(name)
        self.refresh()
        return True

    def read(self, digest: bytes, place: Place) -> bytes:
        """The verified bytes of a record.

        Raises:
            NotFound: neither pack nor trash has it any more.
            Corrupt: it is damaged in every pack that has it.
        """
        try:
            stored = self._stored(place)
            return open_record(place.kind, place.codec, place.raw, digest, stored, place.pack)
        except NotFound as error:
            return self._read_elsewhere(digest, place, error)
        except Corrupt as error:
            return self._read_elsewhere(digest, place, error)

    def read_run(self, wanted: Sequence[tuple[bytes, Place]]) -> Iterator[bytes]:
        """The verified bytes of several records in the given order; neighbours are read together."""
        for run in _runs(wanted):
            first, last = run[0][1], run[-1][1]
            if len(run) == 1:
                yield self.read(*run[0])
                continue
            try:
                data = memoryview(self._fetch(first, _end(last) - first.offset))
            except NotFound:
                data = memoryview(b"")
            for digest, place in run:
                stored = data[place.offset - first.offset : _end(place) - first.offset]
                try:
                    content = open_record(place.kind, place.codec, place.raw, digest, stored, place.pack)
                except Corrupt:
                    content = self.read(digest, place)
                yield content

    def _read_elsewhere(self, digest: bytes, place: Place, error: NotFound | Corrupt) -> bytes:
        """After a failed read: the index may be out of date, or another pack may have the record."""
        if isinstance(error, Corrupt) and not is_foreign(place) and not self._agrees(digest, place):
            self.index.drop([place.pack])
        self.refresh()
        places = self.index.places(digest)
        if not places and isinstance(error, NotFound) and not is_foreign(place) and self.restore(place.pack):
            places = self.index.places(digest)
        for other in (*places, *self.foreign.places(digest)):
            try:
                stored = self._fetch(other)
                return open_record(other.kind, other.codec, other.raw, digest, stored, other.pack)
            except (NotFound, Corrupt):
                continue
        if is_foreign(place):
            raise changed_foreign(place, digest) if isinstance(error, Corrupt) else error
        if isinstance(error, Corrupt):
            raise error
        raise no_such_asset(digest) from error

    def _fetch(self, place: Place, length: int | None = None) -> bytes:
        """The stored bytes of a place, or so many from where it begins."""
        if is_foreign(place):
            return read_foreign(place if length is None else place._replace(stored=length))
        return self.blobs.get(PACKS + place.pack, place.offset, place.stored if length is None else length)

    def _agrees(self, digest: bytes, place: Place) -> bool:
        """Whether the pack's own footer says the same as the index."""
        try:
            entries = self.footer(place.pack)
        except (NotFound, Corrupt):
            return True
        return any(entry.digest == digest and place_of(place.pack, entry) == place for entry in entries)

    def _restore_any(self, digests: Iterable[bytes]) -> bool:
        wanted = set(digests)
        restored = False
        for name, _size in list(_named(self.blobs, TRASH)):
            try:
                entries = self.footer(name, TRASH)
            except (NotFound, Corrupt):
                continue
            if not wanted.isdisjoint(entry.digest for entry in entries):
                restored = self.restore(name) or restored
        return restored

    def _stored(self, place: Place) -> bytes | memoryview:
        """The stored bytes of a record; small records that follow one another come from one larger read."""
        if is_foreign(place):
            return read_foreign(place)
        with self._windows_lock:
            window = self._windows.get(place.pack)
            follows = 0 <= place.offset - self._ends.get(place.pack, -1) <= GAP
            self._ends[place.pack] = _end(place)
        if window and window.start <= place.offset and _end(place) <= window.start + len(window.data):
            return memoryview(window.data)[place.offset - window.start : _end(place) - window.start]
        if not follows or place.stored >= WINDOW:
            return self.blobs.get(PACKS + place.pack, place.offset, place.stored)
        data = self.blobs.get(PACKS + place.pack, place.offset, WINDOW)
        with self._windows_lock:
            self._windows[place.pack] = _Window(place.offset, data)
            self._windows.move_to_end(place.pack)
            if len(self._windows) > _WINDOWS:
                self._windows.popitem(last=False)
        return memoryview(data)[: place.stored]


def place_of(name: str, entry: Entry) -> Place:
    """An entry of the pack `name` as the index knows it."""
    return Place(name, entry.kind, entry.codec, entry.offset, entry.stored, entry.raw)


def no_such_asset(digest: bytes) -> NotFound:
    """The error of bytes that no pack has."""
    return NotFound(
        f"the bytes {digest.hex()[:16]} are not in this store",
        code="asset.not_found",
        hint="Fetch them with `charkh sync`, those of one version with `charkh sync --only NAME@3`; `charkh fsck` says "
        "what is missing.",
        facts={"digest": digest.hex()},
    )


def _named(blobs: Blobs, folder: str) -> Iterator[tuple[str, int]]:
    for info in blobs.list(folder):
        name = info.key.removeprefix(folder)
        if DIGEST_PATTERN.fullmatch(name):
            yield name, info.size


def _end(place: Place) -> int:
    return place.offset + place.stored


def _runs(wanted: Sequence[tuple[bytes, Place]]) -> Iterator[list[tuple[bytes, Place]]]:
    run: list[tuple[bytes, Place]] = []
    for item in wanted:
        if run:
            first, last = run[0][1], run[-1][1]
            place = item[1]
            near = place.pack == last.pack and 0 <= place.offset - _end(last) <= GAP
            if not near or _end(place) - first.offset > RUN:
                yield run
                run = []
        run.append(item)
    if run:
        yield run
