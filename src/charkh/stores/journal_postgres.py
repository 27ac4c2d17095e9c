"""The journal in PostgreSQL, for a team: a segment is rows `(segment, seq, frame)` (docs/formats/journal.md).

Each server process owns one fact segment; a segment written elsewhere is taken over verbatim by `take`.
Appends of one database follow each other under a short lock, so that positions become visible in their
order and a reader's cursor is one number.
"""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from charkh.core.errors import Locked, Unavailable
from charkh.core.frames import encode_frame, encode_frames
from charkh.core.ids import new_id, parse_id
from charkh.ports.exchange import Part, check_facts, gap
from charkh.ports.journal import Batch, Cursor, DataHeader, DataSegment, DataWriter, Record
from charkh.stores.data_postgres import PostgresData, payload_of
from charkh.stores.forks import watch_forks
from charkh.stores.postgres_tables import Tables, lock_key, make_tables, translated
from charkh.stores.segment_file import encode_header, new_header
from charkh.stores.sql_engine import postgres_engine

POSITION = "position"
"""The cursor's only entry."""

READ_ROWS = 2000


class PostgresJournal:
    """The journal port over a PostgreSQL database.

    Args:
        url: `postgresql://user@host/database`.
        store: id of the store, written into every segment.
        schema: the database schema that the tables lie in; the connection's own by default.

    Raises:
        Unavailable: the `postgres` extra is not installed.
    """

    def __init__(self, url: str, store: str, *, schema: str = "") -> None:
        self._engine: Engine = postgres_engine(url).execution_options(isolation_level="READ COMMITTED")
        self._store = store
        self._tables = Tables(schema)
        self._data = PostgresData(self._engine, self._tables, self._ready)
        self._exclusive_key = lock_key(schema, "exclusive")
        self._append_key = lock_key(schema, "append")
        self._begin()
        watch_forks(self)

    def _begin(self) -> None:
        self._thread_lock = threading.RLock()
        self._own_lock = threading.Lock()
        self._holder: Connection | None = None
        self._depth = 0
        self._segment = ""
        self._next = 0
        self._is_ready = False

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: the child opens connections and a segment of its own."""
        self._engine.dispose(close=False)
        self._begin()
        self._data.after_fork()

    @property
    def engine(self) -> Engine:
        """The engine of the database, for what else several processes agree on there."""
        return self._engine

    @property
    def schema(self) -> str:
        """The database schema that the tables lie in; empty for the connection's own."""
        return self._tables.schema

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        """See `charkh.ports.journal.Journal`."""
        encode_frames(payloads)
        if not payloads:
            return
        with self._own_lock, translated():
            segment, start = self._segment or new_id(), self._next
            # Until the commit is known to have happened, the segment is in doubt: a failure begins another one.
            self._segment, self._next = "", 0
            with self._connection() as connection:
                if start == 0:
                    header = encode_header(new_header(segment, self._store))
                    connection.execute(insert(self._tables.segment).values(segment=segment, header=header))
                if self._insert(connection, segment, start, payloads, durable=durable) != len(payloads):
                    raise Unavailable(
                        f"somebody else wrote segment {segment}", code="journal.unavailable", hint="Call again."
                    )
            self._segment, self._next = segment, start + len(payloads)

    def known(self) -> Mapping[str, int]:
        """See `charkh.ports.exchange.Exchange`."""
        table = self._tables.fact
        statement = select(table.c.segment, func.max(table.c.seq) + 1).group_by(table.c.segment)
        with translated():
            self._ready()
            with self._engine.connect() as connection:
                return {segment: int(count) for segment, count in connection.execute(statement).all()}

    def parts(self, known: Mapping[str, int]) -> Iterator[Part]:
        """See `charkh.ports.exchange.Exchange`."""
        table = self._tables.fact
        for segment, count in self.known().items():
            for start in range(known.get(segment, 0), count, READ_ROWS):
                statement = (
                    select(table.c.frame)
                    .where(table.c.segment == segment, table.c.seq >= start, table.c.seq < start + READ_ROWS)
                    .order_by(table.c.seq)
                )
                with translated(), self._engine.connect() as connection:
                    frames = connection.execute(statement).scalars().all()
                yield Part(segment, start, [payload_of(frame, segment) for frame in frames])

    def take(self, parts: Sequence[Part]) -> int:
        """See `charkh.ports.exchange.Exchange`."""
        taken = 0
        with translated(), self._connection() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(self._append_key)))
            for part in parts:
                check_facts(part)
                table = self._tables.fact
                count = select(func.coalesce(func.max(table.c.seq) + 1, 0)).where(table.c.segment == part.segment)
                known = int(connection.execute(count).scalar_one())
                if part.seq > known:
                    raise gap(part, known)
                taken += self._insert(connection, parse_id(part.segment), part.seq, part.payloads, durable=True)
        return taken

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """See `charkh.ports.journal.Journal`."""
        table = self._tables.fact
        position = cursor.get(POSITION, 0)
        while True:
            statement = (
                select(table.c.position, table.c.segment, table.c.frame)
                .where(table.c.position > position)
                .order_by(table.c.position)
                .limit(READ_ROWS)
            )
            with translated():
                self._ready()
                with self._engine.connect() as connection:
                    rows = connection.execute(statement).all()
            if rows:
                position = rows[-1].position
                payloads = [payload_of(row.frame, row.segment) for row in rows]
                yield Batch(rows[-1].segment, payloads, {POSITION: position})
            if len(rows) < READ_ROWS:
                return

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        """See `charkh.ports.journal.Journal`; facts that the holder appends go through the connection that holds it."""
        return self._exclusive(timeout)

    @contextmanager
    def _exclusive(self, timeout: float) -> Generator[None]:
        thread_lock = self._thread_lock
        if not thread_lock.acquire(timeout=timeout):
            raise Locked("another thread holds the journal", code="journal.locked", hint="Wait for it and call again.")
        try:
            if self._depth == 0:
                with translated():
                    self._take_lock(timeout)
            self._depth += 1
            try:
                yield
            finally:
                # In a child that was forked inside the block, the lock is the parent's to release.
                if self._thread_lock is thread_lock:
                    self._depth -= 1
                    if self._depth == 0:
                        self._release_lock()
        finally:
            thread_lock.release()

    def open_data(self, header: DataHeader) -> DataWriter:
        """See `charkh.ports.journal.Journal`."""
        return self._data.open_data(header)

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`."""
        return self._data.list_data()

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        return self._data.read_data(segment, start)

    def has_data(self, segment: str) -> bool:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._data.has_data(segment)

    def take_data(self, header: DataHeader, start: int, payloads: Sequence[bytes]) -> int:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._data.take_data(header, start, payloads)

    def drop_data(self, segment: str) -> None:
        """See `charkh.ports.journal.Journal`."""
        self._data.drop_data(segment)

    def close(self) -> None:
        """Let go of this process's segment and connections; rows need no sealing."""
        with self._own_lock:
            self._segment, self._next = "", 0
        self._data.close()
        self._engine.dispose()

    def _ready(self) -> None:
        if not self._is_ready:
            make_tables(self._engine, self._tables)
            self._is_ready = True

    @contextmanager
    def _connection(self) -> Generator[Connection]:
        """A transaction; on the connection that holds the lock, where this thread does."""
        self._ready()
        holder = self._holder if self._depth and self._owns_lock() else None
        if holder is not None:
            with holder.begin():
                yield holder
            return
        with self._engine.begin() as connection:
            yield connection

    def _owns_lock(self) -> bool:
        # Only the thread inside the block gets a re-entrant lock without waiting while the block is held.
        if not self._thread_lock.acquire(blocking=False):
            return False
        self._thread_lock.release()
        return True

    def _insert(
        self, connection: Connection, segment: str, start: int, payloads: Sequence[bytes], *, durable: bool
    ) -> int:
        if not durable:
            connection.execute(text("SET LOCAL synchronous_commit TO off"))
        connection.execute(select(func.pg_advisory_xact_lock(self._append_key)))
        rows = [
            {"segment": segment, "seq": seq, "frame": encode_frame(payload)}
            for seq, payload in enumerate(payloads, start)
        ]
        table = self._tables.fact
        statement = insert(table).on_conflict_do_nothing(index_elements=["segment", "seq"]).returning(table.c.seq)
        return len(connection.execute(statement, rows).all())

    def _take_lock(self, timeout: float) -> None:
        self._ready()
        connection = self._engine.connect()
        try:
            connection.execute(select(func.set_config("lock_timeout", f"{max(1, int(timeout * 1000))}ms", True)))
            connection.execute(select(func.pg_advisory_lock(self._exclusive_key)))
            connection.commit()
        except BaseException:
            # Whether the lock was got is unknown: ending the session gives it back in either case.
            connection.invalidate()
            connection.close()
            raise
        self._holder = connection

    def _release_lock(self) -> None:
        connection, self._holder = self._holder, None
        if connection is None:
            return
        try:
            with translated(), connection.begin():
                connection.execute(select(func.pg_advisory_unlock(self._exclusive_key)))
        except Unavailable:
            # A session that is gone holds no lock.
            connection.invalidate()
        finally:
            connection.close()
