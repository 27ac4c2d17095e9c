"""The workspace that a command works in: `-C FOLDER`, `CHARKH_WORKSPACE`, or the current folder."""

import os
from pathlib import Path

from charkh.cli.waiting import say_who
from charkh.core.errors import Invalid
from charkh.workspace import nearest
from charkh.workspace.aside import take_in_quietly
from charkh.workspace.locks import tell_who_holds, wait_at_most
from charkh.workspace.workspace import Workspace

VARIABLE = "CHARKH_WORKSPACE"
WAIT = "CHARKH_WAIT"


def open_workspace(*, create: bool = False) -> Workspace:
    """Open it; with `create`, a folder that is none yet becomes one.

    Raises:
        NotFound: there is no workspace (exit code 10).
    """
    tell_who_holds(say_who)
    opened = nearest.open_nearest(starting_folder(), create=create)
    if opened.settings.store.blobs:
        # Here, because only who shares a medium has to say what it holds.
        from charkh.workspace.sharing import report_if_due

        report_if_due(opened)
    take_in_quietly(opened)
    return opened


def open_own_workspace(what: str, route: str = "") -> Workspace:
    """The same for what is only done where the store is.

    Args:
        what: that is done, with its verb, such as `users are kept`.
        route: of the server's API that does it from elsewhere.

    Raises:
        Invalid: the store is at a server.
        NotFound: as `open_workspace`.
    """
    opened = open_workspace()
    if opened.is_remote:
        url = getattr(opened, "url", "")
        opened.close()
        raise Invalid(
            f"{what} where the store is, at {url}",
            code="store.elsewhere",
            hint="Run it there, in the folder in which `charkh up` runs"
            + (f", or ask {url}{route} with your token (docs/reference/api.md)." if route else "."),
        )
    return opened


def be_patient(seconds: float) -> None:
    """Let this process wait so long for locks: what `--wait` does."""
    wait_at_most(seconds)


def starting_folder() -> Path:
    """Where the search for the workspace begins."""
    return Path(os.environ.get(VARIABLE) or Path.cwd())


def start_in(folder: Path) -> None:
    """Let the rest of this process work in `folder`: what `-C` does."""
    os.environ[VARIABLE] = str(folder.resolve())
