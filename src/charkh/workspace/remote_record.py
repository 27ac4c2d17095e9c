"""What this machine remembers of a remote: its id, and what both sides were last known to have whole.

A cache: deleting it costs a walk over everything at the next sync and loses nothing. It lies beside the index of the
remote's chunks under `.charkh/remotes/NAME/`.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from charkh.core.errors import Unavailable

Answer = TypeVar("Answer")

FILE = "record.sqlite"
SCHEMA = 1
MAX_BOUND = 400
_AMONG = "SELECT digest FROM whole WHERE digest IN ({})"


class RemoteRecord:
    """The record of one remote; several processes may use it at once.

    Args:
        path: of the database; its folder is made when something is remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    @property
    def identity(self) -> str:
        """The remote's id when it was last seen; empty when it never was."""
        return self._said("identity")

    @property
    def address(self) -> str:
        """Where it was when it was last synced with."""
        return self._said("address")

    @property
    def erasures(self) -> str:
        """A digest of the erasures that were last taken off the remote's medium."""
        return self._said("erasures")

    def say(self, name: str, value: str) -> None:
        """Remember the remote's `identity`, `address` or `erasures`."""
        self._run(lambda base: base.execute("INSERT OR REPLACE INTO said VALUES (?, ?)", (name, value)))

    def among(self, digests: Sequence[bytes]) -> set[bytes]:
        """Which of these, and everything below them, both sides were known to have."""

        def search(base: sqlite3.Connection) -> set[bytes]:
            found: set[bytes] = set()
            for start in range(0, len(digests), MAX_BOUND):
                some = digests[start : start + MAX_BOUND]
                marks = ",".join("?" * len(some))
                found.update(row[0] for row in base.execute(_AMONG.format(marks), some))
            return found

        return self._run(search) if digests else set()

    def add(self, digests: Iterable[bytes]) -> None:
        """Remember that both sides have these and everything below them."""
        rows = sorted((digest,) for digest in digests)

        def insert(base: sqlite3.Connection) -> None:
            base.execute("BEGIN IMMEDIATE")
            base.executemany("INSERT OR IGNORE INTO whole VALUES (?)", rows)
            base.execute("COMMIT")

        if rows:
            self._run(insert)

    def forget(self) -> None:
        """Remember nothing as whole any more: something is gone over there."""
        self._run(lambda base: base.execute("DELETE FROM whole"))

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> "RemoteRecord":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _said(self, name: str) -> str:
        row = self._run(lambda base: base.execute("SELECT value FROM said WHERE name = ?", (name,)).fetchone())
        return row[0] if row else ""

    def _run(self, operation: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            return operation(self._open())
        except sqlite3.DatabaseError as error:
            self.close()
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise self._unavailable(error) from error
        # It is damaged, and a cache.
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        try:
            return operation(self._open())
        except sqlite3.DatabaseError as error:
            raise self._unavailable(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error
            base = self._connection = sqlite3.connect(str(self._path), timeout=60, isolation_level=None)
            base.execute("PRAGMA journal_mode = TRUNCATE")
            base.execute("CREATE TABLE IF NOT EXISTS whole (digest BLOB PRIMARY KEY) WITHOUT ROWID")
            base.execute("CREATE TABLE IF NOT EXISTS said (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        return self._connection

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"what is remembered of the remote in {self._path} cannot be used: {error}",
            code="remote.record_unavailable",
            hint="Look whether the disk is full; the file can be deleted without any loss.",
        )
