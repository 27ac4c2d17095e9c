"""The SQLite file under a catalog: what damage looks like, how it is thrown away, and private copies of it.

A catalog is a view, so a damaged file is removed and folded anew. A file must not be removed under a
process that has it open: SQLite finds its rollback journal by name, and two files of one name would share
it. So the file goes only under the journal's lock, under which all writing happens, and every process
looks whether the file is still the one that it has open before it uses it (docs/adr/0003-sqlite-journal-mode.md).
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from charkh.stores.sql_engine import sqlite_engine

_DAMAGE = ("malformed", "not a database", "disk image", "no such table", "no such column", "has no column")
_SUFFIXES = ("", "-journal", "-wal", "-shm")


class CatalogFile:
    """The file under an engine; nothing to do for an engine in memory or on a server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        database = engine.url.database
        sqlite = engine.dialect.name == "sqlite"
        self._path = Path(database) if sqlite and database else None
        self._seen: tuple[int, int] | None = None

    def replaced(self) -> bool:
        """Whether another process put another file in its place; connections to the old one are let go of."""
        if self._path is None:
            return False
        try:
            status = self._path.stat()
            now = (status.st_dev, status.st_ino)
        except OSError:
            now = None
        if now == self._seen:
            return False
        self._seen = now
        self._engine.dispose()
        return True

    def is_damaged(self, error: DatabaseError) -> bool:
        """Whether the file itself is broken, rather than busy, full or out of reach."""
        text = str(error.orig).lower()
        return self._engine.dialect.name == "sqlite" and any(sign in text for sign in _DAMAGE)

    def throw_away(self) -> None:
        """Remove the file. Called under the journal's lock.

        Raises:
            OSError: it cannot be removed.
        """
        self._engine.dispose()
        self._seen = None
        if self._path is not None:
            for suffix in _SUFFIXES:
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


class Overlay:
    """Private in-memory copies of the catalog, for readers that cannot fold the shared one."""

    def copy_of(self, engine: Engine) -> Engine:
        """An in-memory engine with what the catalog holds now; empty when it cannot be read."""
        copy = sqlite_engine(None)
        try:
            source: Any = engine.raw_connection()
            target: Any = copy.raw_connection()
            with contextlib.closing(source), contextlib.closing(target):
                source.driver_connection.backup(target.driver_connection)
        except (DatabaseError, sqlite3.Error):
            copy.dispose()
            return sqlite_engine(None)
        return copy


def is_single(engine: Engine) -> bool:
    """Whether all threads share one connection, and so have to take turns."""
    return isinstance(engine.pool, StaticPool)
