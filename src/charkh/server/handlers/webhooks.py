"""`/api/webhooks`: who outside is told what happens. For admins; no answer has a secret, or what a receiver said."""

import time
from typing import Any

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from charkh.ports.outbox import Attempt, Delivery
from charkh.server.delivering import deliverer_of, forms_of
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy
from charkh.webhooks.add import add
from charkh.webhooks.change import change
from charkh.webhooks.find import find
from charkh.webhooks.index import Webhooks
from charkh.webhooks.remove import remove
from charkh.webhooks.schedule import succeeded
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import CLOUDEVENTS, Filter, Terms, Webhook
from charkh.workspace.outgoing import outbox_of, sender_of
from charkh.workspace.workspace import Workspace


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be made; without a secret nothing is signed."""

    name: str
    url: str
    events: tuple[str, ...]
    filter: Filter = Filter()
    format: str = CLOUDEVENTS
    description: str = ""
    secret: str = ""


class ChangedWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of a webhook; None stays."""

    webhook: str
    name: str | None = None
    url: str = ""
    events: tuple[str, ...] | None = None
    filter: Filter | None = None
    status: str | None = None
    description: str | None = None
    secret: str = ""


class Meant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The webhook that is meant, by name or id; the kind of event, or the letter, where one is meant."""

    webhook: str
    event: str = ""
    message: str = ""


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test; `status` is 0 where there was no answer."""

    success: bool
    status: int
    seconds: float
    error: str


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A letter and what became of it."""

    message: str
    event: str
    kind: str
    subject: str
    state: str
    queued: float
    due: float
    attempts: int
    last: Attempt | None


@get("/api/webhooks", opt={"policy": Policy.ADMIN}, sync_to_thread=True)
def list_webhooks(state: State) -> tuple[Webhook, ...]:
    """The webhooks, oldest first."""
    return workspace_of(state).store.queries.ask(Webhooks())


@get("/api/webhooks/webhook", opt={"policy": Policy.ADMIN}, sync_to_thread=True)
def show_webhook(state: State, name: FromQuery[str]) -> Webhook:
    """The webhook of a name or id."""
    return find(workspace_of(state).store, name)


@get("/api/webhooks/deliveries", opt={"policy": Policy.ADMIN}, sync_to_thread=True)
def list_deliveries(
    state: State, name: FromQuery[str], limit: FromQuery[int] = 100, dead: FromQuery[bool] = False
) -> tuple[Sent, ...]:
    """What was sent, newest first; with `dead`, only what was given up."""
    workspace = workspace_of(state)
    webhook = find(workspace.store, name)
    outbox = outbox_of(workspace)
    try:
        return tuple(_sent(each) for each in outbox.history(webhook.id, limited(limit), state="dead" if dead else ""))
    finally:
        outbox.close()


@post("/api/webhooks", opt={"policy": Policy.ADMIN}, sync_to_thread=True)
def add_webhook(state: State, data: JSONBody[NewWebhook]) -> Webhook:
    """Make a webhook; the operator has to have listed its host in `[egress]`."""
    workspace = workspace_of(state)
    fields = {field: getattr(data, field) for field in data.__struct_fields__ if field != "secret"}
    return add(workspace.store, _sender(workspace), Terms(**fields), secret=data.secret)


@post("/api/webhooks/change", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def change_webhook(state: State, data: JSONBody[ChangedWebhook]) -> Webhook:
    """Change a webhook."""
    workspace = workspace_of(state)
    current = find(workspace.store, data.webhook)
    fields = ("name", "events", "filter", "status", "description")
    said: dict[str, Any] = {field: getattr(data, field) for field in fields if getattr(data, field) is not None}
    terms = msgspec.structs.replace(current.terms, **said)
    return change(workspace.store, _sender(workspace), current.id, terms, url=data.url, secret=data.secret)


@post("/api/webhooks/remove", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def remove_webhook(state: State, data: JSONBody[Meant]) -> Webhook:
    """Remove a webhook, its secret and what waits for it."""
    workspace = workspace_of(state)
    outbox = outbox_of(workspace)
    try:
        return remove(workspace.store, _sender(workspace), outbox, data.webhook)
    finally:
        outbox.close()


@post("/api/webhooks/test", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def test_webhook(state: State, data: JSONBody[Meant]) -> Tested:
    """Send a letter about nothing, once."""
    workspace = workspace_of(state)
    outbox = outbox_of(workspace)
    try:
        attempt = deliverer_of(workspace, outbox).test(find(workspace.store, data.webhook), data.event)
    finally:
        outbox.close()
    return Tested(
        success=succeeded(attempt.status), status=attempt.status, seconds=attempt.seconds, error=attempt.error
    )


@post("/api/webhooks/resend", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def resend(state: State, data: JSONBody[Meant]) -> dict[str, int]:
    """Send one letter, or every one that was given up, once more; how many."""
    workspace = workspace_of(state)
    webhook = find(workspace.store, data.webhook)
    outbox = outbox_of(workspace)
    try:
        return {"waiting": outbox.again(webhook.id, data.message, time.time())}
    finally:
        outbox.close()


def _sender(workspace: Workspace) -> Sender:
    return sender_of(workspace, tuple(forms_of(workspace)))


def _sent(delivery: Delivery) -> Sent:
    parcel = delivery.parcel
    return Sent(
        message=parcel.message,
        event=parcel.event,
        kind=parcel.kind,
        subject=parcel.subject,
        state=delivery.state,
        queued=delivery.queued,
        due=delivery.due,
        attempts=delivery.attempts,
        last=delivery.last,
    )


HANDLERS = (
    list_webhooks,
    show_webhook,
    list_deliveries,
    add_webhook,
    change_webhook,
    remove_webhook,
    test_webhook,
    resend,
)
