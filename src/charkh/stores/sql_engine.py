"""SQL engines as the catalog wants them: SQLite with explicit transactions, or PostgreSQL."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

from charkh.core.errors import Unavailable

WAL_IS_SAFE = (3, 51, 3)
"""Below this SQLite loses committed pages when several processes checkpoint (sqlite.org/wal.html#walresetbug)."""

BUSY_SECONDS = 30


def journal_mode() -> str:
    """The SQLite journal mode that is safe with several processes in the SQLite at hand."""
    return "WAL" if sqlite3.sqlite_version_info >= WAL_IS_SAFE else "TRUNCATE"


def sqlite_engine(path: Path | None) -> Engine:
    """An engine on a SQLite file, or in memory when `path` is None."""
    if path is None:
        options: dict[str, Any] = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        engine = create_engine("sqlite://", **options)
    else:
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # SQLAlchemy's "begin" below opens every transaction, so the driver must open none by itself.
        connection.isolation_level = None
        if path is not None:
            connection.execute(f"PRAGMA journal_mode={journal_mode()}")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute("PRAGMA temp_store=MEMORY")

    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("charkh_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def postgres_engine(url: str) -> Engine:
    """An engine on PostgreSQL through psycopg 3.

    Raises:
        Unavailable: the extra is not installed.
    """
    try:
        # One snapshot a transaction, so that an answer of several statements is of one moment.
        return create_engine(
            make_url(url).set(drivername="postgresql+psycopg"), pool_pre_ping=True, isolation_level="REPEATABLE READ"
        )
    except ModuleNotFoundError as error:
        raise Unavailable(
            "PostgreSQL needs the psycopg driver",
            code="extra.missing",
            hint="Install it with: pip install 'charkh[postgres]'",
        ) from error
