"""Monitors' part of the catalog: collections with their numbers; alerts are in `alert_index`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.monitors import tables
from charkh.monitors.alert_index import ALERT_ANSWERS, ALERT_KINDS, fold_alerts, portray_alert
from charkh.monitors.monitor import COLLECTED_KIND, Collected, Collection, MonitorSummary
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_decode_collected = msgspec.msgpack.Decoder(Collected).decode


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


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add collections and alerts."""
    collected = [_collection_row(event) for event in events if event.kind == COLLECTED_KIND]
    add_rows(connection, tables.collections, collected)
    fold_alerts(connection, events)


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


def monitors(connection: Connection, query: Monitors) -> tuple[MonitorSummary, ...]:
    begins = tables.collections.c.monitor.startswith(query.prefix, autoescape=True)
    counts = select(tables.collections.c.monitor, func.count().label("count")).where(begins)
    rows = connection.execute(
        counts.group_by(tables.collections.c.monitor).order_by(tables.collections.c.monitor)
    ).all()
    raised = select(tables.alerts.c.monitor, func.count().label("count")).group_by(tables.alerts.c.monitor)
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
        select(tables.collections)
        .where(tables.collections.c.monitor == query.monitor)
        .order_by(tables.collections.c.moment.desc(), tables.collections.c.stamp.desc())
    )
    rows = connection.execute(statement.limit(query.limit) if query.limit else statement)
    return tuple(_collection(row) for row in rows)


def latest_collection(connection: Connection, query: LatestCollection) -> Collection | None:
    return next(iter(history(connection, MonitorHistory(monitor=query.monitor, limit=1))), None)


def collection_by_id(connection: Connection, query: CollectionById) -> Collection | None:
    row = connection.execute(select(tables.collections).where(tables.collections.c.id == query.collection)).first()
    return None if row is None else _collection(row)


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


def _numbers(collection: Collection) -> list[tuple[str, str]]:
    shown = [(name, value) for name, value in collection.facts.items() if not name.startswith("slice(")]
    return [(name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in shown]


def _collection(row: Any) -> Collection:
    return Collection(made=_decode_collected(row.body), facts=row.facts, actor=row.actor, at=row.at, stamp=row.stamp)


PROJECTION = Projection(
    name="monitor",
    version=2,
    tables=tables.metadata,
    kinds=frozenset({COLLECTED_KIND, *ALERT_KINDS}),
    fold=fold,
    answers={
        Monitors: monitors,
        MonitorHistory: history,
        LatestCollection: latest_collection,
        CollectionById: collection_by_id,
        **ALERT_ANSWERS,
    },
    portraits={"monitor": portray_monitor, "collection": portray_collection, "alert": portray_alert},
)
