"""What files held when they were last read, by what the file system says of them: unchanged ones are not read again.

A row says that the file at a place, with this size, these times and this inode, holds this content. It is a cache in
SQLite: it may be deleted or damaged at any time and is then made anew, and where it cannot be used at all, files are
read. Its answers save reading; that the bytes are still in a vault is for the vault to say.

The racy rule is that of Git (Documentation/technical/racy-git): a file that changed no earlier than the moment at which
it was looked at may change once more without a sign of it, so nothing is remembered about it yet. How coarse the clock
of its file system is, is read off its times: whole seconds stand for two (FAT), anything else for a tenth.
"""

import os
import sqlite3
import struct
import time
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from charkh.core.files import FileRef
from charkh.datasets.cache_database import MAX_BOUND, CacheDatabase, marks
from charkh.datasets.walk import LocalFile

SCHEMA = 1
SECOND = 1_000_000_000
COARSE = 2 * SECOND
FINE = SECOND // 10
KEPT_DAYS = 120
"""Days after which a folder is forgotten about which nothing was learnt since."""
_STAT = struct.Struct("<QqqQ")
_TABLES = {
    "folder": "CREATE TABLE folder (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, day INTEGER NOT NULL)",
    "file": """CREATE TABLE file (
        folder INTEGER NOT NULL, name TEXT NOT NULL, stat BLOB NOT NULL,
        digest BLOB NOT NULL, root BLOB NOT NULL, shape BLOB NOT NULL,
        PRIMARY KEY (folder, name)) WITHOUT ROWID""",
}
_FIND = """
SELECT name, stat, digest, root, shape FROM file
WHERE folder = ? AND name BETWEEN ? AND ?
AND typeof(digest) = 'blob' AND length(digest) = 32 AND typeof(root) = 'blob' AND length(root) IN (0, 32)
AND typeof(shape) = 'blob' AND typeof(stat) = 'blob'
"""
_DELETE = "DELETE FROM file WHERE digest IN"
_HOLDING = """
SELECT file.digest, folder.path, file.name FROM file JOIN folder ON folder.id = file.folder WHERE file.digest IN"""


_NOWHERE: list[tuple[str, str]] = []
_NOTHING: dict[str, tuple[str, bytes, bytes, bytes, bytes]] = {}


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
        self._database = CacheDatabase(path, SCHEMA, _TABLES)
        self._unasked: set[tuple[str, str]] = set()

    def look_up(self, files: Sequence[LocalFile]) -> list[Known | None]:
        """What is known of each file, None for one that is new or changed; fastest for neighbours of one folder."""
        found: list[Known | None] = []
        for folder, group in groupby(files, _folder_of):
            some = list(group)
            rows = self._database.run(partial(self._rows, folder, some), _NOTHING)
            for file in some:
                row = rows.get(_name_of(file))
                if row is None or row[1] != _stat(file):
                    found.append(None)
                else:
                    found.append(Known(FileRef(row[2].hex(), file.size, row[3].hex()), row[4]))
        return found

    def learn(self, learnt: Iterable[Learnt]) -> None:
        """Remember what files hold; those that might have changed since they were looked at are left out."""
        rows = [row for each in learnt if (row := _row(each)) is not None]
        if rows:
            self._database.change(partial(self._insert, rows), None)

    def forget(self, digests: Iterable[str]) -> None:
        """Forget that any file holds these contents."""
        gone = [bytes.fromhex(digest) for digest in digests]
        self._database.change(partial(_delete, gone), None)

    def holding(self, digests: Iterable[str]) -> list[tuple[str, str]]:
        """Where files lay that held one of these contents when they were last read: the digest, and the place.

        They may have changed or gone since: look at what they hold before relying on it.
        """
        wanted = [bytes.fromhex(digest) for digest in digests]
        return sorted(self._database.run(partial(_holding, wanted), _NOWHERE))

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        self._database.close()

    def _rows(
        self, folder: str, files: Sequence[LocalFile], database: sqlite3.Connection
    ) -> dict[str, tuple[str, bytes, bytes, bytes, bytes]]:
        number = _number(database, folder)
        if number is None:
            return {}
        names = list(map(_name_of, files))
        rows = {row[0]: row for row in database.execute(_FIND, (number, min(names), max(names)))}
        if len(rows) > len(names) or not rows.keys() <= set(names):
            self._unasked.update((folder, name) for name in rows.keys() - set(names))
        return rows

    def _insert(self, rows: Sequence[tuple[str, tuple[object, ...]]], database: sqlite3.Connection) -> None:
        for folder, group in groupby(rows, itemgetter(0)):
            number = _number(database, folder, make=True)
            database.executemany(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)", [(number, *row) for _folder, row in group]
            )
        self._delete_gone(database)
        _delete_old(database)

    def _delete_gone(self, database: sqlite3.Connection) -> None:
        """Forget files that were met between others and are not on disk any more."""
        unasked, self._unasked = self._unasked, set()
        for folder, name in unasked:
            if not os.path.lexists(f"{folder}/{name}") and (number := _number(database, folder)) is not None:
                database.execute("DELETE FROM file WHERE folder = ? AND name = ?", (number, name))


