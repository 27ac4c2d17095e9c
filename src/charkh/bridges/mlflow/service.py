"""What one server keeps in memory for its MLflow clients; everything in it can be had again from the store."""

from charkh.workspace.workspace import Workspace


class Service:
    """The state of an `MlflowApplication`, shared between its threads.

    Args:
        workspace: what is served.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def close(self) -> None:
        """Let go of what is open."""
