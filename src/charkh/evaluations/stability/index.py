"""Certificates' part of the catalog: every one, by the model version that it is about."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.evaluations.stability.certificate import CERTIFIED_KIND, Certificate, Certified
from charkh.evaluations.stability.wording import portrait_lines
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_certificates = Table(
    "stability_certified",
    _metadata,
    Column("id", String, primary_key=True),
    Column("about", String, nullable=False, index=True),
    Column("suite", String, nullable=False),
    Column("model", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode = msgspec.msgpack.Decoder(Certified).decode


class CertificateById(Query[Certificate | None], frozen=True, kw_only=True):
    """The certificate with this id."""

    certificate: str


class Certificates(Query[tuple[Certificate, ...]], frozen=True, kw_only=True):
    """Certificates, newest first; only those of a model's name, or of a suite, where one is given."""

    model: str = ""
    suite: str = ""
    limit: int = 100


class CertificatesOf(Query[tuple[Certificate, ...]], frozen=True, kw_only=True):
    """The newest certificate of each suite about `subject` (`model:id`), by the name of the suite."""

    subject: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add certificates."""
    add_rows(connection, _certificates, [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    made = body_of(event, Certified)
    return {
        "id": made.certificate,
        "about": made.about,
        "suite": made.suite,
        "model": made.model,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def certificate_by_id(connection: Connection, query: CertificateById) -> Certificate | None:
    return next(iter(_where(connection, _certificates.c.id == query.certificate, limit=1)), None)


def certificates(connection: Connection, query: Certificates) -> tuple[Certificate, ...]:
    conditions = [_certificates.c.model == query.model] if query.model else []
    if query.suite:
        conditions.append(_certificates.c.suite == query.suite)
    return _where(connection, *conditions, limit=query.limit)


def certificates_of(connection: Connection, query: CertificatesOf) -> tuple[Certificate, ...]:
    newest: dict[str, Certificate] = {}
    for each in _where(connection, _certificates.c.about == query.subject, limit=None):
        newest.setdefault(each.made.suite, each)
    return tuple(newest[suite] for suite in sorted(newest))


def portray(connection: Connection, identifier: str) -> Description | None:
    found = certificate_by_id(connection, CertificateById(certificate=identifier))
    if found is None:
        return None
    return Description(title=f"stability {found.made.suite}", lines=portrait_lines(found.made))


def _where(connection: Connection, *conditions: Any, limit: int | None) -> tuple[Certificate, ...]:
    statement = select(_certificates).where(*conditions).order_by(_certificates.c.stamp.desc()).limit(limit)
    return tuple(
        Certificate(made=_decode(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    )


PROJECTION = Projection(
    name="stability",
    version=1,
    tables=_metadata,
    kinds=frozenset({CERTIFIED_KIND}),
    fold=fold,
    answers={
        CertificateById: certificate_by_id,
        Certificates: certificates,
        CertificatesOf: certificates_of,
    },
    portraits={"stability": portray},
)
