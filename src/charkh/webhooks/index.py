"""Webhooks' part of the catalog: their terms as they are now, and the decisions about them."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.events import Draft, Event, body_of
from charkh.core.ids import new_id
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query
from charkh.webhooks.webhook import (
    CHANGED_KIND,
    DELETED_KIND,
    DISABLED,
    MADE_KIND,
    MAX_WEBHOOKS,
    Terms,
    Webhook,
    WebhookChanged,
    WebhookDeleted,
    WebhookMade,
)

_metadata = MetaData()
_made = Table(
    "webhook",
    _metadata,
    Column("id", String, primary_key=True),
    Column("home", String, nullable=False, index=True),
    Column("since", BigInteger, nullable=False),
    Column("terms", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_changed = Table(
    "webhook_change",
    _metadata,
    Column("event", String, primary_key=True),
    Column("webhook", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_deleted = Table(
    "webhook_deleted",
    _metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_encode = msgspec.msgpack.Encoder().encode
_decode_terms = msgspec.msgpack.Decoder(Terms).decode
_decode_change = msgspec.msgpack.Decoder(WebhookChanged).decode


class AddWebhook(Command, frozen=True, kw_only=True):
    """Make a webhook that the store `home` sends; its id is given by the caller, who keeps its secret under it."""

    webhook: str
    home: str
    since: int
    terms: Terms


class ChangeWebhook(Command, frozen=True, kw_only=True):
    """Let a webhook have these terms; `since` counts only where it was disabled and now is active."""

    webhook: str
    since: int
    terms: Terms
    reason: str = ""


class RemoveWebhook(Command, frozen=True, kw_only=True):
    """Forget a webhook."""

    webhook: str


class Webhooks(Query[tuple[Webhook, ...]], frozen=True, kw_only=True):
    """The webhooks that are not deleted, oldest first; with `home`, those that this store sends."""

    home: str = ""


class WebhookById(Query[Webhook | None], frozen=True, kw_only=True):
    """The webhook with this id, unless it is deleted."""

    webhook: str


def new_webhook_id() -> str:
    """An id for `AddWebhook`."""
    return new_id()


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add webhooks, changes and deletions; which change is the newest is asked when somebody asks."""
    made: list[dict[str, object]] = []
    changed: list[dict[str, object]] = []
    deleted: list[dict[str, object]] = []
    for event in events:
        at = seconds(event.clock)
        if event.kind == MADE_KIND:
            body = body_of(event, WebhookMade)
            made.append(
                {
                    "id": body.webhook,
                    "home": body.home,
                    "since": body.since,
                    "terms": _encode(body.terms),
                    "actor": event.actor,
                    "created": at,
                    "stamp": event.stamp,
                }
            )
        elif event.kind == CHANGED_KIND:
            webhook = body_of(event, WebhookChanged).webhook
            row: dict[str, object] = {
                "event": event.id,
                "webhook": webhook,
                "body": bytes(event.body),
                "at": at,
                "stamp": event.stamp,
            }
            changed.append(row)
        else:
            webhook = body_of(event, WebhookDeleted).webhook
            deleted.append({"id": webhook, "at": at, "stamp": event.stamp})
    add_rows(connection, _made, made)
    add_rows(connection, _changed, changed)
    keep_rows(connection, _deleted, deleted, stamp="stamp", keep="earliest")


def decide_add(connection: Connection, command: AddWebhook) -> Sequence[Draft]:
    live = _live(connection)
    _refuse_taken(live, command.terms.name, "")
    if len(live) >= MAX_WEBHOOKS:
        raise Invalid(
            f"there are {len(live)} webhooks, as many as there may be",
            code="webhook.too_many",
            hint="Remove one, or let one webhook take several kinds of events.",
        )
    body = WebhookMade(webhook=command.webhook, home=command.home, since=command.since, terms=command.terms)
    return [Draft(kind=MADE_KIND, subject=f"webhook:{command.webhook}", body=body)]


