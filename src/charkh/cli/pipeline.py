"""`charkh pipeline`: list, plan, run, history, show and forget. Running again after a failure resumes."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    shown_size,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_pairs,
    write_table,
)
from charkh.core.errors import CharkhError, Incomplete, NotFound
from charkh.core.params import Params, fields_of, override, space_of, values_of
from charkh.core.quantities import parse_duration
from charkh.pipelines.execution import Execution, StepReport, flat_params
from charkh.pipelines.forget import forget as forget_outputs
from charkh.pipelines.index import ExecutionByRun, Executions, FailuresOfRun, StepsOfRun
from charkh.pipelines.load import find_pipeline
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.plan import plan as plan_pipeline
from charkh.pipelines.running import is_forced
from charkh.runs.find import find as find_run
from charkh.workspace.ambient import use
from charkh.workspace.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Steps with inputs and outputs, cached by content.")

Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="As `charkh pipeline list` shows it.")]
Given = Annotated[
    list[str] | None,
    typer.Option("-p", "--param", metavar="NAME=VALUE", help="A param, such as train.rate=0.05; may be repeated."),
]
Force = Annotated[
    list[str] | None,
    typer.Option("--force", metavar="STEP", help="Execute this step again whatever the cache has; '*' for all."),
]
FEW = 2


@app.command("list")
def list_pipelines(json: AsJson = False) -> None:
    """List the pipelines that the workspace defines, with their params and latest execution."""
    with open_workspace() as workspace:
        known = _loaded(workspace)
        latest = {name: _latest(workspace, name) for name in known}
    if json:
        write_json([_described(pipeline, latest[name]) for name, pipeline in sorted(known.items())])
        return
    write_table(
        ["pipeline", "params", "latest", "status"],
        [
            [
                name,
                [f"{param}={value}" for param, value in _defaults(pipeline).items()],
                "" if last is None else shown_time(last.started),
                "never run" if last is None else last.status,
            ]
            for name, pipeline in sorted(known.items())
            for last in [latest[name]]
        ],
        empty="the file defines no @charkh.pipeline yet",
    )


@app.command()
def plan(pipeline: Name, param: Given = None, force: Force = None, json: AsJson = False) -> None:
    """Show what would be reused, what executed and why; nothing is executed but the pipeline's own body."""
    # Looking at executions needs no table library: this import loads Polars, a third of a second.
    from charkh.workspace.pipelines import codecs_of

    with open_workspace() as workspace, use(workspace):
        found = find_pipeline(_loaded(workspace), pipeline)
        try:
            planned = plan_pipeline(
                workspace.store,
                found,
                _params(found, param),
                folder=workspace.folder,
                codecs=codecs_of(workspace),
                force=force or [],
            )
        except CharkhError:
            raise
        except Exception as error:
            raise _own_failure(error, "the pipeline's own code failed") from error
    if json:
        write_json(planned)
        return
    write_table(
        ["step", "would be", "why"],
        [[step.short_name, _WOULD[step.verdict], "; ".join(step.reasons)] for step in planned.steps],
        empty="the pipeline calls no step",
    )
    if planned.blind:
        write_note(f"what comes behind cannot be told: {planned.blind}")
    else:
        _note_unmet(force or [], [step.name for step in planned.steps])


@app.command()
def run(pipeline: Name, param: Given = None, force: Force = None, json: AsJson = False) -> None:
    """Execute a pipeline; finished steps are reused, so that running again after a failure resumes it."""
    # See `plan`: spared where nothing is run.
    from charkh.workspace.pipelines import run_named

    with open_workspace() as workspace:
        found = find_pipeline(_loaded(workspace), pipeline)
        params = _params(found, param)
        try:
            result = run_named(workspace, pipeline, params, force=force or [], notify=_tell)
        except CharkhError:
            raise
        except Exception as error:
            raise _own_failure(error, f"the pipeline {pipeline} failed") from error
    if json:
        write_json({"run": result.run, "seconds": result.seconds, "steps": result.steps})
        return
    _note_unmet(force or [], [step.name for step in result.steps])
    reused = sum(step.outcome == "reused" for step in result.steps)
    executed = len(result.steps) - reused
    write_line(f"run:{result.run}  {executed} executed, {reused} reused, {result.seconds:.1f} s")
    shown = _shown_value(result.value)
    if shown:
        write_line(shown)


def _note_unmet(force: Sequence[str], steps: Sequence[str]) -> None:
    """Say which steps were to be executed again and were never called."""
    called = sorted({step.rpartition(":")[2] for step in steps})
    for each in force:
        if not any(is_forced(step, [each]) for step in steps):
            write_note(f"--force {each}: the pipeline called no such step; it called {', '.join(called) or 'none'}")


