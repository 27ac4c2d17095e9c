"""What is sent: its form, its signature, and what it never has."""

import base64
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.events import Edge, Event
from charkh.core.files import FileRef, TreeEntry, TreeRef
from charkh.webhooks.letter import MAX_BYTES, CloudEvents, Slack, Told, cloud_type, plain
from charkh.webhooks.schedule import DELAYS, next_delay, succeeded
from charkh.webhooks.sign import signature, standard_headers
from charkh.webhooks.webhook import Filter, Terms, Webhook
from charkh.workspace.bodies import BODIES

HOOK = Webhook(
    id="w" * 32,
    home="h",
    terms=Terms(name="ci", url="https://example.com", events=("run.*", "model.alias_moved")),
    since=0,
    actor="ann",
    created=0.0,
    updated=0.0,
    stamp="",
)


def told(body: dict[str, Any], kind: str = "run.ended/1", *, passing: bool = True) -> Told:
    event = Event(
        id="0" * 31 + "7",
        kind=kind,
        actor="ann@laptop",
        clock=1_700_000_000_000 << 16,
        subject="run:1",
        body=msgspec.Raw(b"\x80"),
        edges=(Edge("model:1", "produced_by", "run:1"),),
        facts={"auc": 0.9, "bad": math.nan},
    )
    return Told(event=event, body=body, title=lambda: "night <1>", passes=lambda _hook: passing)


def test_a_cloud_event_has_what_the_specification_asks_for() -> None:
    (letter,) = CloudEvents("charkh://store").letters(HOOK, told({"status": "failed"}))
    assert letter.content_type == "application/cloudevents+json; charset=utf-8"
    assert json.loads(letter.body) == {
        "specversion": "1.0",
        "id": "0" * 31 + "7",
        "source": "charkh://store",
        "type": "io.charkh.run.ended.v1",
        "subject": "run:1",
        "time": "2023-11-14T22:13:20.000Z",
        "datacontenttype": "application/json",
        "actor": "ann@laptop",
        "title": "night <1>",
        "data": {
            "status": "failed",
            "edges": [["model:1", "produced_by", "run:1"]],
            "facts": {"auc": 0.9, "bad": "NaN"},
        },
    }
    assert (letter.id, letter.event, letter.subject) == ("0" * 31 + "7", "0" * 31 + "7", "run:1")


def test_what_is_not_meant_makes_no_letter() -> None:
    for form in (CloudEvents("charkh://store"), Slack()):
        assert not form.wants(HOOK, "dataset.version/1")
        assert form.wants(HOOK, "run.ended/1")
        assert form.letters(HOOK, told({}, passing=False)) == ()


def test_a_letter_is_bounded() -> None:
    (letter,) = CloudEvents("charkh://store").letters(HOOK, told({"text": "x" * MAX_BYTES}))
    assert json.loads(letter.body)["data"] == {"cut": True}


def test_slack_reads_one_line_without_marks_of_its_own() -> None:
    (letter,) = Slack().letters(HOOK, told({"status": "failed", "error": "a <b> & c"}))
    assert json.loads(letter.body) == {
        "text": "*run.ended*  night &lt;1&gt;  status: failed  error: a &lt;b&gt; &amp; c  _ann@laptop_"
    }
    assert Slack().headers("", "id", 1, b"") == {}


def test_slack_says_of_an_alert_who_looks_after_it_and_how() -> None:
    said = {"condition": "psi > 0.2", "severity": "page", "owner": "ann", "runbook": "https://wiki.example/late"}
    (letter,) = Slack().letters(HOOK, told(said))
    assert "severity: page  condition: psi &gt; 0.2  owner: ann  runbook: https://wiki.example/late" in str(letter.body)


def test_no_body_names_its_own_edges_or_facts() -> None:
    taken = {kind for kind, body in BODIES.items() if {"edges", "facts"} & set(body.__struct_fields__)}
    assert taken == set()


def test_bytes_are_not_named() -> None:
    body = {"file": FileRef("d" * 64, 1), "tree": TreeRef("r", 1, 1), "list": [TreeEntry("a", FileRef("d", 1)), 1]}
    assert plain(body) == {"list": [1]}
    assert plain({"a": (math.inf, -math.inf, math.nan, None, True, b"x")}) == {
        "a": ["Infinity", "-Infinity", "NaN", None, True, "b'x'"]
    }


def test_a_sample_says_that_it_is_one() -> None:
    letter = CloudEvents("charkh://store").sample(HOOK, "")
    assert json.loads(letter.body)["type"] == "io.charkh.model.alias_moved.v1"
    assert json.loads(letter.body)["data"] == {"test": True, "webhook": "ci"}
    assert "a test of the webhook ci" in Slack().sample(HOOK, "run.ended").body.decode()


def test_types_are_written_backwards() -> None:
    assert cloud_type("model.alias_moved/12") == "io.charkh.model.alias_moved.v12"


def test_the_example_of_the_specification() -> None:
    """The vector that Standard Webhooks publishes for its libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed() -> None:
    assert standard_headers("", "m", 5, b"{}") == {"webhook-id": "m", "webhook-timestamp": "5"}


@given(st.binary(min_size=8, max_size=64), st.binary(max_size=200), st.text("abc_1", min_size=1, max_size=20))
def test_every_bit_counts(key: bytes, body: bytes, message: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    good = signature(secret, message, 1, body)
    assert good != signature(secret, message, 2, body)
    assert good != signature(secret, message + "x", 1, body)
    assert good != signature(secret, message, 1, body + b" ")


def test_delays_grow_and_end_after_days() -> None:
    assert list(DELAYS) == sorted(DELAYS)
    assert 3 * 86400 < sum(DELAYS) < 4 * 86400
    assert next_delay(len(DELAYS) + 1) is None


@given(st.integers(1, len(DELAYS)), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_delay_is_near_the_schedule_or_what_the_receiver_asks(
    attempts: int, chance: float, asked: float | None
) -> None:
    delay = next_delay(attempts, asked, chance)
    assert delay is not None
    planned = DELAYS[attempts - 1]
    assert delay >= planned * 0.79
    assert delay <= max(planned * 1.21, min(asked or 0.0, 86400.0))


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (301, False), (307, False), (404, False), (0, False)]
)
def test_only_a_yes_is_a_success(status: int, good: bool) -> None:
    assert succeeded(status) is good


def test_a_filter_takes_no_room_where_it_says_nothing() -> None:
    assert msgspec.json.encode(Filter()) == b"{}"
