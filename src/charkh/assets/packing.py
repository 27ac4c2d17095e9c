"""From records to packs: gathers what is put, leaves out what is there, and writes packs beside the putter.

A record can be read from the moment it is added; it is durable when `flush` has returned. A pack that
cannot be written keeps its records in memory, and the next `flush` tries again.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from charkh.assets.foreign import FOREIGN
from charkh.assets.lease import Presence
from charkh.assets.pack import Record
from charkh.assets.shelf import Shelf
from charkh.core.errors import Conflict

PACK_SIZE = 32 * 1024 * 1024
"""Bytes of content, before compression, after which a pack is closed."""
DECIDED_AT_ONCE = 8 * 1024 * 1024
"""Bytes of content for which the index is asked together."""
IN_FLIGHT = 3
RECORD_WEIGHT = 256
"""Bytes that a record in memory takes beside its content: many tiny ones are written as soon as fewer large ones."""
REFRESH_SECONDS = 60.0


class PackWriter:
    """The writing side of a vault."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._presence = Presence(shelf.blobs)
        self._lock = threading.RLock()
        self._pending: dict[bytes, Record] = {}
        self._undecided: list[Record] = []
        self._open: list[Record] = []
        self._undecided_size = 0
        self._open_size = 0
        self._reused: set[str] = set()
        self._jobs: set[Future[None]] = set()
        self._failure: BaseException | None = None
        self._failed: list[list[Record]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._refreshed = 0.0

    def get(self, digest: bytes) -> Record | None:
        """A record that is not in a pack yet."""
        return self._pending.get(digest)

    def add(self, records: Iterable[Record]) -> None:
        """Take records; returns before they are durable.

        Raises:
            Unavailable: an earlier pack could not be written; `flush` tries again.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            pending = self._pending
            for record in records:
                if record.digest in pending:
                    continue
                pending[record.digest] = record
                self._undecided.append(record)
                self._undecided_size += len(record.data) + RECORD_WEIGHT
            if self._undecided_size >= DECIDED_AT_ONCE:
                self._decide()
                if self._open_size >= PACK_SIZE:
                    self._submit()

    def rely_on(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of the records that are not here; the others are as if they had been added once more."""
        with self._lock:
            stored = [digest for digest in digests if digest not in self._pending]
            found = self._shelf.index.holders(stored)
            if len(found) < len(set(stored)) and self._refresh():
                found = self._shelf.index.holders(stored)
            self._reused.update(found.values())
        missing = set(stored) - found.keys()
        return missing - self._outside(missing) if missing else missing

    def _outside(self, digests: set[bytes]) -> set[bytes]:
        """Those that a file outside the packs has, as far as such files are still there."""
        places = self._shelf.foreign.find(list(digests))
        there = {
            pack for pack in {place.pack for place in places.values()} if Path(pack.removeprefix(FOREIGN)).exists()
        }
        return {digest for digest, place in places.items() if place.pack in there}

    def flush(self) -> None:
        """Return when everything added so far is durable.

        Raises:
            Unavailable: the medium refuses; everything is kept, and the next call tries again.
            Conflict: bytes that were there have been collected meanwhile; put them again.
        """
        with self._lock:
            self._retry_failed()
            self._decide()
            # With nothing else under way, the hop to another thread would only cost time.
            alone = self._open if not self._jobs else []
            if alone:
                job: Future[None] = Future()
                self._jobs.add(job)
                self._open, self._open_size = [], 0
            else:
                job = Future()
                self._submit()
            jobs = set(self._jobs)
        if alone:
            try:
                self._write(alone)
            finally:
                self._jobs.discard(job)
                job.set_result(None)
        wait(jobs)
        with self._lock:
            if self._failure is not None:
                raise self._failure
            reused, self._reused = self._reused, set()
        self._check_reused(reused)

    def close(self) -> None:
        """Wait for packs under way, and end the threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def forget_threads(self) -> None:
        """In the child of a fork: the parent's threads are not here, so take over what they had to write."""
        self._lock = threading.RLock()
        self._pool, self._jobs, self._failure, self._failed = None, set(), None, []
        self._presence.forget()
        self._undecided, self._undecided_size = [], 0
        self._open = list(self._pending.values())
        self._open_size = sum(len(record.data) for record in self._open)

    def _retry_failed(self) -> None:
        self._failure = None
        while self._failed:
            records = self._failed.pop()
            self._open.extend(records)
            self._open_size += sum(len(record.data) for record in records)

    def _decide(self) -> None:
        """Ask the index about what was gathered, and keep what no pack has."""
        records = self._undecided
        if not records:
            return
        digests = [record.digest for record in records]
        found = self._shelf.index.find(digests)
        if len(found) < len(records) and self._refresh():
            found = self._shelf.index.find(digests)
        # Only now: where the index cannot be asked, as on a full disk, the next call decides.
        self._undecided, self._undecided_size = [], 0
        for record in records:
            place = found.get(record.digest)
            if place is None:
                self._open.append(record)
                self._open_size += len(record.data) + RECORD_WEIGHT
            else:
                self._reused.add(place.pack)
                self._pending.pop(record.digest, None)

    def _refresh(self) -> bool:
        """Learn other processes' packs, now and then; whether it was done."""
        if time.monotonic() - self._refreshed <= REFRESH_SECONDS:
            return False
        self._refreshed = time.monotonic()
        self._shelf.refresh()
        return True

    def _submit(self) -> None:
        if not self._open:
            return
        if len(self._jobs) >= IN_FLIGHT:
            wait(self._jobs, return_when="FIRST_COMPLETED")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="charkh-packs")
        records, self._open, self._open_size = self._open, [], 0
        job = self._pool.submit(self._write, records)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def _write(self, records: list[Record]) -> None:
        """Write a pack, in whatever thread; takes no lock, because whoever waits for it may hold one."""
        try:
            self._shelf.write(records)
            self._presence.wrote()
        except BaseException as error:  # noqa: BLE001 - `flush` raises it, in the thread that waits
            self._failed.append(records)
            self._failure = error
            return
        for record in records:
            self._pending.pop(record.digest, None)

    def _check_reused(self, packs: set[str]) -> None:
        """Bytes found in a pack were not stored again: the pack must still be there when that is relied upon."""
        if not packs:
            return
        there = self._shelf.list_packs() if len(packs) > IN_FLIGHT else {}
        gone = [name for name in packs if name not in there and not self._shelf.has_pack(name)]
        if gone:
            self._shelf.refresh()
            raise Conflict(
                f"{len(gone)} packs with bytes that were not stored again have been collected meanwhile",
                code="asset.collected",
                hint="Do the same once more: what is missing is stored again.",
            )
