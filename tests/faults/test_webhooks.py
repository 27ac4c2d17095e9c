"""Receivers that are down, slow, broken or hostile, and a sender that is killed: nothing is lost, nobody waits long."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.receivers import Came, Receiver, Said, receiving

import charkh.workspace.notifying as notifying
from charkh.core.errors import Unavailable
from charkh.core.events import Draft
from charkh.ports.egress import Answer, Call
from charkh.ports.outbox import Outbox
from charkh.runs.run import ENDED_KIND, RunEnded
from charkh.stores.egress_http import HttpEgress
from charkh.stores.egress_rules import Allowed
from charkh.webhooks.add import add
from charkh.webhooks.find import find
from charkh.webhooks.letter import CloudEvents, Slack
from charkh.webhooks.webhook import Terms, Webhook
from charkh.workspace.notifying import Deliverer, DeliveryThread, deliver_once
from charkh.workspace.outgoing import outbox_of, sender_of
from charkh.workspace.workspace import Workspace, open_workspace

FORMS = {"cloudevents": CloudEvents("charkh://test"), "slack": Slack()}


class Side:
    """A workspace and what sends for it."""

    def __init__(self, workspace: Workspace, resolver: Callable[[str, int], Sequence[str]] | None = None) -> None:
        self.workspace = workspace
        allowed = Allowed(hosts=("public.test",), private=("127.0.0.1",))
        egress = HttpEgress(allowed, seconds=2.0, **({"resolver": resolver} if resolver else {}))
        self.sender = sender_of(workspace, tuple(FORMS), egress=egress)
        self.outbox: Outbox = outbox_of(workspace)
        self.deliverer = Deliverer(workspace, self.outbox, self.sender, FORMS)

    def hook(self, name: str, url: str) -> Webhook:
        return add(
            self.workspace.store, self.sender, Terms(name=name, url=url, events=("run.ended",)), secret="0123456789"
        )

    def end(self, *runs: str) -> list[str]:
        """Ids of the facts."""
        drafts = [
            Draft(kind=ENDED_KIND, subject=f"run:{run}", body=RunEnded(run=run, status="finished")) for run in runs
        ]
        return [event.id for event in self.workspace.store.record(*drafts)]

    def due_now(self) -> None:
        """Let every waiting letter be due: time passes."""
        for webhook in self.deliverer.targets().values():
            for each in self.outbox.history(webhook.id, 1000, state="pending"):
                self.outbox.again(webhook.id, each.parcel.message, time.time())


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    with open_workspace(tmp_path, create=True) as workspace:
        made = Side(workspace)
        yield made
        made.outbox.close()


def subjects(receiver: Receiver) -> list[str]:
    return [json.loads(came.body)["subject"] for came in receiver.came]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_receiver_that_was_down_gets_everything_in_order(side: Side) -> None:
    with receiving() as receiver:
        port = receiver.port
    side.hook("down", f"http://127.0.0.1:{port}")
    first, _, second = side.end("a", "b", "a")
    outcomes = deliver_once(side.deliverer, side.outbox)
    assert outcomes["down"] == (0, 2, 0), "the second of run a waits behind the first"
    side.end("c")
    with receiving(port=port) as receiver:
        side.due_now()
        assert deliver_once(side.deliverer, side.outbox)["down"] == (4, 0, 0)
        assert sorted(subjects(receiver)) == ["run:a", "run:a", "run:b", "run:c"]
        ids = [came.headers["webhook-id"] for came in receiver.came if b"run:a" in came.body]
        assert ids == [first, second]
    assert deliver_once(side.deliverer, side.outbox) == {}


def test_what_happened_while_nobody_delivered_is_sent_later(tmp_path: Path) -> None:
    with receiving() as receiver:
        with open_workspace(tmp_path, create=True) as workspace:
            side = Side(workspace)
            side.end("before")
            time.sleep(0.002)
            side.hook("late", receiver.url)
            side.end("a")
            side.outbox.close()
        with open_workspace(tmp_path) as workspace:
            Side(workspace).end("b")
        with open_workspace(tmp_path) as workspace:
            side = Side(workspace)
            deliver_once(side.deliverer, side.outbox)
            side.outbox.close()
        assert sorted(subjects(receiver)) == ["run:a", "run:b"]


def test_a_lost_outbox_is_told_again_under_the_same_ids(side: Side, tmp_path: Path) -> None:
    with receiving() as receiver:
        side.hook("again", receiver.url)
        side.end("a")
        deliver_once(side.deliverer, side.outbox)
        side.outbox.close()
        (tmp_path / ".charkh" / "outbox.sqlite").unlink()
        fresh = Side(side.workspace)
        deliver_once(fresh.deliverer, fresh.outbox)
        fresh.outbox.close()
        first, second = (came.headers["webhook-id"] for came in receiver.came)
        assert first == second


@pytest.mark.parametrize("status", [500, 503, 400, 401, 404, 301, 307])
def test_what_is_no_yes_is_tried_again_and_then_given_up(side: Side, status: int) -> None:
    answers = {"status": status}
    with receiving(lambda _came: Said(answers["status"], {"Location": "http://127.0.0.1:9/"}, b"planted")) as receiver:
        webhook = side.hook("broken", receiver.url)
        side.end("a")
        assert deliver_once(side.deliverer, side.outbox)["broken"] == (0, 1, 0)
        (waiting,) = side.outbox.history(webhook.id, 10)
        assert waiting.last is not None
        assert (waiting.last.status, waiting.last.error, waiting.attempts) == (status, "", 1)
        assert waiting.due > time.time() + 3
        for _ in range(20):
            (current,) = side.outbox.history(webhook.id, 10)
            if current.state == "dead":
                break
            side.outbox.note(current.number, current.last or waiting.last, "pending", 0.0)
            deliver_once(side.deliverer, side.outbox)
        (dead,) = side.outbox.history(webhook.id, 10)
        assert dead.state == "dead"
        answers["status"] = 200
        assert side.outbox.again(webhook.id, "", time.time()) == 1
        assert deliver_once(side.deliverer, side.outbox)["broken"] == (1, 0, 0)
        assert len({came.headers["webhook-id"] for came in receiver.came}) == 1
        assert len({came.body for came in receiver.came}) == 1, "the same bytes at every attempt"


def test_who_is_gone_is_asked_no_more(side: Side) -> None:
    with receiving(lambda _came: Said(410)) as receiver:
        side.hook("gone", receiver.url)
        side.end("a", "b")
        deliver_once(side.deliverer, side.outbox)
        webhook = find(side.workspace.store, "gone")
        assert (webhook.active, webhook.reason) == (False, "it answered 410 (gone)")
        came = len(receiver.came)
        side.end("c")
        deliver_once(side.deliverer, side.outbox)
        assert len(receiver.came) == came


def test_a_receiver_that_asks_for_time_gets_it(side: Side) -> None:
    with receiving(lambda _came: Said(429, {"Retry-After": "3600"})) as receiver:
        webhook = side.hook("busy", receiver.url)
        side.end("a")
        deliver_once(side.deliverer, side.outbox)
        (waiting,) = side.outbox.history(webhook.id, 1)
        assert waiting.due == pytest.approx(time.time() + 3600, abs=30)


def test_a_redirection_leads_nowhere(side: Side) -> None:
    with receiving() as inner, receiving(lambda _came: Said(302, {"Location": inner.url})) as outer:
        side.hook("detour", outer.url)
        side.end("a")
        deliver_once(side.deliverer, side.outbox)
        assert len(outer.came) == 1
        assert inner.came == []


def test_a_name_that_comes_to_mean_this_machine_is_not_called(tmp_path: Path) -> None:
    with receiving() as receiver, open_workspace(tmp_path, create=True) as workspace:
        side = Side(workspace, lambda _host, _port: ["127.0.0.1"])
        webhook = side.hook("rebound", f"https://public.test:{receiver.port}/")
        side.end("a")
        deliver_once(side.deliverer, side.outbox)
        (waiting,) = side.outbox.history(webhook.id, 1)
        assert waiting.last is not None
        assert "may not be called" in waiting.last.error
        assert receiver.came == []
        side.outbox.close()


def test_a_slow_receiver_holds_up_nobody_else(side: Side) -> None:
    release = threading.Event()

    def hang(_came: Came) -> Said:
        release.wait(10)
        return Said()

    with receiving(hang) as slow, receiving() as quick:
        side.hook("slow", slow.url)
        side.hook("quick", quick.url)
        thread = DeliveryThread(side.deliverer, side.outbox, every=0.02)
        thread.start()
        side.end(*(f"r{number}" for number in range(20)))
        wait_until(lambda: len(quick.came) == 20)
        assert len(slow.came) <= 4
        release.set()
        wait_until(lambda: len(slow.came) >= 20)
        assert thread.stop(10)


def test_of_two_servers_one_delivers_and_the_other_takes_over(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        side.hook("team", receiver.url)
        second = Side(side.workspace)
        threads = [DeliveryThread(each.deliverer, each.outbox, every=0.02) for each in (side, second)]
        monkeypatch.setattr(notifying, "WAIT_TO_LEAD", 0.05)
        for thread in threads:
            thread.start()
        side.end("a", "b")
        wait_until(lambda: len(receiver.came) == 2)
        assert threads[0].stop(10)
        side.end("c")
        wait_until(lambda: len(receiver.came) == 3)
        assert threads[1].stop(10)
        assert sorted(subjects(receiver)) == ["run:a", "run:b", "run:c"]
        second.outbox.close()


KILLED = """
import sys, time
from pathlib import Path
from charkh.server.delivering import deliverer_of
from charkh.workspace.notifying import deliver_once
from charkh.workspace.outgoing import outbox_of
from charkh.workspace.workspace import open_workspace
with open_workspace(Path(sys.argv[1])) as workspace:
    outbox = outbox_of(workspace)
    deliver_once(deliverer_of(workspace, outbox), outbox)
