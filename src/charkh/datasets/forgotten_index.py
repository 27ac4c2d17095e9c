"""Forgetting's part of the catalog: which rows versions lost by erasure, and the forgettings themselves."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.datasets.forgotten import FORGOTTEN_KIND, ROWS_ERASED_KIND, Erasing, Forgetting, Forgotten, RowsErased
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_lost = Table(
    "forgetting_version",
    _metadata,
    Column("event", String, primary_key=True),
    Column("version", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_forgettings = Table(
    "forgetting",
    _metadata,
    Column("id", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_lost = msgspec.msgpack.Decoder(RowsErased).decode
_decode_forgotten = msgspec.msgpack.Decoder(Forgotten).decode


class ErasedFrom(Query[tuple[Erasing, ...]], frozen=True, kw_only=True):
    """What a dataset version lost by erasures, the first one first."""

    version: str


class Forgettings(Query[tuple[Forgetting, ...]], frozen=True, kw_only=True):
    """Every forgetting, newest first."""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add what was lost and what was forgotten; nothing is computed from them here."""
    add_rows(connection, _lost, [_lost_row(event) for event in events if event.kind == ROWS_ERASED_KIND])
    add_rows(connection, _forgettings, [_forgotten_row(event) for event in events if event.kind == FORGOTTEN_KIND])


def _lost_row(event: Event) -> dict[str, object]:
    return {"event": event.id, "version": body_of(event, RowsErased).version, **_told(event)}


def _forgotten_row(event: Event) -> dict[str, object]:
    return {"id": body_of(event, Forgotten).forgetting, **_told(event)}


def _told(event: Event) -> dict[str, object]:
    return {"body": bytes(event.body), "actor": event.actor, "at": seconds(event.clock), "stamp": event.stamp}


def erased_from(connection: Connection, query: ErasedFrom) -> tuple[Erasing, ...]:
    rows = connection.execute(select(_lost).where(_lost.c.version == query.version).order_by(_lost.c.stamp))
    return tuple(Erasing(lost=_decode_lost(row.body), actor=row.actor, at=row.at) for row in rows)


def forgettings(connection: Connection, _query: Any) -> tuple[Forgetting, ...]:
    rows = connection.execute(select(_forgettings).order_by(_forgettings.c.stamp.desc()))
    return tuple(Forgetting(made=_decode_forgotten(row.body), actor=row.actor, at=row.at) for row in rows)


def portray(connection: Connection, identifier: str) -> Description | None:
    row = connection.execute(select(_forgettings).where(_forgettings.c.id == identifier)).one_or_none()
    if row is None:
        return None
    made = _decode_forgotten(row.body)
    lines = (
        ("rows erased", str(made.rows)),
        ("from", f"{made.versions} dataset versions, {made.files} contents"),
        ("reason", made.reason),
        ("erased by", row.actor),
    )
    return Description(title=f"forgetting of {made.rows} rows", lines=lines)


PROJECTION = Projection(
    name="forgetting",
    version=1,
    tables=_metadata,
    kinds=frozenset({ROWS_ERASED_KIND, FORGOTTEN_KIND}),
    fold=fold,
    answers={ErasedFrom: erased_from, Forgettings: forgettings},
    portraits={"forgetting": portray},
)
