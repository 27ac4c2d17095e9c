"""Take in what an alert manager outside says: each alert once, whatever it is told how often."""

from collections.abc import Mapping, Sequence

import msgspec

from charkh.core.digests import digest_of
from charkh.core.events import Draft
from charkh.core.redact import redact
from charkh.loops.loop import NOTIFIED_KIND, Notified
from charkh.loops.notified_index import NotificationById
from charkh.ports.store import Store

FIRING, RESOLVED = "firing", "resolved"
MOST_LABELS = 30
LONGEST = 200


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a notification.

    Attributes:
        key: what tells it from others: its labels' fingerprint and its group's.
        name: of the alert.
        status: `firing` or `resolved`.
        labels: of the alert.
        summary: for people.
        began: when, as the sender writes it.
    """

    key: str
    name: str
    status: str
    labels: Mapping[str, str] = {}
    summary: str = ""
    began: str = ""


def notify(store: Store, alerts: Sequence[Said]) -> tuple[Said, ...]:
    """Record the alerts that are new; those that are.

    Args:
        store: where they go.
        alerts: of one notification; the same alert that began at the same time counts once for each status.
    """
    fresh: dict[str, Said] = {}
    for alert in alerts:
        identifier = digest_of("\0".join((alert.key, alert.began, alert.status)).encode())[:32]
        if store.queries.ask(NotificationById(notification=identifier)) is None:
            fresh.setdefault(identifier, alert)
    if fresh:
        store.record(*(_draft(identifier, alert) for identifier, alert in fresh.items()), durable=True)
    return tuple(fresh.values())


def _draft(identifier: str, alert: Said) -> Draft:
    body = Notified(
        notification=identifier,
        name=_short(alert.name),
        status=alert.status,
        labels={_short(name): _short(value) for name, value in sorted(alert.labels.items())[:MOST_LABELS]},
        summary=_short(alert.summary),
        began=alert.began[:40],
    )
    return Draft(kind=NOTIFIED_KIND, subject=f"notification:{identifier}", body=body)


def _short(text: str) -> str:
    return redact(text)[:LONGEST]
