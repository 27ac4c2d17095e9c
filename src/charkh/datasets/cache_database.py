"""The database of a cache: SQLite that may be deleted or damaged at any time, and is then made anew.

A row says what can be found out again, so nothing waits for the disk. Who cannot have the database for some seconds, or
cannot write it, is told so and does without.
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
Otherwise = TypeVar("Otherwise")

WAIT_SECONDS = 5
MAX_BOUND = 400
"""Values bound in one statement."""


class CacheDatabase:
    """One database file; shared between threads, and between processes through the file.

    Args:
        path: the file; None for a database in memory.
        schema: number of the tables' form; a database of another number is emptied.
        tables: statements that make them, by table.
    """

    def __init__(self, path: Path | None, schema: int, tables: dict[str, str]) -> None:
        self._path = path
        self._schema = schema
        self._tables = tables
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._broken = False
        self.made_anew = 0
        """How often this process found no database, or one that it threw away."""

    def run(self, operation: Callable[[sqlite3.Connection], Result], otherwise: Otherwise) -> Result | Otherwise:
        """Run against the database; a damaged one is thrown away, and `otherwise` is for one that cannot be used."""
        with self._lock:
            if self._connection is not None and self._owner != os.getpid():
                _inherited.append(self._connection)
                self._connection = None
            for _attempt in range(2):
                if self._broken:
                    return otherwise
                try:
                    return operation(self._open())
                except sqlite3.DatabaseError as error:
                    # SQLite names what is no database, what is damaged, and a table that is not what it was.
                    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                    self.close()
                    damaged = code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
                    self._broken = not damaged or not self._remove()
                except (OSError, OverflowError, UnicodeError):
                    self.close()
                    self._broken = True
            return otherwise

    def change(self, operation: Callable[[sqlite3.Connection], Result], otherwise: Otherwise) -> Result | Otherwise:
        """Run in one transaction."""

        def changed(database: sqlite3.Connection) -> Result:
            database.execute("BEGIN IMMEDIATE")
            try:
                result = operation(database)
            except BaseException:
                with contextlib.suppress(sqlite3.DatabaseError):
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
            return result

        return self.run(changed, otherwise)

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        with self._lock:
            # A connection that came through a fork is the parent's.
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection, self._broken = None, False

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection, self._owner = self._connect(), os.getpid()
            weakref.finalize(self, _close, self._connection, self._owner)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(
            str(self._path or ":memory:"), timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # Not WAL: SQLite before 3.51.3 can damage a WAL that several processes share.
            database.execute("PRAGMA journal_mode = TRUNCATE")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA cache_size = -32768")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != self._schema:
                self._make_tables(database)
        except BaseException:
            database.close()
            raise
        return database

    def _make_tables(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        # Another process may have been first.
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != self._schema:
            for name, statement in self._tables.items():
                database.execute(f"DROP TABLE IF EXISTS {name}")
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {self._schema}")
            self.made_anew += 1
        database.execute("COMMIT")

    def _remove(self) -> bool:
        """Whether a damaged database is out of the way."""
        if self._path is not None:
            try:
                for path in (self._path, self._path.with_name(self._path.name + "-journal")):
                    path.unlink(missing_ok=True)
            except OSError:
                return False
        return True


def marks(values: Sequence[object]) -> str:
    """Question marks for the values of an `IN`."""
    return f"({','.join('?' * len(values))})"


def _close(connection: sqlite3.Connection, owner: int) -> None:
    if owner == os.getpid():
        connection.close()


_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process; SQLite forbids even closing them here."""
