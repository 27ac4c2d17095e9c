"""MLflow's webhooks on charkh's own: create, list, get, update, delete and test.

Only webhooks that were made here are shown here: MLflow's clients could not read the events of others.
"""

from typing import Any

import msgspec

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.envelope import EXISTS, MISSING, MlflowError, invalid
from charkh.bridges.mlflow.pages import page
from charkh.bridges.mlflow.webhook_letters import ACTIONS, FORMAT, MlflowForm
from charkh.core.errors import Conflict
from charkh.webhooks.add import add
from charkh.webhooks.change import change
from charkh.webhooks.index import WebhookById, Webhooks
from charkh.webhooks.remove import remove
from charkh.webhooks.schedule import succeeded
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import ACTIVE, DISABLED, FORMATS, Terms, Webhook
from charkh.workspace.notifying import Deliverer
from charkh.workspace.outgoing import outbox_of, sender_of

Fields = dict[str, Any]

_BASE = "/mlflow/webhooks"
_STATUSES = {"ACTIVE": ACTIVE, "DISABLED": DISABLED}
_NUMBERS = {
    "status": ("", *_STATUSES),
    "entity": ("", *(entity.upper() for entity in ACTIONS)),
    "action": ("", "CREATED", "UPDATED", "DELETED", "SET"),
}
"""The enumerations of the protocol by their numbers, which some clients send."""


def create(call: Call) -> Fields:
    """Make a webhook."""
    status = _word(call, "status") or "ACTIVE"
    terms = Terms(
        name=call.text("name"),
        url=_checked_url(call.text("url")),
        events=_events(call, required=True),
        format=FORMAT,
        status=_status(status),
        description=call.text("description", ""),
    )
    try:
        made = add(call.store, _sender(call), terms, secret=call.text("secret", ""))
    except Conflict as error:
        raise MlflowError(EXISTS, f"Webhook with name {terms.name} already exists") from error
    return {"webhook": _fields(made)}


def listed(call: Call) -> Fields:
    """The webhooks, oldest first."""
    most = call.whole("max_results", 100)
    if not 1 <= most <= 1000:
        raise invalid("max_results must be between 1 and 1000.")
    found = [each for each in call.store.queries.ask(Webhooks()) if each.terms.format == FORMAT]
    items, token = page(found, call.text("page_token", ""), most)
    answer: Fields = {"webhooks": [_fields(each) for each in items]}
    return {**answer, "next_page_token": token} if token else answer


def get(call: Call) -> Fields:
    """One webhook."""
    return {"webhook": _fields(_meant(call))}


def update(call: Call) -> Fields:
    """Change what is said of a webhook."""
    current = _meant(call)
    terms = current.terms
    status = _word(call, "status")
    url = call.text("url", "")
    wanted = msgspec.structs.replace(
        terms,
        name=call.text("name", "") or terms.name,
        events=_events(call, required=False) or terms.events,
        status=_status(status) if status else terms.status,
        description=call.text("description", "") or terms.description,
    )
    sender, secret = _sender(call), call.text("secret", "")
    try:
        changed = change(call.store, sender, current.id, wanted, url=_checked_url(url) if url else "", secret=secret)
    except Conflict as error:
        raise MlflowError(EXISTS, f"Webhook with name {wanted.name} already exists") from error
    return {"webhook": _fields(changed)}


def delete(call: Call) -> Fields:
    """Remove a webhook and what waits for it."""
    outbox = outbox_of(call.workspace)
    try:
        remove(call.store, _sender(call), outbox, _meant(call).id)
    finally:
        outbox.close()
    return {}


