"""Leases and the collector's lock: small objects on the medium itself, timed by the medium's own clock.

A lease keeps digests from being collected before an event holds them; nobody has to be told of it but the
medium. Clocks of machines are never compared with one another.
"""

import os
import socket
from collections.abc import Generator, Iterable
from contextlib import contextmanager

import msgspec

from charkh.core.digests import parse_digest
from charkh.core.errors import Locked, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import Blobs

LEASES = "lease/"
LOCKS = "lock/collect/"
CLOCK = "clock/"
LEASE_SECONDS = 24 * 3600
LOCK_SECONDS = 6 * 3600
"""A collector that takes longer than this is taken for dead."""


class LockOwner(msgspec.Struct, frozen=True):
    """Who collects, as written into the lock."""

    token: str
    pid: int
    host: str


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
def only_collector(blobs: Blobs, now: float) -> Generator[None]:
    """Be the only one who collects: the first to put the next numbered lock has it.

    Raises:
        Locked: somebody else collects.
        Unavailable: on this medium a put replaces what is there, so nobody can be the first.
    """
    _refuse_replacing(blobs)
    held = sorted(blobs.list(LOCKS), key=lambda info: info.key)
    if held and now - held[-1].modified < LOCK_SECONDS:
        raise _locked(blobs, held[-1].key)
    number = int(held[-1].key.removeprefix(LOCKS)) + 1 if held else 1
    key = f"{LOCKS}{number:012}"
    owner = LockOwner(new_id(), os.getpid(), socket.gethostname())
    blobs.put(key, [msgspec.json.encode(owner)])
    if blobs.get(key) != msgspec.json.encode(owner):
        raise _locked(blobs, key)
    try:
        yield
    finally:
        for info in held:
            blobs.delete(info.key)
        blobs.delete(key)


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


def _locked(blobs: Blobs, key: str) -> Locked:
    try:
        owner = msgspec.json.decode(blobs.get(key), type=LockOwner)
        who = f"process {owner.pid} on {owner.host}"
    except (NotFound, msgspec.MsgspecError):
        who = "another process"
    return Locked(
        f"{who} is collecting on this store",
        code="asset.collecting",
        hint="Wait for it; the lock of a process that died is taken over after six hours.",
    )
