"""Making, changing and removing webhooks, on a real store: what is decided, what is kept, and what no event has."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from charkh.core.config import WebhookSettings
from charkh.core.errors import Conflict, Denied, Invalid, NotFound
from charkh.core.events import Draft
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.stores.egress_http import HttpEgress
from charkh.stores.egress_rules import Allowed
from charkh.stores.outbox_sql import folder_outbox
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store
from charkh.webhooks.add import add
from charkh.webhooks.change import change
from charkh.webhooks.find import find
from charkh.webhooks.index import PROJECTION, Webhooks
from charkh.webhooks.remove import remove
from charkh.webhooks.secrets import SecretFile, key_of, new_secret
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import CHANGED_KIND, FORMATS, Filter, Terms, WebhookChanged

SLACK = "https://hooks.slack.com/services/T00/B00/planted0secret0of0slack"


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


def sender(folder: Path, environment: Mapping[str, str] | None = None, **settings: WebhookSettings) -> Sender:
    egress = HttpEgress(Allowed(hosts=("example.com", "hooks.slack.com")))
    return Sender("home", SecretFile(folder / "webhooks.json"), egress, FORMATS, settings, environment or {})


def terms(name: str = "ci", url: str = "https://example.com/hook", **more: object) -> Terms:
    return Terms(name=name, url=url, events=("run.ended",), **more)  # type: ignore[arg-type]


def test_a_life(store: Store, tmp_path: Path) -> None:
    side = sender(tmp_path)
    made = add(store, side, terms(filter=Filter(name="delay*")), secret="planted-secret")
    assert (made.terms.signed, made.home, made.active, made.actor) == (True, "home", True, "ann@laptop")
    assert find(store, "ci") == find(store, made.id) == find(store, made.subject) == made
    changed = change(store, side, "ci", msgspec.structs.replace(made.terms, status="disabled"))
    assert (changed.active, changed.since, changed.terms.filter.name) == (False, made.since, "delay*")
    woken = change(store, side, "ci", msgspec.structs.replace(changed.terms, status="active"))
    assert woken.since > made.since, "what happened while it was disabled is not sent"
    assert change(store, side, "ci", woken.terms).updated == woken.updated, "saying the same changes nothing"
    described = store.queries.ask(Describe(subject=made.subject))
    assert described is not None
    assert described.title == "ci"
    assert_order_free([PROJECTION], payloads_of(store), [Webhooks(), Webhooks(home="home")])
    outbox = folder_outbox(tmp_path)
    remove(store, side, outbox, "ci")
    outbox.close()
    assert side.secrets.get(made.id).secret == ""
    with pytest.raises(NotFound, match="no webhook ci"):
        find(store, "ci")
    assert_order_free([PROJECTION], payloads_of(store), [Webhooks()])


def test_no_secret_is_in_an_event_or_an_answer(store: Store, tmp_path: Path) -> None:
    side = sender(tmp_path)
    add(store, side, terms(), secret="planted-secret")
    hidden = add(store, side, terms("slack", SLACK, format="slack"))
    queried = add(store, side, terms("query", "https://example.com/hook?token=planted-secret"))
    change(store, side, "ci", url="https://example.com/other?key=planted-secret", secret="planted-secret-2")
    facts = b"".join(payloads_of(store))
    assert b"planted" not in facts
    assert b"planted" not in msgspec.json.encode(store.queries.ask(Webhooks()))
    assert hidden.terms.url == "https://hooks.slack.com/…"
    assert side.kept(hidden).url == SLACK
    assert side.kept(queried).url.endswith("planted-secret")
    assert side.kept(find(store, "ci")).secret == "planted-secret-2"
    assert (tmp_path / "webhooks.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "secret", ["$HOME/secret", "${PATH}..", "{{ secret }}", "file:///etc/passwd", "env:HOME-SECRET"]
)
def test_a_secret_is_used_literally(store: Store, tmp_path: Path, secret: str) -> None:
    side = sender(tmp_path)
    made = add(store, side, terms(), secret=secret)
    assert side.kept(made).secret == secret
    assert key_of(secret) == secret.encode()


def test_a_signed_webhook_is_never_without_its_secret(store: Store, tmp_path: Path) -> None:
    made = add(store, sender(tmp_path), terms(), secret=new_secret())
    slack = add(store, sender(tmp_path), terms("slack", SLACK, format="slack"))
    other = tmp_path / "other"
    other.mkdir()
    for webhook in (made, slack):
        with pytest.raises(Invalid, match="is not on this machine"):
            sender(other).kept(webhook)
    told = WebhookSettings(secret_env="CI_SECRET")
    assert sender(other, {"CI_SECRET": "from-variable"}, ci=told).kept(made).secret == "from-variable"
    with pytest.raises(Invalid, match="CI_SECRET is not set"):
        sender(other, {}, ci=told).kept(made)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (terms(""), "no name"),
        (terms("-x"), "no name"),
        (terms("x" * 64), "no name"),
        (msgspec.structs.replace(terms(), events=()), "names 0 kinds"),
        (msgspec.structs.replace(terms(), events=("run",)), "no kind of event"),
        (msgspec.structs.replace(terms(), events=("run.ended; rm",)), "no kind of event"),
        (terms(format="carrier-pigeon"), "not written as"),
        (terms(status="asleep"), "is not 'asleep'"),
        (terms(description="x" * 501), "501 characters"),
        (terms(filter=Filter(subject="x" * 251)), "longer than 250"),
        (terms(url="ftp://example.com/"), "no address"),
        (terms(url="https://user@example.com/"), "no address"),
    ],
)
def test_what_cannot_be_is_refused(store: Store, tmp_path: Path, wrong: Terms, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        add(store, sender(tmp_path), wrong)
    assert store.queries.ask(Webhooks()) == ()


def test_hosts_names_and_secrets_are_judged(store: Store, tmp_path: Path) -> None:
    side = sender(tmp_path)
    with pytest.raises(Denied, match="may not be called"):
        add(store, side, terms(url="https://elsewhere.test/"))
    for secret in ("short", "x" * 1001, "whsec_no base64!"):
        with pytest.raises(Invalid):
            add(store, side, terms(), secret=secret)
    add(store, side, terms())
    with pytest.raises(Conflict, match="there is a webhook 'ci'"):
        add(store, side, terms(), secret="planted-secret")
    assert "planted" not in (tmp_path / "webhooks.json").read_text() if (tmp_path / "webhooks.json").exists() else True
    with pytest.raises(Denied):
        change(store, side, "ci", url="https://elsewhere.test/")


def test_of_two_changes_made_apart_the_later_shows(store: Store, tmp_path: Path) -> None:
    side = sender(tmp_path)
    made = add(store, side, terms())
    for description in ("first", "second"):
        apart = msgspec.structs.replace(made.terms, description=description)
        body = WebhookChanged(webhook=made.id, since=made.since, terms=apart)
        store.record(Draft(kind=CHANGED_KIND, subject=made.subject, body=body))
    assert find(store, "ci").terms.description == "second"
    settled = change(store, side, "ci", msgspec.structs.replace(made.terms, description="third"))
    assert settled.terms.description == "third"
    assert_order_free([PROJECTION], payloads_of(store), [Webhooks()])


def test_two_of_one_name_that_were_made_apart_are_told_apart(store: Store, tmp_path: Path) -> None:
    made = add(store, sender(tmp_path), terms())
    other = memory_store(PROJECTION)
    twin = add(other, sender(tmp_path), terms())
    store.journal.append(payloads_of(other))
    with pytest.raises(Conflict, match="2 webhooks are called ci"):
        find(store, "ci")
    assert {find(store, each.id).id for each in (made, twin)} == {made.id, twin.id}
