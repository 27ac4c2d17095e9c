"""A candidate that passed the gate: approvals, a shadow, a canary, the last word; and what a person stops."""

from typing import Any

import pytest

from charkh.core.config import GateSettings
from charkh.core.errors import Invalid
from charkh.core.events import Draft
from charkh.core.gates import Verdict
from charkh.core.ids import new_id
from charkh.core.loop_settings import LoopSettings
from charkh.core.rollout_settings import RolloutSettings
from charkh.core.sequential import Sums
from charkh.endpoints.deploy import deploy
from charkh.endpoints.rollouts.index import CurrentRollout, Rollouts
from charkh.endpoints.rollouts.move import end_rollout
from charkh.endpoints.rollouts.rollout import COUNTED_KIND, Counted, Counts, Rollout
from charkh.loops.index import DecisionById, Decisions, PauseOf
from charkh.loops.loop import Decision
from charkh.loops.notified_index import Notifications
from charkh.loops.notify import Said, notify
from charkh.loops.pause import pause, resume
from charkh.loops.turn import turn
from charkh.models.alias import holder_of, move_alias
from charkh.models.find import find
from charkh.models.model import CHAMPION
from charkh.ports.runtimes import Signature
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from unit.loops.conftest import PROJECTIONS, Retraining

GATE = GateSettings(require=("auc >= 0.7",))
CANARY = RolloutSettings(
    steps=(10.0, 50.0), every="0s", least=10, measure="error_ratio", promote="when_no_worse", margin=0.2
)
HOUR = 3600.0


def once(store: Store, retrain: Retraining, *, hour: float = 0.0, gate: GateSettings = GATE, **more: Any) -> Decision:
    governed = more.pop("governed", lambda _candidate: {})
    by_hand = more.pop("by_hand", False)
    settings = LoopSettings(**{"on": "every:1h", "run": "flights", "endpoint": "delay", **more})
    return turn(
        store, "delay", settings, gate, retrain, moment=hour * HOUR, by_hand=by_hand, governed=governed, rollout=CANARY
    )


def champion(store: Store) -> str:
    holder = holder_of(store, "delay", CHAMPION)
    return holder.version.ref if holder is not None and holder.version is not None else ""


@pytest.fixture
def served(store: Store, retrain: Retraining) -> Store:
    """The first champion, promoted without a trial and deployed."""
    once(store, retrain, by_hand=True, endpoint="")
    deploy(store, "delay", find(store, "delay@1").subject, signature=Signature(inputs=(), outputs=()))
    retrain.skill = 4.0
    return store


def current(store: Store) -> Rollout:
    found = store.queries.ask(CurrentRollout(endpoint="delay"))
    assert found is not None
    return found


def count(store: Store, requests: int, failures: int = 0, writer: str = "") -> None:
    """What one process counted on both routes."""
    rollout = current(store)
    candidate = Counts(requests=requests, rows=requests, failures=failures, seconds=Sums(requests, 1.0, 1.0))
    routes = {"champion": Counts(requests=requests, rows=requests), "candidate": candidate}
    body = Counted(endpoint="delay", rollout=rollout.id, writer=writer or new_id(), routes=routes)
    store.record(Draft(kind=COUNTED_KIND, subject=rollout.subject, body=body))


def test_a_candidate_goes_through_a_shadow_and_a_canary_to_the_alias(served: Store, retrain: Retraining) -> None:
    trying = once(served, retrain, hour=2, shadow=50)
    assert (trying.decided.outcome, trying.decided.endpoint) == ("trying", "delay")
    assert champion(served) == "delay@1"
    once(served, retrain, hour=3, shadow=50)
    assert current(served).begun.plan.way == "shadow"
    count(served, 49)
    once(served, retrain, hour=4, shadow=50)
    assert current(served).begun.plan.way == "shadow", "one request is missing"
    count(served, 1)
    once(served, retrain, hour=5, shadow=50)
    canary = current(served)
    assert (canary.begun.plan.way, canary.shares, canary.begun.decided_by) == ("canary", {"candidate": 0.1}, trying.id)
    count(served, 500)
    once(served, retrain, hour=6, shadow=50)
    assert current(served).shares == {"candidate": 0.5}
    count(served, 4000)
    done = once(served, retrain, hour=7, shadow=50)
    assert (done.decided.outcome, done.first, done.id) == ("promoted", "trying", trying.id)
    assert champion(served) == "delay@2"
    assert served.queries.ask(CurrentRollout(endpoint="delay")) is None
    assert [each.outcome for each in done.steps] == ["promoted"]
    assert len(done.steps[0].rollouts) == 2
    assert len(retrain.triggers) == 2, "nothing was retrained while the candidate was tried"


