"""Blobs: named immutable objects on one medium (a folder, a bucket, memory)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol


class BlobInfo(NamedTuple):
    """One listed object: its key, size in bytes, and the *medium's* time of writing (epoch seconds)."""

    key: str
    size: int
    modified: float


class Blobs(Protocol):
    """Five verbs over named immutable objects.

    Keys: relative, `/` between parts, characters `[0-9a-zA-Z._-]`, no part that starts with a dot; the
    implementation refuses others with `Invalid`.

    Atomicity: an object is there whole or not at all; a killed `put` leaves nothing that `list` shows.
    Durability: when `put` has returned, the object survives power loss (file and folder are synced).
    Idempotence: `put` of an existing key is a no-op (objects are immutable); `delete` of an absent key too.
    Races: of several concurrent `put`s to one key, one wins and its bytes stay.
    Threads: every method may be called from several threads and processes at once.
    Errors: `NotFound` for an absent key in `get`; `Unavailable` for a medium that refuses or is full;
    no exception of a foreign library crosses this port.
    """

    def has(self, key: str) -> bool:
        """Whether the object is there."""
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`; a negative `start` counts from the end.

        A range that reaches past the end gives what is there.
        """
        ...

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        """Write the concatenation of `parts` under `key`, durably."""
        ...

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Every object whose key starts with `prefix`, in no particular order."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object and free its bytes."""
        ...
