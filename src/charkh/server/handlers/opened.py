"""The workspace that a request is about."""

from typing import cast

from litestar.datastructures import State

from charkh.server.policy import Doorkeeper
from charkh.workspace.workspace import Workspace


def workspace_of(state: State) -> Workspace:
    """The workspace that this server serves."""
    return cast(Workspace, state["workspace"])


def doorkeeper_of(state: State) -> Doorkeeper:
    """Who lets requests in."""
    return cast(Doorkeeper, state["doorkeeper"])
