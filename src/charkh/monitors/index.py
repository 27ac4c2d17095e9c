"""Monitors' part of the catalog: collections with their numbers, and alerts."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import JSON, Column, Connection, Float, LargeBinary, MetaData, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.monitors.monitor import (
    COLLECTED_KIND,
    RAISED_KIND,
    Alert,
    Collected,
    Collection,
    MonitorSummary,
    Raised,
)
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_collections = Table(
    "monitor_collection",
    _metadata,
    Column("id", String, primary_key=True),
    Column("monitor", String, nullable=False, index=True),
    Column("moment", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_alerts = Table(
    "monitor_alert",
    _metadata,
    Column("id", String, primary_key=True),
    Column("monitor", String, nullable=False, index=True),
    Column("collection", String, nullable=False, index=True),
    Column("moment", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_collected = msgspec.msgpack.Decoder(Collected).decode
_decode_raised = msgspec.msgpack.Decoder(Raised).decode


class Monitors(Query[tuple[MonitorSummary, ...]], frozen=True, kw_only=True):
    """Monitors that have collected whose name begins with `prefix`, by name."""

    prefix: str = ""


class MonitorHistory(Query[tuple[Collection, ...]], frozen=True, kw_only=True):
    """What a monitor collected, the latest moment first, at most `limit`; 0 for all."""

    monitor: str
    limit: int = 0


class LatestCollection(Query[Collection | None], frozen=True, kw_only=True):
    """What a monitor collected for the latest moment; None when it never did."""

    monitor: str


class CollectionById(Query[Collection | None], frozen=True, kw_only=True):
    """The collection with this id."""

    collection: str


class Alerts(Query[tuple[Alert, ...]], frozen=True, kw_only=True):
    """Alerts of a monitor, or of all with an empty name, for moments from `since` on; the latest first."""

    monitor: str = ""
    since: float | None = None
    collection: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add collections and alerts."""
    collected = [_collection_row(event) for event in events if event.kind == COLLECTED_KIND]
    raised = [_alert_row(event) for event in events if event.kind == RAISED_KIND]
    add_rows(connection, _collections, collected)
    add_rows(connection, _alerts, raised)


def _collection_row(event: Event) -> dict[str, object]:
    body = body_of(event, Collected)
    return {
        "id": body.collection,
        "monitor": body.monitor,
        "moment": body.moment,
        "body": bytes(event.body),
        "facts": event.facts,
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _alert_row(event: Event) -> dict[str, object]:
    body = body_of(event, Raised)
    return {
        "id": body.alert,
        "monitor": body.monitor,
        "collection": body.collection,
        "moment": body.moment,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def monitors(connection: Connection, query: Monitors) -> tuple[MonitorSummary, ...]:
    begins = _collections.c.monitor.startswith(query.prefix, autoescape=True)
    counts = select(_collections.c.monitor, func.count().label("count")).where(begins)
    rows = connection.execute(counts.group_by(_collections.c.monitor).order_by(_collections.c.monitor)).all()
    raised = select(_alerts.c.monitor, func.count().label("count")).group_by(_alerts.c.monitor)
    alerts_by_monitor = {row.monitor: int(row[1]) for row in connection.execute(raised)}
    return tuple(
        MonitorSummary(
            name=row.monitor, collections=int(row[1]), latest=latest, alerts=alerts_by_monitor.get(row.monitor, 0)
        )
        for row in rows
        for latest in history(connection, MonitorHistory(monitor=row.monitor, limit=1))
    )


def history(connection: Connection, query: MonitorHistory) -> tuple[Collection, ...]:
    statement = (
        select(_collections)
        .where(_collections.c.monitor == query.monitor)
        .order_by(_collections.c.moment.desc(), _collections.c.stamp.desc())
    )
    rows = connection.execute(statement.limit(query.limit) if query.limit else statement)
    return tuple(_collection(row) for row in rows)


def latest_collection(connection: Connection, query: LatestCollection) -> Collection | None:
    return next(iter(history(connection, MonitorHistory(monitor=query.monitor, limit=1))), None)


def collection_by_id(connection: Connection, query: CollectionById) -> Collection | None:
    row = connection.execute(select(_collections).where(_collections.c.id == query.collection)).first()
    return None if row is None else _collection(row)


def alerts(connection: Connection, query: Alerts) -> tuple[Alert, ...]:
    statement = select(_alerts).order_by(_alerts.c.moment.desc(), _alerts.c.stamp.desc())
    if query.monitor:
        statement = statement.where(_alerts.c.monitor == query.monitor)
    if query.collection:
        statement = statement.where(_alerts.c.collection == query.collection)
    if query.since is not None:
        statement = statement.where(_alerts.c.moment >= query.since)
    return tuple(_alert(row) for row in connection.execute(statement))


def portray_monitor(connection: Connection, name: str) -> Description | None:
    found = next((each for each in monitors(connection, Monitors(prefix=name)) if each.name == name), None)
    if found is None:
        return None
    lines = [("collections", str(found.collections)), ("alerts", str(found.alerts)), *_numbers(found.latest)]
    return Description(title=name, lines=tuple(lines))


def portray_collection(connection: Connection, identifier: str) -> Description | None:
    found = collection_by_id(connection, CollectionById(collection=identifier))
    if found is None:
        return None
    return Description(title=f"{found.made.monitor} ({identifier[:8]})", lines=tuple(_numbers(found)))


def portray_alert(connection: Connection, identifier: str) -> Description | None:
    row = connection.execute(select(_alerts).where(_alerts.c.id == identifier)).first()
    if row is None:
        return None
    made = _decode_raised(row.body)
    lines = (("condition", made.condition), ("reason", made.reason), ("endpoint", made.endpoint))
    return Description(title=f"alert of {made.monitor}", lines=lines)


def _numbers(collection: Collection) -> list[tuple[str, str]]:
    shown = [(name, value) for name, value in collection.facts.items() if not name.startswith("slice(")]
    return [(name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in shown]


def _collection(row: Any) -> Collection:
    return Collection(made=_decode_collected(row.body), facts=row.facts, actor=row.actor, at=row.at, stamp=row.stamp)


def _alert(row: Any) -> Alert:
    return Alert(made=_decode_raised(row.body), actor=row.actor, at=row.at, stamp=row.stamp)


PROJECTION = Projection(
    name="monitor",
    version=1,
    tables=_metadata,
    kinds=frozenset({COLLECTED_KIND, RAISED_KIND}),
    fold=fold,
    answers={
        Monitors: monitors,
        MonitorHistory: history,
        LatestCollection: latest_collection,
        CollectionById: collection_by_id,
        Alerts: alerts,
    },
    portraits={"monitor": portray_monitor, "collection": portray_collection, "alert": portray_alert},
)