def decide_change(connection: Connection, command: ChangeWebhook) -> Sequence[Draft]:
    current = _required(connection, command.webhook)
    if current.terms == command.terms:
        return ()
    _refuse_taken(_live(connection), command.terms.name, command.webhook)
    woken = current.terms.status == DISABLED and command.terms.status != DISABLED
    body = WebhookChanged(
        webhook=command.webhook,
        since=command.since if woken else current.since,
        terms=command.terms,
        replaces=tuple(sorted(event for event, _ in _heads(connection, command.webhook))),
        reason=command.reason,
    )
    return [Draft(kind=CHANGED_KIND, subject=current.subject, body=body)]


def decide_remove(connection: Connection, command: RemoveWebhook) -> Sequence[Draft]:
    current = _required(connection, command.webhook)
    body = WebhookDeleted(webhook=current.id, name=current.name)
    return [Draft(kind=DELETED_KIND, subject=current.subject, body=body, drops=(current.subject,))]


def _required(connection: Connection, webhook: str) -> Webhook:
    found = webhook_by_id(connection, WebhookById(webhook=webhook))
    if found is None:
        raise NotFound(f"there is no webhook {webhook}", code="webhook.not_found", hint="`charkh webhook list`")
    return found


def _refuse_taken(live: Sequence[Webhook], name: str, own: str) -> None:
    if any(each.name == name and each.id != own for each in live):
        raise Conflict(
            f"there is a webhook {name!r}", code="webhook.exists", hint="Choose another name, or change that one."
        )


def webhooks(connection: Connection, query: Webhooks) -> tuple[Webhook, ...]:
    found = _live(connection)
    return tuple(each for each in found if not query.home or each.home == query.home)


def webhook_by_id(connection: Connection, query: WebhookById) -> Webhook | None:
    return next(iter(_live(connection, _made.c.id == query.webhook)), None)


def portray(connection: Connection, identifier: str) -> Description | None:
    found = webhook_by_id(connection, WebhookById(webhook=identifier))
    if found is None:
        return None
    lines = (("url", found.terms.url), ("events", ", ".join(found.terms.events)), ("status", found.terms.status))
    return Description(title=found.name, lines=lines)


def _live(connection: Connection, *conditions: Any) -> list[Webhook]:
    statement = (
        select(_made)
        .join(_deleted, _made.c.id == _deleted.c.id, isouter=True)
        .where(_deleted.c.id.is_(None), *conditions)
        .order_by(_made.c.stamp)
    )
    return [_current(connection, row) for row in connection.execute(statement).all()]


def _current(connection: Connection, row: Any) -> Webhook:
    told = Webhook(
        id=row.id,
        home=row.home,
        terms=_decode_terms(row.terms),
        since=row.since,
        actor=row.actor,
        created=row.created,
        updated=row.created,
        stamp=row.stamp,
    )
    for _, change in _heads(connection, row.id)[:1]:
        body = _decode_change(change.body)
        told = msgspec.structs.replace(told, terms=body.terms, since=body.since, updated=change.at, reason=body.reason)
    return told


def _heads(connection: Connection, webhook: str) -> list[tuple[str, Any]]:
    """The changes that no other one saw, the latest first: of two that were made apart it is the one that counts."""
    statement = select(_changed).where(_changed.c.webhook == webhook).order_by(_changed.c.stamp.desc())
    rows = connection.execute(statement).all()
    seen = {event for row in rows for event in _decode_change(row.body).replaces}
    return [(row.event, row) for row in rows if row.event not in seen]


PROJECTION = Projection(
    name="webhook",
    version=1,
    tables=_metadata,
    kinds=frozenset({MADE_KIND, CHANGED_KIND, DELETED_KIND}),
    fold=fold,
    answers={Webhooks: webhooks, WebhookById: webhook_by_id},
    portraits={"webhook": portray},
    decisions={AddWebhook: decide_add, ChangeWebhook: decide_change, RemoveWebhook: decide_remove},
)
