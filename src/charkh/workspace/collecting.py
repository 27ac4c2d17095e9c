"""Free what nothing holds: garbage collection with the roots that the workspace knows."""

from charkh.assets.collect import CollectReport, collect
from charkh.lineage.index import HeldDigests
from charkh.workspace.workspace import Workspace


def collect_garbage(workspace: Workspace, *, dry_run: bool = True) -> CollectReport:
    """Move what no fact holds to the trash, and empty what has lain there long enough.

    Args:
        workspace: whose store.
        dry_run: only say what would be freed.

    Raises:
        Locked: another process collects.
        Corrupt: something held is damaged, so that nobody can say what it names.
    """
    return collect(workspace.vault, workspace.store.queries.ask(HeldDigests()), dry_run=dry_run)
