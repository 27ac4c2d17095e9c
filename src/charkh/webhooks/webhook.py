"""The noun: what a webhook is, and what its events say.

Pure data, no I/O. A webhook's secret, and an address that is one (Slack's), are in no event: they lie in a file beside
the store (`charkh.webhooks.secrets`) or in a variable.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from charkh.core.errors import Invalid
from charkh.core.redact import redact

MADE_KIND = "webhook.made/1"
CHANGED_KIND = "webhook.changed/1"
DELETED_KIND = "webhook.deleted/1"

ACTIVE, DISABLED = "active", "disabled"
STATUSES = (ACTIVE, DISABLED)

CLOUDEVENTS, SLACK, EMAIL = "cloudevents", "slack", "email"
FORMATS = (CLOUDEVENTS, SLACK, EMAIL)
"""The forms that this room writes; a bridge may bring more."""

HIDDEN = "…"
"""In the place of the path of an address that is a secret."""

MAX_EVENTS = 50
MAX_TEXT = 500
MAX_WEBHOOKS = 100

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PATTERN = re.compile(r"\*|[a-z*][a-z0-9_*]*(?:\.[a-z0-9_*]+){1,3}")


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a fact must be about, beside its kind; shell patterns, empty for anything.

    Attributes:
        subject: `noun:id`, such as `model:*`.
        name: of the dataset, model, run, monitor or other thing that the fact is about.
        tags: by name of a tag of the run or model, what its value must match.
    """

    subject: str = ""
    name: str = ""
    tags: dict[str, str] = {}

    def __hash__(self) -> int:
        # It is a default in other structs, and what writes the API's schema looks defaults up in a set.
        return hash((self.subject, self.name, *sorted(self.tags.items())))


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides about a webhook.

    Attributes:
        name: for people; no two live webhooks share it.
        url: where it is sent; only its origin where the whole address is a secret.
        events: kinds of facts, such as `model.alias_moved` or `run.*`.
        filter: what the facts must be about.
        format: how it is written: `cloudevents`, `slack`, `email`, or the word of a bridge.
        status: `active` or `disabled`.
        description: what it is for.
        signed: what is sent is signed; without its secret nothing is sent.
    """

    name: str
    url: str
    events: tuple[str, ...]
    filter: Filter = Filter()
    format: str = CLOUDEVENTS
    status: str = ACTIVE
    description: str = ""
    signed: bool = False


class WebhookMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `webhook.made/1`.

    Attributes:
        webhook: its id, which is the subject's id.
        home: id of the store that sends it: facts travel, and a colleague's server does not send them once more.
        since: clock reading from which on facts are sent.
        terms: as decided.
    """

    webhook: str
    home: str
    since: int
    terms: Terms


class WebhookChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `webhook.changed/1`.

    Attributes:
        webhook: its id.
        since: clock reading from which on facts are sent: what happened while it was disabled is not.
        terms: all of them, as they are now.
        replaces: ids of the events that this one saw.
        reason: why, where nobody but the server changed it.
    """

    webhook: str
    since: int
    terms: Terms
    replaces: tuple[str, ...] = ()
    reason: str = ""


class WebhookDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `webhook.deleted/1`."""

    webhook: str
    name: str


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as the catalog answers it; its secret is never part of it.

    Attributes:
        id: of the webhook.
        home: id of the store that sends it.
        terms: as they are now.
        since: clock reading from which on facts are sent.
        actor: who made it.
        created: seconds since the epoch.
        updated: seconds since the epoch of the newest change.
        stamp: the total order of webhooks.
        reason: why the server changed it last, or empty.
    """

    id: str
    home: str
    terms: Terms
    since: int
    actor: str
    created: float
    updated: float
    stamp: str
    reason: str = ""

    @property
    def name(self) -> str:
        return self.terms.name

    @property
    def subject(self) -> str:
        """`webhook:id`, as it stands in events."""
        return f"webhook:{self.id}"

    @property
    def active(self) -> bool:
        return self.terms.status == ACTIVE


def checked_terms(terms: Terms, formats: Sequence[str] = FORMATS) -> Terms:
    """The terms as they may stand in an event.

    Args:
        terms: as they were said.
        formats: the forms that there are.

    Raises:
        Invalid: a name, pattern, form or status that cannot be.
    """
    if not _NAME.fullmatch(terms.name):
        raise Invalid(
            f"{terms.name[:80]!r} is no name of a webhook",
            code="webhook.name",
            hint="Use letters, digits, dots, hyphens and underscores, at most 63, a letter or digit at both ends.",
        )
    if not terms.events or len(terms.events) > MAX_EVENTS:
        raise Invalid(
            f"webhook {terms.name!r} names {len(terms.events)} kinds of events",
            code="webhook.events",
            hint=f"Name 1 to {MAX_EVENTS}, such as run.ended, model.alias_moved or dataset.*.",
        )
    for pattern in terms.events:
        if not _PATTERN.fullmatch(pattern):
            raise Invalid(
                f"{pattern[:80]!r} is no kind of event and no pattern of kinds",
                code="webhook.events",
                hint="docs/reference/events.md lists the kinds: run.ended, model.alias_moved; a * matches any letters.",
            )
    if terms.format not in formats:
        raise Invalid(
            f"a webhook is not written as {terms.format[:40]!r}",
            code="webhook.format",
            hint=f"Choose one of: {', '.join(formats)}.",
        )
    if terms.status not in STATUSES:
        raise Invalid(
            f"a webhook is not {terms.status[:40]!r}", code="webhook.status", hint="It is active or disabled."
        )
    if max(map(len, (terms.filter.subject, terms.filter.name, *terms.filter.tags, *terms.filter.tags.values()))) > 250:
        raise Invalid("a filter is longer than 250 characters", code="webhook.filter", hint="Shorten it.")
    description = redact(terms.description.strip())
    if len(description) > MAX_TEXT:
        raise Invalid(
            f"the description has {len(description)} characters, more than {MAX_TEXT}",
            code="webhook.description",
            hint="Shorten it.",
        )
    return msgspec.structs.replace(terms, description=description, events=tuple(dict.fromkeys(terms.events)))


def shown_url(url: str, form: str) -> str:
    """The address as it may stand in an event: without what only the owner may know.

    Slack's addresses let whoever has one write, and a query may hold a token, so of both only the origin stays.
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return f"{origin}/{HIDDEN}" if form == SLACK or parts.query or redact(url) != url else url


def checked_address(url: str, form: str) -> None:
    """Refuse an address that the form is not sent to.

    Raises:
        Invalid: a mailbox for what is no e-mail, or the other way round.
    """
    if url.partition(":")[0].lower().startswith("smtp") == (form == EMAIL):
        return
    hint = "Write smtps://host/?from=charkh@example.com&to=you@example.com." if form == EMAIL else "Use --format email."
    raise Invalid(f"that is no address for the form {form}", code="webhook.address", hint=hint)
