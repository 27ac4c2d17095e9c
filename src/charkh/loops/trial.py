"""A candidate that passed the gate, on its way to the alias: approvals, a shadow, a canary, and the last word.

Every step is a fact, so that a loop goes on where it was after a restart, and where somebody ended a rollout by hand.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from charkh.core.events import Draft, Edge
from charkh.core.gates import APPROVALS, Verdict, parse_condition
from charkh.core.loop_settings import LoopSettings
from charkh.core.quantities import parse_duration
from charkh.core.rollout_settings import RolloutSettings, Way
from charkh.endpoints.rollouts.index import CurrentRollout, Rollouts
from charkh.endpoints.rollouts.judge import RolloutVerdict, judge_now
from charkh.endpoints.rollouts.move import begin_rollout, end_rollout, move_rollout
from charkh.endpoints.rollouts.rollout import Rollout
from charkh.loops.decide import bounded, carry_out, found_again
from charkh.loops.guard import Governed, told
from charkh.loops.loop import CONCLUDED_KIND, MAX_REASON, OPEN, Concluded, Decision
from charkh.ports.store import Store

SHADOW = "shadow"


class Trial(NamedTuple):
    """What the steps of a trial are taken by.

    Attributes:
        settings: of the loop.
        rollout: how a candidate is let in at the loop's endpoint.
        governed: what is judged about a candidate besides the evidence: approvals, signatures.
        moment: seconds since the epoch.
        held: nothing goes forward for now; a candidate that raises an alarm is taken out all the same.
    """

    settings: LoopSettings
    rollout: RolloutSettings
    governed: Governed
    moment: float
    held: bool = False


def open_decision(history: Sequence[Decision]) -> Decision | None:
    """The loop's decision that has no last word yet, or None."""
    return next((each for each in history if each.decided.outcome in OPEN), None)


def only_approvals(verdicts: Sequence[Verdict]) -> bool:
    """Whether nothing is missing but people's approval."""
    missed = [verdict for verdict in verdicts if not verdict.met]
    return bool(missed) and all(parse_condition(verdict.condition).fact == APPROVALS for verdict in missed)


def go_on(store: Store, decision: Decision, trial: Trial) -> Decision:
    """Take the next step with a decision that has no last word yet; the decision as it is afterwards.

    Args:
        store: where everything is.
        decision: `waiting` or `trying`.
        trial: what the step is taken by.
    """
    return _waited(store, decision, trial) if decision.decided.outcome == "waiting" else _tried(store, decision, trial)


def conclude(
    store: Store,
    decision: Decision,
    outcome: str,
    reason: str,
    moment: float,
    *,
    rollouts: Sequence[Rollout] = (),
    verdicts: tuple[Verdict, ...] = (),
) -> Decision:
    """Say what an open decision came to; a promotion is carried out."""
    body = Concluded(
        decision=decision.id,
        outcome=outcome,
        reason=bounded(reason),
        moment=moment,
        rollouts=tuple(each.id for each in rollouts),
        verdicts=verdicts,
    )
    edges = tuple(Edge(decision.subject, "tried_in", each.subject) for each in rollouts)
    ended = outcome not in OPEN
    draft = Draft(
        kind=CONCLUDED_KIND,
        subject=decision.subject,
        body=body,
        edges=edges,
        facts={"promoted": outcome == "promoted"} if ended else {},
        about=f"model:{decision.decided.candidate}" if ended else "",
    )
    store.record(draft, durable=True)
    now = found_again(store, decision.id)
    return carry_out(store, now) if now.decided.outcome == "promoted" else now


def _waited(store: Store, decision: Decision, trial: Trial) -> Decision:
    if trial.held:
        return decision
    settings, moment = trial.settings, trial.moment
    said = dict(trial.governed(decision.decided.candidate))
    verdicts = tuple(said.get(verdict.condition, verdict) for verdict in decision.decided.verdicts)
    if all(verdict.met for verdict in verdicts):
        if not settings.endpoint or not decision.decided.champion:
            return conclude(store, decision, "promoted", told(verdicts), moment, verdicts=verdicts)
        reason = f"approved; tried at {settings.endpoint}"
        return _tried(store, conclude(store, decision, "trying", reason, moment, verdicts=verdicts), trial)
    if not only_approvals(verdicts):
        return conclude(store, decision, "refused", told(verdicts), moment, verdicts=verdicts)
    if moment - decision.decided.moment < parse_duration(settings.patience):
        return decision
    reason = f"nobody approved within {settings.patience}: {told(verdicts)}"
    return conclude(store, decision, "refused", reason, moment, verdicts=verdicts)


