"""Leases and the collector's lock: small objects on the medium itself, timed by the medium's own clock.

A lease keeps digests from being collected before an event holds them; nobody has to be told of it but the
medium. Clocks of machines are never compared with one another.
"""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

import msgspec

from charkh.assets.owner import LockOwner, is_dead, this_process
from charkh.core.digests import parse_digest
from charkh.core.errors import Locked, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import Blobs

LEASES = "lease/"
LOCKS = "lock/collect/"
CLOCK = "clock/"
WRITING = "writing/"
NOTE_SECONDS = 600.0
WRITING_SECONDS = 3600.0
"""Somebody who has left no note for so long writes no more."""
LEASE_SECONDS = 24 * 3600
LOCK_SECONDS = 6 * 3600
"""A collector that takes longer than this is taken for dead, wherever it runs."""
LOOK_SECONDS = 0.5
"""How often somebody who waits for a lock looks at it."""


class Presence:
    """Tells collectors that this process is writing, so that what it wrote is kept until an event names it.

    What is quickly named needs nothing: packs are young for an hour. Who writes for longer leaves a note every few
    minutes, and a collection keeps every pack since its first note of the last day.

    Args:
        blobs: the medium.
        every: seconds between two notes.
    """

    def __init__(self, blobs: Blobs, every: float = NOTE_SECONDS) -> None:
        self._blobs = blobs
        self._every = every
        self._id = new_id()
        self._noted = 0
        self._last: float | None = None

    def wrote(self) -> None:
        """A pack was written."""
        now = time.monotonic()
        if self._last is None:
            self._last = now
        elif now - self._last >= self._every:
            self._blobs.put(f"{WRITING}{self._id}-{self._noted}", [b""])
            self._noted, self._last = self._noted + 1, now

    def forget(self) -> None:
        """In the child of a fork: a writer of its own."""
        self._id, self._noted, self._last = new_id(), 0, None


def writing_since(blobs: Blobs, now: float) -> float | None:
    """When the first of those who write now began, within a day, by the medium's clock; None where nobody does."""
    notes: dict[str, list[float]] = {}
    for info in list(blobs.list(WRITING)):
        if now - info.modified > LEASE_SECONDS:
            blobs.delete(info.key)
        else:
            notes.setdefault(info.key.removeprefix(WRITING).partition("-")[0], []).append(info.modified)
    return min((min(times) for times in notes.values() if now - max(times) <= WRITING_SECONDS), default=None)


def medium_now(blobs: Blobs) -> float:
    """The medium's clock, in seconds since the epoch."""
    key = CLOCK + new_id()
    blobs.put(key, [b""])
    try:
        return max((info.modified for info in blobs.list(key)), default=0.0)
    finally:
        blobs.delete(key)


def take_lease(blobs: Blobs, digests: Iterable[str], *, seconds: int = LEASE_SECONDS) -> str:
    """Keep what these digests name, and everything below, from being collected for a while; the lease's key."""
    lines = "\n".join(sorted(parse_digest(digest) for digest in digests))
    key = f"{LEASES}{seconds}-{new_id()}"
    blobs.put(key, [lines.encode()])
    return key


def release_lease(blobs: Blobs, key: str) -> None:
    """Let go: by now an event holds the digests."""
    blobs.delete(key)


def leased_digests(blobs: Blobs, now: float) -> set[str]:
    """What the valid leases keep; leases that ran out more than their own length ago are removed."""
    found: set[str] = set()
    for info in list(blobs.list(LEASES)):
        seconds = int(info.key.removeprefix(LEASES).partition("-")[0])
        age = now - info.modified
        if age <= seconds:
            try:
                found.update(blobs.get(info.key).decode().split())
            except NotFound:
                continue
        elif age > 2 * seconds:
            blobs.delete(info.key)
    return found


@contextmanager
def only_collector(
    blobs: Blobs, now: float, *, timeout: float = 0.0, waits: Callable[[str], None] | None = None
) -> Generator[None]:
    """Be the only one who collects: the first to put the next numbered lock has it.

    The lock of a process that is known to have ended, or that has had it for six hours, is taken over.

    Args:
        blobs: the medium.
        now: its time.
        timeout: seconds to wait for somebody else.
        waits: told who has it, once, when it has to be waited for.

    Raises:
        Locked: somebody else collects, and did so to the end of the timeout.
        Unavailable: on this medium a put replaces what is there, so nobody can be the first.
    """
    _refuse_replacing(blobs)
    deadline = time.monotonic() + timeout
    while (taken := _take(blobs, now)) is None:
        holder = _holder(blobs)
        if time.monotonic() >= deadline:
            raise _locked(holder)
        if waits:
            waits(str(holder) if holder else "another process")
            waits = None
        time.sleep(LOOK_SECONDS)
        now += LOOK_SECONDS
    try:
        yield
    finally:
        for key in taken:
            blobs.delete(key)


def collector_of(blobs: Blobs) -> LockOwner | None:
    """Who collects on this medium now, or has died while it did; None where nobody does."""
    return _holder(blobs)


def _take(blobs: Blobs, now: float) -> list[str] | None:
    """The keys of the lock, once it is had, and of dead ones before it; None while somebody else has it."""
    held = sorted(blobs.list(LOCKS), key=lambda info: info.key)
    if held and now - held[-1].modified < LOCK_SECONDS:
        owner = _owner(blobs, held[-1].key)
        if owner is None or not is_dead(owner):
            return None
    number = int(held[-1].key.removeprefix(LOCKS)) + 1 if held else 1
    key = f"{LOCKS}{number:012}"
    told = msgspec.json.encode(this_process())
    blobs.put(key, [told])
    try:
        # Somebody else may have been first, and done by now.
        return [*(info.key for info in held), key] if blobs.get(key) == told else None
    except NotFound:
        return None


def _holder(blobs: Blobs) -> LockOwner | None:
    held = max((info.key for info in blobs.list(LOCKS)), default="")
    return _owner(blobs, held) if held else None


def _owner(blobs: Blobs, key: str) -> LockOwner | None:
    try:
        return msgspec.json.decode(blobs.get(key), type=LockOwner)
    except (NotFound, msgspec.MsgspecError):
        return None


def _refuse_replacing(blobs: Blobs) -> None:
    key = CLOCK + new_id()
    try:
        blobs.put(key, [b"first"])
        blobs.put(key, [b"second"])
        if blobs.get(key) != b"first":
            raise Unavailable(
                "this medium lets a put replace what is there, so two collectors could not be told apart",
                code="asset.no_conditional_put",
                hint="Collect on a medium that supports conditional writes (If-None-Match), or do not collect here.",
            )
    finally:
        blobs.delete(key)


def _locked(holder: LockOwner | None) -> Locked:
    return Locked(
        f"{holder or 'another process'} is collecting on this store",
        code="asset.collecting",
        hint="Wait for it; the lock of a process that died here is taken over at once, elsewhere after six hours.",
        facts={"pid": holder.pid, "host": holder.host} if holder else {},
    )
