"""The exchange: how two journals come to have each other's facts, whatever they are kept in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from charkh.core.errors import Conflict, Invalid
from charkh.core.frames import MAX_PAYLOAD
from charkh.ports.journal import DataHeader


class Part(NamedTuple):
    """Facts of one segment, in their order; `seq` is the number of the first of them in it, from 0."""

    segment: str
    seq: int
    payloads: Sequence[bytes]


class Exchange(Protocol):
    """Facts by segment and number, beside the journal's own reading and writing.

    Verbatim: what is taken has the bytes that it was written with, under the id of its own segment.
    Idempotence: the same segment and number again changes nothing.
    Order: the facts of a segment are taken without gaps.
    """

    def known(self) -> Mapping[str, int]:
        """By segment, how many of its facts are here."""
        ...

    def parts(self, known: Mapping[str, int]) -> Iterator[Part]:
        """The facts that somebody lacks who has the first `known[segment]` of each segment."""
        ...

    def take(self, parts: Sequence[Part]) -> int:
        """Take over facts of other stores' segments durably; how many were new.

        Raises:
            Conflict: facts before a part's first are missing; nothing was taken.
            Invalid: a payload is none that a fact can have; nothing was taken.
            Unavailable: the medium is full or failing.
            Locked: somebody held the journal for longer than its timeout.
        """
        ...


class DataExchange(Protocol):
    """Records of data segments that another store's process is writing, taken over while they grow.

    Verbatim: a record keeps its bytes and its ordinal. Idempotence: records that are here are passed over.
    Ownership: such a segment is sealed where it is written; here it is shown until the fact comes that seals it.
    """

    def has_data(self, segment: str) -> bool:
        """Whether the segment is here."""
        ...

    def take_data(self, header: DataHeader, start: int, payloads: Sequence[bytes]) -> int:
        """Take records from ordinal `start` on; how many of the segment are here now.

        Where records before `start` are missing nothing is taken, and the answer says from where to send them.
        An empty call says that the writer lives.

        Raises:
            Invalid: a payload is none that a record can have.
            Unavailable: the medium is full or failing; nothing partial stays behind.
        """
        ...


RECEIVED = "received"
"""The label of a data segment that another store's process writes; it names that store."""
LIVE_SECONDS = 60.0
"""A received segment is live for so long after its writer was last heard of."""


def is_received(header: DataHeader) -> bool:
    """Whether another store's process writes this data segment, and seals it."""
    return RECEIVED in header.labels


def pull(source: Exchange, target: Exchange) -> int:
    """Take over every fact that `target` lacks; how many there were. It can be interrupted and called again.

    Raises:
        Unavailable: one of the two cannot be reached or written; what was taken before is kept.
    """
    return sum(target.take(some) for some in portions(source.parts(target.known()), PULL_BYTES))


def portions(parts: Iterable[Part], limit: int) -> Iterator[list[Part]]:
    """The parts, as many together as have about `limit` bytes; a long one is cut."""
    some: list[Part] = []
    size = 0
    for part in parts:
        begin = 0
        for place, payload in enumerate(part.payloads):
            size += len(payload)
            if size >= limit:
                yield [*some, Part(part.segment, part.seq + begin, part.payloads[begin : place + 1])]
                some, size, begin = [], 0, place + 1
        if begin < len(part.payloads):
            some.append(Part(part.segment, part.seq + begin, part.payloads[begin:]))
    if some:
        yield some


def gap(part: Part, known: int) -> Conflict:
    """The error of a part that does not follow on what is here."""
    return Conflict(
        f"facts {known} to {part.seq} of segment {part.segment} are missing",
        code="journal.gap",
        hint="Pull from a store that has them, or pull again from the start.",
        facts={"segment": part.segment, "known": known, "seq": part.seq},
    )


HEADER_PREFIX = b"charkh segment 1\n"
"""Begins the payload of a segment's first frame, and no fact."""


def check_facts(part: Part) -> None:
    """Look at what somebody else sent.

    Raises:
        Invalid: a payload is none that a fact can have.
    """
    if any(not 0 < len(each) <= MAX_PAYLOAD or each.startswith(HEADER_PREFIX) for each in part.payloads):
        raise _no_fact(part)


def _no_fact(part: Part) -> Invalid:
    """The error of a part with a payload that is empty, too long, or the header of a segment."""
    return Invalid(
        f"segment {part.segment} holds what is no fact",
        code="journal.no_fact",
        hint="Whoever sends it is no charkh, or damaged: run `charkh fsck` there.",
        facts={"segment": part.segment},
    )


PULL_BYTES = 4 * 1024 * 1024
"""About so many bytes are taken over at once."""
