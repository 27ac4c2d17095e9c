"""The outbox: letters that are to be delivered, how far the journal has been read for them, and what became of each.

It is no part of the truth: who deletes it is told again, under the same ids, what happened since each webhook was made.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

State = Literal["pending", "delivered", "dead"]


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A letter for one target.

    Attributes:
        target: id of the webhook.
        message: id of the letter; a target has it once.
        event: id of the fact.
        kind: of the fact.
        subject: parcels of one target and subject go one after another.
        content_type: of the body.
        body: what is sent.
    """

    target: str
    message: str
    event: str
    kind: str
    subject: str
    content_type: str
    body: bytes


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try.

    Attributes:
        at: seconds since the epoch when it began.
        status: of the answer; 0 where there was none.
        seconds: how long it took.
        error: why there was no answer; never what the receiver said.
    """

    at: float
    status: int = 0
    seconds: float = 0.0
    error: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel and what became of it.

    Attributes:
        number: counts up in the order in which parcels came.
        parcel: what is sent.
        state: `pending`, `delivered`, or `dead`: given up.
        queued: seconds since the epoch when it came.
        due: seconds since the epoch of the next attempt.
        attempts: how many there were.
        last: the newest attempt, or None.
    """

    number: int
    parcel: Parcel
    state: State
    queued: float
    due: float
    attempts: int = 0
    last: Attempt | None = None


class Outbox(Protocol):
    """Parcels and their history.

    Atomicity: parcels and the place up to which the journal was read are written together.
    Idempotence: a parcel that a target has already is not taken a second time.
    Bounds: `trim` keeps the newest that are done; what is pending is never trimmed.
    """

    def lead(self) -> AbstractContextManager[bool]:
        """Be the one who delivers, while the block lasts; False where somebody else is."""
        ...

    def place(self) -> Mapping[str, int]:
        """The cursor up to which the journal has been read."""
        ...

    def put(self, parcels: Sequence[Parcel], place: Mapping[str, int], *, now: float) -> int:
        """Take parcels and move the place; how many were new."""
        ...

    def keep(self, key: str, value: str) -> str:
        """The value that was given for a key when it was asked for the first time, by whichever server."""
        ...

    def due(self, target: str, now: float, limit: int) -> Sequence[Delivery]:
        """Pending parcels of a target that are due and have no earlier pending one of their subject, oldest first."""
        ...

    def pending(self) -> Mapping[str, float]:
        """By target with something pending, when the earliest is due."""
        ...

    def note(self, number: int, attempt: Attempt, state: State, due: float) -> None:
        """Write down an attempt and what follows from it."""
        ...

    def again(self, target: str, message: str, now: float) -> int:
        """Let a parcel, or every dead one where `message` is empty, be sent again; how many."""
        ...

    def history(self, target: str, limit: int, *, state: str = "") -> Sequence[Delivery]:
        """What became of a target's parcels, newest first."""
        ...

    def attempts(self, number: int) -> Sequence[Attempt]:
        """Every attempt of a parcel, oldest first."""
        ...

    def drop(self, target: str) -> None:
        """Forget everything of a target."""
        ...

    def trim(self, keep: int) -> None:
        """Keep the newest `keep` parcels of each target that are done."""
        ...

    def close(self) -> None:
        """Let go of the medium."""
        ...
