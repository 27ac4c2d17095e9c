"""What is sent: one letter an event and form, the same bytes at every attempt. The forms that this room writes.

CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec, json-format), and Slack's incoming webhooks.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from charkh.core.clock import Clock, seconds
from charkh.core.events import Event
from charkh.core.files import FileRef, TreeEntry, TreeRef
from charkh.core.ids import new_id
from charkh.webhooks.match import is_named, word_of
from charkh.webhooks.sign import standard_headers
from charkh.webhooks.webhook import Webhook

MAX_BYTES = 256 * 1024
"""Of one letter; a fact that is longer is told without its data."""
TYPE = "io.charkh"
_BLOBS = (FileRef, TreeRef, TreeEntry)


class Letter(NamedTuple):
    """What is sent.

    Attributes:
        id: of the message: the event's, with more behind it where one event makes several letters.
        event: id of the fact.
        kind: of the fact.
        subject: letters of one subject are sent one after another.
        content_type: of the body.
        body: exactly what is sent.
    """

    id: str
    event: str
    kind: str
    subject: str
    content_type: str
    body: bytes


class Told(NamedTuple):
    """A fact, and what the writer of a letter may ask about it.

    Attributes:
        event: the fact.
        body: its body as plain values, without digests of bytes.
        title: how a person calls the subject; asked only by who shows it.
        passes: whether the webhook's filter lets it pass.
    """

    event: Event
    body: Mapping[str, Any]
    title: Callable[[], str]
    passes: Callable[[Webhook], bool]


class Form(Protocol):
    """How facts are written for a kind of receiver, and what is sent along with them."""

    def wants(self, webhook: Webhook, kind: str) -> bool:
        """Whether facts of a kind can make letters; asked before a fact is read."""
        ...

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """The letters that a fact of a kind that is wanted makes for a webhook; none where it is not told of it."""
        ...

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """A letter for a test; `event` names the kind, empty for the webhook's first."""
        ...

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:
        """What proves the sender."""
        ...


class CloudEvents:
    """CloudEvents 1.0, structured JSON, signed as Standard Webhooks says.

    Args:
        source: the workspace, such as `charkh://ID`.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def wants(self, webhook: Webhook, kind: str) -> bool:
        """See `Form`."""
        return is_named(kind, webhook.terms.events)

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """See `Form`."""
        if not told.passes(webhook):
            return ()
        event = told.event
        body = self._written(event.kind, event, told.body, told.title())
        if len(body) > MAX_BYTES:
            bare = msgspec.structs.replace(event, edges=(), facts={})
            body = self._written(event.kind, bare, {"cut": True}, told.title())
        return (_letter(event, "application/cloudevents+json; charset=utf-8", body),)

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """See `Form`."""
        made = sample_event(webhook, event)
        body = self._written(made.kind, made, {"test": True, "webhook": webhook.name}, webhook.name)
        return _letter(made, "application/cloudevents+json; charset=utf-8", body)

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:
        """See `Form`."""
        return standard_headers(secret, message, moment, body)

    def _written(self, kind: str, event: Event, body: Mapping[str, Any], title: str) -> bytes:
        data: dict[str, Any] = dict(body)
        if event.edges:
            data["edges"] = [list(msgspec.structs.astuple(edge)) for edge in event.edges]
        if event.facts:
            data["facts"] = plain(event.facts)
        document = {
            "specversion": "1.0",
            "id": event.id,
            "source": self._source,
            "type": cloud_type(kind),
            "subject": event.subject,
            "time": _time(seconds(event.clock)),
            "datacontenttype": "application/json",
            "actor": event.actor,
            "title": title,
            "data": data,
        }
        return msgspec.json.encode(document)


class Slack:
    """Slack's incoming webhooks, and what takes their form (Mattermost, Discord's `/slack`): one line of text.

    Slack knows the sender by the address, which is therefore kept like a secret; nothing is signed.
    """

    def wants(self, webhook: Webhook, kind: str) -> bool:
        """See `Form`."""
        return is_named(kind, webhook.terms.events)

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """See `Form`."""
        if not told.passes(webhook):
            return ()
        words = [f"*{word_of(told.event.kind)}*", _escaped(told.title()), *_told_briefly(told.body)]
        return (self._letter(told.event, "  ".join([*words, f"_{_escaped(told.event.actor)}_"])),)

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """See `Form`."""
        made = sample_event(webhook, event)
        return self._letter(made, f"*{word_of(made.kind)}*  a test of the webhook {webhook.name}")

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:
        """See `Form`."""
        return standard_headers(secret, message, moment, body) if secret else {}

    def _letter(self, event: Event, text: str) -> Letter:
        return _letter(event, "application/json", msgspec.json.encode({"text": text[:3000]}))


def cloud_type(kind: str) -> str:
    """The type of a fact: `run.ended/1` is `io.charkh.run.ended.v1`."""
    word, _, number = kind.partition("/")
    return f"{TYPE}.{word}.v{number}"


def sample_event(webhook: Webhook, event: str = "") -> Event:
    """A fact that nobody recorded, for a test."""
    word = event or next((each for each in webhook.terms.events if "*" not in each), "webhook.test")
    return Event(
        id=new_id(),
        kind=word if "/" in word else f"{word}/1",
        actor="charkh",
        clock=Clock().now(),
        subject=webhook.subject,
        body=msgspec.Raw(b"\x80"),
    )


def plain(value: object) -> Any:
    """A body as JSON has it: without what names bytes, and with floats that JSON cannot say as text."""
    if isinstance(value, msgspec.Struct):
        fields = ((field, getattr(value, field)) for field in value.__struct_fields__)
        return {field: plain(item) for field, item in fields if not _names_bytes(item)}
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value).items()
        return {str(key): plain(item) for key, item in items if not _names_bytes(item)}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in cast(Sequence[object], value) if not _names_bytes(item)]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _names_bytes(value: object) -> bool:
    return isinstance(value, _BLOBS)


def _letter(event: Event, content_type: str, body: bytes) -> Letter:
    return Letter(event.id, event.id, event.kind, event.subject, content_type, body)


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told_briefly(body: Mapping[str, Any]) -> list[str]:
    """What says most in a line: the outcome, the name, the reason, who looks after it and how."""
    fields = ("severity", "status", "outcome", "alias", "condition", "reason", "message", "error", "owner", "runbook")
    return [f"{field}: {_escaped(str(body[field])[:200])}" for field in fields if body.get(field)]


def _escaped(text: str) -> str:
    """Slack's three characters (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
