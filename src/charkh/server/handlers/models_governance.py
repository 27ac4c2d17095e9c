"""`/api/models/…`: promotion at a gate, approvals, trust in code, signatures and bills of materials."""

import asyncio
from typing import Literal

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from charkh.core.errors import Conflict
from charkh.loops.loop import Decision
from charkh.models.approve import approvals, approve, reject, withdraw
from charkh.models.find import find
from charkh.models.governance import Approval, ModelApproved, SignatureMade, TrustDecision
from charkh.models.governance_index import SignaturesOf, TrustDecisions
from charkh.models.load import judge
from charkh.models.model import CHAMPION
from charkh.models.trust import distrust, is_trusted, trust
from charkh.ports.runtimes import Safety
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.workspace.governing import rules_of
from charkh.workspace.promoting import find_gate, promote_version
from charkh.workspace.supplying import bill_of

BILL_TYPE = "application/vnd.cyclonedx+json; version=1.6"


class Promotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the version that `ref` means hold `alias` where its gate lets it through; `dry` only says so."""

    ref: str
    alias: str = CHAMPION
    gate: str = ""
    judged_on: str = ""
    reason: str = ""
    dry: bool = False


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the caller says to a version's passing a gate."""

    ref: str
    gate: str
    answer: Literal["approved", "rejected", "withdrawn"]
    reason: str


class Trusting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trust or distrust the bytes of a version; `digest` says once more which bytes are meant, in full."""

    ref: str
    digest: str
    trusted: bool
    reason: str
    expires: float | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What stands about a version's bytes: what they could do, whether they are trusted, who signed them."""

    version: str
    digest: str
    safety: Safety
    trusted: bool
    decisions: tuple[TrustDecision, ...]
    signatures: tuple[SignatureMade, ...]
    approvals: tuple[Approval, ...]


@post("/api/models/promote", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def promote(state: State, data: JSONBody[Promotion]) -> Decision:
    """Ask a gate to let a version hold an alias; what it decided is written down either way."""
    return promote_version(
        workspace_of(state),
        data.ref,
        alias=data.alias,
        gate=data.gate,
        judged_on=data.judged_on,
        reason=data.reason,
        dry=data.dry,
    )


@post("/api/models/approvals", opt={"policy": Policy.WRITE, "scoped": True}, sync_to_thread=True, status_code=201)
def say(state: State, data: JSONBody[Said]) -> ModelApproved:
    """Approve or reject a version at a gate, or take that back, in the caller's own name."""
    workspace = workspace_of(state)
    find_gate(workspace, data.gate)
    verb = {"approved": approve, "rejected": reject, "withdrawn": withdraw}[data.answer]
    return verb(workspace.store, data.ref, data.gate, data.reason)


@get("/api/models/standing", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def show_standing(state: State, ref: FromQuery[str]) -> Standing:
    """Safety, trust, signatures and approvals of a version."""
    workspace = workspace_of(state)
    store = workspace.store
    version = find(store, ref)
    digest = version.made.tree.root
    return Standing(
        version=version.ref,
        digest=digest,
        safety=version.made.safety if version.made.elsewhere else judge(store, version, runtimes=workspace.runtimes),
        trusted=is_trusted(store, digest, trusters=rules_of(workspace).trusters),
        decisions=store.queries.ask(TrustDecisions(digest=digest)),
        signatures=store.queries.ask(SignaturesOf(version=version.id)),
        approvals=tuple(approvals(store, version)),
    )


@post("/api/models/trust", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=201)
def decide_trust(state: State, data: JSONBody[Trusting]) -> tuple[TrustDecision, ...]:
    """Trust the code in a version's files, or distrust them; everything that was decided about them is answered."""
    workspace = workspace_of(state)
    store = workspace.store
    version = find(store, data.ref)
    if data.digest != version.made.tree.root:
        raise Conflict(
            f"the files of {version.ref} have another digest",
            code="model.not_confirmed",
            hint="Look at /api/models/standing once more: other bytes have to be looked at anew.",
        )
    if data.trusted:
        safety = judge(store, version, runtimes=workspace.runtimes)
        trust(store, version.id, data.reason, safety=safety, expires=data.expires)
    else:
        distrust(store, version.id, data.reason)
    return store.queries.ask(TrustDecisions(digest=data.digest))


@get("/api/models/sbom", opt={"policy": Policy.READ})
async def show_bill(state: State, ref: FromQuery[str]) -> Response[bytes]:
    """The bill of materials of a version (CycloneDX 1.6)."""
    workspace = workspace_of(state)
    bill = await asyncio.to_thread(lambda: bill_of(workspace, find(workspace.store, ref)))
    return Response(bill, media_type=BILL_TYPE)


HANDLERS = (promote, say, show_standing, decide_trust, show_bill)
