"""Data segments in PostgreSQL: records are rows, and the session that writes a segment holds its advisory lock.

All records of a process go through one session, the keeper. Lock and writes share its fate: where the
database says that nobody writes a segment, no record can still be on its way into it.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec
from sqlalchemy import Connection, Engine, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from charkh.core.errors import Corrupt, NotFound, Unavailable
from charkh.core.frames import HEADER, encode_frame, scan_frames
from charkh.core.ids import new_id, parse_id
from charkh.ports.exchange import LIVE_SECONDS, is_received
from charkh.ports.journal import DataHeader, DataSegment, DataWriter, Record
from charkh.stores.data_received import check_records
from charkh.stores.forks import watch_forks
from charkh.stores.postgres_tables import FOREIGN_KEY_VIOLATION, Tables, lock_key, sqlstate, translated

BUFFER_BYTES = 16 * 1024 * 1024
READ_ROWS = 5000
_HELD = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
    " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_log = logging.getLogger("charkh")


class _Keeper:
    """The session through which a process writes its data segments."""

    def __init__(self, engine: Engine) -> None:
        self.lock = threading.RLock()
        self._engine = engine
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The session. Called under `lock`."""
        if self._connection is None:
            self._connection = self._engine.connect()
            # A record waits for no disk; `flush` does.
            self._connection.execute(text("SET synchronous_commit TO off"))
            self._connection.commit()
        return self._connection

    def lost(self) -> None:
        """Let go of a session that failed, and of every lock it held. Called under `lock`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def holds(self, connection: Connection) -> bool:
        """Whether this is still the session."""
        return connection is self._connection


class RowDataWriter:
    """Appends records to one data segment; keeps a bounded buffer while the database cannot be reached."""

    def __init__(self, keeper: _Keeper, tables: Tables, header: DataHeader, ready: Callable[[], None]) -> None:
        self._tables = tables
        self._ready = ready
        self._header = header
        self._keeper = keeper
        self._begin()
        watch_forks(self)
        with self._keeper.lock:
            self._send()

    def _begin(self) -> None:
        self._session: Connection | None = None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._ordinal = 0
        self._reported = False
        self.lost = 0

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: the child writes a segment of its own."""
        self._header = msgspec.structs.replace(self._header, segment=new_id())
        self._begin()

    @property
    def segment(self) -> str:
        return self._header.segment

    def append(self, payload: bytes) -> int:
        """See `charkh.ports.journal.DataWriter`; -1 when the record was lost to a full buffer."""
        frame = encode_frame(payload)
        with self._keeper.lock:
            if self._waiting_bytes + len(frame) > BUFFER_BYTES:
                self._send()
            if self._waiting_bytes + len(frame) > BUFFER_BYTES:
                self.lost += 1
                return -1
            ordinal = self._ordinal
            self._waiting.append((ordinal, frame))
            self._waiting_bytes += len(frame)
            self._ordinal += 1
            self._send()
            return ordinal

    @property
    def waiting(self) -> int:
        """See `charkh.ports.journal.DataWriter`."""
        return len(self._waiting)

    def take_waiting(self) -> Sequence[bytes]:
        """See `charkh.ports.journal.DataWriter`."""
        with self._keeper.lock:
            taken = [frame[HEADER.size :] for _ordinal, frame in self._waiting]
            self._waiting.clear()
            self._waiting_bytes = 0
            return taken

    def append_many(self, payloads: Sequence[bytes]) -> None:
        """See `charkh.ports.journal.DataWriter`."""
        with self._keeper.lock:
            for payload in payloads:
                frame = encode_frame(payload)
                if self._waiting_bytes + len(frame) > BUFFER_BYTES:
                    self._send()
                if self._waiting_bytes + len(frame) > BUFFER_BYTES:
                    self.lost += 1
                    continue
                self._waiting.append((self._ordinal, frame))
                self._waiting_bytes += len(frame)
                self._ordinal += 1
            self._send()

    def flush(self) -> None:
        """See `charkh.ports.journal.DataWriter`."""
        with self._keeper.lock:
            self._send()
            if self._waiting or self._session is None:
                raise Unavailable(
                    f"{len(self._waiting)} records wait in memory for the journal's database",
                    code="journal.unavailable",
                    hint="Check that PostgreSQL runs and can be reached.",
                )
            table = self._tables.data_segment
            statement = update(table).where(table.c.segment == self.segment).values(flushed=func.now())
            # A commit that waits for the disk takes every earlier one with it.
            with translated(), self._session.begin():
                self._session.execute(text("SET LOCAL synchronous_commit TO on"))
                self._session.execute(statement)

    def close(self) -> None:
        """See `charkh.ports.journal.DataWriter`."""
        with self._keeper.lock:
            self.flush()
            if self._session is not None:
                with translated(), self._session.begin():
                    self._session.execute(select(func.pg_advisory_unlock(self._key())))
            self._session = None

    def _key(self) -> int:
        return lock_key(self._tables.schema, self.segment)

    def _send(self) -> None:
        """Write what waits, as far as the database goes along. Called under the keeper's lock."""
        try:
            with translated():
                session = self._session
                if session is None or not self._keeper.holds(session):
                    session = self._session = self._enter()
                if self._waiting:
                    self._write(session)
        except Unavailable as error:
            self._keeper.lost()
            self._session = None
            if not self._reported:
                self._reported = True
                _log.warning("%s; records are kept in memory up to %d MiB", error, BUFFER_BYTES >> 20)

    def _enter(self) -> Connection:
        """Lock the segment in the keeper's session, and make it where it is not there yet."""
        self._ready()
        connection = self._keeper.connection()
        table = self._tables.data_segment
        with connection.begin():
            if not connection.execute(select(func.pg_try_advisory_lock(self._key()))).scalar_one():
                raise Unavailable("the session that wrote this segment has not ended yet", code="journal.unavailable")
            row = {"segment": self.segment, "header": msgspec.msgpack.encode(self._header), "lock_key": self._key()}
            if self._ordinal == len(self._waiting):
                connection.execute(insert(table).values(row).on_conflict_do_nothing())
        return connection

    def _write(self, connection: Connection) -> None:
        rows = [{"segment": self.segment, "seq": ordinal, "frame": frame} for ordinal, frame in self._waiting]
        try:
            with connection.begin():
                connection.execute(insert(self._tables.data).on_conflict_do_nothing(), rows)
        except DBAPIError as error:
            if sqlstate(error) != FOREIGN_KEY_VIOLATION:
                raise
            self._begin_another()
            return
        self._waiting.clear()
        self._waiting_bytes = 0

    def _begin_another(self) -> None:
        """While the session was lost, somebody sealed the segment: what comes goes into another one."""
        frames = [frame for _ordinal, frame in self._waiting]
        self._header = msgspec.structs.replace(self._header, segment=new_id())
        self._waiting = deque(enumerate(frames))
        self._ordinal = len(frames)
        self._session = self._enter()
        self._write(self._session)


