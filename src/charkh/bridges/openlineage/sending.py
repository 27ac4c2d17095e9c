"""Lineage events on their way: written from facts as they happen, or all that happened since a moment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from charkh.bridges.openlineage.facets import Json
from charkh.bridges.openlineage.run_event import KINDS, Writer
from charkh.core.clock import reading_at
from charkh.core.errors import Unavailable
from charkh.core.events import decode_event
from charkh.core.ids import new_id
from charkh.ports.egress import Call, Egress
from charkh.ports.store import Store
from charkh.webhooks.letter import Letter, Told
from charkh.webhooks.schedule import succeeded
from charkh.webhooks.webhook import Terms, Webhook

FORMAT = "openlineage"
CONTENT_TYPE = "application/json"


class OpenLineageForm:
    """See `charkh.webhooks.letter.Form`: events as the HTTP transport of OpenLineage's clients sends them.

    Args:
        store: where the state is asked.
        namespace: of its jobs and datasets.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self._writer = Writer(store, namespace)

    def wants(self, webhook: Webhook, kind: str) -> bool:
        """See `charkh.webhooks.letter.Form`."""
        del webhook
        return kind in KINDS

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """See `charkh.webhooks.letter.Form`."""
        event = told.event
        if not told.passes(webhook):
            return ()
        return tuple(
            Letter(f"{event.id}-{number}", event.id, event.kind, event.subject, CONTENT_TYPE, encoded(each))
            for number, each in enumerate(self._writer.events(event))
        )

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """See `charkh.webhooks.letter.Form`: a job that tells of itself, since the specification has no test."""
        del event
        identifier = new_id()
        body = encoded(self._writer.sample(identifier))
        return Letter(identifier, identifier, "run.started/1", webhook.subject, CONTENT_TYPE, body)

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:
        """The key of the receiver, where it asks for one."""
        del message, moment, body
        return {"Authorization": f"Bearer {secret}"} if secret else {}


def events_since(store: Store, namespace: str, moment: float = 0.0) -> Iterator[Json]:
    """The events of everything that was recorded since a moment, in the order of time.

    Args:
        store: what happened.
        namespace: of its jobs and datasets.
        moment: seconds since the epoch.
    """
    least, writer = reading_at(moment), Writer(store, namespace)
    facts = [decode_event(payload) for batch in store.journal.read({}) for payload in batch.payloads]
    for fact in sorted(facts, key=lambda each: each.stamp):
        if fact.kind in KINDS and fact.clock >= least:
            yield from writer.events(fact)


def send(events: Iterable[Json], egress: Egress, url: str, key: str = "") -> int:
    """Send events to a receiver, one request each; how many it took.

    Raises:
        Invalid, Denied, Unavailable: the address cannot be called, or the receiver takes no more.
    """
    proof = {"Authorization": f"Bearer {key}"} if key else {}
    count = 0
    for event in events:
        answer = egress.call(Call("POST", url, {"Content-Type": CONTENT_TYPE, **proof}, encoded(event)))
        if not succeeded(answer.status):
            raise Unavailable(
                f"the receiver answered {answer.status} after {count} events",
                code="openlineage.not_taken",
                hint="Look at its own log; sending the same events again changes nothing there.",
                facts={"sent": count, "status": answer.status},
            )
        count += 1
    return count


def encoded(event: Json) -> bytes:
    """An event in a line."""
    return msgspec.json.encode(event)


def target(url: str, *, home: str, signed: bool) -> Webhook:
    """The receiver that `[openlineage]` of charkh.toml names, as something to deliver to."""
    terms = Terms(name=FORMAT, url=url, events=tuple(sorted(kind.partition("/")[0] for kind in KINDS)), format=FORMAT)
    return Webhook(
        id=FORMAT,
        home=home,
        terms=msgspec.structs.replace(terms, signed=signed),
        since=0,
        actor="charkh.toml",
        created=0.0,
        updated=0.0,
        stamp="",
    )
