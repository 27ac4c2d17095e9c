"""`charkh lineage`: why something is as it is, and what was made from it; `charkh trace` leads back to the rows."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line
from charkh.lineage.render import render_trace, render_why
from charkh.lineage.trace import impact as walk_to_outcomes
from charkh.lineage.why import why as reasons_behind
from charkh.workspace.resolving import resolve

app = typer.Typer(no_args_is_help=True, help="What was made from what.")

What = Annotated[str, typer.Argument(help="A subject such as run:1f3a, or a reference such as delay@3.")]


@app.command()
def why(what: What, json: AsJson = False) -> None:
    """Show the facts behind something, and who stated them: evaluations, checks, decisions, cards."""
    with open_workspace() as workspace:
        found = reasons_behind(workspace.store, resolve(workspace.store, what))
    if json:
        write_json(found)
        return
    for line in render_why(found):
        write_line(line)


@app.command()
def impact(
    what: What,
    details: Annotated[bool, typer.Option("--details", help="Descriptions and facts too.")] = False,
    json: AsJson = False,
) -> None:
    """Show what was made from something, directly or not: what is touched if it turns out wrong."""
    with open_workspace() as workspace:
        found = walk_to_outcomes(workspace.store, resolve(workspace.store, what))
    if json:
        write_json(found)
        return
    for line in render_trace(found, details=details):
        write_line(line)