def is_racy(file: LocalFile) -> bool:
    """Whether the file may have changed after it was looked at, with equal times."""
    whole = not file.changed % SECOND and not file.touched % SECOND
    return max(file.changed, file.touched) + (COARSE if whole else FINE) > file.seen


def _row(learnt: Learnt) -> tuple[str, tuple[object, ...]] | None:
    seen, file = learnt.seen, learnt.file
    stat = _stat(seen)
    if is_racy(seen) or file.size != seen.size or not stat:
        return None
    row = _name_of(seen), stat, bytes.fromhex(file.digest), bytes.fromhex(file.root), learnt.shape
    return _folder_of(seen), row


def _stat(file: LocalFile) -> bytes:
    """What the file system says of a file; nothing where it is beyond all measure."""
    try:
        return _STAT.pack(file.size, file.changed, file.touched, file.inode)
    except struct.error:
        return b""


def _number(database: sqlite3.Connection, folder: str, *, make: bool = False) -> int | None:
    """The number of a folder."""
    path = os.path.abspath(folder)  # noqa: PTH100 - a `Path` would be made of a text and turned into one
    if make:
        database.execute(
            "INSERT INTO folder (path, day) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET day = excluded.day",
            (path, _today()),
        )
    row = database.execute("SELECT id FROM folder WHERE path = ?", (path,)).fetchone()
    return None if row is None else int(row[0])


def _folder_of(file: LocalFile) -> str:
    return file.place.rpartition("/")[0] or ("/" if file.place.startswith("/") else ".")


def _name_of(file: LocalFile) -> str:
    return file.place.rpartition("/")[2]


def _today() -> int:
    return int(time.time() // 86400)


def _holding(digests: Sequence[bytes], database: sqlite3.Connection) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for start in range(0, len(digests), MAX_BOUND):
        some = digests[start : start + MAX_BOUND]
        rows = database.execute(f"{_HOLDING} {marks(some)}", some)
        found += [(digest.hex(), f"{folder.rstrip('/')}/{name}") for digest, folder, name in rows]
    return found


def _delete(digests: Sequence[bytes], database: sqlite3.Connection) -> None:
    for start in range(0, len(digests), MAX_BOUND):
        some = digests[start : start + MAX_BOUND]
        database.execute(f"{_DELETE} {marks(some)}", some)


def _delete_old(database: sqlite3.Connection) -> None:
    if database.execute("DELETE FROM folder WHERE day < ?", (_today() - KEPT_DAYS,)).rowcount:
        database.execute("DELETE FROM file WHERE folder NOT IN (SELECT id FROM folder)")
