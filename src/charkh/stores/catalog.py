"""The catalog: SQL tables that make the facts searchable, folded from the journal by each noun's projection.

It is a view: deleting it loses nothing. It runs projections, keeps how far the journal is folded in the
same transaction as the folds, answers queries, and takes decisions one after another under the
journal's lock.
"""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    inspect,
    select,
)
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from charkh.core.clock import Clock
from charkh.core.errors import Bug, CharkhError, Corrupt, Locked, Unavailable
from charkh.core.events import Event, Recorded, decode_event, stamp_draft
from charkh.core.refs import parse_subject
from charkh.ports.folding import add_rows
from charkh.ports.journal import Cursor, Journal
from charkh.ports.projections import Command, Describe, Projection, Query
from charkh.stores.sql_engine import sqlite_engine

Answer = TypeVar("Answer")

_metadata = MetaData()
_projections = Table(
    "catalog_projection",
    _metadata,
    Column("name", String, primary_key=True),
    Column("version", Integer, nullable=False),
)
_cursor = Table(
    "catalog_cursor",
    _metadata,
    Column("source", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
_decided = Table(
    "catalog_decided",
    _metadata,
    Column("event_id", String, primary_key=True),
    Column("key", String, nullable=False, index=True),
    Column("payload", LargeBinary, nullable=False),
)
_set_aside = Table(
    "catalog_set_aside",
    _metadata,
    Column("event_id", String, primary_key=True),
    Column("projection", String, primary_key=True),
    Column("reason", String, nullable=False),
)

READER_PATIENCE = 0.2
"""Seconds that a reader waits for the fold lock before it answers from a private overlay."""


class _Ticket:
    """One decision waiting for the leader."""

    def __init__(self, command: Command, key: str) -> None:
        self.command = command
        self.key = key
        self.events: tuple[Event, ...] = ()
        self.error: BaseException | None = None
        self.done = False


class Catalog:
    """Commands and queries over one SQL engine and one journal.

    Args:
        engine: `sqlite_engine` or `postgres_engine`.
        journal: the truth that is folded.
        projections: one per noun.
        clock: adopts the readings of the events that are folded.
        actor: who decides, as it stands in the events.
        overlay: makes a private in-memory engine for readers that may not write or must not wait;
            None where such readers wait.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        projections: Sequence[Projection],
        clock: Clock,
        actor: str,
        overlay: "Overlay | None" = None,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._projections = tuple(projections)
        self._clock = clock
        self._actor = actor
        self._overlay = overlay
        self._answers = {kind: reply for each in projections for kind, reply in each.answers.items()}
        self._decisions = {kind: decide for each in projections for kind, decide in each.decisions.items()}
        self._portraits = {noun: portray for each in projections for noun, portray in each.portraits.items()}
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._leader = threading.Lock()
        self._prepared = False
        self.stale = False

    def decide(self, command: Command, *, key: str = "") -> tuple[Event, ...]:
        """See `charkh.ports.projections.Commands`; threads that decide at once share one fsync."""
        ticket = _Ticket(command, key)
        with self._queue_lock:
            self._queue.append(ticket)
        with self._leader:
            if not ticket.done:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._decide_batch(batch)
        if ticket.error is not None:
            raise ticket.error
        return ticket.events

    def ask(self, query: Query[Answer]) -> Answer:
        """See `charkh.ports.projections.Queries`."""
        try:
            return self._ask_once(query)
        except DatabaseError as error:
            if not is_damage(error):
                raise _unavailable(error) from error
            throw_away(self._engine)
            self._prepared = False
            return self._ask_once(query)

    def _ask_once(self, query: Query[Answer]) -> Answer:
        engine = self._caught_up_engine()
        with engine.connect() as connection, connection.begin():
            return cast(Answer, self._reply(connection, query))

    def catch_up(self) -> None:
        """Fold what the journal holds and the catalog does not yet.

        Raises:
            Locked: another process folds for longer than the journal's timeout.
            Unavailable: the database cannot be written.
        """
        if self._is_behind():
            with self._journal.exclusive(), self._write() as connection:
                self._fold_journal(connection)

    def set_aside(self) -> Sequence[tuple[str, str, str]]:
        """Events that a projection could not read: (event id, projection, reason)."""
        with self._engine.connect() as connection, connection.begin():
            rows = connection.execute(select(_set_aside)).all()
        return [(row.event_id, row.projection, row.reason) for row in rows]

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _reply(self, connection: Connection, query: Query[Any]) -> Any:
        if isinstance(query, Describe):
            subject = parse_subject(query.subject)
            portray = self._portraits.get(subject.noun)
            return portray(connection, subject.id) if portray else None
        reply = self._answers.get(type(query))
        if reply is None:
            raise Bug(f"no projection answers {type(query).__name__}")
        return reply(connection, query)

    def _caught_up_engine(self) -> Engine:
        """The engine to answer from: the catalog's own, or an overlay when it cannot be folded now."""
        self.stale = False
        try:
            if not self._is_behind():
                return self._engine
            with self._journal.exclusive(READER_PATIENCE), self._write() as connection:
                self._fold_journal(connection)
            return self._engine
        except (Locked, Unavailable):
            if self._overlay is None:
                self.catch_up()
                return self._engine
            engine = self._overlay.copy_of(self._engine)
            with engine.begin() as connection:
                self._prepare(connection)
                self._fold_journal(connection)
            return engine

    def _is_behind(self) -> bool:
        try:
            with self._engine.connect() as connection, connection.begin():
                self._prepared = self._prepared or self._fits(connection)
                if not self._prepared:
                    return True
                cursor = _read_cursor(connection)
        except OperationalError:
            return True
        return next(iter(self._journal.read(cursor)), None) is not None

    def _write(self) -> "_WriteTransaction":
        return _WriteTransaction(self)

    def begin_write(self, connection: Connection) -> None:
        """Called inside the first write transaction of a process: tables exist and fit their versions."""
        if not self._prepared:
            self._prepare(connection)

    def _fits(self, connection: Connection) -> bool:
        """Whether the tables of every projection are there in the version that the code has."""
        if not inspect(connection).has_table(_projections.name):
            return False
        known = {row.name: row.version for row in connection.execute(select(_projections))}
        return all(known.get(each.name) == each.version for each in self._projections)

    def _prepare(self, connection: Connection) -> None:
        """Create what is missing; fold a projection whose version changed anew, in this transaction."""
        _metadata.create_all(connection)
        known = {row.name: row.version for row in connection.execute(select(_projections))}
        changed = [each for each in self._projections if known.get(each.name) != each.version]
        if not changed:
            return
        for each in changed:
            each.tables.drop_all(connection)
            each.tables.create_all(connection)
            connection.execute(delete(_projections).where(_projections.c.name == each.name))
            connection.execute(_projections.insert(), {"name": each.name, "version": each.version})
        if _read_cursor(connection):
            self._refold(connection, changed)

    def _refold(self, connection: Connection, changed: Sequence[Projection]) -> None:
        # From the start to wherever the journal ends now: folding an event twice changes nothing.
        for batch in self._journal.read({}):
            self._fold(connection, [decode_event(payload) for payload in batch.payloads], changed)

    def _fold_journal(self, connection: Connection) -> None:
        cursor: Cursor = _read_cursor(connection)
        moved = False
        for batch in self._journal.read(cursor):
            recorded = [Recorded(decode_event(payload), payload) for payload in batch.payloads]
            self._fold_recorded(connection, recorded)
            cursor, moved = batch.cursor, True
        if moved:
            _write_cursor(connection, cursor)

    def _fold_recorded(self, connection: Connection, recorded: Sequence[Recorded]) -> None:
        for item in recorded:
            self._clock.observe(item.event.clock)
        keyed = [
            {"event_id": item.event.id, "key": item.event.key, "payload": item.payload}
            for item in recorded
            if item.event.key
        ]
        add_rows(connection, _decided, keyed)
        self._fold(connection, [item.event for item in recorded], self._projections)

    def _fold(self, connection: Connection, events: Sequence[Event], projections: Iterable[Projection]) -> None:
        for each in projections:
            mine = events if each.kinds is None else [event for event in events if event.kind in each.kinds]
            if mine:
                self._fold_one(connection, each, mine)

    def _fold_one(self, connection: Connection, projection: Projection, events: Sequence[Event]) -> None:
        try:
            with connection.begin_nested():
                projection.fold(connection, events)
        except Corrupt as error:
            if len(events) > 1:
                for event in events:
                    self._fold_one(connection, projection, [event])
                return
            # One unreadable body must not hide every other fact; `charkh fsck` names it.
            row = {"event_id": events[0].id, "projection": projection.name, "reason": error.message}
            add_rows(connection, _set_aside, [row])

    def _decide_batch(self, tickets: Sequence[_Ticket]) -> None:
        decided = False
        try:
            with self._journal.exclusive(), self._write() as connection:
                self._fold_journal(connection)
                recorded = [item for ticket in tickets for item in self._decide_one(connection, ticket)]
                if recorded:
                    self._journal.append([item.payload for item in recorded], durable=True)
                    decided = True
                    self._fold_journal(connection)
        except CharkhError as error:
            # Once the journal has it durably, a catalog that cannot be written is only behind.
            for ticket in tickets:
                ticket.error = ticket.error or (None if decided else error)
        except BaseException as error:
            for ticket in tickets:
                ticket.error = ticket.error or error
            raise
        finally:
            for ticket in tickets:
                ticket.done = True

    def _decide_one(self, connection: Connection, ticket: _Ticket) -> Sequence[Recorded]:
        earlier = _decided_before(connection, ticket.key)
        if earlier:
            ticket.events = earlier
            return ()
        decision = self._decisions.get(type(ticket.command))
        if decision is None:
            ticket.error = Bug(f"no projection decides {type(ticket.command).__name__}")
            return ()
        try:
            with connection.begin_nested():
                drafts = decision(connection, ticket.command)
                recorded = [stamp_draft(draft, self._clock, self._actor, ticket.key) for draft in drafts]
                self._fold_recorded(connection, recorded)
        except CharkhError as error:
            ticket.error = error
            return ()
        ticket.events = tuple(item.event for item in recorded)
        return recorded

    # The write transaction needs these two; they are not part of the ports.

    @property
    def engine(self) -> Engine:
        """The SQL engine."""
        return self._engine

    def mark_prepared(self) -> None:
        """The tables have been committed."""
        self._prepared = True


class _WriteTransaction:
    """One write transaction of the catalog, prepared; a damaged SQLite file is thrown away and folded anew."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __enter__(self) -> Connection:
        try:
            return self._open()
        except DatabaseError as error:
            if not is_damage(error):
                raise _unavailable(error) from error
            throw_away(self._catalog.engine)
            return self._open()

    def _open(self) -> Connection:
        self._connection = self._catalog.engine.connect().execution_options(charkh_write=True)
        try:
            self._transaction = self._connection.begin()
            self._catalog.begin_write(self._connection)
        except BaseException:
            self._connection.close()
            raise
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            if kind is None:
                self._transaction.commit()
                self._catalog.mark_prepared()
            else:
                self._transaction.rollback()
        except OperationalError as failure:
            raise _unavailable(failure) from failure
        finally:
            self._connection.close()
        if isinstance(error, DBAPIError):
            raise _unavailable(error) from error


class Overlay:
    """Private in-memory copies of the catalog, for readers that cannot fold the shared one."""

    def copy_of(self, engine: Engine) -> Engine:
        """An in-memory engine with what the catalog holds now; empty when it cannot be read."""
        copy = sqlite_engine(None)
        target: Any = copy.raw_connection()
        try:
            source: Any = engine.raw_connection()
        except DatabaseError:
            return copy
        try:
            source.driver_connection.backup(target.driver_connection)
        finally:
            source.close()
            target.close()
        return copy


def is_damage(error: DatabaseError) -> bool:
    """Whether the database file itself is broken, rather than busy, full or out of reach."""
    text = str(error.orig).lower()
    return "malformed" in text or "not a database" in text or "disk image" in text


def throw_away(engine: Engine) -> None:
    """Remove a SQLite catalog: it is a view, and the journal has everything."""
    engine.dispose()
    for suffix in ("", "-journal", "-wal", "-shm"):
        Path(f"{engine.url.database}{suffix}").unlink(missing_ok=True)


def _unavailable(error: DBAPIError) -> Unavailable:
    return Unavailable(
        f"the catalog cannot be written: {error.orig}",
        code="catalog.unavailable",
        hint="Check the disk and the database server; no fact is lost, the catalog is folded again from the journal.",
    )


def _read_cursor(connection: Connection) -> dict[str, int]:
    return {row.source: row.position for row in connection.execute(select(_cursor))}


def _write_cursor(connection: Connection, cursor: Cursor) -> None:
    connection.execute(delete(_cursor))
    if cursor:
        connection.execute(_cursor.insert(), [{"source": key, "position": value} for key, value in cursor.items()])


def _decided_before(connection: Connection, key: str) -> tuple[Event, ...]:
    if not key:
        return ()
    rows = connection.execute(
        select(_decided.c.payload).where(_decided.c.key == key).order_by(_decided.c.event_id)
    ).scalars()
    return tuple(decode_event(payload) for payload in rows)
