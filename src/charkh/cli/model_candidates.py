"""`charkh model candidates` and `register`: what runs logged, how it scores, and which versions were made of it."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_table
from charkh.models.index import ModelsFromLogged
from charkh.models.logged import latest_value
from charkh.models.logged_index import LoggedModels
from charkh.runs.find import find as find_run
from charkh.runs.projects import find_project


def candidates(
    run: Annotated[str, typer.Option("--run", help="Only those of this run.")] = "",
    project: Annotated[str, typer.Option("--project", help="Only those of this project.")] = "",
    metric: Annotated[str, typer.Option("--metric", help="Show and order by this metric, greatest first.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """List logged models, newest first: checkpoints and candidates, and which versions were registered from them."""
    with open_workspace() as workspace:
        store = workspace.store
        projects = (find_project(store, project).id,) if project else None
        found = store.queries.ask(LoggedModels(projects=projects, run=find_run(store, run).id if run else ""))
        if metric:
            scored = [(latest_value(model, metric), model) for model in found]
            ordered = sorted((pair for pair in scored if pair[0] is not None), key=lambda pair: -(pair[0] or 0.0))
            found = tuple(model for _, model in ordered)
        found = found[:last]
        registered = {model.id: store.queries.ask(ModelsFromLogged(logged=model.id)) for model in found}
    if json:
        write_json([{"model": model, "registered": [each.ref for each in registered[model.id]]} for model in found])
        return
    write_table(
        ["id", "name", "status", "run", "logged", metric or "type", "registered as"],
        [
            [
                model.id,
                model.made.name,
                model.status,
                model.made.run,
                shown_time(model.made.created),
                latest_value(model, metric) if metric else model.made.type,
                [each.ref for each in registered[model.id]],
            ]
            for model in found
        ],
        empty="no model has been logged yet",
    )


def register(
    name: Annotated[str, typer.Argument(help="Of the registered model; the number is decided.")],
    logged: Annotated[str, typer.Argument(metavar="ID", help="Of the logged model, as `candidates` shows it.")],
    description: Annotated[str, typer.Option("--description", help="What a person should know about it.")] = "",
    json: AsJson = False,
) -> None:
    """Make a version of a logged model; its files are shared, not copied."""
    # Polars loads here: the other verbs start in half the time without it.
    from charkh.models.candidate_log import register_logged
    from charkh.workspace.compiling import compile_registered

    with open_workspace() as workspace:
        version = register_logged(workspace.store, name, logged, description=description)
        compile_registered(workspace, version)
    if json:
        write_json(version)
        return
    write_line(f"{version.ref} is registered from {logged}")
