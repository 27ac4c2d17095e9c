"""Alerts in the catalog: what was raised, what is over, who looks after it, and what nobody is told of."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.monitors import tables
from charkh.monitors.monitor import (
    ACKNOWLEDGED_KIND,
    RAISED_KIND,
    RESOLVED_KIND,
    SILENCED_KIND,
    UNSILENCED_KIND,
    Acknowledged,
    Alert,
    Raised,
    Resolved,
    Silence,
    Silenced,
    Unsilenced,
)
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Description, Query

ALERT_KINDS = (RAISED_KIND, RESOLVED_KIND, ACKNOWLEDGED_KIND, SILENCED_KIND, UNSILENCED_KIND)

_decode_raised = msgspec.msgpack.Decoder(Raised).decode
_decode_silenced = msgspec.msgpack.Decoder(Silenced).decode


class Alerts(Query[tuple[Alert, ...]], frozen=True, kw_only=True):
    """Alerts of a monitor, or of all with an empty name, for moments from `since` on; the latest first."""

    monitor: str = ""
    since: float | None = None
    collection: str = ""


class Firing(Query[tuple[Alert, ...]], frozen=True, kw_only=True):
    """Alerts that are not over, the latest of each monitor and condition; of one monitor, or of all."""

    monitor: str = ""


class AlertById(Query[Alert | None], frozen=True, kw_only=True):
    """The alert whose id begins so; None where there is none, or more than one."""

    alert: str


class Silences(Query[tuple[Silence, ...]], frozen=True, kw_only=True):
    """Silences that nobody ended and that last beyond `moment`, the newest first; of one monitor, or of all."""

    monitor: str = ""
    moment: float = 0.0


def fold_alerts(connection: Connection, events: Sequence[Event]) -> None:
    """Add alerts, their ends, and what people said of them."""
    by_kind: dict[str, list[Event]] = {kind: [] for kind in ALERT_KINDS}
    for event in events:
        if event.kind in by_kind:
            by_kind[event.kind].append(event)
    add_rows(connection, tables.alerts, [_alert_row(event) for event in by_kind[RAISED_KIND]])
    ends = [_end_row(event) for event in by_kind[RESOLVED_KIND]]
    keep_rows(connection, tables.endings, ends, stamp="stamp", keep="earliest")
    said = [_acknowledgement_row(event) for event in by_kind[ACKNOWLEDGED_KIND]]
    keep_rows(connection, tables.acknowledgements, said, stamp="stamp", keep="latest")
    add_rows(connection, tables.silences, [_silence_row(event) for event in by_kind[SILENCED_KIND]])
    add_rows(
        connection,
        tables.silence_ends,
        [{"id": body_of(event, Unsilenced).silence} for event in by_kind[UNSILENCED_KIND]],
    )


def _alert_row(event: Event) -> dict[str, object]:
    body = body_of(event, Raised)
    return {
        "id": body.alert,
        "episode": body.episode or body.alert,
        "monitor": body.monitor,
        "condition": body.condition,
        "collection": body.collection,
        "moment": body.moment,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _end_row(event: Event) -> dict[str, object]:
    body = body_of(event, Resolved)
    return {"episode": body.episode, "moment": body.moment, "stamp": event.stamp}


def _acknowledgement_row(event: Event) -> dict[str, object]:
    body = body_of(event, Acknowledged)
    return {"episode": body.episode, "who": event.actor, "note": body.note, "stamp": event.stamp}


def _silence_row(event: Event) -> dict[str, object]:
    body = body_of(event, Silenced)
    return {
        "id": body.silence,
        "monitor": body.monitor,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def alerts(connection: Connection, query: Alerts) -> tuple[Alert, ...]:
    statement = _joined().order_by(tables.alerts.c.moment.desc(), tables.alerts.c.stamp.desc())
    if query.monitor:
        statement = statement.where(tables.alerts.c.monitor == query.monitor)
    if query.collection:
        statement = statement.where(tables.alerts.c.collection == query.collection)
    if query.since is not None:
        statement = statement.where(tables.alerts.c.moment >= query.since)
    return tuple(_alert(row) for row in connection.execute(statement))


def firing(connection: Connection, query: Firing) -> tuple[Alert, ...]:
    # Alerts of before there were ends cannot end, so they do not count as firing.
    ordered = func.row_number().over(
        partition_by=(tables.alerts.c.monitor, tables.alerts.c.condition),
        order_by=(tables.alerts.c.moment.desc(), tables.alerts.c.stamp.desc()),
    )
    latest = select(tables.alerts.c.id, ordered.label("place")).subquery()
    statement = (
        _joined()
        .join(latest, latest.c.id == tables.alerts.c.id)
        .where(latest.c.place == 1, tables.endings.c.moment.is_(None))
        .order_by(tables.alerts.c.moment.desc(), tables.alerts.c.stamp.desc())
    )
    if query.monitor:
        statement = statement.where(tables.alerts.c.monitor == query.monitor)
    found = (_alert(row) for row in connection.execute(statement))
    return tuple(alert for alert in found if alert.made.episode)


def alert_by_id(connection: Connection, query: AlertById) -> Alert | None:
    begins = tables.alerts.c.id.startswith(query.alert, autoescape=True)
    rows = connection.execute(_joined().where(begins).limit(2)).all()
    return _alert(rows[0]) if len(rows) == 1 else None


def silences(connection: Connection, query: Silences) -> tuple[Silence, ...]:
    ended = select(tables.silence_ends.c.id)
    statement = select(tables.silences).where(tables.silences.c.id.not_in(ended))
    if query.monitor:
        statement = statement.where(tables.silences.c.monitor == query.monitor)
    rows = connection.execute(statement.order_by(tables.silences.c.stamp.desc()))
    found = (Silence(made=_decode_silenced(row.body), actor=row.actor, at=row.at, stamp=row.stamp) for row in rows)
    return tuple(each for each in found if each.made.until > query.moment)


def portray_alert(connection: Connection, identifier: str) -> Description | None:
    row = connection.execute(_joined().where(tables.alerts.c.id == identifier)).first()
    if row is None:
        return None
    found = _alert(row)
    made = found.made
    lines = [
        ("condition", made.condition),
        ("reason", made.reason),
        ("endpoint", made.endpoint),
        *((name, value) for name, value in (("owner", made.owner), ("runbook", made.runbook)) if value),
        *((("looked after by", found.acknowledged),) if found.acknowledged else ()),
    ]
    return Description(title=f"alert of {made.monitor}", lines=tuple(lines))


def _joined() -> Any:
    episode = tables.alerts.c.episode
    return (
        select(
            tables.alerts,
            tables.endings.c.moment.label("resolved"),
            tables.acknowledgements.c.who,
            tables.acknowledgements.c.note,
        )
        .join(tables.endings, tables.endings.c.episode == episode, isouter=True)
        .join(tables.acknowledgements, tables.acknowledgements.c.episode == episode, isouter=True)
    )


def _alert(row: Any) -> Alert:
    return Alert(
        made=_decode_raised(row.body),
        actor=row.actor,
        at=row.at,
        stamp=row.stamp,
        resolved=row.resolved,
        acknowledged=row.who or "",
        note=row.note or "",
    )


ALERT_ANSWERS: Mapping[type[Query[Any]], Callable[[Connection, Any], Any]] = {
    Alerts: alerts,
    Firing: firing,
    AlertById: alert_by_id,
    Silences: silences,
}
