"""Approve or reject a version at a gate, take it back, and count who has approved."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from charkh.core.errors import Denied, Invalid
from charkh.core.events import Draft
from charkh.core.refs import parse_name
from charkh.models.find import find
from charkh.models.governance import APPROVED_KIND, Answer, Approval, ModelApproved, person_of
from charkh.models.governance_index import ApprovalsOf
from charkh.models.model import ModelVersion, bounded_reason
from charkh.ports.store import Store


class Count(NamedTuple):
    """Who has approved a version at a gate.

    Attributes:
        people: whose approval counts, by name.
        rejected: who rejects it.
        reason: both in words, and who does not count and why.
    """

    people: tuple[str, ...]
    rejected: tuple[str, ...]
    reason: str


def approve(store: Store, ref: str, gate: str, reason: str) -> ModelApproved:
    """Say that a version may pass a gate; what one said before about it is replaced.

    Raises:
        NotFound: there is no such version.
        Denied: who asks has registered it: four eyes are asked for.
        Invalid: there is no reason.
    """
    version = find(store, ref)
    if _is_own(version, store.actor):
        raise Denied(
            f"{version.ref} was registered by {version.actor}, who cannot approve it",
            code="model.own_version",
            hint="Somebody else has to look at it.",
        )
    return _record(store, version, gate, "approved", reason)


def reject(store: Store, ref: str, gate: str, reason: str) -> ModelApproved:
    """Say that a version may not pass a gate; it stands until the same person withdraws or approves.

    Raises:
        NotFound: there is no such version.
        Invalid: there is no reason.
    """
    return _record(store, find(store, ref), gate, "rejected", reason)


def withdraw(store: Store, ref: str, gate: str, reason: str) -> ModelApproved:
    """Take back what one said about a version and a gate.

    Raises:
        NotFound: there is no such version.
        Invalid: there is no reason, or nothing to take back.
    """
    version = find(store, ref)
    said = [each for each in _said(store, version, gate) if each.actor == store.actor]
    if not any(each.approved.answer != "withdrawn" for each in said):
        raise Invalid(f"{store.actor} has said nothing about {version.ref} at {gate!r}", code="model.not_approved")
    return _record(store, version, gate, "withdrawn", reason)


def counted(store: Store, version: ModelVersion, gate: str, people: Collection[str] | None = None) -> Count:
    """Who has approved a version at a gate: each person once, never who registered it.

    Args:
        store: where the approvals are.
        version: that is to pass.
        gate: its name.
        people: whose approval counts, as names or as `name@host`; everybody's with None.
    """
    yes: dict[str, str] = {}
    no: list[str] = []
    apart: list[str] = []
    for said in _said(store, version, gate):
        if said.approved.answer == "withdrawn":
            continue
        if people is not None and said.actor not in people and person_of(said.actor) not in people:
            apart.append(f"{said.actor} has no part in this")
        elif said.approved.answer == "rejected":
            no.append(f"{said.actor}: {said.approved.reason}")
        elif _is_own(version, said.actor):
            apart.append(f"{said.actor} registered it")
        else:
            yes.setdefault(person_of(said.actor), said.actor)
    parts = [f"approved by {', '.join(yes.values()) or 'nobody'}"]
    parts += [f"rejected by {each}" for each in no] + [f"not counted: {each}" for each in apart]
    return Count(tuple(sorted(yes)), tuple(no), "; ".join(parts))


def approvals(store: Store, version: ModelVersion, gate: str = "") -> Sequence[Approval]:
    """What people said last about this version, as it is; of all gates with an empty one."""
    return _said(store, version, gate)


def _said(store: Store, version: ModelVersion, gate: str) -> list[Approval]:
    found = store.queries.ask(ApprovalsOf(version=version.id, gate=gate))
    return [each for each in found if each.approved.content == version.made.content]


def _is_own(version: ModelVersion, actor: str) -> bool:
    return person_of(version.actor) == person_of(actor)


def _record(store: Store, version: ModelVersion, gate: str, answer: Answer, reason: str) -> ModelApproved:
    why = bounded_reason(reason)
    if not why:
        raise Invalid("an approval has a reason", code="model.no_reason", hint="Say in a sentence what was looked at.")
    body = ModelApproved(
        name=version.made.name,
        version=version.id,
        number=version.made.number,
        content=version.made.content,
        gate=parse_name(gate, "gate name"),
        answer=answer,
        reason=why,
    )
    store.record(Draft(kind=APPROVED_KIND, subject=version.subject, body=body), durable=True)
    return body
