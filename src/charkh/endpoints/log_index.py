"""The prediction log's part of the catalog: sealed segments, told truths, and which of both are gone."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Column, Connection, Float, Integer, LargeBinary, MetaData, String, Table, func, select

from charkh.core.events import Event, body_of
from charkh.endpoints.deployment import EXPIRED_KIND, SEALED_KIND, TRUTH_KIND, Expired, Sealed, TruthTold
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_sealed = Table(
    "prediction_segment",
    _metadata,
    Column("segment", String, primary_key=True),
    Column("endpoint", String, nullable=False, index=True),
    Column("rows", Integer, nullable=False),
    Column("first", Float, nullable=False),
    Column("last", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_truths = Table(
    "prediction_truth",
    _metadata,
    Column("truths", String, primary_key=True),
    Column("endpoint", String, nullable=False, index=True),
    Column("last", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_expired = Table("prediction_expired", _metadata, Column("id", String, primary_key=True))
"""Sealed segments, and files of truths, that are gone."""

_decode_sealed = msgspec.msgpack.Decoder(Sealed).decode
_decode_truth = msgspec.msgpack.Decoder(TruthTold).decode


class SealedSegments(Query[tuple[Sealed, ...]], frozen=True, kw_only=True):
    """Sealed segments of an endpoint with a prediction in [since, until), oldest first."""

    endpoint: str
    since: float | None = None
    until: float | None = None


class SealedSegment(Query[Sealed | None], frozen=True, kw_only=True):
    """The sealed segment with this id."""

    segment: str


class Truths(Query[tuple[TruthTold, ...]], frozen=True, kw_only=True):
    """The files of truths about an endpoint's predictions, in the order in which they came."""

    endpoint: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add segments, truths and what is gone; nothing is computed from them here."""
    sealed = [_sealed_row(event) for event in events if event.kind == SEALED_KIND]
    keep_rows(connection, _sealed, sealed, stamp="stamp", keep="earliest")
    told = [_truth_row(event) for event in events if event.kind == TRUTH_KIND]
    keep_rows(connection, _truths, told, stamp="stamp", keep="earliest")
    gone = [body_of(event, Expired) for event in events if event.kind == EXPIRED_KIND]
    add_rows(connection, _expired, [{"id": each} for body in gone for each in (*body.segments, *body.truths)])


def _sealed_row(event: Event) -> dict[str, object]:
    body = body_of(event, Sealed)
    return {
        "segment": body.segment,
        "endpoint": body.endpoint,
        "rows": body.rows,
        "first": body.first,
        "last": body.last,
        "body": bytes(event.body),
        "stamp": event.stamp,
    }


def _truth_row(event: Event) -> dict[str, object]:
    body = body_of(event, TruthTold)
    return {
        "truths": body.truths,
        "endpoint": body.endpoint,
        "last": body.last,
        "body": bytes(event.body),
        "stamp": event.stamp,
    }


def sealed_segments(connection: Connection, query: SealedSegments) -> tuple[Sealed, ...]:
    statement = select(_sealed.c.body).where(_sealed.c.endpoint == query.endpoint, _sealed.c.rows > 0)
    statement = statement.where(_sealed.c.segment.not_in(select(_expired.c.id)))
    if query.since is not None:
        statement = statement.where(_sealed.c.last >= query.since)
    if query.until is not None:
        statement = statement.where(_sealed.c.first < query.until)
    rows = connection.execute(statement.order_by(_sealed.c.first, _sealed.c.segment)).scalars()
    return tuple(_decode_sealed(body) for body in rows)


def truths(connection: Connection, query: Truths) -> tuple[TruthTold, ...]:
    here = (_truths.c.endpoint == query.endpoint, _truths.c.truths.not_in(select(_expired.c.id)))
    rows = connection.execute(select(_truths.c.body).where(*here).order_by(_truths.c.stamp)).scalars()
    return tuple(_decode_truth(body) for body in rows)


def sealed_segment(connection: Connection, query: SealedSegment) -> Sealed | None:
    body = connection.execute(select(_sealed.c.body).where(_sealed.c.segment == query.segment)).scalar()
    return None if body is None else _decode_sealed(body)


def sealed_rows(connection: Connection) -> dict[str, int]:
    """By endpoint, the rows of the segments that are there."""
    here = _sealed.c.segment.not_in(select(_expired.c.id))
    counts = select(_sealed.c.endpoint, func.sum(_sealed.c.rows).label("rows")).where(here).group_by(_sealed.c.endpoint)
    return {row.endpoint: int(row.rows) for row in connection.execute(counts)}


def portray_predictions(connection: Connection, segment: str) -> Description | None:
    found = sealed_segment(connection, SealedSegment(segment=segment))
    if found is None:
        return None
    lines = (("endpoint", found.endpoint), ("answered by", found.model), ("requests", str(found.records)))
    return Description(title=f"{found.rows} predictions of {found.endpoint}", lines=lines)


PROJECTION = Projection(
    name="prediction",
    version=1,
    tables=_metadata,
    kinds=frozenset({SEALED_KIND, EXPIRED_KIND, TRUTH_KIND}),
    fold=fold,
    answers={SealedSegments: sealed_segments, SealedSegment: sealed_segment, Truths: truths},
    portraits={"predictions": portray_predictions},
)
