"""Promote, move by hand and roll back under the workspace's policy: gates, signatures, trust."""

from charkh.core.config import GateSettings
from charkh.core.errors import Denied, NotFound
from charkh.loops.index import DecisionById
from charkh.loops.loop import Decision
from charkh.loops.promotion import promote_on_evidence
from charkh.models.alias import move_alias, remove_alias
from charkh.models.decisions import MoveAlias
from charkh.models.find import find
from charkh.models.model import CHAMPION, ModelVersion
from charkh.models.roll_back import roll_back
from charkh.workspace.governing import admit_to, governed
from charkh.workspace.workspace import Workspace


def gate_of(workspace: Workspace, alias: str) -> str:
    """Name of the gate that guards an alias; empty where none does."""
    guarded = workspace.settings.registry.alias.get(alias)
    return guarded.gate if guarded is not None else ""


def find_gate(workspace: Workspace, name: str) -> GateSettings:
    """A gate of the settings.

    Raises:
        NotFound: they have none of this name.
    """
    known = workspace.settings.gate
    if name not in known:
        raise NotFound(
            f"charkh.toml has no gate {name!r}",
            code="gate.not_configured",
            hint=f"Write [gate.{name}] with a list require; known: {', '.join(sorted(known)) or 'none'}.",
        )
    return known[name]


def promote_version(
    workspace: Workspace,
    ref: str,
    *,
    alias: str = CHAMPION,
    gate: str = "",
    judged_on: str = "",
    reason: str = "",
    dry: bool = False,
) -> Decision:
    """Let a version hold an alias where its gate lets it through; see `charkh.loops.promotion.promote_on_evidence`.

    Args:
        workspace: whose gates and policy count.
        ref: of the candidate.
        alias: that it is to hold.
        gate: name of the gate; the alias's own by default, which no other may replace, else the one named as the alias.
        judged_on: subject of the dataset version that decides.
        reason: why, in a sentence.
        dry: only say what would be decided.

    Raises:
        NotFound: there is no such version or gate.
        Denied: another gate guards the alias.
    """
    own = gate_of(workspace, alias)
    if own and gate not in {"", own}:
        raise Denied(
            f"the alias {alias!r} is guarded by the gate {own!r}, not by {gate!r}",
            code="model.gated",
            hint="Leave --gate out.",
        )
    name = own or gate or alias
    settings = find_gate(workspace, name)
    return promote_on_evidence(
        workspace.store,
        ref,
        name,
        settings,
        alias=alias,
        judged_on=judged_on,
        reason=reason,
        governed=lambda candidate: governed(workspace, candidate, name, settings, alias),
        dry=dry,
    )


def move_by_hand(
    workspace: Workspace, ref: str, alias: str, *, expect: str | None = None, reason: str = "", override: str = ""
) -> ModelVersion:
    """Let a version hold an alias without evidence; where a gate guards the alias only with a reason to override it.

    Raises:
        NotFound: there is no such version.
        Denied: a gate guards the alias, or the policy asks for a signature, which nothing overrides.
        Conflict: somebody else moved the alias meanwhile.
    """
    version = find(workspace.store, ref)
    refuse_gated(workspace, alias, version.ref, override)
    admit_to(workspace, version, alias)
    return move_alias(
        workspace.store,
        version.id,
        alias,
        expect=expect,
        reason=override or reason,
        override=_overrides(workspace, alias),
    )


def remove_by_hand(
    workspace: Workspace, name: str, alias: str, *, expect: str | None = None, reason: str = "", override: str = ""
) -> None:
    """Let nobody hold an alias; where a gate guards it only with a reason to override it.

    Raises:
        Denied: a gate guards the alias.
    """
    refuse_gated(workspace, alias, name, override)
    remove_alias(
        workspace.store, name, alias, expect=expect, reason=override or reason, override=_overrides(workspace, alias)
    )


def refuse_gated(workspace: Workspace, alias: str, ref: str, override: str = "") -> None:
    """Refuse a move by hand of an alias that a gate guards.

    Raises:
        Denied: one does, and there is no reason to override it.
    """
    gate = gate_of(workspace, alias)
    if gate and not override.strip():
        raise Denied(
            f"the alias {alias!r} is guarded by the gate {gate!r}",
            code="model.gated",
            hint=f"charkh model promote {ref} --to {alias}; in an emergency, charkh model alias … --override REASON.",
        )


def refuse_forged(workspace: Workspace, command: MoveAlias) -> None:
    """Refuse a command of another process that moves a guarded alias past its gate.

    Raises:
        Denied: it names no override and no decision, or one that did not let this version through.
    """
    if not gate_of(workspace, command.alias) or command.override:
        return
    decision = workspace.store.queries.ask(DecisionById(decision=command.decided_by)) if command.decided_by else None
    said = None if decision is None else decision.decided
    if said is None or (said.outcome, said.candidate, said.alias) != ("promoted", command.version, command.alias):
        refuse_gated(workspace, command.alias, command.name)


def roll_back_by_hand(
    workspace: Workspace, name: str, *, alias: str = CHAMPION, expect: str | None = None, reason: str = ""
) -> ModelVersion:
    """Put the previous holder of an alias back, unless the policy refuses that one.

    Raises:
        NotFound: there is no earlier holder.
        Denied: the earlier holder is distrusted, or not signed where that is asked for.
        Conflict: somebody moved the alias meanwhile.
    """
    return roll_back(
        workspace.store,
        name,
        alias=alias,
        expect=expect,
        reason=reason,
        check=lambda version: admit_to(workspace, version, alias),
    )


def _overrides(workspace: Workspace, alias: str) -> bool:
    return bool(gate_of(workspace, alias))
