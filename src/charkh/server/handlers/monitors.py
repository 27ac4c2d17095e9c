"""`/api/monitors`: what was collected, and the alerts; collecting by hand."""

from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.monitors.alert_index import Alerts
from charkh.monitors.collect import Report
from charkh.monitors.index import MonitorHistory, Monitors
from charkh.monitors.monitor import Alert, Collection, MonitorSummary
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy
from charkh.workspace.watching import watch


@get("/api/monitors", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_monitors(state: State) -> tuple[MonitorSummary, ...]:
    """Monitors with their latest numbers."""
    return workspace_of(state).store.queries.ask(Monitors())


@get("/api/monitors/history", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_collections(state: State, name: FromQuery[str], limit: FromQuery[int] = 100) -> tuple[Collection, ...]:
    """What a monitor collected, the latest moment first."""
    return workspace_of(state).store.queries.ask(MonitorHistory(monitor=name, limit=limited(limit)))


@get("/api/monitors/alerts", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_alerts(state: State, name: FromQuery[str] = "") -> tuple[Alert, ...]:
    """Alerts, the latest moment first."""
    return workspace_of(state).store.queries.ask(Alerts(monitor=name))


@post("/api/monitors/collect", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def collect(state: State, name: FromQuery[str]) -> Report:
    """Collect a monitor once."""
    return watch(workspace_of(state), name)


HANDLERS = (list_monitors, list_collections, list_alerts, collect)
