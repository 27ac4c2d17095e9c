"""The two writes of a fold that do not depend on order: add to a set, keep the latest.

SQLite and PostgreSQL alike. A table that gathers several independent facts about one thing has one
stamp column for each (`Event.stamp`: clock and id, a total order).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Table, or_
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def add_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows whose primary key is not there yet."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def keep_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    stamp: str,
    keep: Literal["latest", "earliest"] = "latest",
) -> None:
    """Upsert rows by primary key: of two for one key, the one with the greatest (or least) stamp stays.

    All rows have the same columns; columns that they do not name are left as they are.
    """
    if not rows:
        return
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    columns = [name for name in rows[0] if name not in keys]
    old, new = table.c[stamp], statement.excluded[stamp]
    better = new > old if keep == "latest" else new < old
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=keys,
            set_={name: statement.excluded[name] for name in columns},
            where=or_(old.is_(None), better),
        ),
        list(rows),
    )


def _insert(connection: Connection, table: Table) -> Any:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
