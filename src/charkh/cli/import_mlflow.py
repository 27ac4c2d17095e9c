"""`charkh import mlflow`: experiments, runs, artifacts and the registry of an MLflow store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, shown_size, write_json, write_line, write_note, write_table
from charkh.core.errors import Incomplete
from charkh.core.redact import redact

if TYPE_CHECKING:
    from charkh.bridges.mlflow.importing.report import MlflowReport


def import_mlflow(
    source: Annotated[
        str, typer.Argument(help="A folder (mlruns), sqlite:///…, postgresql://…, or the http address of a server.")
    ],
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Bring the bytes that lie in buckets, too, with your credentials.")
    ] = False,
    artifact_root: Annotated[
        Path | None, typer.Option(help="The folder of the artifacts, where their addresses do not lead there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what there is, and write nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Take experiments, runs, metrics, artifacts, logged and registered models; what is here already stays.

    A server is asked with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.mlflow.importing.importer import import_mlflow as run_import

    with open_workspace() as workspace, progress(f"importing {redact(source)}", unit="bytes") as advance:
        report = run_import(
            workspace, source, buckets=artifacts, artifact_root=artifact_root, dry=dry_run, progress=advance
        )
    if json:
        write_json(report)
    else:
        _write_report(report)
    if report.troubles:
        raise Incomplete(
            f"{shown_count(report.troubles, 'thing')} could not be brought; the rest is here",
            code="import.incomplete",
            hint="The notes say which and why; mend them and import again.",
        )


def _write_report(report: "MlflowReport") -> None:
    write_table(
        ["what", "there" if report.dry else "new", "here already"],
        [[kind, count.new, count.there] for kind, count in report.counts.items() if count.new or count.there],
        empty="there is nothing",
    )
    if report.bytes:
        write_line(f"{shown_size(report.bytes)} of artifacts")
    for each in report.left:
        write_note(f"not carried: {shown_count(each.count, each.what)}: {each.why}")
    for trouble in report.trouble:
        write_note(f"{trouble.where}: {trouble.reason}")
    if report.troubles > len(report.trouble):
        write_note(f"and {report.troubles - len(report.trouble)} more")
