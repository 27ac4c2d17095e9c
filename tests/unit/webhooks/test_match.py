"""Which facts a webhook is told of."""

import msgspec
import pytest

from charkh.core.events import Event
from charkh.webhooks.letter import sample_event
from charkh.webhooks.match import is_named, names_of, passes
from charkh.webhooks.webhook import Filter, Terms, Webhook


def event(subject: str) -> Event:
    terms = Terms(name="ci", url="https://example.com", events=("run.ended",))
    webhook = Webhook(id="w", home="h", terms=terms, since=0, actor="ann", created=0.0, updated=0.0, stamp="")
    return msgspec.structs.replace(sample_event(webhook), subject=subject)


@pytest.mark.parametrize(
    ("kind", "pattern", "told"),
    [
        ("run.ended/1", "run.ended", True),
        ("run.ended/2", "run.ended", True),
        ("run.started/1", "run.ended", False),
        ("run.started/1", "run.*", True),
        ("model.alias_moved/1", "*", True),
        ("model.alias_moved/1", "*.alias_moved", True),
        ("webhook.changed/1", "*", False),
        ("webhook.changed/1", "webhook.*", False),
        ("user.token_made/1", "*", False),
    ],
)
def test_patterns_name_kinds(kind: str, pattern: str, told: bool) -> None:
    assert is_named(kind, (pattern,)) is told


@pytest.mark.parametrize(
    ("wanted", "through"),
    [
        (Filter(), True),
        (Filter(subject="model:*"), True),
        (Filter(subject="run:*"), False),
        (Filter(name="del*"), True),
        (Filter(name="other"), False),
        (Filter(tags={"team": "fl*"}), True),
        (Filter(tags={"team": "fl*", "stage": "prod"}), False),
        (Filter(subject="model:1", name="delay", tags={"team": "flights"}), True),
    ],
)
def test_filters_narrow(wanted: Filter, through: bool) -> None:
    assert passes(wanted, event("model:1"), lambda: {"delay"}, lambda: {"team": "flights"}) is through


def test_nothing_is_looked_up_that_nobody_asks_for() -> None:
    def never() -> set[str]:
        raise AssertionError

    def no_tags() -> dict[str, str]:
        raise AssertionError

    assert passes(Filter(subject="model:*"), event("model:1"), never, no_tags)


def test_a_body_says_what_it_is_about() -> None:
    assert names_of({"name": "delay", "alias": "champion", "number": 3, "pipeline": ""}) == {"delay", "champion"}
