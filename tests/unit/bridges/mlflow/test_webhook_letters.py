"""Facts about models in MLflow's words."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from charkh.bridges.mlflow.webhook_letters import ACTIONS, EXAMPLES, MlflowForm
from charkh.core.events import decode_event
from charkh.models.annotate import tag
from charkh.models.declare import declare
from charkh.ports.store import Store
from charkh.testing.projections import payloads_of
from charkh.testing.stores import memory_store
from charkh.webhooks.letter import Told
from charkh.webhooks.webhook import Terms, Webhook
from charkh.workspace.projections import PROJECTIONS

EVERY = tuple(f"{entity}.{action}" for entity, actions in ACTIONS.items() for action in actions)


def hook(*events: str) -> Webhook:
    terms = Terms(name="registry", url="https://example.com", events=events, format="mlflow")
    return Webhook(id="w" * 32, home="h", terms=terms, since=0, actor="ann", created=0.0, updated=0.0, stamp="")


def told(store: Store, webhook: Webhook) -> list[tuple[str, Any]]:
    form = MlflowForm(store)
    letters = [
        letter
        for payload in payloads_of(store)
        for event in [decode_event(payload)]
        for letter in form.letters(webhook, Told(event, {}, lambda: "", lambda _hook: True))
    ]
    assert len({letter.id for letter in letters}) == len(letters), "every letter has an id of its own"
    bodies = [json.loads(letter.body) for letter in letters]
    return [(f"{body['entity']}.{body['action']}", body["data"]) for body in bodies]


@pytest.fixture
def store() -> Store:
    return memory_store(*PROJECTIONS)


def test_a_model_without_versions_is_told(store: Store) -> None:
    declare(store, "delay", description="Late or not.", tags={"team": "flights"})
    tag(store, "delay", {"team": "trains"})
    assert told(store, hook(*EVERY)) == [
        ("registered_model.created", {"name": "delay", "tags": {"team": "trains"}, "description": "Late or not."})
    ]
    assert told(store, hook("model_version.created")) == []


def test_a_prompt_is_told_as_one(store: Store) -> None:
    declare(store, "greeting", tags={"mlflow.prompt.is_prompt": "true", "tone": "warm"})
    tag(store, "greeting", {"tone": None, "kind": "long"})
    happened = told(store, hook(*EVERY))
    assert ("prompt.created", {"name": "greeting", "tags": {"kind": "long"}, "description": None}) in happened
    assert ("prompt_tag.deleted", {"name": "greeting", "key": "tone"}) in happened
    assert ("prompt_tag.set", {"name": "greeting", "key": "kind", "value": "long"}) in happened


def test_there_is_an_example_of_everything_that_is_told() -> None:
    assert set(EXAMPLES) == set(EVERY)
    form = MlflowForm(memory_store(*PROJECTIONS))
    for event in EVERY:
        body = json.loads(form.sample(hook(event), "").body)
        assert set(body) == {"entity", "action", "timestamp", "data"}
        assert f"{body['entity']}.{body['action']}" == event


def test_the_signature_covers_id_time_and_body() -> None:
    form = MlflowForm(memory_store(*PROJECTIONS))
    signed: Sequence[tuple[str, int, bytes]] = [("a", 1, b"x"), ("b", 1, b"x"), ("a", 2, b"x"), ("a", 1, b"y")]
    made = {form.headers("secret", *each)["X-MLflow-Signature"] for each in signed}
    assert len(made) == 4
    assert all(each.startswith("v1,") for each in made)
    assert "X-MLflow-Signature" not in form.headers("", "a", 1, b"x")
