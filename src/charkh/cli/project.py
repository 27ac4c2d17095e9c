"""`charkh project`: list, create, rename, tag, delete and restore."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_note, write_pairs, write_table
from charkh.cli.tags import GivenTags, given_tags
from charkh.ports.store import Store
from charkh.runs.project import Project
from charkh.runs.projects import (
    create_project,
    delete_project,
    list_projects,
    rename_project,
    restore_project,
    tag_project,
)
from charkh.runs.search import count_runs

app = typer.Typer(no_args_is_help=True, help="What runs belong to; names with / lie in folders.")

Ref = Annotated[str, typer.Argument(metavar="PROJECT", help="Its name, or its id.")]


@app.command("list")
def list_all(
    deleted: Annotated[bool, typer.Option("--deleted", help="Those in the trash instead.")] = False,
    json: AsJson = False,
) -> None:
    """List the projects, with how many runs each has."""
    with open_workspace() as workspace:
        found = list_projects(workspace.store, deleted=deleted)
        counts = count_runs(workspace.store, deleted=deleted)
    if json:
        write_json([{"project": each, "runs": counts.get(each.id, 0)} for each in found])
        return
    rows = [[each.name, counts.get(each.id, 0), shown_time(each.created or None), each.id] for each in found]
    write_table(["name", "runs", "created", "id"], rows)


@app.command()
def create(name: Annotated[str, typer.Argument(help="Such as flights/delay.")], json: AsJson = False) -> None:
    """Make a project; `charkh.run(project=…)` makes it too."""
    with open_workspace(create=True) as workspace:
        _write(create_project(workspace.store, name), json=json)


@app.command()
def rename(project: Ref, name: Annotated[str, typer.Argument(help="The new name.")], json: AsJson = False) -> None:
    """Give a project another name; its id stays."""
    with open_workspace() as workspace:
        _write(rename_project(workspace.store, project, name), json=json)


@app.command()
def tag(
    project: Ref,
    tags: GivenTags,
    json: AsJson = False,
) -> None:
    """Set or remove tags."""
    wanted = given_tags(tags)
    with open_workspace() as workspace:
        _write(tag_project(workspace.store, project, wanted), json=json)


@app.command()
def delete(
    project: Ref, reason: Annotated[str, typer.Option("--reason", help="Why.")] = "", json: AsJson = False
) -> None:
    """Put a project into the trash, with its runs."""
    with open_workspace() as workspace:
        gone = delete_project(workspace.store, project, reason=reason)
        _note(workspace.store, gone, json=json)


@app.command()
def restore(project: Ref, json: AsJson = False) -> None:
    """Take a project out of the trash, with the runs that were not deleted themselves."""
    with open_workspace() as workspace:
        _write(restore_project(workspace.store, project), json=json)


def _note(store: Store, gone: Project, *, json: bool) -> None:
    if json:
        write_json(gone)
        return
    count = count_runs(store, deleted=True).get(gone.id, 0)
    write_note(f"{gone.name} is in the trash with {count} runs; `charkh project restore {gone.id}` brings it back")


def _write(project: Project, *, json: bool) -> None:
    if json:
        write_json(project)
        return
    write_pairs([("project", project.name), ("id", project.id), *sorted(project.tags.items())])
