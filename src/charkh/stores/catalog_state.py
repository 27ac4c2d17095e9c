"""The catalog's own tables: versions of projections, the cursor, what was decided, what could not be read."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    inspect,
    select,
)

from charkh.core.events import Event, Recorded, decode_event
from charkh.ports.folding import add_rows
from charkh.ports.journal import Cursor
from charkh.ports.projections import Projection

_metadata = MetaData()
_projections = Table(
    "catalog_projection",
    _metadata,
    Column("name", String, primary_key=True),
    Column("version", String, nullable=False),
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


def is_prepared(connection: Connection, projections: Iterable[Projection]) -> bool:
    """Whether the tables of every projection are there in the version that the code has."""
    if not inspect(connection).has_table(_projections.name):
        return False
    known = _versions(connection)
    return all(known.get(each.name) == _version(each) for each in projections)


def make_tables(connection: Connection, projections: Iterable[Projection]) -> Sequence[Projection]:
    """Create what is missing, empty the tables of projections whose version changed, and return those."""
    _metadata.create_all(connection)
    known = _versions(connection)
    changed = [each for each in projections if known.get(each.name) != _version(each)]
    for each in changed:
        each.tables.drop_all(connection)
        each.tables.create_all(connection)
        connection.execute(delete(_set_aside).where(_set_aside.c.projection == each.name))
        connection.execute(delete(_projections).where(_projections.c.name == each.name))
        connection.execute(_projections.insert(), {"name": each.name, "version": _version(each)})
    return changed


def forget(connection: Connection) -> None:
    """Empty the catalog's own tables, so that everything is made and folded anew."""
    _metadata.create_all(connection)
    for table in _metadata.sorted_tables:
        connection.execute(delete(table))


def read_cursor(connection: Connection) -> dict[str, int]:
    """How far the journal is folded."""
    return {row.source: row.position for row in connection.execute(select(_cursor))}


def write_cursor(connection: Connection, cursor: Cursor) -> None:
    """Say how far the journal is folded, in the transaction of the folds."""
    connection.execute(delete(_cursor))
    if cursor:
        connection.execute(_cursor.insert(), [{"source": key, "position": value} for key, value in cursor.items()])


def keep_decided(connection: Connection, recorded: Iterable[Recorded]) -> None:
    """Remember the events that carry an idempotency key."""
    rows = [
        {"event_id": item.event.id, "key": item.event.key, "payload": item.payload}
        for item in recorded
        if item.event.key
    ]
    add_rows(connection, _decided, rows)


def decided_before(connection: Connection, key: str) -> tuple[Event, ...]:
    """The events of the decision that was taken under this key, in the order in which they were made."""
    if not key:
        return ()
    rows = connection.execute(select(_decided.c.payload).where(_decided.c.key == key)).scalars()
    return tuple(sorted((decode_event(payload) for payload in rows), key=lambda event: event.stamp))


def put_aside(connection: Connection, event: str, projection: str, reason: str) -> None:
    """Note an event that could not be read; `projection` is empty when nobody could."""
    add_rows(connection, _set_aside, [{"event_id": event, "projection": projection, "reason": reason}])


def set_aside_rows(connection: Connection) -> list[tuple[str, str, str]]:
    """What was put aside: (event id, projection, reason)."""
    rows = connection.execute(select(_set_aside)).all()
    return sorted((row.event_id, row.projection, row.reason) for row in rows)


def _version(projection: Projection) -> str:
    """What the tables were folded by: a kind that was unknown then, and is known now, is folded from the start too."""
    return " ".join((str(projection.version), *sorted(projection.kinds or ())))


def _versions(connection: Connection) -> Mapping[str, str]:
    return {row.name: row.version for row in connection.execute(select(_projections))}
