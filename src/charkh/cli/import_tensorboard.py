"""`charkh import tensorboard`: event files into runs, once or as long as they grow."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, write_json, write_line, write_note, write_table
from charkh.core.errors import Incomplete
from charkh.core.quantities import parse_duration

if TYPE_CHECKING:
    from charkh.bridges.tensorboard.folder import FolderReport
    from charkh.bridges.tensorboard.importing import TensorBoardReport


def import_tensorboard(
    logdir: Annotated[Path, typer.Argument(help="What you give to `tensorboard --logdir`.")],
    project: Annotated[str, typer.Option(help="The project of runs that are new.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the files grow, until Ctrl-C.")] = False,
    every: Annotated[str, typer.Option(help="Between two looks, with --follow.")] = "1s",
    json: AsJson = False,
) -> None:
    """Make a run of every folder with event files; what is here already is not read again."""
    seconds = parse_duration(every)
    if follow:
        _follow(logdir, project, seconds, json=json)
        return
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.tensorboard.importing import import_logdir

    with open_workspace() as workspace, progress(f"importing {logdir}", unit="bytes") as advance:
        report = import_logdir(workspace, logdir, project=project, progress=advance)
    if json:
        write_json(report)
    else:
        _write_report(report)
    if report.troubled:
        raise Incomplete(
            f"{shown_count(report.troubled, 'place')} could not be read; the rest is imported",
            code="import.incomplete",
            hint="The notes say where; what is damaged in the file stays so, and an import does not repeat it.",
        )


def _write_report(report: "TensorBoardReport") -> None:
    if report.runs or not report.there:
        write_table(
            ["run", "folder", "points", "media", "note"],
            [
                [f"run:{each.run[:12]}", each.name, each.points, each.media, "new" if each.new else ""]
                for each in report.runs
            ],
            empty="there are no event files",
        )
    if report.there:
        write_line(f"{shown_count(report.there, 'folder')} had nothing new")
    for each in report.runs:
        _write_trouble(each)


def _write_trouble(report: "FolderReport") -> None:
    for trouble in report.trouble:
        write_note(f"{report.name}: {trouble}")


def _follow(logdir: Path, project: str, seconds: float, *, json: bool) -> None:
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.tensorboard.importing import follower_of

    with open_workspace() as workspace:
        follower = follower_of(workspace, logdir, project=project)
        write_note(f"following {logdir}; Ctrl-C ends it")
        try:
            while True:
                for each in follower.round():
                    if json:
                        write_json(each)
                    else:
                        news = f"{shown_count(each.points, 'point')}, {shown_count(each.media, 'item')}"
                        write_line(f"run:{each.run[:12]}\t{each.name}\t{news}")
                        _write_trouble(each)
                time.sleep(seconds)
        finally:
            follower.close()
