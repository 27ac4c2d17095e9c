"""`/api/trace` and `/api/lineage`: from anything to what it was made from, and to what was made from it."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.lineage.trace import Trace, impact
from charkh.lineage.why import Why, why
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.workspace.resolving import resolve
from charkh.workspace.tracing import Origins, trace_in


@get("/api/trace", opt={"policy": Policy.READ}, sync_to_thread=True)
def trace(state: State, what: FromQuery[str]) -> Origins:
    """From a prediction, subject or reference back to the rows."""
    return trace_in(workspace_of(state).store, what)


@get("/api/lineage/impact", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_impact(state: State, what: FromQuery[str]) -> Trace:
    """What was made from a subject."""
    store = workspace_of(state).store
    return impact(store, resolve(store, what))


@get("/api/lineage/why", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_reasons(state: State, what: FromQuery[str]) -> Why:
    """The facts about a subject, and who stated them."""
    store = workspace_of(state).store
    return why(store, resolve(store, what))


HANDLERS = (trace, list_impact, list_reasons)
