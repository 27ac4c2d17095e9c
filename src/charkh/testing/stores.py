"""Stores for tests: the real catalog and projections over memory, fast and mock-free."""

from charkh.assets.index import PROJECTION as ASSETS
from charkh.core.clock import Clock
from charkh.ports.projections import Projection
from charkh.ports.store import Store
from charkh.stores.catalog import Catalog
from charkh.stores.journal_memory import MemoryJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.testing.vaults import MemoryVault


def memory_store(*projections: Projection, actor: str = "ann@laptop") -> Store:
    """A store whose journal, bytes and catalog are in memory.

    Args:
        projections: the nouns that the test records and asks about; what was erased is asked of every store.
        actor: who records.
    """
    clock = Clock()
    journal = MemoryJournal()
    nouns = projections if ASSETS in projections else (ASSETS, *projections)
    catalog = Catalog(sqlite_engine(None), journal, nouns, clock, actor)
    return Store(journal=journal, vault=MemoryVault(), commands=catalog, queries=catalog, clock=clock, actor=actor)
