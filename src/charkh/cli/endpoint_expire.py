"""`charkh endpoint expire`: let old predictions go."""

from typing import Annotated

import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_size, shown_time, write_json, write_table


def expire(
    names: Annotated[list[str] | None, typer.Argument(help="Endpoints; all by default.")] = None,
    keep: Annotated[str, typer.Option(help="How long, such as 90d; else what [endpoint.NAME] keep says.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: AsJson = False,
) -> None:
    """Let predictions and truths go that are older than an endpoint keeps them; their bytes are freed.

    `charkh up` does it by itself.
    """
    # Here, because it loads what reads tables.
    from charkh.workspace.expiring import expire as let_go

    with open_own_workspace("predictions are let go") as workspace:
        done = let_go(workspace, names or (), keep=keep, dry_run=dry_run)
    if json:
        write_json(done)
        return
    write_table(
        ["endpoint", "older than", "segments", "predictions", "truths", "size"],
        [
            [
                each.endpoint,
                shown_time(each.before),
                len(each.segments),
                each.rows,
                len(each.truths),
                shown_size(each.bytes),
            ]
            for each in done
        ],
        empty="nothing is older than it is kept",
    )
