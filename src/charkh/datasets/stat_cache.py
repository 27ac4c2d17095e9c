"""What files held when they were last read, by what the file system says of them: unchanged ones are not read again.

A row says that the file at a place, with this size, these times and this inode, holds this content. It is a cache in
SQLite: it may be deleted or damaged at any time and is then made anew, and where it cannot be used at all, files are
read. Its answers save reading; that the bytes are still in a vault is for the vault to say.

The racy rule is that of Git (Documentation/technical/racy-git): a file that changed no earlier than the moment at which
it was looked at may change once more without a sign of it, so nothing is remembered about it yet. How coarse the clock
of its file system is, is read off its times: whole seconds stand for two (FAT), anything else for a tenth.
"""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from charkh.core.files import FileRef
from charkh.datasets.walk import LocalFile

Result = TypeVar("Result")

SCHEMA = 1
SECOND = 1_000_000_000
COARSE = 2 * SECOND
FINE = SECOND // 10
KEPT_DAYS = 120
"""Days after which a folder is forgotten about which nothing was learnt since."""
MAX_BOUND = 400
WAIT_SECONDS = 5
_TABLES = """
CREATE TABLE folder (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, day INTEGER NOT NULL);
CREATE TABLE file (
    folder INTEGER NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL, changed INTEGER NOT NULL, touched INTEGER NOT NULL, inode INTEGER NOT NULL,
    digest BLOB NOT NULL, root BLOB NOT NULL, shape BLOB NOT NULL,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
"""
_FIND = """
SELECT name, size, changed, touched, inode, digest, root, shape FROM file
WHERE folder = ? AND name BETWEEN ? AND ?
AND typeof(digest) = 'blob' AND length(digest) = 32 AND typeof(root) = 'blob' AND length(root) IN (0, 32)
AND typeof(shape) = 'blob'
"""
_DELETE = "DELETE FROM file WHERE digest IN"


class Known(NamedTuple):
    """What is known of a file that did not change.

    Attributes:
        file: its content.
        shape: what else was found out about that content, as it was handed over; empty for nothing.
    """

    file: FileRef
    shape: bytes


class Learnt(NamedTuple):
    """A file as it was looked at, before it was read, and what was read."""

    seen: LocalFile
    file: FileRef
    shape: bytes = b""


