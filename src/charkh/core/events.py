"""The event: one immutable fact, its envelope and its bytes (docs/formats/events.md).

The envelope is the same for every kind, so that lineage, gates and garbage collection read events
without knowing any noun; the body is one frozen struct per kind, owned by the noun that defines it.
A kind ends in its version (`run.started/1`) and is never reshaped.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from charkh.core.clock import Clock
from charkh.core.errors import Bug, Corrupt
from charkh.core.ids import new_id

Fact = bool | int | float | str
"""A typed fact that a noun publishes about its subject, such as `auc` or `checks.ok`."""

KIND_PATTERN = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+/[1-9][0-9]*")
MAX_FACT_TEXT = 1000


class Edge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One lineage edge: (`source`, `relation`, `target`), subjects written `noun:id`.

    An edge points from what was made to what it was made from.
    """

    source: str
    relation: str
    target: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that has not been given its id, actor and time yet.

    Attributes:
        kind: name and version, such as `run.started/1`.
        subject: what the fact is about, `noun:id`.
        body: the noun's own struct for this kind.
        edges: lineage edges that this fact states.
        facts: typed facts about `about`.
        about: the subject that the facts are about; empty for `subject` itself.
        holds: digests of chunks or trees that must stay readable as long as the subject lives.
        drops: subjects whose `holds` end with this fact.
    """

    kind: str
    subject: str
    body: Any
    edges: tuple[Edge, ...] = ()
    facts: Mapping[str, Fact] = {}
    about: str = ""
    holds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A stamped fact, as it lies in the journal.

    Attributes:
        id: UUIDv7 as 32 hex digits.
        clock: hybrid logical clock reading (`charkh.core.clock`).
        key: idempotency key of the command that decided it, or empty.
    """

    id: Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
    kind: str
    actor: str
    clock: Annotated[int, msgspec.Meta(ge=0)]
    subject: str
    body: msgspec.Raw
    key: str = ""
    edges: tuple[Edge, ...] = ()
    facts: dict[str, Fact] = {}
    about: str = ""
    holds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()

    @property
    def stamp(self) -> str:
        """Clock and id as one text: the total order in which concurrent facts are broken."""
        return f"{self.clock:016x}{self.id}"


class Recorded(NamedTuple):
    """An event and the exact payload that carried it."""

    event: Event
    payload: bytes


Body = TypeVar("Body")

_encoder = msgspec.msgpack.Encoder()
_event_decoder = msgspec.msgpack.Decoder(Event)
_body_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}


def stamp_draft(draft: Draft, clock: Clock, actor: str, key: str = "") -> Recorded:
    """Give a draft its id, actor and time, and encode it.

    Raises:
        Bug: the kind carries no version, or a fact's text is longer than a fact may be.
    """
    if not KIND_PATTERN.fullmatch(draft.kind):
        raise Bug(f"event kind {draft.kind!r} carries no version")
    for name, value in draft.facts.items():
        if isinstance(value, str) and len(value) > MAX_FACT_TEXT:
            raise Bug(f"fact {name!r} of {draft.kind} is longer than {MAX_FACT_TEXT} characters")
    event = Event(
        id=new_id(),
        kind=draft.kind,
        actor=actor,
        clock=clock.now(),
        subject=draft.subject,
        body=msgspec.Raw(_encoder.encode(draft.body)),
        key=key,
        edges=draft.edges,
        facts=dict(draft.facts),
        about=draft.about,
        holds=draft.holds,
        drops=draft.drops,
    )
    return Recorded(event, _encoder.encode(event))


def encode_event(event: Event) -> bytes:
    """The payload of an event."""
    return _encoder.encode(event)


def decode_event(payload: bytes) -> Event:
    """The event in a payload.

    Raises:
        Corrupt: the payload passed its checksum but is no event of any version.
    """
    try:
        return _event_decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Corrupt(
            f"a journal frame is not an event: {error}",
            code="journal.not_an_event",
            hint="Run `charkh fsck` to see which segment it is in.",
        ) from error


def body_of(event: Event, body_type: type[Body]) -> Body:
    """The event's body as its noun's struct.

    Raises:
        Corrupt: the body does not fit the struct of its kind.
    """
    decoder = _body_decoders.get(body_type)
    if decoder is None:
        decoder = _body_decoders[body_type] = msgspec.msgpack.Decoder(body_type)
    try:
        return decoder.decode(event.body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Corrupt(
            f"event {event.id} of kind {event.kind} has a body that does not fit: {error}",
            code="journal.bad_body",
            hint="Run `charkh fsck` to see which segment it is in.",
        ) from error
