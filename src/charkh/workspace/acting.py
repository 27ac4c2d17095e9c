"""The workspace as a caller of its server uses it: the same bytes and settings, and a store that knows the caller."""

from typing import TYPE_CHECKING

from charkh.datasets.file_cache import FileCache
from charkh.ports.runtimes import ModelRuntime
from charkh.ports.store import Store
from charkh.users import acting
from charkh.users.caller import Caller
from charkh.workspace.visible import RULES
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.datasets.table_cache import TableCache


def store_for(store: Store, caller: Caller) -> Store:
    """The store for one request of `caller`: see `charkh.users.acting.store_for`, with the rules of every noun."""
    return acting.store_for(store, caller, RULES)


def workspace_for(workspace: Workspace, caller: Caller) -> Workspace:
    """The workspace for one request of `caller`; closing it does nothing."""
    store = store_for(workspace.store, caller)
    return workspace if store is workspace.store else ActingWorkspace(workspace, store)


class ActingWorkspace(Workspace):
    """A workspace with another store in front of the same everything.

    Args:
        origin: whose everything.
        store: as the caller may use it.
    """

    def __init__(self, origin: Workspace, store: Store) -> None:
        # Not Workspace's own: nothing is opened here.
        self.__dict__.update(origin.__dict__)
        self._origin = origin
        self._closed = True
        self.store = store

    @property
    def runtimes(self) -> tuple[ModelRuntime, ...]:
        """See `Workspace.runtimes`."""
        return self._origin.runtimes

    @property
    def file_cache(self) -> FileCache:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Workspace.file_cache`."""
        return self._origin.file_cache

    @property
    def table_cache(self) -> "TableCache":  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Workspace.table_cache`."""
        return self._origin.table_cache