@app.command()
def history(
    pipeline: Annotated[str, typer.Argument(help="Only this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    json: AsJson = False,
) -> None:
    """List executions, newest first."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Executions(pipeline=pipeline, limit=limit))
    if json:
        write_json(found)
        return
    write_table(
        ["run", "pipeline", "status", "started", "seconds", "executed", "reused", "by"],
        [_execution_row(each) for each in found],
        empty="nothing was executed yet",
    )


@app.command()
def show(
    execution: Annotated[
        str, typer.Argument(metavar="RUN", help="The run of an execution, or a pipeline: its latest.")
    ],
    json: AsJson = False,
) -> None:
    """Show an execution: what became of each step, why, and what was kept."""
    with open_workspace() as workspace:
        queries = workspace.store.queries
        found = _latest(workspace, execution) or queries.ask(
            ExecutionByRun(run=find_run(workspace.store, execution).id)
        )
        if found is None:
            raise NotFound(
                f"{execution} is a run, but no execution of a pipeline",
                code="pipeline.no_execution",
                hint="`charkh pipeline history` lists them; `charkh run show` shows other runs.",
            )
        steps = queries.ask(StepsOfRun(run=found.run))
        failures = queries.ask(FailuresOfRun(run=found.run))
    if json:
        write_json({"execution": found, "executed": steps, "failures": failures})
        return
    ended = found.ended
    write_pairs(
        [
            ("pipeline", found.pipeline),
            ("run", f"run:{found.run}"),
            ("status", found.status),
            ("started", shown_time(found.started)),
            ("by", found.actor),
            *((("error", ended.error),) if ended is not None and ended.error else ()),
        ]
    )
    write_line()
    sizes = {record.done.step: shown_size(record.done.output.size) for record in steps}
    write_table(
        ["step", "outcome", "seconds", "kept", "why"],
        [
            [report.short_name, report.outcome, report.seconds, sizes.get(report.step, ""), "; ".join(report.reasons)]
            for report in (ended.steps if ended is not None else ())
        ],
        empty="it has not ended",
    )


@app.command()
def forget(
    older_than: Annotated[str, typer.Argument(help="Age of the outputs that may go, such as 30d.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    json: AsJson = False,
) -> None:
    """Let go of kept outputs; `charkh gc` then frees their bytes, and later runs execute those steps again."""
    with open_workspace() as workspace:
        gone = forget_outputs(workspace.store, older_than=parse_duration(older_than), dry_run=dry_run)
    if json:
        write_json(gone)
        return
    size = sum(record.done.output.size for record in gone)
    write_line(f"{'would forget' if dry_run else 'forgot'} {len(gone)} outputs, {shown_size(size)}")


_WOULD = {"reuse": "reused", "execute": "executed", "unknown": "unknown"}


def _loaded(workspace: Workspace) -> "dict[str, Pipeline[..., Any]]":
    # See `plan`: spared where nothing is loaded.
    from charkh.workspace.pipelines import pipelines_of

    try:
        return pipelines_of(workspace)
    except CharkhError:
        raise
    except Exception as error:
        raise _own_failure(error, f"{workspace.settings.pipelines} cannot be loaded") from error


def _params(pipeline: "Pipeline[..., Any]", texts: Sequence[str] | None) -> Params | None:
    default = pipeline.default
    told = override(_NoParams if default is None else default, texts or [])
    return None if default is None else told


class _NoParams(Params):
    """The params of a pipeline that takes none."""


def _described(pipeline: "Pipeline[..., Any]", latest: Execution | None) -> dict[str, Any]:
    searched = [] if pipeline.default is None else list(space_of(pipeline.default))
    return {"name": pipeline.name, "params": _defaults(pipeline), "searched": searched, "latest": latest}


def _defaults(pipeline: "Pipeline[..., Any]") -> dict[str, Any]:
    default = pipeline.default
    if default is None:
        return {}
    if isinstance(default, Params):
        return flat_params(values_of(default))
    return {name: None if field.required else field.default for name, field in fields_of(default).items()}


def _latest(workspace: Workspace, name: str) -> Execution | None:
    return next(iter(workspace.store.queries.ask(Executions(pipeline=name, limit=1))), None)


def _tell(report: StepReport) -> None:
    more = f"; and {len(report.reasons) - FEW} more" if len(report.reasons) > FEW else ""
    reasons = "; ".join(report.reasons[:FEW]) + more
    write_note(f"{report.outcome:<9} {report.short_name}  {report.seconds:.2f} s  ({reasons})")


def _execution_row(execution: Execution) -> list[object]:
    ended = execution.ended
    reused = sum(step.outcome == "reused" for step in ended.steps) if ended is not None else 0
    return [
        execution.run,
        execution.pipeline,
        execution.status,
        shown_time(execution.started),
        round(ended.seconds, 2) if ended is not None else None,
        ended.calls - reused if ended is not None else None,
        reused if ended is not None else None,
        execution.actor,
    ]


def _shown_value(value: object) -> str:
    """What the body returned, where it says itself what it is in a line."""
    if value is None:
        return ""
    text = str(value)
    return text if len(text) <= 200 and "\n" not in text else ""


def _own_failure(error: Exception, what: str) -> Incomplete:
    """The user's own code failed: its traceback, without our frames in between, belongs on the screen."""
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if not _is_ours(frame.filename)])
    sys.stderr.write("".join(told.format()))
    first = next(iter(str(error).splitlines()), "")
    return Incomplete(
        f"{what}: {type(error).__name__}: {first}".removesuffix(": "),
        code="pipeline.failed",
        hint="Mend it and run it again: the steps that were finished are reused.",
    )


def _is_ours(filename: str) -> bool:
    return Path(filename).is_relative_to(Path(__file__).parent.parent)
