"""Facts about models as MLflow's webhooks tell them, so that a receiver that was written for MLflow keeps working.

Facts of the wire (MLflow 3.17): a body `{"entity", "action", "timestamp", "data"}`, and the headers
`X-MLflow-Delivery-Id`, `X-MLflow-Timestamp` (seconds) and `X-MLflow-Signature`: `v1,` and the base64 of HMAC-SHA256
with the secret's UTF-8 over `ID.TIMESTAMP.BODY`. A model with the tag `mlflow.prompt.is_prompt` is told as a prompt.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from charkh.core.clock import seconds
from charkh.core.errors import NotFound
from charkh.core.events import Event, body_of
from charkh.models.index import ModelById, ModelNamed
from charkh.models.model import ALIAS_KIND, VERSION_KIND, AliasMoved, ModelVersion, VersionMade
from charkh.models.registered import REGISTERED_KIND, TAGGED_KIND, ModelRegistered, ModelTagged
from charkh.models.texts import all_tags, read_text
from charkh.ports.store import Store
from charkh.webhooks.letter import Letter, Told, sample_event
from charkh.webhooks.webhook import Webhook

FORMAT = "mlflow"
PROMPT_TAG = "mlflow.prompt.is_prompt"
PROMPT_TEXT = "mlflow.prompt.text"
PROMPT_INNER = (PROMPT_TAG, PROMPT_TEXT, "_mlflow_prompt_type")

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "registered_model": ("created",),
    "model_version": ("created",),
    "model_version_tag": ("set", "deleted"),
    "model_version_alias": ("created", "deleted"),
    "prompt": ("created",),
    "prompt_version": ("created",),
    "prompt_tag": ("set", "deleted"),
    "prompt_version_tag": ("set", "deleted"),
    "prompt_alias": ("created", "deleted"),
}
"""What can be told of each entity."""

KINDS = frozenset({REGISTERED_KIND, VERSION_KIND, ALIAS_KIND, TAGGED_KIND})
"""The facts that MLflow's webhooks can tell of."""

_NAME = {"name": "example_model"}
_VERSION = {**_NAME, "version": "1"}
_TOLD = {"tags": {"example_key": "example_value"}, "description": "A test of this webhook"}
_PAIR = {"key": "example_key", "value": "example_value"}
EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "registered_model.created": {**_NAME, **_TOLD},
    "model_version.created": {**_VERSION, "source": "models:/123", "run_id": "abcd1234abcd5678", **_TOLD},
    "model_version_tag.set": {**_VERSION, **_PAIR},
    "model_version_tag.deleted": {**_VERSION, "key": "example_key"},
    "model_version_alias.created": {**_NAME, "alias": "example_alias", "version": "1"},
    "model_version_alias.deleted": {**_NAME, "alias": "example_alias"},
    "prompt.created": {**_NAME, **_TOLD},
    "prompt_version.created": {**_VERSION, "template": "Hello {{name}}", **_TOLD},
    "prompt_tag.set": {**_NAME, **_PAIR},
    "prompt_tag.deleted": {**_NAME, "key": "example_key"},
    "prompt_version_tag.set": {**_VERSION, **_PAIR},
    "prompt_version_tag.deleted": {**_VERSION, "key": "example_key"},
    "prompt_alias.created": {**_NAME, "alias": "example_alias", "version": "1"},
    "prompt_alias.deleted": {**_NAME, "alias": "example_alias"},
}
"""What a test sends as `data`."""


class Happened(NamedTuple):
    """One event of MLflow's: `entity.action` and its data."""

    event: str
    data: Mapping[str, object]


