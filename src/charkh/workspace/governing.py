"""The registry's policy of a workspace: whose keys and whose word count, and what a gate asks beside the evidence."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from charkh.core.config import GateSettings
from charkh.core.errors import CharkhError, Invalid
from charkh.core.gates import APPROVALS, Verdict, parse_condition
from charkh.models.admit import Rules, admit, must_be_signed
from charkh.models.approve import Count, counted
from charkh.models.find import find
from charkh.models.model import ModelVersion
from charkh.models.oms import PublicKey, read_public_key
from charkh.models.sign import verified_by
from charkh.models.trust import refuse_distrusted
from charkh.users.caller import covers
from charkh.users.index import Users
from charkh.workspace.workspace import Workspace

SIGNED = "signed"
_EVERYWHERE = "*"
_ROLES = {"role:writer": "writer", "role:admin": "admin"}


def rules_of(workspace: Workspace) -> Rules:
    """What `[registry]` asks before a model is loaded, served or promoted; keys are read when one is needed."""
    registry = workspace.settings.registry
    return Rules(
        signed=registry.require_signature,
        keys=lambda: trusted_keys(workspace),
        trusters=registry.trusters,
    )


def trusted_keys(workspace: Workspace) -> Sequence[PublicKey]:
    """The public keys that `[registry] trusted_keys` names.

    Raises:
        Invalid: one cannot be read.
    """
    return [read_key_file(workspace.folder / name) for name in workspace.settings.registry.trusted_keys]


def read_key_file(path: Path) -> PublicKey:
    """The public key in a file (PEM).

    Raises:
        Invalid: it cannot be read.
    """
    try:
        return read_public_key(path.read_bytes())
    except OSError as error:
        raise Invalid(
            f"the public key {path} cannot be read: {error.strerror}",
            code="model.bad_key",
            hint="[registry] trusted_keys names files relative to the workspace.",
        ) from error


def governed(
    workspace: Workspace, candidate: str, gate_name: str, gate: GateSettings, alias: str
) -> Mapping[str, Verdict]:
    """What is judged about a candidate beside the evidence, by condition: approvals, its signature, distrust.

    Args:
        workspace: whose settings and people count.
        candidate: id of the version.
        gate_name: of the gate, to which approvals are given.
        gate: its conditions.
        alias: that the candidate is to hold.
    """
    version = find(workspace.store, candidate)
    verdicts: dict[str, Verdict] = {}
    for text in gate.require:
        condition = parse_condition(text)
        if condition.fact == APPROVALS:
            people = people_of(workspace, (condition.by,) if condition.by else ())
            count = counted(workspace.store, version, gate_name, people)
            found = len(count.people)
            # The comparison is the grammar's; what it compares is counted here, by people.
            met = {">=": found >= condition.value, ">": found > condition.value}.get(condition.operator, False)
            verdicts[condition.text] = _approved(condition.text, count, met)
        elif condition.fact == SIGNED and not condition.operator:
            verdicts[condition.text] = _signed(workspace, version, condition.text)
    if gate.approvals:
        text = f"approvals >= {gate.approvals}" + (f" by {', '.join(gate.approvers)}" if gate.approvers else "")
        count = counted(workspace.store, version, gate_name, people_of(workspace, gate.approvers))
        verdicts[text] = _approved(text, count, len(count.people) >= gate.approvals)
    if SIGNED not in verdicts and must_be_signed(version, rules_of(workspace), alias=alias):
        verdicts[SIGNED] = _signed(workspace, version, SIGNED)
    try:
        refuse_distrusted(workspace.store, version)
    except CharkhError as error:
        verdicts["not distrusted"] = Verdict(condition="not distrusted", met=False, reason=error.message)
    return verdicts


def people_of(workspace: Workspace, names: Sequence[str]) -> Collection[str] | None:
    """The people that names, roles of `[registry.roles]`, `role:writer` and `role:admin` mean; None for everybody."""
    if not names:
        return None
    roles = workspace.settings.registry.roles
    found: set[str] = set()
    for name in names:
        if name in _ROLES:
            found |= _holders(workspace, _ROLES[name])
        elif name.removeprefix("role:") in roles:
            found |= set(roles[name.removeprefix("role:")])
        else:
            found.add(name)
    return found


def admit_to(workspace: Workspace, version: ModelVersion, alias: str) -> None:
    """Refuse a version that may not hold an alias: its bytes are distrusted, or a signature is asked for and missing.

    Raises:
        Denied: so it is.
    """
    admit(workspace.store, version, rules_of(workspace), alias=alias)


def _holders(workspace: Workspace, role: str) -> set[str]:
    needed = "admin" if role == "admin" else "writer"
    return {
        user.name
        for user in workspace.store.queries.ask(Users())
        if not user.disabled and any(covers(grant.role, needed) for grant in user.grants if grant.scope == _EVERYWHERE)
    }


def _approved(text: str, count: Count, met: bool) -> Verdict:
    return Verdict(condition=text, met=met and not count.rejected, reason=count.reason)


def _signed(workspace: Workspace, version: ModelVersion, text: str) -> Verdict:
    try:
        made = verified_by(workspace.store, version, trusted_keys(workspace))
    except CharkhError as error:
        return Verdict(condition=text, met=False, reason=error.message)
    return Verdict(condition=text, met=True, reason=f"signed with the key {made.signed.key[:16]} by {made.actor}")
