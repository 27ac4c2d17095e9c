"""`charkh export`: hand a version to another tool."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.export_grafana import export_grafana
from charkh.cli.export_mlflow import export_mlflow
from charkh.cli.export_model import export_model
from charkh.cli.export_prometheus import export_prometheus
from charkh.cli.export_standards import export_croissant, export_openlineage
from charkh.cli.export_tensorboard import export_tensorboard
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, shown_size, write_json, write_line, write_note
from charkh.datasets.find import find

app = typer.Typer(no_args_is_help=True, help="Hand a version to another tool.")


@app.command("dvc")
def export_dvc(
    dataset: Annotated[str, typer.Argument(help="A version: flights@3, or flights for the newest.")],
    path: Annotated[Path, typer.Argument(help="Where it is to lie in the DVC repository.")],
    folder: Annotated[bool, typer.Option("--folder", help="A folder, even of one file with that name.")] = False,
    push: Annotated[bool, typer.Option("--push", help="Send it to the default DVC remote, too.")] = False,
    remote: Annotated[str, typer.Option(help="Send it to this DVC remote.")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Look at every object on the remote, and mend what was lost there.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Write a version into a DVC repository.

    Its cache gets the objects, a .dvc file names them; `dvc checkout` puts the files into place.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.dvc.exporting import export_version

    with open_workspace() as workspace, progress(f"exporting {dataset}", unit="bytes") as advance:
        version = find(workspace.store, dataset)
        report = export_version(
            workspace, version, path, folder=folder, push=push, remote=remote, verify=verify, progress=advance
        )
    if json:
        write_json(report)
        return
    there = f"{report.cached} new in the cache" if report.cached else "all in the cache already"
    place = "a folder of " if report.oid.endswith(".dir") else ""
    write_line(f"{report.pointer}: {place}{shown_count(report.files, 'file')}, {shown_size(report.size)}; {there}")
    if report.remote:
        mended = f", {shown_count(report.repaired, 'lost object')} among them" if report.repaired else ""
        write_line(f"remote {report.remote}: {shown_count(report.sent, 'object')} sent{mended}")
    write_note(f"next: dvc checkout {report.pointer}, and commit it")


app.command("model")(export_model)
app.command("croissant")(export_croissant)
app.command("mlflow")(export_mlflow)
app.command("openlineage")(export_openlineage)
app.command("tensorboard")(export_tensorboard)
app.command("prometheus")(export_prometheus)
app.command("grafana")(export_grafana)
