"""The two writes of a fold that do not depend on order: add to a set, keep the latest.

SQLite and PostgreSQL alike. A table that gathers several independent facts about one thing has one
stamp column for each (`Event.stamp`: clock and id, a total order).
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, cast

from sqlalchemy import Connection, Float, Insert, LargeBinary, Table, or_
from sqlalchemy.dialects import sqlite

Row = Mapping[str, Any]

MANY_ROWS = 64
"""From so many rows on it pays to compile a statement for them."""


def add_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows whose primary key is not there yet."""
    if rows:
        insert_rows(connection, insert_into(connection, table).on_conflict_do_nothing(), rows)


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
    statement = insert_into(connection, table)
    keys = [column.name for column in table.primary_key]
    columns = [name for name in rows[0] if name not in keys]
    old, new = table.c[stamp], statement.excluded[stamp]
    better = new > old if keep == "latest" else new < old
    upsert = statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: statement.excluded[name] for name in columns},
        where=or_(old.is_(None), better),
    )
    insert_rows(connection, upsert, rows)


def insert_rows(connection: Connection, statement: Insert, rows: Sequence[Row]) -> None:
    """Run an insert for rows that all have the same columns.

    Many rows go to the driver at once, which halves the time of a large fold: the statement is compiled here,
    and values pass through their column's own conversion where it has one.
    """
    if len(rows) < MANY_ROWS:
        connection.execute(statement, list(rows))
        return
    dialect, names = connection.dialect, list(rows[0])
    compiled = statement.compile(dialect=dialect, column_keys=names)
    columns = cast(Table, statement.table).c
    # Bytes and floats go to both drivers as they are.
    types = {name: columns[name].type for name in names if not isinstance(columns[name].type, LargeBinary | Float)}
    converters = {name: kind.dialect_impl(dialect).bind_processor(dialect) for name, kind in types.items()}
    converting = {name: convert for name, convert in converters.items() if convert is not None}
    ready: Sequence[Row] = rows
    if converting:
        ready = [{**row, **{name: convert(row[name]) for name, convert in converting.items()}} for row in rows]
    order = compiled.positiontup if compiled.positional else None
    if order is None:
        connection.exec_driver_sql(str(compiled), [dict(row) for row in ready])
    elif len(order) == 1:
        connection.exec_driver_sql(str(compiled), [(row[order[0]],) for row in ready])
    else:
        connection.exec_driver_sql(str(compiled), list(map(itemgetter(*order), ready)))


def insert_into(connection: Connection, table: Table) -> Any:
    """An insert that can say what to do on a conflict, in the dialect of the connection."""
    if connection.dialect.name == "postgresql":
        # Here, because it loads asyncio, and a script with a store in a folder should not wait for that.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)