class PostgresData:
    """The data half of a journal port, over PostgreSQL."""

    def __init__(self, engine: Engine, tables: Tables, ready: Callable[[], None]) -> None:
        self._engine = engine
        self._tables = tables
        self._ready = ready
        self._keeper = _Keeper(engine)

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`."""
        self._keeper.__init__(self._engine)

    def open_data(self, header: DataHeader) -> DataWriter:
        """See `charkh.ports.journal.Journal`."""
        parse_id(header.segment)
        return RowDataWriter(self._keeper, self._tables, header, self._ready)

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`."""
        segments, data = self._tables.data_segment, self._tables.data
        size = func.coalesce(func.sum(func.length(data.c.frame)), 0)
        statement = (
            select(
                segments.c.header,
                segments.c.lock_key,
                size.label("size"),
                func.extract("epoch", func.now() - segments.c.flushed).label("silence"),
            )
            .outerjoin(data, data.c.segment == segments.c.segment)
            .group_by(segments.c.segment)
            .order_by(segments.c.segment)
        )
        with translated():
            self._ready()
            with self._engine.connect() as connection:
                held = set(connection.execute(_HELD).scalars())
                rows = connection.execute(statement).all()
        found: list[DataSegment] = []
        for row in rows:
            header = msgspec.msgpack.decode(row.header, type=DataHeader)
            heard = is_received(header) and row.silence is not None and float(row.silence) < LIVE_SECONDS
            found.append(DataSegment(header, int(row.size), heard or row.lock_key in held))
        return found

    def has_data(self, segment: str) -> bool:
        """See `charkh.ports.exchange.DataExchange`."""
        segments = self._tables.data_segment
        with translated():
            self._ready()
            with self._engine.connect() as connection:
                statement = select(segments.c.segment).where(segments.c.segment == parse_id(segment))
                return connection.execute(statement).first() is not None

    def take_data(self, header: DataHeader, start: int, payloads: Sequence[bytes]) -> int:
        """See `charkh.ports.exchange.DataExchange`."""
        check_records(header, payloads)
        segments, data, segment = self._tables.data_segment, self._tables.data, parse_id(header.segment)
        # Not the key that a writer's session holds: nobody holds this segment between two calls.
        key = lock_key(self._tables.schema, f"received {segment}")
        row = {"segment": segment, "header": msgspec.msgpack.encode(header), "lock_key": key, "flushed": func.now()}
        count = select(func.coalesce(func.max(data.c.seq) + 1, 0)).where(data.c.segment == segment)
        with translated():
            self._ready()
            with self._engine.begin() as connection:
                connection.execute(select(func.pg_advisory_xact_lock(key)))
                statement = insert(segments).values(row)
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["segment"], set_={"flushed": func.now()})
                )
                known = int(connection.execute(count).scalar_one())
                fresh = payloads[known - start :] if start <= known else ()
                if fresh:
                    rows = [
                        {"segment": segment, "seq": seq, "frame": encode_frame(payload)}
                        for seq, payload in enumerate(fresh, known)
                    ]
                    connection.execute(insert(data), rows)
                return known + len(fresh)

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        segments = self._tables.data_segment
        with translated():
            self._ready()
            with self._engine.connect() as connection:
                found = connection.execute(select(segments.c.segment).where(segments.c.segment == segment)).first()
        if found is None:
            raise NotFound(
                f"there is no data segment {segment}",
                code="journal.no_segment",
                hint="It has been sealed into blobs meanwhile: read it from there.",
            )
        return self._records(segment, start)

    def drop_data(self, segment: str) -> None:
        """See `charkh.ports.journal.Journal`."""
        table = self._tables.data_segment
        with translated():
            self._ready()
            with self._engine.begin() as connection:
                connection.execute(delete(table).where(table.c.segment == segment))

    def close(self) -> None:
        """End the keeper's session, and with it the locks of segments that were not closed."""
        with self._keeper.lock:
            self._keeper.lost()

    def _records(self, segment: str, start: int) -> Iterator[Record]:
        table = self._tables.data
        while True:
            statement = (
                select(table.c.seq, table.c.frame)
                .where(table.c.segment == segment, table.c.seq >= start)
                .order_by(table.c.seq)
                .limit(READ_ROWS)
            )
            with translated(), self._engine.connect() as connection:
                rows = connection.execute(statement).all()
            for row in rows:
                yield Record(row.seq, payload_of(row.frame, segment))
            if len(rows) < READ_ROWS:
                return
            start = rows[-1].seq + 1


def payload_of(frame: bytes, segment: str) -> bytes:
    """The payload of a stored frame.

    Raises:
        Corrupt: it is not one whole, sound frame.
    """
    scan = scan_frames(frame)
    if len(scan.frames) != 1 or scan.end != len(frame):
        raise Corrupt(
            f"a row of segment {segment} is damaged",
            code="journal.row_damaged",
            hint="Restore the database from a backup.",
            facts={"segment": segment},
        )
    return scan.frames[0].payload
