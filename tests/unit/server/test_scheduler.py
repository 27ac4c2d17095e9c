"""The scheduler: one round turns every loop and seals; what fails is logged and the next round comes."""

import logging
import threading
from types import SimpleNamespace

import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.core.gates import Verdict
from charkh.loops.loop import Decided, Decision
from charkh.server import scheduler
from charkh.server.scheduler import Scheduler
from charkh.workspace.workspace import Workspace


def refused(loop: str) -> Decision:
    return Decision(
        decided=Decided(loop=loop, decision="d", outcome="refused", reason="worse", moment=0), actor="", at=0, stamp=""
    )


def test_a_round_turns_the_loops_and_seals(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    monkeypatch.setattr(scheduler, "turn_loop", lambda _workspace, name: done.append(name) or refused(name))
    monkeypatch.setattr(scheduler, "seal_all", lambda _workspace: done.append("sealed"))
    with caplog.at_level(logging.INFO, "charkh.server"):
        Scheduler(workspace, 0).round()
    assert done == ["delay", "sealed"]
    assert "loop delay: refused: worse" in caplog.text


def test_what_fails_is_logged_and_the_rest_is_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_workspace: Workspace, _name: str) -> Decision:
        raise Invalid("no such pipeline")

    def full(_workspace: Workspace) -> int:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(scheduler, "turn_loop", fail)
    monkeypatch.setattr(scheduler, "seal_all", full)
    Scheduler(workspace, 0).round()
    assert "loop delay: no such pipeline" in caplog.text
    assert "sealing: the disk is full" in caplog.text


def test_rounds_go_on_after_a_bug_and_end_when_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = threading.Semaphore(0)

    def explode(_self: Scheduler) -> None:
        rounds.release()
        raise ZeroDivisionError

    monkeypatch.setattr(Scheduler, "round", explode)
    made = Scheduler(workspace, 0.01)
    made.start()
    assert rounds.acquire(timeout=10)
    assert rounds.acquire(timeout=10)
    assert made.stop(10)
    assert "a round of the loops failed" in caplog.text


def test_a_scheduler_that_was_told_never_does_nothing(workspace: Workspace) -> None:
    made = Scheduler(workspace, 0)
    made.start()
    assert made.stop(0)


def test_a_stopped_scheduler_begins_no_further_loop(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "turn_loop", lambda *_given: pytest.fail("a loop was turned"))
    made = Scheduler(workspace, 0)
    made.stop(0)
    made.round()
    assert made.stop(0)


def test_a_round_collects_the_monitors_that_are_due(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    met = Verdict(condition="psi > 0.2", met=True, reason="psi is 0.4")

    def collected(_workspace: Workspace, name: str) -> object:
        if name == "quiet":
            raise Invalid("nobody has asked", code="monitor.no_requests")
        return SimpleNamespace(alerts=(met,))

    monkeypatch.setattr(scheduler, "due", lambda _workspace, _moment: ["delay", "quiet"])
    monkeypatch.setattr(scheduler, "watch", collected)
    monkeypatch.setattr(scheduler, "turn_loop", lambda _workspace, name: refused(name))
    with caplog.at_level(logging.INFO, "charkh.server"):
        Scheduler(workspace, 0).round()
    assert "monitor delay: psi > 0.2: psi is 0.4" in caplog.text
    assert "quiet" not in caplog.text
