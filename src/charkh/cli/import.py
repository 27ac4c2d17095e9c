"""`charkh import`: bring in what another tool keeps."""

# ruff: noqa: N999 - the file is named after the noun

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.import_mlflow import import_mlflow
from charkh.cli.import_tensorboard import import_tensorboard
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, shown_size, write_json, write_line, write_note, write_table
from charkh.core.errors import Incomplete

if TYPE_CHECKING:
    from charkh.bridges.histories import ImportReport

app = typer.Typer(no_args_is_help=True, help="Bring in what another tool keeps.")

Place = Annotated[Path, typer.Argument(help="The repository, or a folder inside of it.")]
Only = Annotated[list[str] | None, typer.Option(help="Only this file or folder of it; may be repeated.")]
Prefix = Annotated[str, typer.Option(help="Before the names of the datasets.")]
Copy = Annotated[bool, typer.Option("--copy", help="Take the bytes into this store instead of reading them there.")]
Files = Annotated[bool, typer.Option("--files", help="Make plain files of everything, also of tables.")]


@app.command("dvc")
def import_dvc(
    path: Place = Path(),
    revision: Annotated[str, typer.Option(help="The Git revision up to which the history counts.")] = "HEAD",
    history: Annotated[bool, typer.Option(help="Every commit, or the working copy alone.")] = True,
    only: Only = None,
    prefix: Prefix = "",
    copy: Copy = False,
    pull: Annotated[bool, typer.Option("--pull", help="Get what the cache lacks from the DVC remote.")] = False,
    remote: Annotated[str, typer.Option(help="The DVC remote to pull from; its default one otherwise.")] = "",
    files: Files = False,
    json: AsJson = False,
) -> None:
    """Make versions of what a DVC repository tracks, one for each state in its history.

    The bytes stay in DVC's cache, unless --copy.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.dvc.importing import import_repository

    with open_workspace() as workspace, progress(f"importing {path}", unit="bytes") as advance:
        report = import_repository(
            workspace,
            path,
            revision=revision,
            history=history,
            only=only or (),
            prefix=prefix,
            copy=copy,
            pull=pull,
            remote=remote,
            as_files=files,
            progress=advance,
        )
    _write_report(
        report,
        json=json,
        hint="Its DVC remote lacks them, too: whoever has them runs `dvc push --all-commits`; then import again."
        if pull or remote
        else "Bring what is missing with `dvc fetch --all-commits` or --pull, and import again.",
    )


@app.command("git-lfs")
def import_git_lfs(
    path: Place = Path(),
    name: Annotated[str, typer.Option(help="Of the dataset; that of the folder by default.")] = "",
    only: Annotated[str, typer.Option(help="Only this folder or file of the repository.")] = "",
    revision: Annotated[str, typer.Option(help="The Git revision up to which the history counts.")] = "HEAD",
    copy: Copy = False,
    files: Files = False,
    json: AsJson = False,
) -> None:
    """Make versions of the files that git-lfs keeps, one for each commit that changed any.

    The bytes stay in the repository's LFS storage, unless --copy.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.git_lfs import import_repository

    with open_workspace() as workspace, progress(f"importing {path}", unit="bytes") as advance:
        report = import_repository(
            workspace, path, name=name, only=only, revision=revision, copy=copy, as_files=files, progress=advance
        )
    _write_report(report, json=json, hint="Bring what is missing with `git lfs fetch --all`, and import again.")


def _write_report(report: "ImportReport", *, json: bool, hint: str) -> None:
    if json:
        write_json(report)
    else:
        write_table(
            ["version", "path", "files", "size", "commit", "note"],
            [
                [each.ref, each.path, each.files, shown_size(each.size), each.commit[:10], each.note]
                for each in report.versions
            ],
            empty="nothing new" if report.there else "nothing is tracked there",
        )
        for place, name in report.names:
            write_note(f"{place} is the dataset {name}")
        for place in report.uncommitted:
            write_note(f"{place} has changes that no commit has; commit it and import again")
        if report.there:
            write_line(f"{shown_count(report.there, 'state')} had a version already")
        for each in report.failed:
            at = f" of {each.commit[:10]}" if each.commit else ""
            write_note(f"not imported: {each.path}{at}: {each.reason}")
    if report.failed:
        raise Incomplete(
            f"{shown_count(len(report.failed), 'state')} gave no version; the rest is done",
            code="import.incomplete",
            hint=hint,
        )


app.command("mlflow")(import_mlflow)
app.command("tensorboard")(import_tensorboard)
