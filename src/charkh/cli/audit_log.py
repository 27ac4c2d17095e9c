"""`charkh audit log`: who did what, when, and what was refused."""

import time
from typing import Annotated

import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_table
from charkh.core.quantities import parse_duration
from charkh.workspace.audit_log import read_log


def log(
    user: Annotated[str, typer.Option(help="Only what this user did or was refused; nobody for unknown callers.")] = "",
    since: Annotated[str, typer.Option(help="Only what is younger, such as 7d.")] = "",
    kind: Annotated[str, typer.Option(help="Only facts whose kind begins so, such as user. or model.")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100_000)] = 50,
    json: AsJson = False,
) -> None:
    """Show who did what, newest first; refusals and sign-ins included."""
    begin = time.time() - parse_duration(since) if since else 0.0
    with open_own_workspace("who did what is told") as workspace:
        found = read_log(workspace, user=user, since=begin, kind=kind, limit=limit)
    if json:
        write_json(found)
        return
    write_table(
        ["when", "who", "what", "about", "detail"],
        [[shown_time(each.at), each.actor, each.kind, each.subject, each.detail] for each in found],
        empty="nothing of that",
    )
