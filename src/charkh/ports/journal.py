"""The journal: the set of segments that holds every fact, and the data segments beside them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import msgspec

Cursor = Mapping[str, int]
"""How far a reader has come: opaque, made by one journal and only understood by it; `{}` is the start."""


class Batch(NamedTuple):
    """Facts read in one go, in order within each segment, and the cursor that says they have been read.

    `segment` is the one that the last of them is from; small sealed segments are read many at a time.
    """

    segment: str
    payloads: Sequence[bytes]
    cursor: Cursor


class DataHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a data segment holds.

    Attributes:
        segment: id of the segment.
        content: `points`, `media`, `printed` or `predictions`; a content that nobody knows is kept as it is.
        subject: what the records belong to, `noun:id`.
        writer: which of several writers of the subject this is, such as the rank.
        attempt: which attempt of that writer.
        labels: bounded text that the content's owner needs to read the records again.
    """

    segment: str
    content: str
    subject: str
    writer: str = "0"
    attempt: int = 0
    labels: dict[str, str] = {}


class DataSegment(NamedTuple):
    """A data segment that has not been sealed yet; `live` while its writer holds it open."""

    header: DataHeader
    size: int
    live: bool


class Record(NamedTuple):
    """One record of a data segment; `ordinal` counts from 0 and never changes."""

    ordinal: int
    payload: bytes


class DataWriter(Protocol):
    """Appends records to one data segment; used by one process, shared between its threads.

    `append` is one write to the operating system and never raises for a full or failing disk: the
    record is kept in a bounded buffer, the trouble is reported once, and `lost` counts what was dropped.
    """

    @property
    def segment(self) -> str: ...

    @property
    def lost(self) -> int: ...

    @property
    def waiting(self) -> int:
        """Records that are kept in memory, because the medium takes none now: they do not survive the process."""
        ...

    def take_waiting(self) -> Sequence[bytes]:
        """The records that are kept in memory, in order: they are the caller's from now on, and none waits any more."""
        ...

    def append(self, payload: bytes) -> int:
        """Append one record; its ordinal."""
        ...

    def append_many(self, payloads: Sequence[bytes]) -> None:
        """Append records in order, with one write where the medium takes it."""
        ...

    def flush(self) -> None:
        """Return when every record so far is durable; raises `Unavailable` where it cannot be."""
        ...

    def close(self) -> None:
        """Flush and let go: the segment is ready to be sealed."""
        ...


class Journal(Protocol):
    """Facts in segments, each with exactly one writer.

    Atomicity: a payload is read whole or not at all.
    Order: payloads of one segment are read in the order of their appends; segments are not ordered.
    Acknowledgement: when `append` has returned, the payloads survive the death of the process; with
    `durable` they survive power loss.
    Ownership: only the owner of a segment, or a sealer after the owner's death, changes it.
    Fork: the child of a fork writes a segment of its own.
    Errors: `Unavailable` when the medium is full or failing; nothing partial stays behind.
    """

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        """Append facts to this process's segment, all or none."""
        ...

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """The facts behind `cursor`, own and others', each at least once per cursor."""
        ...

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        """Hold the one lock under which decisions are taken, facts folded and segments sealed.

        Re-entrant within a thread. Raises `Locked` with the owner's process after `timeout` seconds.
        """
        ...

    def open_data(self, header: DataHeader) -> DataWriter:
        """Begin a data segment."""
        ...

    def list_data(self) -> Sequence[DataSegment]:
        """The data segments that have not been dropped, live ones included."""
        ...

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """The whole records of a data segment from ordinal `start`; a torn tail is not yet written."""
        ...

    def drop_data(self, segment: str) -> None:
        """Remove a data segment whose records a durable `sealed` fact has replaced."""
        ...

    def close(self) -> None:
        """Let go of this process's segment, sealed where that is possible now."""
        ...
