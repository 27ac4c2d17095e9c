"""Foreign files: bytes outside the packs that serve chunks where they lie, such as another program's cache.

A record says which file has which chunks; the file is read, never written, and what it gives is verified chunk by chunk
like a pack's. Paths mean something on one machine alone, so the records are a file of the store's local folder
(docs/formats/foreign.md) and no event: whoever loses it registers the files again.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from charkh.assets.chunk_index import MAX_BOUND, Place
from charkh.assets.nodes import ChunkSpan
from charkh.assets.pack import CHUNK, RAW
from charkh.core.errors import Corrupt, NotFound, Unavailable
from charkh.core.files import FileRef

FOREIGN = "foreign:"
"""Begins the `pack` of a place outside the packs; the file's path follows."""
SCHEMA = 1
_TABLES = (
    """CREATE TABLE file (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL, cut INTEGER NOT NULL, size INTEGER NOT NULL,
        changed INTEGER NOT NULL, digest BLOB NOT NULL, root BLOB NOT NULL, UNIQUE (path, cut))""",
    """CREATE TABLE chunk (
        digest BLOB NOT NULL, file INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
        PRIMARY KEY (digest, file, offset)) WITHOUT ROWID""",
    "CREATE INDEX chunk_file ON chunk (file)",
)
_FIND = "SELECT c.digest, f.path, c.offset, c.length FROM chunk c JOIN file f ON f.id = c.file"


class ForeignFile(NamedTuple):
    """One registered file.

    Attributes:
        path: absolute.
        cut: the usual size of its chunks; 0 where the whole is one chunk however it is cut.
        size: bytes.
        changed: when its content last changed, in nanoseconds, as it was when it was read.
        ref: its content.
        spans: its chunks, in order; empty where they were not asked for.
    """

    path: str
    cut: int
    size: int
    changed: int
    ref: FileRef
    spans: Sequence[ChunkSpan] = ()


class ForeignFiles:
    """The registered files of one store; shared between threads, and between processes through its database.

    Durability: what was added survives power loss when `add` has returned.

    Args:
        path: the database, made at the first `add`; None for memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []

    def add(self, files: Iterable[ForeignFile]) -> None:
        """Register files; one that is registered in the same cut is replaced."""
        with self._transaction() as database:
            for file in files:
                self._delete(database, file.path, file.cut)
                row = (
                    file.path,
                    file.cut,
                    file.size,
                    file.changed,
                    bytes.fromhex(file.ref.digest),
                    bytes.fromhex(file.ref.root),
                )
                number = database.execute(
                    "INSERT INTO file (path, cut, size, changed, digest, root) VALUES (?, ?, ?, ?, ?, ?)", row
                ).lastrowid
                database.executemany(
                    "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?)",
                    [(span.digest, number, offset, span.length) for offset, span in _placed(file.spans)],
                )

    def drop(self, paths: Iterable[str]) -> None:
        """Forget files; their bytes are left alone."""
        if not self._exists():
            return
        with self._transaction() as database:
            for path in paths:
                self._delete(database, path, None)

    def known(self, path: Path, cut: int) -> FileRef | None:
        """The content of a file that is registered in this cut and has not changed since; None otherwise."""
        if not self._exists():
            return None
        with self._lock, _told(self._path):
            row = (
                self._open()
                .execute("SELECT size, changed, digest, root FROM file WHERE path = ? AND cut = ?", (str(path), cut))
                .fetchone()
            )
        if row is None:
            return None
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) == (row[0], row[1]):
                return FileRef(row[2].hex(), row[0], row[3].hex())
        return None

    def files(self) -> Iterator[ForeignFile]:
        """Every registered file, by path, without its chunks."""
        if not self._exists():
            return
        with self._lock, _told(self._path):
            rows = (
                self._open()
                .execute("SELECT path, cut, size, changed, digest, root FROM file ORDER BY path, cut")
                .fetchall()
            )
        for path, cut, size, changed, digest, root in rows:
            yield ForeignFile(path, cut, size, changed, FileRef(digest.hex(), size, root.hex()))

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Where each chunk lies; those that no registered file has are left out. No file is looked at."""
        found: dict[bytes, Place] = {}
        if not digests or not self._exists():
            return found
        with self._lock, _told(self._path):
            database = self._open()
            for start in range(0, len(digests), MAX_BOUND):
                some = digests[start : start + MAX_BOUND]
                marks = ",".join("?" * len(some))
                for row in database.execute(f"{_FIND} WHERE c.digest IN ({marks})", some):
                    found.setdefault(row[0], _place(*row[1:]))
        return found

    def places(self, digest: bytes) -> list[Place]:
        """Every place of one chunk."""
        if not self._exists():
            return []
        with self._lock, _told(self._path):
            return [_place(*row[1:]) for row in self._open().execute(f"{_FIND} WHERE c.digest = ?", (digest,))]

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
            self._inherited.append(self._connection)
        self._connection = None

    def _exists(self) -> bool:
        return self._connection is not None or (self._path is not None and self._path.exists())

    def _delete(self, database: sqlite3.Connection, path: str, cut: int | None) -> None:
        found = database.execute("SELECT id FROM file WHERE path = ? AND cut = ifnull(?, cut)", (path, cut)).fetchall()
        database.executemany("DELETE FROM chunk WHERE file = ?", found)
        database.executemany("DELETE FROM file WHERE id = ?", found)

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, _told(self._path):
            database = self._open()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path is not None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = sqlite3.connect(
                str(self._path or ":memory:"), timeout=60, isolation_level=None, check_same_thread=False
            )
            database.execute("PRAGMA journal_mode = TRUNCATE")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA:
                for table in ("chunk", "file"):
                    database.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _TABLES:
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA}")
            database.execute("COMMIT")
            self._connection = database
        return self._connection


