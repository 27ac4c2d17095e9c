"""`/api/pipelines`: what was executed, and why each step was or was not."""

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.core.errors import NotFound
from charkh.pipelines.execution import Execution, StepFailed, StepRecord
from charkh.pipelines.index import ExecutionByRun, Executions, FailuresOfRun, StepsOfRun
from charkh.runs.find import find
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """An execution with the steps that it ran itself, and those that failed."""

    execution: Execution
    steps: tuple[StepRecord, ...]
    failures: tuple[StepFailed, ...]


@get("/api/pipelines/executions", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_executions(state: State, pipeline: FromQuery[str] = "", limit: FromQuery[int] = 100) -> tuple[Execution, ...]:
    """Executions, newest first; of one pipeline where its name is given."""
    return workspace_of(state).store.queries.ask(Executions(pipeline=pipeline, limit=limited(limit)))


@get("/api/pipelines/execution", opt={"policy": Policy.READ}, sync_to_thread=True)
def show_execution(state: State, run: FromQuery[str]) -> Executed:
    """One execution, by its run."""
    store = workspace_of(state).store
    identifier = find(store, run).id
    execution = store.queries.ask(ExecutionByRun(run=identifier))
    if execution is None:
        raise NotFound(f"run {run} executed no pipeline", code="pipeline.not_found", hint="Look at /api/runs/run.")
    return Executed(
        execution=execution,
        steps=store.queries.ask(StepsOfRun(run=identifier)),
        failures=store.queries.ask(FailuresOfRun(run=identifier)),
    )


HANDLERS = (list_executions, show_execution)
