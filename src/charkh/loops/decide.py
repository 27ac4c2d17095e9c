"""Write a decision down, and carry it out: a promotion, or that somebody was faster."""

import logging

from charkh.core.errors import Bug, Conflict
from charkh.core.events import Draft, Edge
from charkh.core.redact import redact
from charkh.loops.index import DecisionById
from charkh.loops.loop import DECIDED_KIND, MAX_REASON, OPEN, SUPERSEDED_KIND, Decided, Decision, Superseded
from charkh.models.alias import holder_of
from charkh.models.promote import promote
from charkh.ports.store import Store

_log = logging.getLogger("charkh")


def write_down(store: Store, decided: Decided) -> Decision:
    """Record a decision durably, with edges to what it was made from."""
    subject = f"loop:{decided.decision}"
    targets = [
        ("triggered_by", decided.trigger),
        ("judged_on", decided.judged_on),
        ("judged", f"model:{decided.candidate}" if decided.candidate else ""),
        ("against", f"model:{decided.champion}" if decided.champion else ""),
    ]
    edges = tuple(Edge(subject, relation, target) for relation, target in targets if target)
    facts = {"promoted": decided.outcome == "promoted"} if decided.candidate and decided.outcome not in OPEN else {}
    about = f"model:{decided.candidate}" if facts else ""
    store.record(
        Draft(kind=DECIDED_KIND, subject=subject, body=decided, edges=edges, facts=facts, about=about), durable=True
    )
    return found_again(store, decided.decision)


def carry_out(store: Store, decision: Decision) -> Decision:
    """Move the alias as a decision to promote says; where somebody moved it meanwhile, theirs stands."""
    decided = decision.decided
    who = f"loop {decided.loop}" if decided.loop else f"gate {decided.gate}"
    try:
        promote(
            store,
            decided.candidate,
            decided_by=decided.decision,
            expect=decided.champion,
            alias=decided.alias,
            reason=f"{who}: {decided.reason}"[:MAX_REASON],
        )
    except Conflict as error:
        if _holds(store, decided):
            # Who ended its trial had moved the alias already.
            return decision
        _log.warning("%s: %s", who, error.message)
        body = Superseded(decision=decided.decision, reason=bounded(f"passed, and superseded: {error.message}"))
        store.record(
            Draft(
                kind=SUPERSEDED_KIND,
                subject=decision.subject,
                body=body,
                facts={"promoted": False},
                about=f"model:{decided.candidate}",
            ),
            durable=True,
        )
        return found_again(store, decided.decision)
    return decision


def _holds(store: Store, decided: Decided) -> bool:
    holder = holder_of(store, decided.model, decided.alias)
    return holder is not None and holder.version is not None and holder.version.id == decided.candidate


def bounded(text: str) -> str:
    """A reason that may stand in an event."""
    return redact(text)[:MAX_REASON]


def found_again(store: Store, identifier: str) -> Decision:
    """A decision that was just written down, as it is now."""
    decision = store.queries.ask(DecisionById(decision=identifier))
    if decision is None:
        raise Bug(f"the decision {identifier} that was just written down cannot be found")
    return decision
