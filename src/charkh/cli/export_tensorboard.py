"""`charkh export tensorboard`: runs as event files."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_note, write_table


def export_tensorboard(
    runs: Annotated[list[str], typer.Argument(help="The runs: ids, beginnings of ids, or names.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder that TensorBoard is to be given.")],
    json: AsJson = False,
) -> None:
    """Write runs as event files: scalars, images, audio, text, histograms, hparams and the rest."""
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.tensorboard.exporting import export_runs
    from charkh.runs.find import find

    with open_workspace() as workspace:
        found = {run.id: run for run in (find(workspace.store, each) for each in runs)}
        report = export_runs(workspace.store, tuple(found.values()), output)
    if json:
        write_json(report)
        return
    write_table(
        ["run", "folder", "points", "media"],
        [[f"run:{each.run[:12]}", each.folder, each.points, each.media] for each in report],
    )
    for each in report:
        if each.left:
            write_note(f"{each.folder}: TensorBoard has no form for {', '.join(each.left)}")
    write_note(f"next: tensorboard --logdir {output}")
