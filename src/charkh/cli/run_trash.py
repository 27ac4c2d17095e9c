"""`charkh run delete`, `restore` and `purge`: the trash, and how it is emptied."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_note
from charkh.cli.run_refs import Refs
from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration
from charkh.runs.delete import delete_run
from charkh.runs.purge import purge_runs
from charkh.runs.restore import restore_run


def delete(
    runs: Refs,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence.")] = "",
    json: AsJson = False,
) -> None:
    """Put runs into the trash: they are found no more, and nothing is freed before `charkh run purge`."""
    with open_workspace() as workspace:
        gone = [delete_run(workspace.store, run, reason=reason) for run in runs]
    if json:
        write_json(gone)
        return
    for each in gone:
        write_note(f"run:{each.id} is in the trash; `charkh run restore {each.id}` brings it back")


def restore(runs: Refs, json: AsJson = False) -> None:
    """Take runs out of the trash."""
    with open_workspace() as workspace:
        back = [restore_run(workspace.store, run) for run in runs]
    if json:
        write_json(back)
        return
    for each in back:
        write_note(f"run:{each.id} is back")


def purge(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN…", help="Runs in the trash; without one, --older-than says which."),
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Only what has been in the trash for so long, such as 14d.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go.")] = False,
    json: AsJson = False,
) -> None:
    """Let runs in the trash go for good; `charkh gc` then frees their bytes.

    What a model, a dataset or another run holds as well stays. Runs in the trash with their project go too.
    """
    if not runs and not older_than:
        raise Invalid(
            "it is not said what goes for good",
            code="run.purge",
            hint="Name runs in the trash, or say for how long they have been there: --older-than 14d, or 0s for all.",
        )
    age = parse_duration(older_than) if older_than else 0.0
    with open_workspace() as workspace:
        done = purge_runs(workspace.store, older_than=age, refs=runs or (), dry_run=dry_run)
    if json:
        write_json(done)
        return
    goes = "would go" if dry_run else "gone for good: `charkh gc` frees their bytes"
    write_note(f"{shown_count(len(done.runs), 'run')} {goes}")
    if done.kept:
        write_note(f"{shown_count(len(done.kept), 'run')} kept: a process still writes them")
