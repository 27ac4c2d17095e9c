"""Models' part of the catalog about decisions on bytes: trust, signatures and approvals."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Boolean, Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.models.governance import (
    APPROVED_KIND,
    DISTRUSTED_KIND,
    SIGNED_KIND,
    TRUSTED_KIND,
    Approval,
    ModelApproved,
    ModelDistrusted,
    ModelSigned,
    ModelTrusted,
    SignatureMade,
    TrustDecision,
)
from charkh.ports.folding import Row, add_rows, keep_rows
from charkh.ports.projections import Projection, Query

_metadata = MetaData()
_trust = Table(
    "governance_trust",
    _metadata,
    Column("id", String, primary_key=True),
    Column("digest", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("trusted", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("expires", Float),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_replaced = Table("governance_trust_replaced", _metadata, Column("id", String, primary_key=True))
_signatures = Table(
    "governance_signature",
    _metadata,
    Column("id", String, primary_key=True),
    Column("version", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_approvals = Table(
    "governance_approval",
    _metadata,
    Column("version", String, primary_key=True),
    Column("gate", String, primary_key=True),
    Column("actor", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode_signed = msgspec.msgpack.Decoder(ModelSigned).decode
_decode_approved = msgspec.msgpack.Decoder(ModelApproved).decode


class TrustDecisions(Query[tuple[TrustDecision, ...]], frozen=True, kw_only=True):
    """Every decision about the bytes with this digest, newest first."""

    digest: str


class SignaturesOf(Query[tuple[SignatureMade, ...]], frozen=True, kw_only=True):
    """The signatures of a version (its id), newest first."""

    version: str


class ApprovalsOf(Query[tuple[Approval, ...]], frozen=True, kw_only=True):
    """What each person said last about a version (its id), by gate and person; of all gates with an empty one."""

    version: str
    gate: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add decisions, signatures and approvals."""
    trust = [_trust_row(event) for event in events if event.kind in {TRUSTED_KIND, DISTRUSTED_KIND}]
    add_rows(connection, _trust, [row for row, _ in trust])
    add_rows(connection, _replaced, [{"id": each} for _, replaces in trust for each in replaces])
    signed = [(event, body_of(event, ModelSigned)) for event in events if event.kind == SIGNED_KIND]
    add_rows(
        connection,
        _signatures,
        [
            {"id": event.id, "version": body.version, "body": bytes(event.body), **_when(event)}
            for event, body in signed
        ],
    )
    approved = [(event, body_of(event, ModelApproved)) for event in events if event.kind == APPROVED_KIND]
    rows: list[Row] = [
        {"version": body.version, "gate": body.gate, "body": bytes(event.body), **_when(event)}
        for event, body in approved
    ]
    keep_rows(connection, _approvals, rows, stamp="stamp")


def _trust_row(event: Event) -> tuple[Row, tuple[str, ...]]:
    trusted = event.kind == TRUSTED_KIND
    body = body_of(event, ModelTrusted if trusted else ModelDistrusted)
    row = {
        "id": event.id,
        "digest": body.digest,
        "name": body.name,
        "version": body.version,
        "trusted": trusted,
        "reason": body.reason,
        "expires": body.expires if isinstance(body, ModelTrusted) else None,
        **_when(event),
    }
    return row, body.replaces


def _when(event: Event) -> Row:
    return {"actor": event.actor, "at": seconds(event.clock), "stamp": event.stamp}


def trust_decisions(connection: Connection, query: TrustDecisions) -> tuple[TrustDecision, ...]:
    statement = (
        select(_trust, _replaced.c.id.label("superseded"))
        .join(_replaced, _trust.c.id == _replaced.c.id, isouter=True)
        .where(_trust.c.digest == query.digest)
        .order_by(_trust.c.stamp.desc())
    )
    return tuple(
        TrustDecision(
            id=row.id,
            name=row.name,
            version=row.version,
            digest=row.digest,
            trusted=bool(row.trusted),
            reason=row.reason,
            expires=row.expires,
            current=row.superseded is None,
            actor=row.actor,
            at=row.at,
        )
        for row in connection.execute(statement)
    )


def signatures_of(connection: Connection, query: SignaturesOf) -> tuple[SignatureMade, ...]:
    statement = select(_signatures).where(_signatures.c.version == query.version).order_by(_signatures.c.stamp.desc())
    return tuple(
        SignatureMade(signed=_decode_signed(row.body), actor=row.actor, at=row.at)
        for row in connection.execute(statement)
    )


def approvals_of(connection: Connection, query: ApprovalsOf) -> tuple[Approval, ...]:
    statement = select(_approvals).where(_approvals.c.version == query.version)
    if query.gate:
        statement = statement.where(_approvals.c.gate == query.gate)
    return tuple(
        Approval(approved=_decode_approved(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement.order_by(_approvals.c.gate, _approvals.c.actor))
    )


PROJECTION = Projection(
    name="governance",
    version=1,
    tables=_metadata,
    kinds=frozenset({TRUSTED_KIND, DISTRUSTED_KIND, SIGNED_KIND, APPROVED_KIND}),
    fold=fold,
    answers={TrustDecisions: trust_decisions, SignaturesOf: signatures_of, ApprovalsOf: approvals_of},
)
