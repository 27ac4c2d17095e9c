"""`/api/runs`: search, one run, and the history of a metric."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.runs.find import find
from charkh.runs.history import Point, metric_history
from charkh.runs.run import Run
from charkh.runs.search import search
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy


@get("/api/runs", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def list_runs(
    state: State, where: FromQuery[str] = "", order: FromQuery[str] = "", limit: FromQuery[int] = 100
) -> tuple[Run, ...]:
    """Runs that meet a condition such as `params.rate >= 0.1 and metrics.auc > 0.7`, newest first."""
    return search(workspace_of(state).store, where, order=order, limit=limited(limit))


@get("/api/runs/run", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def show_run(state: State, ref: FromQuery[str]) -> Run:
    """The run that a reference means."""
    return find(workspace_of(state).store, ref)


@get("/api/runs/history", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def show_history(state: State, ref: FromQuery[str], key: FromQuery[str], context: FromQuery[str] = "") -> list[Point]:
    """The points of one metric: step, time, value and attempt."""
    store = workspace_of(state).store
    return metric_history(store, find(store, ref).id, key, context=context).points()


HANDLERS = (list_runs, show_run, show_history)