def test_the_first_champion_is_tried_beside_nobody(store: Store, retrain: Retraining) -> None:
    first = once(store, retrain, by_hand=True, shadow=50)
    assert (first.decided.outcome, first.decided.endpoint, champion(store)) == ("promoted", "", "delay@1")


def test_what_the_gate_refuses_is_tried_nowhere(served: Store, retrain: Retraining) -> None:
    refused = once(served, retrain, hour=2, gate=GateSettings(require=("auc >= 1.1",)))
    assert (refused.decided.outcome, refused.decided.endpoint) == ("refused", "")


def test_a_shadow_is_never_promoted_however_quick_it_is(served: Store, retrain: Retraining) -> None:
    once(served, retrain, hour=2, shadow=50)
    once(served, retrain, hour=3, shadow=50)
    count(served, 4000)
    tried = once(served, retrain, hour=4, shadow=50)
    assert (tried.decided.outcome, current(served).begun.plan.way) == ("trying", "canary")
    assert champion(served) == "delay@1"


def test_an_alarm_takes_the_candidate_out(served: Store, retrain: Retraining) -> None:
    once(served, retrain, hour=2)
    once(served, retrain, hour=3)
    count(served, 2000, failures=1000)
    refused = once(served, retrain, hour=4)
    assert refused.decided.outcome == "refused"
    assert "taken out again" in refused.decided.reason
    assert champion(served) == "delay@1"


@pytest.mark.parametrize(
    ("outcome", "becomes"), [("promoted", "promoted"), ("stopped", "refused"), ("rolled_back", "refused")]
)
def test_what_a_person_says_of_the_trial_stands(served: Store, retrain: Retraining, outcome: Any, becomes: str) -> None:
    once(served, retrain, hour=2)
    once(served, retrain, hour=3)
    end_rollout(served, "delay", outcome, reason="seen enough")
    decision = once(served, retrain, hour=4)
    assert (decision.decided.outcome, "seen enough" in decision.decided.reason) == (becomes, True)
    assert champion(served) == ("delay@2" if becomes == "promoted" else "delay@1")


def test_who_promotes_the_candidate_before_the_loop_does_is_not_contradicted(
    served: Store, retrain: Retraining
) -> None:
    trying = once(served, retrain, hour=2)
    once(served, retrain, hour=3)
    move_alias(served, "delay@2", CHAMPION)
    end_rollout(served, current(served).id, "promoted", reason="it is better")
    done = once(served, retrain, hour=4)
    assert (done.id, done.decided.outcome, champion(served)) == (trying.id, "promoted", "delay@2")


def test_a_stopped_loop_moves_nothing_forward_but_takes_a_bad_candidate_out(served: Store, retrain: Retraining) -> None:
    once(served, retrain, hour=2)
    once(served, retrain, hour=3)
    with pytest.raises(Invalid):
        pause(served, "delay", reason=" ")
    stopped = pause(served, "delay", reason="an audit")
    assert stopped is not None
    assert stopped.reason == "an audit"
    pause(served, "delay", reason="again")
    count(served, 5000)
    once(served, retrain, hour=4)
    assert current(served).shares == {"candidate": 0.1}
    count(served, 5000, failures=4000)
    assert once(served, retrain, hour=5).decided.outcome == "refused"
    held = once(served, retrain, hour=6)
    assert (held.decided.outcome, held.decided.reason) == ("braked", f"stopped by {served.actor}: an audit")
    resume(served, "delay")
    assert served.queries.ask(PauseOf(loop="delay")) is None
    assert once(served, retrain, hour=40).decided.outcome == "trying"


def test_a_candidate_waits_for_approval_as_long_as_the_loop_has_patience(served: Store, retrain: Retraining) -> None:
    gate = GateSettings(require=("auc >= 0.7", "approvals >= 1"), approvals=1)
    said = {"met": False}

    def governed(_candidate: str) -> dict[str, Verdict]:
        return {"approvals >= 1": Verdict(condition="approvals >= 1", met=said["met"], reason="1 is needed")}

    more: dict[str, Any] = {"gate": gate, "governed": governed, "patience": "2h", "endpoint": ""}
    assert once(served, retrain, hour=2, **more).decided.outcome == "waiting"
    assert once(served, retrain, hour=3, **more).decided.outcome == "waiting"
    gone = once(served, retrain, hour=4, **more)
    assert (gone.decided.outcome, gone.decided.reason[:25]) == ("refused", "nobody approved within 2h")
    retrain.skill = 5.0
    assert once(served, retrain, hour=6, **more).decided.outcome == "waiting"
    said["met"] = True
    assert once(served, retrain, hour=7, **more).decided.outcome == "promoted"
    assert champion(served) == "delay@3"


