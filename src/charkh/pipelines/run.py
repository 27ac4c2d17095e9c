"""Run a pipeline: its body is executed, each step looked up by content, and the whole recorded as one run."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charkh.core.events import Draft, Edge
from charkh.core.params import Params, values_of, with_values
from charkh.pipelines.active import enter_pipeline
from charkh.pipelines.digests import Digests
from charkh.pipelines.execution import (
    ENDED_KIND,
    MAX_STEPS,
    STARTED_KIND,
    PipelineEnded,
    PipelineStarted,
    Status,
    StepReport,
    bounded_error,
)
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.running import Running, Surroundings
from charkh.pipelines.values import Codec
from charkh.ports.executors import Executor
from charkh.ports.store import Store
from charkh.runs.active import current
from charkh.runs.start import ActiveRun, start


class PipelineResult(NamedTuple):
    """What a pipeline gave.

    Attributes:
        run: id of the run that it was.
        value: what its body returned.
        steps: what became of each step call, in order.
        seconds: how long it took.
    """

    run: str
    value: Any
    steps: tuple[StepReport, ...]
    seconds: float


def run_pipeline(
    store: Store,
    pipeline: "Pipeline[..., Any]",
    params: Params | Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    ignore: Sequence[Path] = (),
    codecs: Sequence[Codec] = (),
    force: Collection[str] = (),
    executor: Executor | None = None,
    notify: Callable[[StepReport], None] | None = None,
    parent: str = "",
) -> PipelineResult:
    """Execute a pipeline; running it again after a failure or a crash resumes it, because finished steps are reused.

    Args:
        store: where outputs and events are.
        pipeline: what is executed.
        params: in place of its defaults; a mapping replaces values by dotted name.
        folder: the workspace: files that steps read in it are inputs; the current folder by default.
        ignore: folders inside it that hold no inputs; those whose name begins with a dot never do.
        codecs: for values that the built-in ones do not take.
        force: names of steps that are executed again whatever the cache has; `*` for all.
        executor: where the bodies of cached steps run; here by default.
        notify: called with what became of each step call.
        parent: id of the run that this one is a part of; the run around this one by default.

    Raises:
        Invalid: the params are not the pipeline's, or a step gives or takes what cannot be kept.
        Exception: what a step or the body raises; what was finished before is kept.
    """
    where = folder or Path.cwd()
    told = pipeline_params(pipeline, params)
    running = Running(
        Surroundings(store, pipeline.name, where, tuple(ignore), force, executor, notify), Digests(codecs)
    )
    around = current()
    run = start(
        store,
        name=pipeline.name,
        parent=parent or (around.id if around is not None else ""),
        params=None if told is None else values_of(told),
        tags={"pipeline": pipeline.name},
        folder=where,
    )
    began = time.perf_counter()
    status, error = "failed", ""
    with run:
        body = PipelineStarted(pipeline=pipeline.name, run=run.id)
        store.record(Draft(kind=STARTED_KIND, subject=run.subject, body=body))
        try:
            with enter_pipeline(running):
                value = pipeline.function(*([] if told is None else [told]))
            status = "finished"
        except Exception as raised:
            error = bounded_error(raised)
            raise
        except BaseException:
            status = "interrupted"
            raise
        finally:
            running.settle()
            seconds = time.perf_counter() - began
            _record_end(store, run, pipeline.name, status, running, seconds, error)
    return PipelineResult(run.id, value, tuple(running.reports), seconds)


def pipeline_params(pipeline: "Pipeline[..., Any]", params: Params | Mapping[str, Any] | None) -> Params | None:
    """The params of an execution; None for a pipeline that takes none.

    Raises:
        Invalid: they are not the pipeline's.
    """
    default = pipeline.default
    if default is None:
        # An unknown name is refused by the empty class like by any other.
        with_values(_NoParams, params if isinstance(params, Mapping) else values_of(params) if params else {})
        return None
    if isinstance(params, Params):
        # Its values, read by the pipeline's own class: the same class may have been loaded twice.
        cls = pipeline.params
        return params if cls is None or isinstance(params, cls) else with_values(cls, values_of(params))
    return with_values(default, params or {})


class _NoParams(Params):
    """The params of a pipeline that takes none."""


def _record_end(
    store: Store, run: ActiveRun, name: str, status: Status, running: Running, seconds: float, error: str
) -> None:
    ended = PipelineEnded(
        pipeline=name,
        run=run.id,
        status=status,
        steps=tuple(running.reports[:MAX_STEPS]),
        calls=len(running.reports),
        seconds=seconds,
        error=error,
    )
    edges = tuple(Edge(run.subject, "reused", subject) for subject in list(running.reused)[:MAX_STEPS])
    store.record(Draft(kind=ENDED_KIND, subject=run.subject, body=ended, edges=edges), durable=True)
