"""`charkh hooks`: install, remove, show and run."""

from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.lock import refuse_bad
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_note, write_table
from charkh.core.errors import Invalid
from charkh.workspace.hooks import FOLLOW, PROVE, Hook
from charkh.workspace.hooks import hooks as hooks_of
from charkh.workspace.hooks import install as install_hooks
from charkh.workspace.hooks import remove as remove_hooks
from charkh.workspace.locking import read_lock

app = typer.Typer(no_args_is_help=True, help="Hooks of Git and Mercurial: the lock is proved, data follows the code.")


@app.command()
def install(
    checkout: Annotated[
        bool, typer.Option("--checkout", help="Also put pinned data where the lock says whenever the code changes.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Prove the lock before code is pushed; what others have in the hooks stays."""
    with open_workspace() as workspace:
        found = install_hooks(workspace, follow=checkout)
    _write(found, json=json)


@app.command()
def remove(json: AsJson = False) -> None:
    """Take charkh out of the hooks; what others have in them stays."""
    with open_workspace() as workspace:
        found = remove_hooks(workspace)
    _write(found, json=json)


@app.command()
def show(json: AsJson = False) -> None:
    """Show the hooks that charkh can be in, and whether it is."""
    with open_workspace() as workspace:
        found = hooks_of(workspace)
    _write(found, json=json)


@app.command()
def run(
    what: Annotated[str, typer.Argument(help=f"{PROVE} the lock, or let data {FOLLOW} the code.")],
    json: AsJson = False,
) -> None:
    """What a hook does; hooks of other tools can call it, too.

    `prove` refuses pins whose bytes are not at the default remote; `follow` is `charkh lock checkout`.
    """
    if what not in {PROVE, FOLLOW}:
        raise Invalid(f"a hook does no {what}", code="hooks.what", hint=f"Say {PROVE} or {FOLLOW}.")
    # What speaks to remotes is loaded where something is pinned.
    with open_workspace() as workspace:
        lock = read_lock(workspace.folder)
        if what == PROVE and lock.pins:
            from charkh.workspace.lock_verify import verify
            from charkh.workspace.remotes import named_remotes, which_remote

            remote = which_remote(workspace)[0] if named_remotes(workspace) else ""
            if not remote:
                write_note("charkh: no remote is configured, so the lock is proved against this store alone")
            found = verify(workspace, lock, remote)
            if json:
                write_json(found)
            refuse_bad(found)
        elif what == FOLLOW and any(pin.path for pin in lock.pins):
            from charkh.workspace.lock_checkout import check_out

            done = check_out(workspace, lock, workspace.folder)
            if json:
                write_json(done)
            for each in done:
                if each.written or each.removed:
                    write_note(f"charkh: {each.pin.ref} in {each.pin.path}")


def _write(found: Sequence[Hook], *, json: bool) -> None:
    if json:
        write_json(found)
        return
    write_table(
        ["hook", "does", "installed", "file"],
        [[each.name, _DOES[each.does], each.installed, each.file] for each in found],
    )


_DOES = {PROVE: "proves the lock before code is pushed", FOLLOW: "lets pinned data follow the code"}