def test_without_patience_a_missing_approval_refuses(served: Store, retrain: Retraining) -> None:
    gate = GateSettings(require=("approvals >= 1",), approvals=1)
    missing = {"approvals >= 1": Verdict(condition="approvals >= 1", met=False, reason="1 is needed")}
    decision = once(served, retrain, hour=2, gate=gate, governed=lambda _candidate: missing)
    assert decision.decided.outcome == "refused"


def test_a_candidate_waits_while_something_else_is_tried(served: Store, retrain: Retraining) -> None:
    from charkh.endpoints.rollouts.move import begin_rollout

    other = begin_rollout(served, "delay", find(served, "delay@1").subject, settings=CANARY)
    once(served, retrain, hour=2)
    assert once(served, retrain, hour=3).decided.outcome == "trying"
    assert current(served).id == other.id
    end_rollout(served, "delay", "stopped")
    once(served, retrain, hour=4)
    assert len(served.queries.ask(Rollouts(endpoint="delay"))) == 2


def test_the_holdout_and_the_budgets_hold(served: Store, retrain: Retraining) -> None:
    refused = once(served, retrain, hour=2, holdout="truth")
    assert (refused.decided.outcome, "hold-out truth" in refused.decided.reason) == ("refused", True)
    braked = once(served, retrain, hour=4, budget="2 in 7d")
    assert (braked.decided.outcome, "2 retrainings" in braked.decided.reason) == ("braked", True)
    braked = once(served, retrain, hour=30, time_budget="0s in 7d")
    assert (braked.decided.outcome, "the budget is 0s in 7d" in braked.decided.reason) == ("braked", True)
    frozen = once(served, retrain, hour=60, freeze=("1970-01-03/1970-01-05",))
    assert frozen.decided.reason == "it is frozen: 1970-01-03/1970-01-05"
    assert once(served, retrain, hour=200, budget="2 in 7d").decided.outcome == "trying"


def test_a_notification_from_outside_triggers_once(served: Store, retrain: Retraining) -> None:
    said = Said(key="g f", name="DriftSustained", status="firing", labels={"a": "b"}, summary="psi", began="2026-01-01")
    assert notify(served, [said, said]) == (said,)
    assert notify(served, [said]) == ()
    more = {"on": ("dataset:truth", "alert:DriftSustained"), "endpoint": ""}
    decision = once(served, retrain, hour=2, **more)
    assert (decision.decided.outcome, decision.decided.trigger_reason) == ("promoted", "alert DriftSustained: psi")
    assert once(served, retrain, hour=3, **more).decided.outcome == "idle"
    over = Said(key="g f", name="DriftSustained", status="resolved", began="2026-01-01")
    assert notify(served, [over]) == (over,)
    assert once(served, retrain, hour=4, **more).decided.outcome == "idle"
    assert len(served.queries.ask(Notifications(name="DriftSustained"))) == 2


def test_the_clock_triggers_once_for_each_time(served: Store, retrain: Retraining) -> None:
    more = {"on": "cron:0 3 * * *", "endpoint": ""}
    assert once(served, retrain, hour=2, **more).decided.outcome == "idle"
    retrain.skill = 6.0
    assert once(served, retrain, hour=3.5, **more).decided.outcome == "promoted"
    assert once(served, retrain, hour=4, **more).decided.outcome == "idle"


def test_facts_about_loops_fold_in_any_order(served: Store, retrain: Retraining) -> None:
    decision = once(served, retrain, hour=2)
    once(served, retrain, hour=3)
    pause(served, "delay", reason="x")
    resume(served, "delay")
    notify(served, [Said(key="k", name="A", status="firing")])
    end_rollout(served, "delay", "promoted")
    once(served, retrain, hour=4)
    queries = [Decisions(), DecisionById(decision=decision.id), PauseOf(loop="delay"), Notifications()]
    assert_order_free(PROJECTIONS, payloads_of(served), queries, rounds=2)
