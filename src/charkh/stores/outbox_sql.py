"""The outbox in SQL: a SQLite file beside a store in a folder, or tables beside a team's journal in PostgreSQL."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from charkh.core.errors import Locked
from charkh.ports.folding import insert_into
from charkh.ports.outbox import Attempt, Delivery, Parcel, State
from charkh.stores.folder_lock import FolderLock
from charkh.stores.sql_engine import postgres_engine, sqlite_engine

_metadata = MetaData()
_state = Table(
    "outbox_state",
    _metadata,
    Column("key", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
_items = Table(
    "outbox_item",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("target", String, nullable=False),
    Column("message", String, nullable=False),
    Column("event", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("content_type", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("queued", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    UniqueConstraint("target", "message"),
    Index("outbox_waiting", "target", "state", "subject", "number"),
)
_attempts = Table(
    "outbox_attempt",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("status", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("error", String, nullable=False),
)
PLACE = "place"
LOCK_NUMBER = 0x63686B6F
"""Of the advisory lock in PostgreSQL."""

Lead = Callable[[], AbstractContextManager[bool]]


class SqlOutbox:
    """See `charkh.ports.outbox.Outbox`. Threads may share it.

    Args:
        engine: where the tables are.
        lead: how one process at a time becomes the one who delivers.
    """

    def __init__(self, engine: Engine, lead: Lead) -> None:
        self._engine = engine
        self._writing = engine.execution_options(charkh_write=True)
        self.lead = lead
        with self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                # Two servers that start at once must not both make the tables.
                connection.execute(select(func.pg_advisory_xact_lock(LOCK_NUMBER + 1)))
            _metadata.create_all(connection)

    def place(self) -> Mapping[str, int]:
        """See `charkh.ports.outbox.Outbox`."""
        with self._engine.begin() as connection:
            value = connection.execute(select(_state.c.value).where(_state.c.key == PLACE)).scalar()
        return {} if value is None else msgspec.msgpack.decode(value, type=dict[str, int])

    def put(self, parcels: Sequence[Parcel], place: Mapping[str, int], *, now: float) -> int:
        """See `charkh.ports.outbox.Outbox`."""
        new = 0
        with self._writing.begin() as connection:
            statement = insert_into(connection, _items).on_conflict_do_nothing().returning(_items.c.number)
            for parcel in parcels:
                fresh = {"state": "pending", "queued": now, "due": now, "attempts": 0}
                new += len(connection.execute(statement.values(**msgspec.structs.asdict(parcel), **fresh)).all())
            keeping = insert_into(connection, _state).values(key=PLACE, value=msgspec.msgpack.encode(dict(place)))
            connection.execute(
                keeping.on_conflict_do_update(index_elements=["key"], set_={"value": keeping.excluded.value})
            )
        return new

    def keep(self, key: str, value: str) -> str:
        """See `charkh.ports.outbox.Outbox`."""
        key = f"kept:{key}"
        with self._writing.begin() as connection:
            fresh = insert_into(connection, _state).values(key=key, value=value.encode())
            connection.execute(fresh.on_conflict_do_nothing())
            kept = connection.execute(select(_state.c.value).where(_state.c.key == key)).scalar_one()
        return bytes(kept).decode()

    def due(self, target: str, now: float, limit: int) -> Sequence[Delivery]:
        """See `charkh.ports.outbox.Outbox`."""
        first = (
            select(func.min(_items.c.number))
            .where(_items.c.target == target, _items.c.state == "pending")
            .group_by(_items.c.subject)
        )
        wanted = (_items.c.number.in_(first), _items.c.due <= now)
        return self._found(*wanted, order=_items.c.number, limit=limit)

    def pending(self) -> Mapping[str, float]:
        """See `charkh.ports.outbox.Outbox`."""
        statement = (
            select(_items.c.target, func.min(_items.c.due)).where(_items.c.state == "pending").group_by(_items.c.target)
        )
        with self._engine.begin() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def note(self, number: int, attempt: Attempt, state: State, due: float) -> None:
        """See `charkh.ports.outbox.Outbox`."""
        with self._writing.begin() as connection:
            ordinal = _last_ordinal(connection, number) + 1
            told = msgspec.structs.asdict(attempt)
            connection.execute(insert(_attempts).values(number=number, ordinal=ordinal, **told))
            connection.execute(
                update(_items)
                .where(_items.c.number == number)
                .values(state=state, due=due, attempts=_items.c.attempts + 1)
            )

    def again(self, target: str, message: str, now: float) -> int:
        """See `charkh.ports.outbox.Outbox`."""
        which = _items.c.message == message if message else _items.c.state == "dead"
        with self._writing.begin() as connection:
            statement = update(_items).where(_items.c.target == target, which)
            return connection.execute(statement.values(state="pending", due=now, attempts=0)).rowcount

    def history(self, target: str, limit: int, *, state: str = "") -> Sequence[Delivery]:
        """See `charkh.ports.outbox.Outbox`."""
        wanted = [_items.c.target == target, *([_items.c.state == state] if state else [])]
        return self._found(*wanted, order=_items.c.number.desc(), limit=limit)

    def attempts(self, number: int) -> Sequence[Attempt]:
        """See `charkh.ports.outbox.Outbox`."""
        statement = select(_attempts).where(_attempts.c.number == number).order_by(_attempts.c.ordinal)
        with self._engine.begin() as connection:
            return [_attempt(row) for row in connection.execute(statement)]

    def drop(self, target: str) -> None:
        """See `charkh.ports.outbox.Outbox`."""
        with self._writing.begin() as connection:
            _delete(connection, _items.c.target == target)

    def trim(self, keep: int) -> None:
        """See `charkh.ports.outbox.Outbox`."""
        with self._writing.begin() as connection:
            for target in connection.execute(select(_items.c.target).distinct()).scalars().all():
                done = and_(_items.c.target == target, _items.c.state != "pending")
                numbers = select(_items.c.number).where(done).order_by(_items.c.number.desc())
                oldest = connection.execute(numbers.offset(keep).limit(1)).scalar()
                if oldest is not None:
                    _delete(connection, and_(done, _items.c.number <= oldest))

    def close(self) -> None:
        """See `charkh.ports.outbox.Outbox`."""
        self._engine.dispose()

    def _found(self, *wanted: Any, order: Any, limit: int) -> Sequence[Delivery]:
        newest = (
            select(_attempts.c.number, func.max(_attempts.c.ordinal).label("ordinal"))
            .group_by(_attempts.c.number)
            .subquery()
        )
        last = and_(_attempts.c.number == newest.c.number, _attempts.c.ordinal == newest.c.ordinal)
        statement = (
            select(_items, _attempts.c.at, _attempts.c.status, _attempts.c.seconds, _attempts.c.error)
            .join(newest, newest.c.number == _items.c.number, isouter=True)
            .join(_attempts, last, isouter=True)
            .where(*wanted)
            .order_by(order)
            .limit(limit)
        )
        with self._engine.begin() as connection:
            return [_delivery(row) for row in connection.execute(statement)]


def folder_outbox(folder: Path) -> SqlOutbox:
    """The outbox of a store in a folder."""
    lock = FolderLock(folder / "outbox.lock")

    @contextmanager
    def lead() -> Generator[bool]:
        try:
            held = lock.held(0.0)
            held.__enter__()
        except Locked:
            yield False
            return
        try:
            yield True
        finally:
            held.__exit__(None, None, None)

    return SqlOutbox(sqlite_engine(folder / "outbox.sqlite"), lead)


def postgres_outbox(address: str) -> SqlOutbox:
    """The outbox of a team: whoever holds the advisory lock delivers, and loses it with its connection.

    Raises:
        Unavailable: the extra is not installed.
    """
    # Each statement sees what others committed: a letter that is sent again while its attempt is written down is
    # no reason to fail.
    engine = postgres_engine(address).execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def lead() -> Generator[bool]:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            got = bool(connection.execute(select(func.pg_try_advisory_lock(LOCK_NUMBER))).scalar())
            try:
                yield got
            finally:
                if got:
                    connection.execute(select(func.pg_advisory_unlock(LOCK_NUMBER)))

    return SqlOutbox(engine, lead)


def _delete(connection: Connection, which: Any) -> None:
    numbers = select(_items.c.number).where(which)
    connection.execute(delete(_attempts).where(_attempts.c.number.in_(numbers)))
    connection.execute(delete(_items).where(which))


def _last_ordinal(connection: Connection, number: int) -> int:
    statement = select(func.max(_attempts.c.ordinal)).where(_attempts.c.number == number)
    return connection.execute(statement).scalar() or 0


def _delivery(row: Any) -> Delivery:
    fields = {field: getattr(row, field) for field in Parcel.__struct_fields__}
    return Delivery(
        number=row.number,
        parcel=Parcel(**fields),
        state=row.state,
        queued=row.queued,
        due=row.due,
        attempts=row.attempts,
        last=None if row.at is None else _attempt(row),
    )


def _attempt(row: Any) -> Attempt:
    return Attempt(at=row.at, status=row.status, seconds=row.seconds, error=row.error)