def test(call: Call) -> Fields:
    """Send an example once; of the answer, only the status is told."""
    webhook = _meant(call)
    event = _event(call.body["event"]) if call.has("event") else ""
    outbox = outbox_of(call.workspace)
    try:
        form = MlflowForm(call.store)
        attempt = Deliverer(call.workspace, outbox, _sender(call), {FORMAT: form}).test(webhook, event)
    finally:
        outbox.close()
    result: Fields = {"success": succeeded(attempt.status)}
    if attempt.status:
        result["response_status"] = attempt.status
    if attempt.error:
        result["error_message"] = f"Failed to test webhook: {attempt.error}"
    return {"result": result}


def _meant(call: Call) -> Webhook:
    identifier = call.path_values["webhook_id"]
    found = call.store.queries.ask(WebhookById(webhook=identifier))
    if found is None or found.terms.format != FORMAT:
        raise MlflowError(MISSING, f"Webhook with ID {identifier[:100]} not found.")
    return found


def _sender(call: Call) -> Sender:
    return sender_of(call.workspace, (*FORMATS, FORMAT))


def _fields(webhook: Webhook) -> Fields:
    terms = webhook.terms
    events = [each.partition(".") for each in terms.events]
    fields: Fields = {
        "webhook_id": webhook.id,
        "name": terms.name,
        "url": terms.url,
        "events": [{"entity": entity.upper(), "action": action.upper()} for entity, _, action in events],
        "status": terms.status.upper(),
        "creation_timestamp": round(webhook.created * 1000),
        "last_updated_timestamp": round(webhook.updated * 1000),
    }
    return {**fields, "description": terms.description} if terms.description else fields


def _checked_url(url: str) -> str:
    """What MLflow's own server says of an address before anybody judges its host."""
    if not url.strip():
        raise invalid(f"Webhook URL cannot be empty or just whitespace: {url!r}")
    scheme, sign, _ = url.partition("://")
    if not sign or scheme not in {"https", "http"}:
        raise invalid(f"Invalid webhook URL scheme: {scheme[:40]!r}. Allowed schemes are: https.")
    if url.count("[") != url.count("]"):
        raise invalid(f"Invalid webhook URL {url[:200]!r}: Invalid IPv6 URL")
    return url


def _events(call: Call, *, required: bool) -> tuple[str, ...]:
    given = call.items("events")
    if required and not given:
        raise invalid("Webhook events must be a non-empty list of WebhookEvent objects: [].")
    return tuple(_event(each) for each in given)


def _event(given: Any) -> str:
    if not isinstance(given, dict):
        raise invalid("A webhook event has an entity and an action.")
    entity, action = _named(given, "entity").lower(), _named(given, "action").lower()  # pyright: ignore[reportUnknownArgumentType]
    if entity not in ACTIONS:
        raise invalid(f"Unknown webhook entity: {entity[:60]!r}. Known are: {', '.join(ACTIONS)}.")
    if action not in ACTIONS[entity]:
        raise invalid(
            f"Invalid action '{action[:60]}' for entity '{entity}'. Valid actions are: {sorted(ACTIONS[entity])}"
        )
    return f"{entity}.{action}"


def _word(call: Call, field: str) -> str:
    return _named(call.body, field) if call.has(field) else ""


def _named(fields: Any, field: str) -> str:
    value, words = fields.get(field), _NUMBERS[field]
    if isinstance(value, int) and 0 < value < len(words):
        return words[value]
    return value if isinstance(value, str) else ""


def _status(word: str) -> str:
    if word not in _STATUSES:
        raise invalid(f"Unknown webhook status: {word[:40]!r}. It is ACTIVE or DISABLED.")
    return _STATUSES[word]


ROUTES = (
    Route("POST", _BASE, create, "admin"),
    Route("GET", _BASE, listed, "admin"),
    Route("GET", f"{_BASE}/{{webhook_id}}", get, "admin"),
    Route("PATCH", f"{_BASE}/{{webhook_id}}", update, "admin"),
    Route("DELETE", f"{_BASE}/{{webhook_id}}", delete, "admin"),
    Route("POST", f"{_BASE}/{{webhook_id}}/test", test, "admin"),
)
