"""A promotion that a person asks for: the gate decides on the evidence, and the decision is written down."""

import time

import msgspec

from charkh.core.config import GateSettings
from charkh.core.ids import new_id
from charkh.core.refs import parse_alias
from charkh.evaluations.index import EvaluationsOf
from charkh.loops.decide import bounded, carry_out, write_down
from charkh.loops.guard import Governed, guard, nothing_governed, told
from charkh.loops.loop import Decided, Decision
from charkh.models.alias import holder_of
from charkh.models.find import find
from charkh.models.model import CHAMPION
from charkh.ports.store import Store


def promote_on_evidence(
    store: Store,
    ref: str,
    gate_name: str,
    gate: GateSettings,
    *,
    alias: str = CHAMPION,
    judged_on: str = "",
    reason: str = "",
    governed: Governed = nothing_governed,
    dry: bool = False,
) -> Decision:
    """Let a version hold an alias where the gate lets it through; what was decided is written down either way.

    Args:
        store: where everything is.
        ref: of the candidate.
        gate_name: name of the gate.
        gate: its conditions.
        alias: that it is to hold.
        judged_on: subject of the dataset version whose known truth decides; of the candidate's newest evaluation by
            default, preferably of one against the holder.
        reason: why somebody asks, in a sentence.
        governed: what is judged besides the evidence: approvals, signatures.
        dry: only say what would be decided.

    Returns:
        The decision: `promoted`, `refused`, or `superseded` where somebody moved the alias meanwhile.

    Raises:
        NotFound: there is no such version.
    """
    version = find(store, ref)
    holder = holder_of(store, version.made.name, parse_alias(alias))
    champion = holder.version.id if holder is not None and holder.version is not None else ""
    rival = f"model:{champion}" if champion and champion != version.id else ""
    on = judged_on or judged_last(store, version.subject, rival)
    verdicts, _ = guard(store, gate, version.subject, rival, on, governed(version.id))
    met = all(verdict.met for verdict in verdicts)
    said = bounded(f"{told(verdicts)}{f' ({reason.strip()})' if reason.strip() else ''}")
    decided = Decided(
        loop="",
        decision=new_id(),
        outcome="promoted" if met else "refused",
        reason=said,
        moment=time.time(),
        trigger_reason="asked for by hand",
        model=version.made.name,
        candidate=version.id,
        champion=champion,
        judged_on=on,
        verdicts=verdicts,
        alias=alias,
        gate=gate_name,
    )
    if met and champion == version.id:
        decided = msgspec.structs.replace(decided, reason=bounded(f"it holds {alias} already; {said}"))
    if dry:
        return Decision(decided=decided, actor=store.actor, at=decided.moment, stamp="")
    decision = write_down(store, decided)
    return carry_out(store, decision) if met else decision


def judged_last(store: Store, candidate: str, rival: str) -> str:
    """The dataset version of the candidate's newest evaluation, of one against `rival` where there is one; or empty."""
    found = store.queries.ask(EvaluationsOf(subject=candidate))
    against = [each for each in found if rival and each.made.champion == rival]
    newest = next(iter(against or found), None)
    return "" if newest is None else newest.made.on
