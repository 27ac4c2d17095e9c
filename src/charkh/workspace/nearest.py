"""The workspace that somebody works in: the nearest one, or the server that `CHARKH_URL` or `[store] url` names."""

import os
from pathlib import Path

from charkh.workspace.settings import find_workspace, read_settings
from charkh.workspace.workspace import SERVER_VARIABLE, Workspace, open_workspace


def open_nearest(start: Path, *, create: bool = False, ambient: bool = True) -> Workspace:
    """As `charkh.workspace.workspace.open_workspace`, for the SDK and the command line.

    Args:
        start: a folder inside the workspace.
        create: where there is none, and no server is named, `start` becomes one.
        ambient: nobody named the folder: where it is no workspace, the server that `CHARKH_URL` names is meant.

    Raises:
        NotFound: there is neither, and `create` is not said.
        Invalid, Unavailable: as `open_workspace`.
        Denied: the server's address is one to which no token may be sent.
    """
    begin = start.resolve()
    folder = find_workspace(begin)
    settings = read_settings(folder or begin)
    named = os.environ.get(SERVER_VARIABLE, "") if ambient and folder is None else ""
    url = named or settings.store.url
    if not url:
        return open_workspace(begin, create=create)
    # Here, because only who records to a server needs what ships it.
    from charkh.workspace.spool import SpooledWorkspace

    return SpooledWorkspace(folder or begin, settings, url)