"""


def test_a_sender_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_text('[egress]\nprivate = ["127.0.0.1"]\n')
    with open_workspace(tmp_path, create=True) as workspace:
        side = Side(workspace)
        with receiving(lambda _came: (time.sleep(0.03), Said())[1]) as receiver:
            side.hook("killed", receiver.url)
            side.end(*(f"r{number}" for number in range(60)))
            for _ in range(3):
                came = len(receiver.came)
                process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
                wait_until(lambda came=came: len(receiver.came) > came + 4 or process.poll() is not None)  # noqa: B023
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            deliver_once(side.deliverer, side.outbox)
            told = subjects(receiver)
            assert set(told) == {f"run:r{number}" for number in range(60)}
            assert len(told) <= 60 + 3 * 4, "twice only what was under way when it was killed"
        side.outbox.close()


def test_a_full_disk_keeps_what_is_there(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        webhook = side.hook("full", receiver.url)
        side.end("a")

        def full(*_arguments: object, **_named: object) -> int:
            raise Unavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(side.outbox, "put", full)
            with pytest.raises(Unavailable):
                side.deliverer.read()
        assert side.deliverer.read() == 1
        deliver_once(side.deliverer, side.outbox)
        assert subjects(receiver) == ["run:a"]
        assert side.outbox.history(webhook.id, 1)[0].state == "delivered"


def test_what_a_receiver_says_is_kept_nowhere(side: Side, tmp_path: Path) -> None:
    with receiving(lambda _came: Said(500, {"X-Planted": "planted-word"}, b"planted-word")) as receiver:
        side.hook("chatty", receiver.url)
        side.end("a")
        deliver_once(side.deliverer, side.outbox)
    for path in (tmp_path / ".charkh").rglob("*"):
        assert not path.is_file() or b"planted-word" not in path.read_bytes(), path


class Counting:
    """An egress that says no and counts."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def check(self, url: str) -> None: ...

    def call(self, call: Call) -> Answer:
        self.calls.append(call)
        raise Unavailable("nobody is there")


def test_a_receiver_that_takes_nothing_is_left_alone_for_a_while(side: Side) -> None:
    counting = Counting()
    sender = side.sender._replace(egress=counting)
    deliverer = Deliverer(side.workspace, side.outbox, sender, FORMS)
    webhook = side.hook("away", "http://127.0.0.1:9/")
    side.end(*(f"r{number}" for number in range(50)))
    deliverer.read()
    deliverer.send_due(webhook, patient=True)
    assert len(counting.calls) == notifying.LANES
    assert deliverer.rests(webhook.id)
    assert msgspec.structs.asdict(side.outbox.history(webhook.id, 1)[0])["state"] == "pending"