def is_foreign(place: Place) -> bool:
    """Whether a place lies outside the packs."""
    return place.pack.startswith(FOREIGN)


def read_foreign(place: Place) -> bytes:
    """The bytes at a foreign place, not verified yet; fewer where the file has become shorter.

    Raises:
        NotFound: the file is gone.
        Unavailable: it cannot be read.
    """
    path = place.pack.removeprefix(FOREIGN)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            parts: list[bytes] = []
            position, end = place.offset, place.offset + place.stored
            while position < end and (part := os.pread(descriptor, end - position, position)):
                parts.append(part)
                position += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            f"{path} is gone, and its bytes were in no pack",
            code="asset.foreign_gone",
            hint="Let its program bring it back (`dvc fetch`), or get the bytes with `charkh sync`.",
            facts={"path": path},
        ) from error
    except OSError as error:
        raise Unavailable(
            f"cannot read {path}: {error.strerror or error}",
            code="asset.unreadable",
            hint="Look at its owner and permissions.",
            facts={"path": path},
        ) from error


def changed_foreign(place: Place, digest: bytes) -> Corrupt:
    """The error of a foreign file that no longer holds what it held."""
    path = place.pack.removeprefix(FOREIGN)
    return Corrupt(
        f"{path} is not what it was when it was registered",
        code="asset.foreign_changed",
        hint="Let the program that it belongs to mend it, such as `dvc fetch` after deleting it.",
        facts={"path": path, "digest": digest.hex()},
    )


def _placed(spans: Iterable[ChunkSpan]) -> Iterator[tuple[int, ChunkSpan]]:
    offset = 0
    for span in spans:
        yield offset, span
        offset += span.length


def _place(path: str, offset: int, length: int) -> Place:
    return Place(FOREIGN + path, CHUNK, RAW, offset, length, length)


@contextlib.contextmanager
def _told(path: Path | None) -> Generator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unavailable(
            f"the list of foreign files {path or 'in memory'} cannot be used: {error}",
            code="asset.foreign_unavailable",
            hint="Look whether the disk is full; where the file is damaged, delete it and import again.",
        ) from error
