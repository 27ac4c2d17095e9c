"""Notifications from outside, in the catalog."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.loops.loop import NOTIFIED_KIND, Notification, Notified
from charkh.ports.folding import keep_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_notifications = Table(
    "loop_notification",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("status", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode = msgspec.msgpack.Decoder(Notified).decode


class Notifications(Query[tuple[Notification, ...]], frozen=True, kw_only=True):
    """Notifications of an alert, or of all; with one status, or with any; the newest first, at most `limit`."""

    name: str = ""
    status: str = ""
    limit: int = 100


class NotificationById(Query[Notification | None], frozen=True, kw_only=True):
    """The notification with this id."""

    notification: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add notifications; of one that two servers took in, the earlier stands."""
    keep_rows(connection, _notifications, [_row(event) for event in events], stamp="stamp", keep="earliest")


def _row(event: Event) -> dict[str, object]:
    body = body_of(event, Notified)
    return {
        "id": body.notification,
        "name": body.name,
        "status": body.status,
        "body": bytes(event.body),
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def notifications(connection: Connection, query: Notifications) -> tuple[Notification, ...]:
    statement = select(_notifications).order_by(_notifications.c.stamp.desc()).limit(query.limit)
    if query.name:
        statement = statement.where(_notifications.c.name == query.name)
    if query.status:
        statement = statement.where(_notifications.c.status == query.status)
    return tuple(_notification(row) for row in connection.execute(statement))


def notification_by_id(connection: Connection, query: NotificationById) -> Notification | None:
    row = connection.execute(select(_notifications).where(_notifications.c.id == query.notification)).first()
    return None if row is None else _notification(row)


def portray(connection: Connection, identifier: str) -> Description | None:
    found = notification_by_id(connection, NotificationById(notification=identifier))
    if found is None:
        return None
    made = found.made
    return Description(
        title=f"{made.name} {made.status}",
        lines=(("summary", made.summary), *((name, value) for name, value in made.labels.items())),
    )


def _notification(row: Any) -> Notification:
    return Notification(made=_decode(row.body), at=row.at, stamp=row.stamp)


PROJECTION = Projection(
    name="notification",
    version=1,
    tables=_metadata,
    kinds=frozenset({NOTIFIED_KIND}),
    fold=fold,
    answers={Notifications: notifications, NotificationById: notification_by_id},
    portraits={"notification": portray},
)
