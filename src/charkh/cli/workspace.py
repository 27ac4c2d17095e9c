"""The verbs of the workspace itself; they stand at the top of the command line."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace, start_in, starting_folder
from charkh.cli.output import AsJson, write_json, write_line, write_note
from charkh.core.errors import Conflict
from charkh.workspace.settings import FILE

FIRST_SETTINGS = """\
# What may stand here: docs/reference/settings.md. No key is needed to begin.
"""


def install(app: typer.Typer) -> None:
    """Put the verbs on the command line."""
    app.callback()(_choose_workspace)
    app.command("init")(init)


def _choose_workspace(
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-C", help="Work in this folder instead of the current one.", file_okay=False),
    ] = None,
) -> None:
    if workspace is not None:
        start_in(workspace)


def init(json: AsJson = False) -> None:
    """Make the current folder a workspace: a charkh.toml and an empty store."""
    folder = starting_folder()
    path = folder / FILE
    if path.exists():
        raise Conflict(
            f"{folder} is a workspace already", code="workspace.exists", hint="`charkh doctor` says how it is."
        )
    path.write_text(FIRST_SETTINGS, encoding="utf-8")
    with open_workspace(create=True) as opened:
        answer = {"workspace": str(opened.folder), "store": opened.identifier}
    if json:
        write_json(answer)
        return
    write_line(f"made a workspace in {answer['workspace']}")
    write_note("next: charkh dataset add NAME FILE…, or charkh.run() in a script")
