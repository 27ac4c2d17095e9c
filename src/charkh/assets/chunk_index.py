"""Which pack holds which chunk: a cache of the packs' footers in SQLite, made again when missing or damaged.

A row is a plain fact about an immutable pack, so the database is written without waiting for the disk: what
power loss takes away is read again from the packs, which are the truth.
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from charkh.assets.pack import Entry
from charkh.core.errors import Unavailable

Result = TypeVar("Result")

SCHEMA = 1
MAX_BOUND = 400
"""Digests bound in one statement."""
_TABLES = """
CREATE TABLE pack (id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE chunk (
    digest BLOB NOT NULL, pack INTEGER NOT NULL, form INTEGER NOT NULL,
    offset INTEGER NOT NULL, stored INTEGER NOT NULL, raw INTEGER NOT NULL,
    PRIMARY KEY (digest, pack)
) WITHOUT ROWID;
"""
_HOLD = "SELECT digest, pack FROM chunk"
_FIND = "SELECT c.digest, p.name, c.form, c.offset, c.stored, c.raw FROM chunk c JOIN pack p ON p.id = c.pack"


_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process; SQLite forbids even closing them here."""


class Place(NamedTuple):
    """Where a chunk lies: its pack, and what the pack's list says of it."""

    pack: str
    kind: int
    codec: int
    offset: int
    stored: int
    raw: int


class ChunkIndex:
    """The index of one store; shared between threads, and between processes through its file.

    Args:
        path: the database file; None for one in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Where each digest lies; those that no known pack holds are left out."""

        def search(database: sqlite3.Connection) -> dict[bytes, Place]:
            found: dict[bytes, Place] = {}
            for start in range(0, len(digests), MAX_BOUND):
                some = digests[start : start + MAX_BOUND]
                marks = ",".join("?" * len(some))
                for row in database.execute(f"{_FIND} WHERE c.digest IN ({marks})", some):
                    found[row[0]] = _place(row)
            return found

        return self._run(search)

    def holders(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        """The pack of each digest; those that no known pack holds are left out. Cheaper than `find`."""

        def search(database: sqlite3.Connection) -> dict[bytes, str]:
            found: dict[bytes, int] = {}
            for start in range(0, len(digests), MAX_BOUND):
                some = digests[start : start + MAX_BOUND]
                marks = ",".join("?" * len(some))
                found.update(database.execute(f"{_HOLD} WHERE digest IN ({marks})", some))
            names = dict(database.execute("SELECT id, name FROM pack"))
            return {digest: names[pack] for digest, pack in found.items() if pack in names}

        return self._run(search)

    def places(self, digest: bytes) -> list[Place]:
        """Every place of one digest: two writers may have stored it at the same time."""
        query = f"{_FIND} WHERE c.digest = ?"
        return self._run(lambda database: [_place(row) for row in database.execute(query, [digest])])

    def packs(self) -> dict[str, int]:
        """The known packs, by name, and their sizes in bytes."""
        return self._run(lambda database: dict(database.execute("SELECT name, size FROM pack")))

    def rows(self) -> Iterator[tuple[bytes, Place]]:
        """Everything the index knows, pack by pack."""
        query = f"{_FIND} ORDER BY c.pack, c.offset"
        return ((row[0], _place(row)) for row in self._run(lambda database: database.execute(query).fetchall()))

    def add(self, name: str, size: int, entries: Iterable[Entry]) -> None:
        """Learn a pack that is durable."""
        number = _number(name)
        rows = sorted(
            (entry.digest, number, entry.kind << 8 | entry.codec, entry.offset, entry.stored, entry.raw)
            for entry in entries
        )

        def insert(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO pack VALUES (?, ?, ?)", (number, name, size))
            database.executemany("INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?)", rows)

        self._run(_in_transaction(insert))

    def drop(self, names: Iterable[str]) -> None:
        """Forget packs that are gone."""
        numbers = [(_number(name),) for name in names]

        def delete(database: sqlite3.Connection) -> None:
            database.executemany("DELETE FROM pack WHERE id = ?", numbers)
            database.execute("DELETE FROM chunk WHERE pack NOT IN (SELECT id FROM pack)")

        self._run(_in_transaction(delete))

    def clear(self) -> None:
        """Forget everything."""

        def delete(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM chunk")
            database.execute("DELETE FROM pack")

        self._run(_in_transaction(delete))

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def forget_connection(self) -> None:
        """In the child of a fork: neither use nor close what belongs to the parent."""
        self._lock = threading.RLock()
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection = None

    def _run(self, operation: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run against the database; a damaged one is thrown away, and the operation sees an empty one."""
        with self._lock:
            try:
                return operation(self._open())
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise self._unavailable(error) from error
            self.close()
            self._remove()
            try:
                return operation(self._open())
            except sqlite3.DatabaseError as error:
                raise self._unavailable(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
            weakref.finalize(self, _close, self._connection, os.getpid())
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(
            str(self._path or ":memory:"), timeout=60, isolation_level=None, check_same_thread=False
        )
        try:
            # Not WAL: SQLite before 3.51.3 can damage a WAL that several processes share.
            database.execute("PRAGMA journal_mode = TRUNCATE")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA cache_size = -65536")
            database.execute("BEGIN IMMEDIATE")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA:
                for statement in ("DROP TABLE IF EXISTS chunk", "DROP TABLE IF EXISTS pack", *_TABLES.split(";")[:2]):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA}")
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
        return database

    def _remove(self) -> None:
        if self._path is not None:
            for path in (self._path, self._path.with_name(self._path.name + "-journal")):
                path.unlink(missing_ok=True)

    def _unavailable(self, error: sqlite3.DatabaseError) -> Unavailable:
        return Unavailable(
            f"the index of chunks {self._path or 'in memory'} cannot be used: {error}",
            code="asset.index_unavailable",
            hint="Look whether the disk is full or another process hangs; the file can be deleted without any loss.",
        )


def _in_transaction(change: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    def changed(database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        try:
            change(database)
        except BaseException:
            with contextlib.suppress(sqlite3.DatabaseError):
                database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    return changed


def _close(connection: sqlite3.Connection, owner: int) -> None:
    # A connection that came through a fork is the parent's.
    if owner == os.getpid():
        connection.close()


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or (
        isinstance(error, sqlite3.OperationalError) and "no such" in str(error)
    )


def _number(name: str) -> int:
    """A pack's row number: from its name, so that a number never comes to mean another pack."""
    return int(name[:15], 16)


def _place(row: tuple[bytes, str, int, int, int, int]) -> Place:
    _digest, name, form, offset, stored, raw = row
    return Place(name, form >> 8, form & 0xFF, offset, stored, raw)
