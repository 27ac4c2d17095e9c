"""`charkh dvc`: run the stages of a DVC repository under charkh's step cache."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_note, write_table
from charkh.core.errors import Incomplete

app = typer.Typer(no_args_is_help=True, help="Stages of a DVC repository, run under charkh's step cache.")

Repository = Annotated[Path, typer.Option("--repository", "-r", help="The DVC repository, or a folder inside of it.")]


@app.command()
def repro(
    stages: Annotated[
        list[str] | None, typer.Argument(help="Stages, groups of a foreach or matrix, or FILE:NAME; all by default.")
    ] = None,
    repository: Repository = Path(),
    single: Annotated[bool, typer.Option("--single-item", "-s", help="Nothing that the stages need.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run them although nothing changed.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run, and why.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", "-k", help="Go on with what no failure touches.")] = False,
    json: AsJson = False,
) -> None:
    """Bring stages up to date, each after those that make what it needs.

    What was made of the same inputs before is taken from the cache; dvc.lock says what DVC would say.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.dvc.reproducing import StageDone, reproduce

    def told(done: StageDone) -> None:
        reason = done.error or "; ".join(done.reasons[:3])
        write_note(f"{done.stage}: {done.outcome}{f' ({reason})' if reason else ''}")

    with open_workspace() as workspace:
        done = reproduce(
            workspace,
            repository,
            stages or (),
            alone=single,
            force=force,
            dry=dry,
            keep_going=keep_going,
            notify=None if json else told,
        )
    if json:
        write_json(done)
    else:
        write_table(
            ["stage", "outcome", "seconds", "run"],
            [[each.stage, each.outcome, round(each.seconds, 2), each.run] for each in done],
            empty="there are no stages",
        )
    failed = [each for each in done if each.outcome in {"failed", "skipped"}]
    if failed:
        raise Incomplete(
            f"{failed[0].stage}: {failed[0].error or failed[0].outcome}",
            code="dvc.stage_failed",
            hint="Mend it and run again: the stages before it are done.",
        )


@app.command("list")
def list_stages(repository: Repository = Path(), json: AsJson = False) -> None:
    """List the stages, every expression resolved, in the order in which they would run."""
    from charkh.bridges.dvc.repository import open_repository
    from charkh.bridges.dvc.reproducing import stages_of
    from charkh.bridges.dvc.stages import in_order

    found = in_order(stages_of(open_repository(repository)))
    if json:
        write_json(found)
        return
    write_table(
        ["stage", "command", "needs", "makes"],
        [
            [
                each.address,
                each.commands[0] + (" …" if len(each.commands) > 1 else ""),
                ", ".join((*each.deps, *each.params)),
                ", ".join(output.path for output in each.outputs),
            ]
            for each in found
        ],
        empty="there are no stages",
    )
