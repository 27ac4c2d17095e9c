"""`/api/alerts`: what alert managers say, taken in; alerts that fire, and who looks after them."""

from asyncio import to_thread
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from charkh.bridges.alertmanager import Notification, Notified, read_notification
from charkh.endpoints.rollouts.index import CurrentRollout
from charkh.endpoints.rollouts.move import end_rollout
from charkh.loops.notify import FIRING, Said, notify
from charkh.monitors.alert_index import Firing
from charkh.monitors.attend import acknowledge
from charkh.monitors.monitor import Alert
from charkh.ports.store import Store
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.workspace.workspace import Workspace

ACTION, ROLL_BACK = "charkh_action", "roll_back"
"""A label with which an alert asks that the candidate at the endpoint of its label `endpoint` be taken out."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a notification: alerts that were new, and endpoints whose candidate was taken out."""

    new: int
    rolled_back: tuple[str, ...] = ()


@post("/api/alerts/webhook", opt={"policy": Policy.WRITE}, status_code=200)
async def take_notification(request: Request[Any, Any, State], state: State) -> Taken:
    """Take in a notification of Alertmanager (webhook, version 4); the same alert counts once."""
    body = await request.body()
    return await to_thread(_take, workspace_of(state), read_notification(body))


@get("/api/alerts", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_firing(state: State, monitor: FromQuery[str] = "") -> tuple[Alert, ...]:
    """Alerts of monitors that are not over."""
    return workspace_of(state).store.queries.ask(Firing(monitor=monitor))


class Attended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The alert that somebody looks after, and what that person says."""

    alert: str
    note: str = ""


@post("/api/alerts/ack", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def acknowledge_alert(state: State, data: JSONBody[Attended]) -> Alert:
    """Say that somebody looks after an alert; it is not raised again before it is over."""
    return acknowledge(workspace_of(state).store, data.alert, note=data.note)


def _take(workspace: Workspace, notification: Notification) -> Taken:
    new = notify(workspace.store, [_said(notification.group_key, alert) for alert in notification.alerts])
    asked = [each for each in new if each.status == FIRING and each.labels.get(ACTION) == ROLL_BACK]
    names = {each.labels.get("endpoint", ""): each.name for each in asked}
    ended = [endpoint for endpoint, name in names.items() if endpoint and _rolled_back(workspace.store, endpoint, name)]
    return Taken(new=len(new), rolled_back=tuple(ended))


def _said(group: str, alert: Notified) -> Said:
    texts = alert.annotations
    return Said(
        key=f"{group}\0{alert.fingerprint or sorted(alert.labels.items())}",
        name=alert.name or "alert",
        status=alert.status,
        labels=alert.labels,
        summary=texts.get("summary") or texts.get("description") or "",
        began=alert.starts_at,
    )


def _rolled_back(store: Store, endpoint: str, alert: str) -> bool:
    if store.queries.ask(CurrentRollout(endpoint=endpoint)) is None:
        return False
    end_rollout(store, endpoint, "rolled_back", reason=f"the alert {alert} asked for it")
    return True


HANDLERS = (take_notification, list_firing, acknowledge_alert)
