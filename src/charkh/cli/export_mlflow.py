"""`charkh export mlflow`: runs, artifacts and the registry, back into MLflow."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_note, write_table
from charkh.core.errors import Incomplete, Invalid


def export_mlflow(
    runs: Annotated[
        list[str] | None, typer.Argument(help="The runs: ids, beginnings of ids, or names; all by default.")
    ] = None,
    project: Annotated[list[str] | None, typer.Option(help="All runs of this project; may be repeated.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder as MLflow's file store, such as mlruns.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="The http address of an MLflow server to send it to.")] = "",
    json: AsJson = False,
) -> None:
    """Write runs, metrics, artifacts, logged and registered models as MLflow keeps them.

    A server is asked with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    if (output is None) == (not to):
        raise Invalid(
            "an export goes into a folder or to a server",
            code="mlflow.no_target",
            hint="Write -o mlruns, or --to http://host:port.",
        )
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.mlflow.exporting.exporter import export_mlflow as run_export

    with open_workspace() as workspace:
        report = run_export(workspace, runs or (), projects=project or (), folder=output, server=to)
    if json:
        write_json(report)
    else:
        kinds = dict.fromkeys([*report.counts, *report.there])
        write_table(
            ["what", "written", "there already"],
            [[kind, report.counts.get(kind, 0), report.there.get(kind, 0)] for kind in kinds],
            empty="there is nothing to export",
        )
        for left in report.left:
            write_note(f"not carried: {shown_count(left.count, left.what)}: {left.why}")
        for trouble in report.trouble:
            write_note(f"{trouble.where}: {trouble.reason}")
        if output is not None:
            write_note(f"next: MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {output}")
    if report.trouble:
        raise Incomplete(
            f"{shown_count(len(report.trouble), 'thing')} could not be exported; the rest is there",
            code="export.incomplete",
            hint="The notes say which and why.",
        )
