"""Export to MLflow: into the folder of a file store, or to a running server."""

from collections.abc import Sequence
from pathlib import Path

from charkh.bridges.mlflow.exporting.folder import write_folder
from charkh.bridges.mlflow.exporting.report import ExportReport, ExportTally
from charkh.bridges.mlflow.exporting.selection import Selection
from charkh.workspace.workspace import Workspace


def export_mlflow(
    workspace: Workspace,
    runs: Sequence[str] = (),
    *,
    projects: Sequence[str] = (),
    folder: Path | None = None,
    server: str = "",
) -> ExportReport:
    """Give MLflow what is here: everything, some projects, or some runs.

    To a folder ids stay as they are. A server gives runs and logged models ids of its own; each is tagged with its id
    here (`charkh.run`), so that a second export sends what is new, and an import from there finds the runs again.

    Args:
        workspace: that is read.
        runs: references of runs; with none, all.
        projects: ids or names; with none, all.
        folder: of the file store that is written.
        server: address of the server that it is sent to.

    Raises:
        NotFound: there is no such run or project.
        Unavailable: the folder cannot be written, or the server does not answer.
    """
    tally = ExportTally()
    selection = Selection(workspace.store, runs, projects)
    if folder is not None:
        write_folder(workspace.store, selection, folder, tally)
    if server:
        # Whoever writes a folder needs no client.
        from charkh.bridges.mlflow.exporting.server import send

        send(workspace, selection, server, tally)
    for each in selection.trouble:
        tally.tell(each.where, each.reason)
    return tally.report()
