"""`/api/prometheus`: where Prometheus finds what it scrapes, as its `http_sd` asks for it."""

from typing import Any

from litestar import Request, get
from litestar.datastructures import State

from charkh.bridges.prometheus.discovery import targets
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


@get("/api/prometheus/targets", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_targets(state: State, request: Request[Any, Any, Any]) -> list[dict[str, object]]:
    """This server, by the name that it was asked under, and those that `[metrics] targets` names."""
    workspace = workspace_of(state)
    named = request.headers.get("host", "")
    address = named if named.rpartition(":")[2].isdigit() else f"{named}:{_PORTS.get(request.url.scheme, 80)}"
    return targets([address, *workspace.settings.metrics.targets], {"workspace": workspace.folder.name})


_PORTS = {"https": 443}

HANDLERS = (list_targets,)
