"""`charkh study`: list and show searches over params; `charkh.tune` makes and resumes them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_pairs, write_table
from charkh.core.dimensions import Dimension
from charkh.core.errors import NotFound
from charkh.ports.store import Store
from charkh.studies.index import Studies, StudyById
from charkh.studies.study import StudyRecord, TrialDone

app = typer.Typer(no_args_is_help=True, help="Searches over parameters; trials are runs.")


@app.command("list")
def list_studies(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20, json: AsJson = False
) -> None:
    """List the studies, newest first."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Studies(limit=limit))
    if json:
        write_json([_summary(each) for each in found])
        return
    write_table(
        ["study", "name", "status", "trials", "metric", "best", "started", "by"],
        [
            [
                each.id,
                each.name,
                each.status,
                len(each.trials),
                each.started.metric or "value",
                each.best_trial.value if each.best_trial is not None else None,
                shown_time(each.created),
                each.actor,
            ]
            for each in found
        ],
        empty="nothing was searched yet",
    )


@app.command()
def show(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A name (its newest), study:ID or an id.")],
    top: Annotated[int, typer.Option("--top", min=0, help="Only the best so many trials; 0 for all, by number.")] = 0,
    json: AsJson = False,
) -> None:
    """Show a study: what was searched, the best params, and the trials."""
    with open_workspace() as workspace:
        found = find_study(workspace.store, study)
    if json:
        write_json({**_summary(found), "space": found.started.space, "trials": found.trials})
        return
    started, best = found.started, found.best_trial
    write_pairs(
        [
            ("study", f"study:{found.id}"),
            ("name", found.name),
            ("status", found.status),
            ("run", f"run:{started.run}"),
            ("searched", [f"{name} {_range(dimension)}" for name, dimension in started.space.items()]),
            (started.direction, started.metric or "value"),
            *(((f"best (trial {best.number})", best.value), *best.params.items()) if best is not None else ()),
        ]
    )
    write_line()
    names = list(started.space)
    write_table(
        ["trial", "state", started.metric or "value", *names, "seconds", "run", "error"],
        [
            [
                trial.number,
                trial.state,
                trial.value,
                *(trial.params.get(name) for name in names),
                round(trial.seconds, 2),
                trial.run,
                trial.error,
            ]
            for trial in _shown_trials(found, top)
        ],
        empty="no trial is done yet",
    )


def find_study(store: Store, ref: str) -> StudyRecord:
    """The study that a name, `study:ID` or an id means.

    Raises:
        NotFound: there is none.
    """
    by_id = store.queries.ask(StudyById(study=ref.removeprefix("study:")))
    found = by_id or next(iter(store.queries.ask(Studies(name=ref, limit=1))), None)
    if found is None:
        raise NotFound(f"there is no study {ref!r}", code="study.not_found", hint="`charkh study list` shows them.")
    return found


def _summary(record: StudyRecord) -> dict[str, object]:
    best = record.best_trial
    return {
        "id": record.id,
        "name": record.name,
        "status": record.status,
        "metric": record.started.metric,
        "direction": record.started.direction,
        "run": record.started.run,
        "trials": len(record.trials),
        "best": best,
        "created": record.created,
        "actor": record.actor,
    }


def _shown_trials(record: StudyRecord, top: int) -> Sequence[TrialDone]:
    if not top:
        return record.trials
    valued = [trial for trial in record.trials if trial.state == "complete" and trial.value is not None]
    reverse = record.started.direction == "maximize"
    return sorted(valued, key=lambda trial: trial.value or 0.0, reverse=reverse)[:top]


def _range(dimension: Dimension) -> str:
    if dimension.choices:
        return f"in {{{', '.join(map(str, dimension.choices))}}}"
    step = f" by {dimension.step:g}" if dimension.step is not None else ""
    return f"{dimension.low:g} to {dimension.high:g}{step}{' (log)' if dimension.log else ''}"
