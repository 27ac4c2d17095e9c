"""`charkh model served` and `history`: which version served at a time, and who decided what about a model."""

from datetime import datetime
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_table
from charkh.core.errors import Invalid, NotFound
from charkh.models.declare import find_model
from charkh.models.model import CHAMPION
from charkh.models.served import history_of, served_at

Name = Annotated[str, typer.Argument(help="The model's name.")]


def served(
    name: Name,
    at: Annotated[str, typer.Option("--at", help="When: 2026-03-01, or 2026-03-01T12:00; now by default.")] = "",
    alias: Annotated[str, typer.Option("--alias", help="Which alias served.")] = CHAMPION,
    json: AsJson = False,
) -> None:
    """Say which version an alias stood for at a time, by whose decision and why; deleted ones too."""
    moment = _moment(at) if at else None
    with open_workspace() as workspace:
        holder = served_at(workspace.store, name, alias, moment)
        if holder is None:
            find_model(workspace.store, name)
    if holder is None or holder.version is None:
        raise NotFound(
            f"nobody held {name}@{alias}" + (f" at {at}" if at else ""),
            code="model.nobody_served",
            hint=f"`charkh model history {name}` shows every move.",
        )
    version, move = holder.version, holder.move
    if json:
        write_json({"model": name, "alias": alias, "version": version, "move": move, "rivals": holder.rivals})
        return
    reason = f": {move.moved.reason}" if move.moved.reason else ""
    gone = "" if version.deleted is None else f", deleted {shown_time(version.deleted)}"
    write_line(f"{version.ref} since {shown_time(move.at)} by {move.moved.decided_by or move.actor}{reason}{gone}")
    for rival in holder.rivals:
        write_line(f"conflict: version {rival.number} by {rival.actor} was decided apart from it")


def history(name: Name, json: AsJson = False) -> None:
    """List everything that was decided about a model, newest first: who, when, why."""
    with open_workspace() as workspace:
        entries = history_of(workspace.store, name)
        if not entries:
            find_model(workspace.store, name)
    if json:
        write_json(entries)
        return
    write_table(
        ["when", "what", "version", "to", "by", "reason"],
        [
            [
                shown_time(entry.at),
                f"{entry.what} {entry.field}".strip(),
                entry.version or "",
                entry.value or ("" if entry.what in {"deleted", "removed"} else "nothing"),
                entry.decided_by or entry.actor,
                entry.reason,
            ]
            for entry in entries
        ],
    )


def _moment(text: str) -> float:
    """Seconds since the epoch; a time without a zone is the local one."""
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{text!r} is no time", code="model.bad_time", hint="Write 2026-03-01 or 2026-03-01T12:00:00+01:00."
        ) from error