class MlflowForm:
    """See `charkh.webhooks.letter.Form`.

    Args:
        store: where names, tags and texts are looked up.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def wants(self, webhook: Webhook, kind: str) -> bool:
        """See `charkh.webhooks.letter.Form`."""
        del webhook
        return kind in KINDS

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """See `charkh.webhooks.letter.Form`."""
        return tuple(
            _letter(told.event, number, happened)
            for number, happened in enumerate(self._happened(told.event))
            if happened.event in webhook.terms.events
        )

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """See `charkh.webhooks.letter.Form`."""
        wanted = event or webhook.terms.events[0]
        return _letter(sample_event(webhook, wanted), 0, Happened(wanted, EXAMPLES[wanted]))

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:
        """See `charkh.webhooks.letter.Form`."""
        headers = {"X-MLflow-Delivery-Id": message, "X-MLflow-Timestamp": str(moment)}
        if secret:
            signed = f"{message}.{moment}.".encode() + body
            digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
            headers["X-MLflow-Signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers

    def _happened(self, event: Event) -> Iterator[Happened]:
        if event.kind == REGISTERED_KIND:
            yield from self._registered(body_of(event, ModelRegistered))
        elif event.kind == VERSION_KIND:
            yield from self._version(body_of(event, VersionMade))
        elif event.kind == ALIAS_KIND:
            yield from self._alias(body_of(event, AliasMoved))
        elif event.kind == TAGGED_KIND:
            yield from self._tagged(body_of(event, ModelTagged))

    def _registered(self, body: ModelRegistered) -> Iterator[Happened]:
        tags, description = self._told_of(body.name)
        if PROMPT_TAG in tags:
            shown = {name: value for name, value in tags.items() if name not in PROMPT_INNER}
            yield Happened("prompt.created", {"name": body.name, "tags": shown, "description": description})
        else:
            yield Happened("registered_model.created", {"name": body.name, "tags": tags, "description": description})

    def _version(self, body: VersionMade) -> Iterator[Happened]:
        version = self._by_id(body.version)
        tags = {} if version is None else all_tags(self._store, version.tags, version.long_tags)
        description = None if version is None else self._text(version.description)
        data: dict[str, object] = {"name": body.name, "version": str(body.number)}
        if self._is_prompt(body.name):
            shown = {name: value for name, value in tags.items() if name not in PROMPT_INNER}
            text = {"template": tags.get(PROMPT_TEXT), "tags": shown, "description": description}
            yield Happened("prompt_version.created", {**data, **text})
            return
        source = body.source or f"charkh:{body.name}@{body.number}"
        origin = {"source": source, "run_id": body.run or None, "tags": tags, "description": description}
        yield Happened("model_version.created", {**data, **origin})

    def _alias(self, body: AliasMoved) -> Iterator[Happened]:
        entity = "prompt_alias" if self._is_prompt(body.name) else "model_version_alias"
        data: dict[str, object] = {"name": body.name, "alias": body.alias}
        if not body.version:
            yield Happened(f"{entity}.deleted", data)
        elif (version := self._by_id(body.version)) is not None:
            yield Happened(f"{entity}.created", {**data, "version": str(version.made.number)})

    def _tagged(self, body: ModelTagged) -> Iterator[Happened]:
        noun, _, identifier = body.about.partition(":")
        version = self._by_id(identifier) if noun == "model" else None
        name = identifier if version is None else version.made.name
        prompt = self._is_prompt(name)
        if version is None and not prompt:
            return  # MLflow tells of the tags of versions and prompts, and of no others.
        entity = "prompt_tag" if version is None else "prompt_version_tag" if prompt else "model_version_tag"
        data: dict[str, object] = {"name": name}
        if version is not None:
            data["version"] = str(version.made.number)
        said: dict[str, str | None] = {**body.tags, **{key: self._text(file) for key, file in body.long.items()}}
        for key, value in said.items():
            action, pair = ("deleted", {"key": key}) if value is None else ("set", {"key": key, "value": value})
            yield Happened(f"{entity}.{action}", {**data, **pair})

    def _by_id(self, identifier: str) -> ModelVersion | None:
        return self._store.queries.ask(ModelById(version=identifier))

    def _told_of(self, name: str) -> tuple[Mapping[str, str], str | None]:
        model = self._store.queries.ask(ModelNamed(name=name))
        if model is None:
            return {}, None
        return all_tags(self._store, model.tags, model.long_tags), self._text(model.description)

    def _is_prompt(self, name: str) -> bool:
        return PROMPT_TAG in self._told_of(name)[0]

    def _text(self, file: Any) -> str | None:
        try:
            return read_text(self._store, file) or None
        except NotFound:  # its bytes were erased, or are not on this machine
            return None


def _letter(event: Event, number: int, happened: Happened) -> Letter:
    entity, _, action = happened.event.partition(".")
    at = datetime.fromtimestamp(seconds(event.clock), UTC).isoformat()
    # The separators are those that MLflow's own sender writes.
    body = json.dumps({"entity": entity, "action": action, "timestamp": at, "data": happened.data}).encode()
    message = event.id if number == 0 else f"{event.id}-{number}"
    return Letter(message, event.id, event.kind, event.subject, "application/json", body)
