"""`/api/runs`: search, one run, and the history of a metric."""

from litestar import get
from litestar.datastructures import State

from charkh.runs.find import find
from charkh.runs.run import Run
from charkh.runs.search import search
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


@get("/api/runs", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_runs(state: State, where: str = "", order: str = "", limit: int = 100) -> tuple[Run, ...]:
    """Runs that meet a condition such as `params.rate >= 0.1 and metrics.auc > 0.7`, newest first."""
    return search(workspace_of(state).store, where, order=order, limit=max(1, min(limit, 1000)))


@get("/api/runs/run", opt={"policy": Policy.READ}, sync_to_thread=True)
def show_run(state: State, ref: str) -> Run:
    """The run that a reference means."""
    return find(workspace_of(state).store, ref)


HANDLERS = (list_runs, show_run)
