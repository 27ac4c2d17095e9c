"""One turn of a loop: idle, braked, failed, promoted, refused; and what a crash or a colleague does in between."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from charkh.core.config import GateSettings
from charkh.core.errors import Invalid, Unavailable
from charkh.core.events import Edge
from charkh.core.loop_settings import LoopSettings
from charkh.lineage.index import EdgesFrom, FactsAbout
from charkh.loops import decide as deciding
from charkh.loops import turn as turning
from charkh.loops.index import DecisionById, Decisions, LooksAt, Loops
from charkh.loops.loop import Candidate, Decision, Trigger
from charkh.loops.turn import pay_what_is_owed, turn
from charkh.models.alias import holder_of, move_alias
from charkh.models.delete import delete
from charkh.models.index import AliasHistory, ModelVersions
from charkh.models.model import CHAMPION
from charkh.models.roll_back import roll_back
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from unit.loops.conftest import PROJECTIONS, Retraining

DAY = 86400.0
GATE = GateSettings(require=("auc >= 0.7",))
AGAINST_CHAMPION = GateSettings(require=("auc >= 0.7", "auc > champion @90%"))


def once(store: Store, retrain: Retraining, *, gate: GateSettings = GATE, day: float = 0.0, **more: Any) -> Decision:
    by_hand = more.pop("by_hand", True)
    settings = LoopSettings(**{"on": "dataset:truth", "run": "flights", **more})
    return turn(store, "delay", settings, gate, retrain, moment=day * DAY, by_hand=by_hand)


def champion(store: Store) -> str:
    holder = holder_of(store, "delay", CHAMPION)
    return holder.version.ref if holder is not None and holder.version is not None else ""


def test_an_idle_turn_is_not_written_down(store: Store, retrain: Retraining) -> None:
    decision = once(store, retrain, by_hand=False)
    assert (decision.decided.outcome, decision.decided.reason) == ("idle", "nothing new on dataset:truth")
    assert retrain.triggers == []
    assert store.queries.ask(Decisions()) == ()


def test_a_candidate_that_meets_the_gate_becomes_champion(
    store: Store, retrain: Retraining, month: Callable[..., str]
) -> None:
    version = month()
    decision = once(store, retrain, by_hand=False)
    decided = decision.decided
    assert (decided.outcome, decided.reason) == ("promoted", "auc >= 0.7 is met")
    assert (decided.trigger, decided.trigger_reason) == (version, "truth@1 is new")
    assert (decided.champion, decided.looks, decided.judged_on) == ("", 1, retrain.on)
    assert champion(store) == "delay@1"
    (move,) = store.queries.ask(AliasHistory(name="delay", alias=CHAMPION))
    assert move.moved.decided_by == decision.id
    assert "loop delay: auc >= 0.7 is met" in move.moved.reason
    edges = store.queries.ask(EdgesFrom(subject=decision.subject))
    assert set(edges) == {
        Edge(decision.subject, "triggered_by", version),
        Edge(decision.subject, "judged_on", retrain.on),
        Edge(decision.subject, "judged", f"model:{decided.candidate}"),
    }
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=f"model:{decided.candidate}"))}
    assert facts["promoted"] is True
    described = store.queries.ask(Describe(subject=decision.subject))
    assert described is not None
    assert ("outcome", "promoted") in described.lines
    assert once(store, retrain, by_hand=False).decided.outcome == "idle", "the version is answered"


def test_a_candidate_that_does_not_meet_the_gate_is_refused(store: Store, retrain: Retraining) -> None:
    once(store, retrain)
    retrain.skill = 0.1
    decision = once(store, retrain, gate=AGAINST_CHAMPION)
    assert decision.decided.outcome == "refused"
    assert decision.decided.reason.startswith("not met: auc >= 0.7: ")
    assert [verdict.met for verdict in decision.decided.verdicts] == [False, False]
    assert champion(store) == "delay@1"
    held = Edge(decision.subject, "against", f"model:{decision.decided.champion}")
    assert held in store.queries.ask(EdgesFrom(subject=decision.subject))


def test_a_better_candidate_replaces_the_champion_it_was_compared_with(store: Store, retrain: Retraining) -> None:
    once(store, retrain)
    assert once(store, retrain, gate=AGAINST_CHAMPION).decided.outcome == "promoted"
    assert champion(store) == "delay@2"


def test_a_brake_holds_and_is_written_down(store: Store, retrain: Retraining, month: Callable[..., str]) -> None:
    month(1)
    once(store, retrain, by_hand=False, cooldown="7d", day=1)
    second = month(2)
    held = once(store, retrain, by_hand=False, cooldown="7d", day=2)
    assert held.decided.outcome == "braked"
    assert "the cooldown is 7d" in held.decided.reason
    assert held.decided.trigger == second
    assert len(retrain.triggers) == 1
    later = once(store, retrain, by_hand=False, cooldown="7d", day=8)
    assert (later.decided.outcome, later.decided.trigger) == ("promoted", second)
    assert once(store, retrain, cooldown="7d", day=9).decided.outcome == "braked", "brakes hold by hand, too"


def test_a_brake_that_holds_on_is_written_down_once_a_day(
    store: Store, retrain: Retraining, month: Callable[..., str]
) -> None:
    month(1)
    once(store, retrain, by_hand=False, cooldown="7d", day=1)
    month(2)
    for minute in range(5):
        held = once(store, retrain, by_hand=False, cooldown="7d", day=2 + minute / 1440)
        assert held.decided.outcome == "braked"
    assert len(store.queries.ask(Decisions())) == 2
    once(store, retrain, by_hand=False, cooldown="7d", day=3)
    assert len(store.queries.ask(Decisions())) == 3
    assert once(store, retrain, by_hand=False, cooldown="7d", day=8).decided.outcome == "promoted"


def test_a_retraining_that_gives_the_champion_again_is_tried_again_after_a_day(
    store: Store, retrain: Retraining, month: Callable[..., str]
) -> None:
    once(store, retrain)
    month(1)
    calls: list[str] = []

    def same(_trigger: Trigger) -> Candidate:
        calls.append("")
        return Candidate(model="delay@champion", judged_on=retrain.on)

    for minute in range(5):
        settings = LoopSettings(on="dataset:truth", run="flights")
        decision = turn(store, "delay", settings, GATE, same, moment=DAY + minute * 60)
        assert decision.decided.outcome == "braked"
        assert "gave the champion delay@1 again" in decision.decided.reason
    assert len(calls) == 1
    turn(store, "delay", LoopSettings(on="dataset:truth", run="flights"), GATE, same, moment=2 * DAY)
    assert len(calls) == 2


def test_looks_at_one_truth_are_counted_and_bounded(store: Store, retrain: Retraining) -> None:
    first = once(store, retrain, looks=2)
    second = once(store, retrain, looks=2)
    third = once(store, retrain, looks=2)
    assert [each.decided.looks for each in (first, second, third)] == [1, 2, 3]
    assert [each.decided.outcome for each in (first, second, third)] == ["promoted", "promoted", "refused"]
    assert "2 candidates were already judged on this truth" in third.decided.reason
    assert store.queries.ask(LooksAt(loop="delay", judged_on=retrain.on)) == 3
    assert store.queries.ask(LooksAt(loop="other", judged_on=retrain.on)) == 0
    retrain.on = f"dataset:{'ab' * 16}"
    assert once(store, retrain, looks=2).decided.outcome == "promoted", "another truth may be looked at"


def test_a_retraining_that_fails_is_an_outcome(store: Store, retrain: Retraining, month: Callable[..., str]) -> None:
    month()

    def fail() -> None:
        raise Invalid("the password=hunter2hunter2 did not fit " + "x" * 600)

    retrain.before = fail
    decision = once(store, retrain, by_hand=False)
    assert decision.decided.outcome == "failed"
    assert "hunter2" not in decision.decided.reason
    assert len(decision.decided.reason) <= 500
    assert (decision.decided.candidate, decision.decided.verdicts) == ("", ())
    assert once(store, retrain, by_hand=False).decided.outcome == "idle", "it waits for the next version"


def test_a_bug_in_the_retraining_is_nobodys_decision(store: Store, retrain: Retraining) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    retrain.before = fail
    with pytest.raises(ZeroDivisionError):
        once(store, retrain)
    assert store.queries.ask(Decisions()) == ()


def crash(store: Store, retrain: Retraining, monkeypatch: pytest.MonkeyPatch) -> Decision:
    """A turn whose process dies between the decision and the move of the alias."""

    def die(*_given: object, **_named: object) -> None:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(deciding, "promote", die)
        with pytest.raises(Unavailable):
            once(store, retrain)
    (decision, *_) = store.queries.ask(Decisions(loop="delay"))
    assert decision.decided.outcome == "promoted"
    return decision


def test_a_promotion_that_a_crash_prevented_is_paid_by_the_next_turn(
    store: Store, retrain: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = crash(store, retrain, monkeypatch)
    assert champion(store) == ""
    assert once(store, retrain, by_hand=False).decided.outcome == "idle"
    assert champion(store) == "delay@1"
    (move,) = store.queries.ask(AliasHistory(name="delay", alias=CHAMPION))
    assert move.moved.decided_by == decision.id
    assert pay_what_is_owed(store, "delay") is False, "it is paid once"


def test_what_somebody_decided_since_a_crash_stands(
    store: Store, retrain: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(store, retrain)
    crash(store, retrain, monkeypatch)
    move_alias(store, "delay@2", CHAMPION, reason="by hand")
    move_alias(store, "delay@1", CHAMPION, reason="and back, on purpose")
    assert pay_what_is_owed(store, "delay") is False
    assert champion(store) == "delay@1"


def test_nothing_is_owed_to_a_candidate_that_was_deleted(
    store: Store, retrain: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(store, retrain, monkeypatch)
    delete(store, "delay@1")
    assert pay_what_is_owed(store, "delay") is False
    assert pay_what_is_owed(store, "never turned") is False


def test_what_was_rolled_back_by_hand_is_not_promoted_again(store: Store, retrain: Retraining) -> None:
    once(store, retrain)
    once(store, retrain)
    assert champion(store) == "delay@2"
    roll_back(store, "delay", reason="complaints")
    assert once(store, retrain, by_hand=False).decided.outcome == "idle"
    assert champion(store) == "delay@1"


def test_whoever_moves_the_alias_while_the_gate_judges_wins(
    store: Store, retrain: Retraining, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(store, retrain)
    once(store, retrain)
    real = turning.write_down

    def interrupted(*given: Any) -> Decision:
        written = real(*given)
        move_alias(store, "delay@1", CHAMPION, reason="a colleague")
        return written

    monkeypatch.setattr(turning, "write_down", interrupted)
    with caplog.at_level(logging.WARNING, "charkh"):
        decision = once(store, retrain)
    assert champion(store) == "delay@1"
    assert "loop delay" in caplog.text
    assert decision.decided.outcome == "superseded"
    assert store.queries.ask(DecisionById(decision=decision.id)) == decision
    assert decision.decided.candidate
    assert len(store.queries.ask(ModelVersions(name="delay"))) == 3
    assert pay_what_is_owed(store, "delay") is False


def test_the_fold_is_free_of_order(store: Store, retrain: Retraining, month: Callable[..., str]) -> None:
    month()
    first = once(store, retrain, by_hand=False)
    once(store, retrain, cooldown="7d")
    retrain.skill = 0.1
    once(store, retrain, day=9)
    queries = [
        Decisions(loop="delay"),
        Decisions(limit=2),
        Loops(),
        DecisionById(decision=first.id),
        LooksAt(loop="delay", judged_on=retrain.on),
        Describe(subject=first.subject),
    ]
    tables = assert_order_free(PROJECTIONS, payloads_of(store), queries)
    assert len(tables["loop_decision"]) == 3
