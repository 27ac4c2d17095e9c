"""`/api/endpoints`: what is deployed; the endpoints themselves answer under `/v2` and `/predict`."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.endpoints.deployment import Deployment, EndpointSummary
from charkh.endpoints.index import Deployments, Endpoints
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


@get("/api/endpoints", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_endpoints(state: State) -> tuple[EndpointSummary, ...]:
    """Endpoints by name."""
    return workspace_of(state).store.queries.ask(Endpoints())


@get("/api/endpoints/deployments", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_deployments(state: State, name: FromQuery[str]) -> tuple[Deployment, ...]:
    """What was deployed at an endpoint, newest first."""
    return workspace_of(state).store.queries.ask(Deployments(endpoint=name))


HANDLERS = (list_endpoints, list_deployments)
