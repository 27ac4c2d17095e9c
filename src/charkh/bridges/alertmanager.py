"""Alertmanager both ways: alerts of charkh are pushed to it, and its notifications are read.

Out: the bodies of `POST /api/v2/alerts` (openapi.yaml of Alertmanager's API v2). In: the payload of its webhook
receivers, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config); fields that later
versions add are passed over.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from charkh.core.clock import seconds
from charkh.core.errors import Invalid
from charkh.core.events import Event
from charkh.webhooks.letter import Letter, Told, sample_event
from charkh.webhooks.match import word_of
from charkh.webhooks.webhook import Webhook

FORMAT = "alertmanager"
RAISED, RESOLVED = "alert.raised", "alert.resolved"
LABELS = ("monitor", "endpoint", "severity", "owner")
VERSION = "4"
MOST_ALERTS = 1000


class AlertmanagerForm:
    """Alerts as Alertmanager's own API takes them; the same monitor and condition are one alert to it.

    Args:
        source: the workspace, such as `charkh://ID`.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def wants(self, webhook: Webhook, kind: str) -> bool:  # noqa: ARG002 - it takes alerts, whatever else is named
        """See `charkh.webhooks.letter.Form`."""
        return word_of(kind) in {RAISED, RESOLVED}

    def letters(self, webhook: Webhook, told: Told) -> Sequence[Letter]:
        """See `charkh.webhooks.letter.Form`."""
        return (self._letter(told.event, told.body),) if told.passes(webhook) else ()

    def sample(self, webhook: Webhook, event: str) -> Letter:
        """See `charkh.webhooks.letter.Form`; the alert of a test ends at once."""
        made = sample_event(webhook, event or RESOLVED)
        return self._letter(
            msgspec.structs.replace(made, kind=f"{RESOLVED}/1"),
            {"monitor": "test", "condition": "a test", "reason": f"the webhook {webhook.name} is tried"},
        )

    def headers(self, secret: str, message: str, moment: int, body: bytes) -> Mapping[str, str]:  # noqa: ARG002
        """See `charkh.webhooks.letter.Form`; the secret, where there is one, is a bearer token."""
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    def _letter(self, event: Event, body: Mapping[str, Any]) -> Letter:
        at = _time(seconds(event.clock))
        labels = {"alertname": "CharkhMonitor", "condition": str(body.get("condition", ""))}
        labels |= {name: str(body[name]) for name in LABELS if body.get(name)}
        annotations = {"summary": f"{body.get('monitor', '')}: {body.get('condition', '')}"}
        annotations |= {name: str(body[said]) for name, said in _ANNOTATIONS if body.get(said)}
        alert: dict[str, Any] = {"labels": labels, "annotations": annotations, "generatorURL": self._source}
        # Alertmanager takes an alert without an end for over when it is not repeated; a monitor may look once a day.
        ends = word_of(event.kind) == RESOLVED
        alert |= {"endsAt": at} if ends else {"startsAt": at, "endsAt": _time(seconds(event.clock) + _STANDS)}
        content = msgspec.json.encode([alert])
        return Letter(event.id, event.id, event.kind, event.subject, "application/json", content)


_ANNOTATIONS = (("description", "reason"), ("runbook_url", "runbook"))
_STANDS = 32 * 86400.0
"""Seconds for which an alert stands that nobody resolves: a month, the longest time between two looks that is usual."""


class Notified(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One alert of a notification.

    Attributes:
        status: `firing` or `resolved`.
        labels: among them `alertname`.
        annotations: for people.
        starts_at: RFC 3339, when it began.
        fingerprint: of its labels.
    """

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: str = ""
    ends_at: str = ""
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """`alertname`, or empty."""
        return self.labels.get("alertname", "")


class Notification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What Alertmanager sends to a webhook.

    Attributes:
        version: of the payload, `4`.
        group_key: of the group of alerts.
        status: `firing` while one of them does.
        alerts: of the group.
        truncated_alerts: how many more there were.
    """

    version: str
    group_key: str = ""
    status: str = ""
    receiver: str = ""
    alerts: tuple[Notified, ...] = ()
    truncated_alerts: int = 0


_decode = msgspec.json.Decoder(Notification).decode


def read_notification(body: bytes) -> Notification:
    """The notification in a body.

    Raises:
        Invalid: it is none, of another version, or of too many alerts.
    """
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(
            f"that is no notification of Alertmanager: {error}",
            code="alertmanager.invalid",
            hint="Let a receiver's webhook_configs name this address.",
        ) from error
    if found.version != VERSION or len(found.alerts) > MOST_ALERTS:
        raise Invalid(
            f"a notification of version {found.version[:20]!r} with {len(found.alerts)} alerts is not read",
            code="alertmanager.invalid",
            hint=f"Version {VERSION} with at most {MOST_ALERTS} alerts is; set max_alerts in webhook_configs.",
        )
    return found


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
