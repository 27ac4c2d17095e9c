"""Seal every data segment that nobody writes any more: metric points and predictions."""

from charkh.endpoints.seal import seal as seal_predictions
from charkh.ports.store import Store
from charkh.runs.seal import seal_ended
from charkh.workspace.workspace import Workspace


def seal_all(workspace: Workspace) -> int:
    """Rewrite closed data segments into columnar blobs; how many there were.

    Raises:
        Unavailable: the store cannot be written; what was not sealed waits.
    """
    return seal_store(workspace.store)


def seal_store(store: Store) -> int:
    """The same for one store of a workspace that has several.

    Raises:
        Unavailable: as `seal_all`.
    """
    return seal_ended(store) + seal_predictions(store)
