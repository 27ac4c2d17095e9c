"""The journal's tables in PostgreSQL, the keys of its advisory locks, and how the driver's errors are said."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Engine,
    ForeignKey,
    Identity,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from charkh.core.errors import CharkhError, Invalid, Locked, Unavailable

FORMAT = 1
"""The version of the tables: what a later one writes, this charkh does not touch."""
LOCK_NOT_AVAILABLE = "55P03"
FOREIGN_KEY_VIOLATION = "23503"


class Tables:
    """The tables in one schema.

    Attributes:
        segment: header of each fact segment that was begun here.
        fact: facts by position, the order in which they became visible.
        data_segment: header of each data segment, and the key of the lock that its writer holds.
        data: records of data segments.
        format: the versions of these tables that were ever made here.
    """

    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.metadata = MetaData(schema=schema or None)
        self.segment = Table(
            "journal_segment",
            self.metadata,
            Column("segment", String(32), primary_key=True),
            Column("header", LargeBinary, nullable=False),
        )
        self.fact = Table(
            "journal_fact",
            self.metadata,
            Column("position", BigInteger, Identity(always=True), primary_key=True),
            Column("segment", String(32), nullable=False),
            Column("seq", BigInteger, nullable=False),
            Column("frame", LargeBinary, nullable=False),
            UniqueConstraint("segment", "seq"),
        )
        self.data_segment = Table(
            "journal_data_segment",
            self.metadata,
            Column("segment", String(32), primary_key=True),
            Column("header", LargeBinary, nullable=False),
            Column("lock_key", BigInteger, nullable=False),
            Column("flushed", DateTime(timezone=True)),
        )
        self.data = Table(
            "journal_data",
            self.metadata,
            Column(
                "segment",
                String(32),
                ForeignKey(self.data_segment.c.segment, ondelete="CASCADE"),
                primary_key=True,
            ),
            Column("seq", BigInteger, primary_key=True),
            Column("frame", LargeBinary, nullable=False),
        )
        self.format = Table("journal_format", self.metadata, Column("format", BigInteger, primary_key=True))


def make_tables(engine: Engine, tables: Tables) -> None:
    """Create what is missing; several processes may do so at once.

    Raises:
        Invalid: a newer charkh made them.
    """
    if inspect(engine).has_table(tables.format.name, schema=tables.schema or None):
        with engine.connect() as connection:
            found = connection.execute(select(func.max(tables.format.c.format))).scalar_one()
        if found is not None and found > FORMAT:
            raise Invalid(
                f"the journal's database was written by a newer charkh: in format {found}, and this one knows {FORMAT}",
                code="store.too_new",
                hint="Upgrade with: pip install --upgrade charkh",
            )
        return
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(lock_key(tables.schema, "tables"))))
        if tables.schema:
            quoted = connection.dialect.identifier_preparer.quote_schema(tables.schema)
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {quoted}"))
        tables.metadata.create_all(connection)
        connection.execute(insert(tables.format).values(format=FORMAT).on_conflict_do_nothing())


def lock_key(schema: str, name: str) -> int:
    """The key of an advisory lock: a signed 64-bit number made from what is locked."""
    digest = hashlib.blake2b(f"charkh journal {schema} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's five-character error code, or empty."""
    return getattr(error.orig, "sqlstate", None) or ""


@contextmanager
def translated() -> Generator[None]:
    """Say the driver's errors as `Locked` or `Unavailable`."""
    try:
        yield
    except CharkhError:
        raise
    except DBAPIError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise Locked(
                "another process holds the journal",
                code="journal.locked",
                hint="Wait for it and call again; a process that lost its connection holds no lock.",
            ) from error
        raise Unavailable(
            f"the journal's database cannot be used: {str(error.orig).strip()}",
            code="journal.unavailable",
            hint="Check that PostgreSQL runs, can be reached and has space; what was acknowledged before is kept.",
            facts={"sqlstate": sqlstate(error)},
        ) from error
    except PoolTimeout as error:
        raise Unavailable(
            "all connections to the journal's database are in use",
            code="journal.unavailable",
            hint="Wait for the calls under way, or run fewer threads.",
        ) from error
