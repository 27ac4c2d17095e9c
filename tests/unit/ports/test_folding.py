"""Few rows and many take different ways into the database and come to the same."""

from typing import Any

import pytest
from sqlalchemy import JSON, Column, Engine, Float, LargeBinary, MetaData, String, Table, select

from charkh.ports.folding import MANY_ROWS, add_rows, keep_rows
from charkh.stores.sql_engine import postgres_engine, sqlite_engine

METADATA = MetaData()
THINGS = Table(
    "thing",
    METADATA,
    Column("id", String, primary_key=True),
    Column("value", JSON),
    Column("number", Float),
    Column("body", LargeBinary),
    Column("stamp", String),
)


def row(number: int, stamp: str) -> dict[str, Any]:
    value = [1.5, "a", None, {"b": True}, [number]][number % 5]
    return {
        "id": f"{number:04d}",
        "value": value,
        "number": number / 3 if number % 7 else None,
        "body": bytes([number % 256, 0, 255]),
        "stamp": stamp,
    }


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        rows = connection.execute(select(THINGS).order_by(THINGS.c.id)).all()
    return [(each.id, each.value, each.number, bytes(each.body), each.stamp) for each in rows]


def check(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
        rows = [row(number, "2") for number in range(count)]
        add_rows(connection, THINGS, rows)
        add_rows(connection, THINGS, [{**each, "number": -1.0} for each in rows])
    assert stored(engine) == [tuple(each.values()) for each in rows]
    for stamp, keep, wins in (("1", "latest", False), ("3", "latest", True), ("4", "earliest", False)):
        later = [{**row(number, stamp), "value": stamp} for number in range(0, count, 2)]
        before = stored(engine)
        with engine.begin() as connection:
            keep_rows(connection, THINGS, later, stamp="stamp", keep=keep)  # pyright: ignore[reportArgumentType]
        expected = [
            tuple(later[number // 2].values()) if wins and not number % 2 else each
            for number, each in enumerate(before)
        ]
        assert stored(engine) == expected


@pytest.mark.parametrize("count", [0, 1, MANY_ROWS - 1, 2 * MANY_ROWS, 500])
def test_sqlite(count: int) -> None:
    engine = sqlite_engine(None)
    check(engine, count)
    engine.dispose()


@pytest.mark.needs("postgresql")
def test_postgresql(postgres_url: str) -> None:
    engine = postgres_engine(postgres_url)
    for count in (1, 2 * MANY_ROWS):
        check(engine, count)
    engine.dispose()