def _tried(store: Store, decision: Decision, trial: Trial) -> Decision:
    endpoint = decision.decided.endpoint or trial.settings.endpoint
    ours = _rollouts_of(store, endpoint, decision)
    current = store.queries.ask(CurrentRollout(endpoint=endpoint))
    if current is not None and current.begun.decided_by != decision.id:
        # Somebody tries something else there: this candidate waits for its turn.
        return decision
    newest = ours[-1] if ours else None
    if newest is None:
        return _begun(store, decision, endpoint, trial, SHADOW if trial.settings.shadow else trial.rollout.way)
    if newest.ended is None:
        return _watched(store, decision, ours, trial)
    if newest.ended.outcome == "promoted":
        return conclude(store, decision, "promoted", _why(newest), trial.moment, rollouts=ours)
    if newest.begun.plan.way == SHADOW and newest.ended.outcome == "stopped" and trial.rollout.way != SHADOW:
        return _begun(store, decision, endpoint, trial, trial.rollout.way)
    return conclude(store, decision, "refused", _why(newest), trial.moment, rollouts=ours)


def _watched(store: Store, decision: Decision, ours: Sequence[Rollout], trial: Trial) -> Decision:
    newest = ours[-1]
    # Requests come by the clock on the wall, whatever moment the loop stands at.
    verdict = judge_now(newest, {}, time.time())
    if verdict.action == "roll_back":
        end_rollout(store, newest.id, "rolled_back", route=verdict.route, reason=verdict.reason, decided_by=decision.id)
        reason = f"taken out again: {verdict.reason}"
        return conclude(store, decision, "refused", reason, trial.moment, rollouts=ours)
    if trial.held:
        return decision
    if verdict.action == "wait" and newest.begun.plan.way == SHADOW:
        asked = min(newest.count(arm.route).requests for arm in newest.begun.arms)
        if asked < trial.settings.shadow or trial.rollout.way == SHADOW:
            return decision
        reason = f"as a shadow it answered {asked} requests without an alarm"
        end_rollout(store, newest.id, "stopped", reason=reason, decided_by=decision.id)
        return _begun(store, decision, newest.begun.endpoint, trial, trial.rollout.way)
    return _acted(store, decision, newest, verdict, ours, trial.moment)


def _acted(
    store: Store, decision: Decision, newest: Rollout, verdict: RolloutVerdict, ours: Sequence[Rollout], moment: float
) -> Decision:
    if verdict.action in {"move", "drop"}:
        move_rollout(
            store, newest.id, verdict.shares, after=verdict.after, reason=verdict.reason, decided_by=decision.id
        )
        return decision
    if verdict.action == "promote":
        end_rollout(store, newest.id, "promoted", route=verdict.route, reason=verdict.reason, decided_by=decision.id)
        return conclude(store, decision, "promoted", verdict.reason, moment, rollouts=ours)
    return decision


def _begun(store: Store, decision: Decision, endpoint: str, trial: Trial, way: Way) -> Decision:
    if trial.held:
        return decision
    decided = decision.decided
    settings = msgspec.structs.replace(trial.rollout, way=way, candidates={})
    if way == SHADOW and trial.rollout.way != SHADOW:
        # Nobody was answered by it yet: its speed alone promotes nothing.
        settings = msgspec.structs.replace(settings, promote="by_hand")
    begin_rollout(
        store,
        endpoint,
        f"model:{decided.candidate}",
        champion=f"model:{decided.champion}" if decided.champion else "",
        settings=settings,
        reason=f"loop {decided.loop}: {decided.reason}"[:MAX_REASON],
        decided_by=decision.id,
    )
    return decision


def _rollouts_of(store: Store, endpoint: str, decision: Decision) -> list[Rollout]:
    """The rollouts of a decision, in order."""
    found = store.queries.ask(Rollouts(endpoint=endpoint))
    return sorted((each for each in found if each.begun.decided_by == decision.id), key=lambda each: each.stamp)


def _why(rollout: Rollout) -> str:
    ended = rollout.ended
    if ended is None:
        return ""
    said = {"promoted": "it was good enough", "rolled_back": "it was taken out again", "stopped": "somebody stopped it"}
    return f"{said.get(ended.outcome, ended.outcome)} at {rollout.begun.endpoint}: {ended.reason}".rstrip(": ")
