"""`charkh lock`: add, update, remove, show, checkout and verify."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, shown_size, write_json, write_line, write_note, write_table
from charkh.core.errors import GateRefused
from charkh.workspace.locking import FILE, Change, lock_in_force, require_lock
from charkh.workspace.locking import add as add_pins
from charkh.workspace.locking import remove as remove_pins
from charkh.workspace.locking import update as update_pins

if TYPE_CHECKING:
    from charkh.workspace.lock_verify import Verified

app = typer.Typer(no_args_is_help=True, help="charkh.lock: the versions that this code works with.")


@app.command()
def add(
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="REF…", help="flights@3, delay@champion, run:ID (what it used), pipeline:NAME (its newest run)."
        ),
    ],
    to: Annotated[str, typer.Option("--to", help="Folder for `lock checkout`, relative to the workspace.")] = "",
    json: AsJson = False,
) -> None:
    """Pin versions of datasets and models, and what runs and pipelines used."""
    with open_workspace() as workspace:
        changes = add_pins(workspace, refs, path=to)
    _write_changes(changes, json=json)


@app.command()
def update(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Only these; all by default.")] = None,
    json: AsJson = False,
) -> None:
    """Pin the newest versions of what is pinned."""
    with open_workspace() as workspace:
        changes = update_pins(workspace, names or ())
    _write_changes(changes, json=json)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="What is pinned no longer.")],
    json: AsJson = False,
) -> None:
    """Take pins out of the lock; the versions stay in the store."""
    with open_workspace() as workspace:
        gone = remove_pins(workspace, names)
    if json:
        write_json(gone)
        return
    for pin in gone:
        write_line(f"no longer pinned: {pin.kind} {pin.ref}")


@app.command()
def show(json: AsJson = False) -> None:
    """Show what is pinned."""
    with open_workspace() as workspace:
        lock = lock_in_force(workspace)
    if json:
        write_json(lock.pins)
        return
    write_table(
        ["kind", "version", "size", "folder", "id"],
        [[pin.kind, pin.ref, shown_size(pin.size), pin.path, pin.id] for pin in lock.pins],
        empty=f"nothing is pinned; `charkh lock add flights@3` writes {FILE}",
    )


@app.command()
def checkout(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME[=FOLDER]…", help="Only these, into other folders than the lock says."),
    ] = None,
    remote: Annotated[
        str, typer.Option("--remote", help="Where to take what is not here; those of charkh.toml by default.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that were changed, too.")] = False,
    json: AsJson = False,
) -> None:
    """Put the pinned datasets into the folders that the lock says, from a remote where they are not here.

    Files of another version go; what a person made or changed stays, and is refused where it is in the way.
    """
    # What speaks to remotes is loaded by the verbs that may have to.
    from charkh.workspace.lock_checkout import check_out

    given = {name: folder for name, _, folder in (place.partition("=") for place in places or ())}
    with open_workspace() as workspace, progress("checking out", unit="bytes") as advance:
        lock = require_lock(workspace)
        done = check_out(workspace, lock, workspace.folder, places=given, remote=remote, force=force, progress=advance)
    if json:
        write_json(done)
        return
    for each in done:
        changed = [shown_count(each.written, "file") + " written"] if each.written else []
        changed += [shown_count(len(each.removed), "file") + " removed"] if each.removed else []
        write_line(f"{each.pin.ref} in {each.pin.path}: {', '.join(changed) or 'nothing to do'}")
    if not done:
        write_note(f"{FILE} says no folder; give one with `charkh lock add NAME --to FOLDER`")


@app.command()
def verify(
    remote: Annotated[
        str,
        typer.Option("--remote", help="The bytes must be at this remote; here or at one of charkh.toml by default."),
    ] = "",
    json: AsJson = False,
) -> None:
    """Prove that every pinned version is known, unchanged, and that its bytes can be had; for CI.

    Exit code 4 when a pin does not hold: unknown, deleted, different, or with bytes that nobody pushed.
    """
    # See `checkout`.
    from charkh.workspace.lock_verify import verify as verify_lock

    with open_workspace() as workspace:
        found = verify_lock(workspace, require_lock(workspace), remote)
    if json:
        write_json({"sound": not any(each.problem for each in found), "pins": found})
    else:
        write_table(
            ["", "kind", "version", "what is wrong"],
            [[each.problem or "ok", each.pin.kind, each.pin.ref, each.detail] for each in found],
            empty="nothing is pinned",
        )
    refuse_bad(found)


def refuse_bad(found: "Sequence[Verified]") -> None:
    """Fail with what does not hold.

    Raises:
        GateRefused: a pin does not hold.
    """
    bad = [each for each in found if each.problem]
    if bad:
        raise GateRefused(
            f"pins in {FILE} that do not hold: {', '.join(f'{each.pin.ref} ({each.problem})' for each in bad[:10])}",
            code="lock.not_verified",
            hint="Whoever has these versions runs `charkh sync`; or let the lock name others: `charkh lock update`.",
            facts={"pins": [each.pin.subject for each in bad]},
        )


def _write_changes(changes: Sequence[Change], *, json: bool) -> None:
    if json:
        write_json([{"old": change.old, "new": change.new} for change in changes])
        return
    for old, new in changes:
        where = f" in {new.path}" if new.path else ""
        if old == new:
            write_line(f"{new.kind} {new.ref}{where} was pinned already")
        elif old is None or old.id == new.id:
            write_line(f"pinned {new.kind} {new.ref}{where}")
        else:
            write_line(f"pinned {new.kind} {new.ref}{where} in the place of {old.ref}")