class StatCache:
    """The cache of one store.

    Threads and processes: shared between them through its file; who cannot have it for five seconds does without.

    Args:
        path: the database file; None for one in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._broken = False
        self._folders: dict[str, int] = {}
        self._unasked: set[tuple[str, str]] = set()

    def look_up(self, files: Sequence[LocalFile]) -> list[Known | None]:
        """What is known of each file, None for one that is new or changed; fastest for neighbours of one folder."""
        found: list[Known | None] = []
        for folder, group in groupby(files, _folder_of):
            some = list(group)
            rows = self._run(partial(self._rows, folder, some), {})
            found += [_known(file, rows.get(_name_of(file))) for file in some]
        return found

    def learn(self, learnt: Iterable[Learnt]) -> None:
        """Remember what files hold; those that might have changed since they were looked at are left out."""
        rows = [row for each in learnt if (row := self._row(each)) is not None]
        if rows:
            self._run(_in_transaction(lambda database: self._insert(database, rows)), None)

    def forget(self, digests: Iterable[str]) -> None:
        """Forget that any file holds these contents."""
        gone = [bytes.fromhex(digest) for digest in digests]
        self._run(_in_transaction(lambda database: _delete(database, gone)), None)

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        with self._lock:
            # A connection that came through a fork is the parent's.
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection, self._broken, self._folders = None, False, {}

    def _rows(
        self, folder: str, files: Sequence[LocalFile], database: sqlite3.Connection
    ) -> dict[str, tuple[object, ...]]:
        number = self._number(database, folder)
        if number is None:
            return {}
        names = list(map(_name_of, files))
        rows = {row[0]: row for row in database.execute(_FIND, (number, min(names), max(names)))}
        if len(rows) > len(names) or not rows.keys() <= set(names):
            self._unasked.update((folder, name) for name in rows.keys() - set(names))
        return rows

    def _number(self, database: sqlite3.Connection, folder: str, *, make: bool = False) -> int | None:
        """The number of a folder."""
        if folder in self._folders:
            return self._folders[folder]
        path = os.path.abspath(folder)  # noqa: PTH100 - a `Path` would be made of a text and turned into one
        if make:
            database.execute(
                "INSERT INTO folder (path, day) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET day = excluded.day",
                (path, _today()),
            )
        row = database.execute("SELECT id FROM folder WHERE path = ?", (path,)).fetchone()
        if row is None:
            return None
        self._folders[folder] = int(row[0])
        return self._folders[folder]

    def _row(self, learnt: Learnt) -> tuple[str, tuple[object, ...]] | None:
        seen = learnt.seen
        if is_racy(seen) or learnt.file.size != seen.size:
            return None
        digest, root = bytes.fromhex(learnt.file.digest), bytes.fromhex(learnt.file.root)
        return _folder_of(seen), (_name_of(seen), *_stat(seen), digest, root, learnt.shape)

    def _insert(self, database: sqlite3.Connection, rows: Sequence[tuple[str, tuple[object, ...]]]) -> None:
        # What another process deleted meanwhile is asked for again.
        self._folders = {}
        for folder, group in groupby(rows, lambda row: row[0]):
            number = self._number(database, folder, make=True)
            database.executemany(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(number, *row) for _folder, row in group],
            )
        self._delete_gone(database)
        _delete_old(database)

    def _delete_gone(self, database: sqlite3.Connection) -> None:
        """Forget files that were met between others and are not on disk any more."""
        unasked, self._unasked = self._unasked, set()
        for folder, name in unasked:
            if not os.path.lexists(f"{folder}/{name}") and (number := self._number(database, folder)) is not None:
                database.execute("DELETE FROM file WHERE folder = ? AND name = ?", (number, name))

    def _run(self, operation: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        """Run against the database; a damaged one is thrown away, and one that cannot be used is done without."""
        with self._lock:
            if self._connection is not None and self._owner != os.getpid():
                _inherited.append(self._connection)
                self._connection, self._folders = None, {}
            for _attempt in range(2):
                if self._broken:
                    return otherwise
                try:
                    return operation(self._open())
                except sqlite3.DatabaseError as error:
                    # SQLite names what is no database, what is damaged, and a table that is not what it was.
                    lost = getattr(error, "sqlite_errorcode", 0) & 0xFF
                    damaged = lost in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
                    self.close()
                    self._broken = not damaged or not self._remove()
                except (OSError, OverflowError, UnicodeError):
                    self.close()
                    self._broken = True
            return otherwise

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
            if version != SCHEMA:
                _in_transaction(_make_tables)(database)
        except BaseException:
            database.close()
            raise
        return database

    def _remove(self) -> bool:
        """Whether a damaged database is out of the way."""
        if self._path is not None:
            try:
                for path in (self._path, self._path.with_name(self._path.name + "-journal")):
                    path.unlink(missing_ok=True)
            except OSError:
                return False
        return True


def is_racy(file: LocalFile) -> bool:
    """Whether the file may have changed after it was looked at, with equal times."""
    whole = not file.changed % SECOND and not file.touched % SECOND
    return max(file.changed, file.touched) + (COARSE if whole else FINE) > file.seen


def _known(file: LocalFile, row: tuple[object, ...] | None) -> Known | None:
    if row is None or row[1:5] != _stat(file):
        return None
    _name, _size, _changed, _touched, _inode, digest, root, shape = row
    assert isinstance(digest, bytes)
    assert isinstance(root, bytes)
    assert isinstance(shape, bytes)
    return Known(FileRef(digest.hex(), file.size, root.hex()), shape)


def _stat(file: LocalFile) -> tuple[int, int, int, int]:
    # SQLite's numbers have a sign; some file systems number their files up to 2**64.
    return file.size, file.changed, file.touched, file.inode & 0x7FFF_FFFF_FFFF_FFFF


def _folder_of(file: LocalFile) -> str:
    return file.place.rpartition("/")[0] or ("/" if file.place.startswith("/") else ".")


def _name_of(file: LocalFile) -> str:
    return file.place.rpartition("/")[2]


def _today() -> int:
    return int(time.time() // 86400)


def _delete(database: sqlite3.Connection, digests: Sequence[bytes]) -> None:
    for start in range(0, len(digests), MAX_BOUND):
        some = digests[start : start + MAX_BOUND]
        database.execute(f"{_DELETE} ({','.join('?' * len(some))})", some)


def _delete_old(database: sqlite3.Connection) -> None:
    if database.execute("DELETE FROM folder WHERE day < ?", (_today() - KEPT_DAYS,)).rowcount:
        database.execute("DELETE FROM file WHERE folder NOT IN (SELECT id FROM folder)")


def _make_tables(database: sqlite3.Connection) -> None:
    for statement in ("DROP TABLE IF EXISTS file", "DROP TABLE IF EXISTS folder", *_TABLES.split(";")[:2]):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA}")


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
    if owner == os.getpid():
        connection.close()


_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process; SQLite forbids even closing them here."""
