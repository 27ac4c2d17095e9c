"""`charkh run rename`."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_note
from charkh.cli.run_refs import Ref
from charkh.runs.rename import rename_run


def rename(
    run: Ref, name: Annotated[str, typer.Argument(help="The new name; runs may share it.")], json: AsJson = False
) -> None:
    """Give a run another name."""
    with open_workspace() as workspace:
        found = rename_run(workspace.store, run, name)
    if json:
        write_json(found)
        return
    write_note(f"run:{found.id} is called {found.name!r}")
