"""The workspace that a request is about, and the bounds of what it may ask for at once."""

from typing import cast

from litestar.datastructures import State

from charkh.server.asking import who_asks
from charkh.server.policy import Doorkeeper
from charkh.workspace.acting import workspace_for
from charkh.workspace.workspace import Workspace

MOST = 1000
"""Items in one answer."""


def workspace_of(state: State) -> Workspace:
    """The workspace as the caller of this request may use it: its store shows and takes what the caller may.

    Raises:
        Bug: nobody was admitted for this request.
    """
    return workspace_for(cast(Workspace, state["workspace"]), who_asks())


def doorkeeper_of(state: State) -> Doorkeeper:
    """Who lets requests in."""
    return cast(Doorkeeper, state["doorkeeper"])


def limited(limit: int) -> int:
    """A limit as it was asked for, between 1 and `MOST`."""
    return max(1, min(limit, MOST))
