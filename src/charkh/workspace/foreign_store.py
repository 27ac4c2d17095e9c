"""Another charkh store, only read: its facts folded in memory, its bytes where they are."""

from typing import NamedTuple

from charkh.assets.index import PROJECTION as ASSETS
from charkh.assets.index import Erasures
from charkh.assets.vault import PackVault
from charkh.core.clock import Clock
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.ports.store import Store
from charkh.stores.catalog import Catalog
from charkh.stores.journal_memory import MemoryJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.workspace.remotes import open_remote
from charkh.workspace.workspace import Workspace


class ForeignStore(NamedTuple):
    """A store that answers questions about its datasets and gives their bytes; nothing may be recorded in it.

    Attributes:
        store: its ports.
        address: where it is, without credentials.
    """

    store: Store
    address: str


def foreign_store(workspace: Workspace, wanted: str) -> ForeignStore:
    """The store of a remote.

    Args:
        workspace: whose settings name it.
        wanted: the remote's name, or its address.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached.
    """
    remote = open_remote(workspace, wanted)
    journal, clock = MemoryJournal(), Clock()
    for part in remote.facts.parts({}):
        journal.append(part.payloads)
    catalog = Catalog(sqlite_engine(None), journal, (ASSETS, DATASETS), clock, workspace.store.actor)
    vault = PackVault(remote.blobs, None, lambda: dict(catalog.ask(Erasures())))
    store = Store(
        journal=journal,
        vault=vault,
        commands=catalog,
        queries=catalog,
        clock=clock,
        actor=workspace.store.actor,
    )
    return ForeignStore(store, remote.address)
