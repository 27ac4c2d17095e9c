"""`charkh loop pause`, `resume`: the switch that a person has."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line
from charkh.core.errors import NotFound
from charkh.loops import pause as pausing
from charkh.loops.index import PauseOf
from charkh.workspace.workspace import Workspace

Name = Annotated[str, typer.Argument(help="Name of the loop.")]


def pause(
    name: Name, reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")] = "", json: AsJson = False
) -> None:
    """Stop a loop: nothing is retrained or promoted until somebody resumes it.

    A candidate that is being tried is taken out all the same where it raises an alarm.
    """
    with open_workspace() as workspace:
        _require(workspace, name)
        found = pausing.pause(workspace.store, name, reason=reason)
    if json:
        write_json(found)
    else:
        write_line(f"{name} is stopped; charkh loop resume {name} lets it go on")


def resume(
    name: Name, reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")] = "", json: AsJson = False
) -> None:
    """Let a loop go on where it was."""
    with open_workspace() as workspace:
        _require(workspace, name)
        pausing.resume(workspace.store, name, reason=reason)
    if json:
        write_json({"loop": name, "paused": False})
    else:
        write_line(f"{name} goes on")


def _require(workspace: Workspace, name: str) -> None:
    known = workspace.settings.loop
    if name not in known and workspace.store.queries.ask(PauseOf(loop=name)) is None:
        raise NotFound(
            f"there is no loop {name!r}",
            code="loop.not_found",
            hint=f"charkh.toml has: {', '.join(sorted(known)) or 'none'}.",
        )
