"""One turn of a loop: trigger, brakes, retraining, gate, trial, and a promotion or a refusal, each written down.

The decision is durable before the alias moves, and names the evidence. A crash in between leaves a
decision whose promotion is owed: the next turn pays it first, so that nothing is decided twice.
"""

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from charkh.core.config import GateSettings
from charkh.core.errors import CharkhError
from charkh.core.gates import Verdict
from charkh.core.ids import new_id
from charkh.core.loop_settings import LoopSettings
from charkh.core.quantities import parse_duration
from charkh.core.rollout_settings import RolloutSettings
from charkh.datasets.index import DatasetById
from charkh.loops.brakes import braked_before, cooling, frozen, looked_enough, spent
from charkh.loops.decide import bounded, carry_out, write_down
from charkh.loops.guard import Governed, guard, nothing_governed, told
from charkh.loops.index import Decisions, LooksAt, PauseOf
from charkh.loops.loop import OPEN, Candidate, Decided, Decision, Trigger
from charkh.loops.trial import Trial, go_on, only_approvals, open_decision
from charkh.loops.trigger import triggered
from charkh.models.alias import holder_of
from charkh.models.find import find
from charkh.models.index import AliasHistory, ModelById
from charkh.models.model import CHAMPION
from charkh.ports.store import Store

Retrain = Callable[[Trigger], Candidate]
"""Makes a candidate: trains, evaluates against the champion on the newest known truth, registers."""

_log = logging.getLogger("charkh")


def turn(
    store: Store,
    name: str,
    settings: LoopSettings,
    gate: GateSettings,
    retrain: Retrain,
    *,
    moment: float | None = None,
    by_hand: bool = False,
    governed: Governed = nothing_governed,
    rollout: RolloutSettings = RolloutSettings(),  # noqa: B008 (frozen)
) -> Decision:
    """Turn a loop once: go on with the candidate that has no last word yet, else look whether something triggers it.

    Args:
        store: where everything is.
        name: of the loop.
        settings: what triggers it and what brakes it.
        gate: what decides.
        retrain: called when it is triggered and no brake holds.
        moment: seconds since the epoch at which the loop stands, for a replay of the past; now by default.
        by_hand: it is triggered whatever has happened; the brakes still hold.
        governed: what is judged about a candidate besides the evidence: approvals, signatures.
        rollout: how a candidate is let in at the loop's endpoint.

    Returns:
        The decision; an `idle` one is not written down, and a brake that holds on for the same trigger is
        written down once a day, however often the loop is turned.
    """
    now = time.time() if moment is None else moment
    pay_what_is_owed(store, name)
    history = store.queries.ask(Decisions(loop=name))
    stopped = store.queries.ask(PauseOf(loop=name))
    halted = f"stopped by {stopped.actor}: {stopped.reason}" if stopped is not None else frozen(settings, now)
    pending = open_decision(history)
    if pending is not None:
        return go_on(store, pending, Trial(settings, rollout, governed, now, held=bool(halted)))
    trigger = Trigger() if by_hand else triggered(store, settings, history, now)
    if trigger is None:
        idle = Decided(loop=name, decision="", outcome="idle", reason=f"nothing new on {settings.on}", moment=now)
        return Decision(decided=idle, actor=store.actor, at=now, stamp="")
    blank = Decided(
        loop=name,
        decision=new_id(),
        outcome="braked",
        reason="",
        moment=now,
        trigger=trigger.subject,
        trigger_reason=bounded(trigger.reason),
    )
    held = halted or cooling(settings, history, now) or spent(settings, history, now)
    earlier = None if by_hand else braked_before(history, trigger.subject, now)
    if earlier is not None and (held or earlier.decided.model):
        return earlier
    if held:
        return write_down(store, msgspec.structs.replace(blank, reason=held))
    began = time.monotonic()
    try:
        candidate = retrain(trigger)
    except CharkhError as error:
        _log.warning("loop %s: the retraining failed: %s", name, error.message)
        took = {"outcome": "failed", "reason": bounded(error.message), "seconds": time.monotonic() - began}
        return write_down(store, msgspec.structs.replace(blank, **took))
    blank = msgspec.structs.replace(blank, seconds=time.monotonic() - began)
    return _judge(store, blank, settings, gate, candidate, governed)


def pay_what_is_owed(store: Store, name: str) -> bool:
    """Move the alias for a decision whose promotion a crash prevented; whether there was one."""
    newest = next(
        (each for each in store.queries.ask(Decisions(loop=name)) if each.decided.outcome == "promoted"), None
    )
    if newest is None:
        return False
    decided = newest.decided
    version = store.queries.ask(ModelById(version=decided.candidate))
    moves = store.queries.ask(AliasHistory(name=decided.model, alias=CHAMPION))
    # A move after the decision is the promotion itself, or what somebody decided since: then nothing is owed.
    since = bool(moves) and moves[0].stamp > newest.stamp
    before = moves[0].moved.version if moves else ""
    if since or version is None or version.deleted is not None or before != decided.champion:
        return False
    carry_out(store, newest)
    return True


def _judge(
    store: Store, blank: Decided, settings: LoopSettings, gate: GateSettings, candidate: Candidate, governed: Governed
) -> Decision:
    version = find(store, candidate.model)
    holder = holder_of(store, version.made.name, CHAMPION)
    champion = holder.version.id if holder is not None and holder.version is not None else ""
    if version.id == champion:
        told_again = f"the retraining gave the champion {version.ref} again: there is nothing new to learn from"
        return write_down(store, msgspec.structs.replace(blank, model=version.made.name, reason=told_again))
    looks = store.queries.ask(LooksAt(loop=blank.loop, judged_on=candidate.judged_on))
    enough = _not_protected(store, settings, candidate) or looked_enough(settings, looks)
    rival = f"model:{champion}" if champion else ""
    verdicts, _ = guard(
        store, gate, version.subject, rival, candidate.judged_on, governed(version.id), moment=blank.moment
    )
    # Where nothing answers yet, there is nobody to be tried beside.
    endpoint = settings.endpoint if champion else ""
    outcome = _outcome(settings, verdicts, enough, endpoint)
    decided = msgspec.structs.replace(
        blank,
        outcome=outcome,
        endpoint=endpoint if outcome in OPEN else "",
        reason=bounded(enough or told(verdicts)),
        model=version.made.name,
        candidate=version.id,
        champion=champion,
        judged_on=candidate.judged_on,
        looks=looks + 1,
        verdicts=verdicts,
    )
    decision = write_down(store, decided)
    return carry_out(store, decision) if outcome == "promoted" else decision


def _outcome(settings: LoopSettings, verdicts: Sequence[Verdict], enough: str, endpoint: str) -> str:
    if enough:
        return "refused"
    if all(verdict.met for verdict in verdicts):
        return "trying" if endpoint else "promoted"
    return "waiting" if only_approvals(verdicts) and parse_duration(settings.patience) > 0 else "refused"


def _not_protected(store: Store, settings: LoopSettings, candidate: Candidate) -> str:
    """Why the candidate was not judged on what is kept apart for it, or empty."""
    if not settings.holdout:
        return ""
    version = store.queries.ask(DatasetById(version=candidate.judged_on.removeprefix("dataset:")))
    name = version.made.name if version is not None else "what is not known here"
    return "" if name == settings.holdout else f"it was judged on {name}, not on the hold-out {settings.holdout}"
