"""SQL sources on SQLite and the real PostgreSQL: types, cursors, ties, late rows, and bounded parts."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.source_settings import SqlSource
from charkh.sources.collecting import Collected
from charkh.sources.source import State, cursor_of, decode_state, encode_state
from charkh.sources.sql import SqlCollector
from charkh.sources.sql_cursor import CursorWindow, reduced
from charkh.sources.staging import Staging

Execute = Callable[..., None]


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    folder = tmp_path / "staging"
    folder.mkdir()
    return Staging(folder)


@pytest.fixture
def database(tmp_path: Path) -> Execute:
    """Runs a statement against `rows.db`."""

    def execute(statement: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        with sqlite3.connect(tmp_path / "rows.db") as connection:
            connection.executemany(statement, rows) if rows else connection.execute(statement)
        connection.close()

    execute("CREATE TABLE visits (id INTEGER, at INTEGER, note TEXT)")
    return execute


def collect(folder: Path, staging: Staging, state: State | None = None, **said: Any) -> Collected:
    given = {"url": "sqlite:///rows.db", "query": "SELECT id, at, note FROM visits", **said}
    collector = SqlCollector(SqlSource(**given), {"SECRET": "s3cret-value"}, folder)
    return collector.collect(state or State(), staging, dry_run=False, progress=None)


def rows_of(found: Collected) -> pl.DataFrame:
    places = [arrival.place for arrival in found.arrivals if arrival.place is not None]
    assert len(places) == len(found.arrivals)
    return pl.concat([pl.read_parquet(place) for place in places]) if places else pl.DataFrame()


def after(found: Collected) -> State:
    """The state as the next fetch reads it."""
    return decode_state(encode_state(found.state))


def test_a_cursor_brings_only_what_came_later(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 10, "a"), (2, 20, "b")])
    first = collect(tmp_path, staging, cursor="at")
    assert rows_of(first)["id"].to_list() == [1, 2]
    assert collect(tmp_path, staging, after(first), cursor="at").arrivals == ()
    database("INSERT INTO visits VALUES (?, ?, ?)", [(3, 30, "c")])
    assert rows_of(collect(tmp_path, staging, after(first), cursor="at"))["id"].to_list() == [3]


def test_a_row_with_the_last_value_is_not_lost(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 10, "a"), (2, 20, "b")])
    first = collect(tmp_path, staging, cursor="at")
    database("INSERT INTO visits VALUES (?, ?, ?)", [(3, 20, "as late as the last")])
    second = collect(tmp_path, staging, after(first), cursor="at")
    assert rows_of(second)["id"].to_list() == [3]
    assert collect(tmp_path, staging, after(second), cursor="at").arrivals == ()


def test_a_late_row_within_the_lag_comes_once(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 10, "a"), (2, 20, "b")])
    said = {"cursor": "at", "lag": "15", "key": ("id",)}
    first = collect(tmp_path, staging, **said)
    database("INSERT INTO visits VALUES (?, ?, ?)", [(3, 12, "late"), (4, 30, "new"), (5, 2, "too late")])
    second = collect(tmp_path, staging, after(first), **said)
    assert sorted(rows_of(second)["id"].to_list()) == [3, 4]
    assert collect(tmp_path, staging, after(second), **said).arrivals == ()


def test_a_changed_row_with_a_new_cursor_comes_again(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 10, "a"), (2, 20, "b")])
    said = {"cursor": "at", "lag": "100", "key": ("id",)}
    first = collect(tmp_path, staging, **said)
    database("UPDATE visits SET at = 25, note = 'mended' WHERE id = 1")
    assert rows_of(collect(tmp_path, staging, after(first), **said)).rows() == [(1, 25, "mended")]


def test_large_results_come_in_parts_of_one_type(tmp_path: Path, staging: Staging, database: Execute) -> None:
    rows = [(number, number, None if number < 50 else "x") for number in range(100)]
    database("INSERT INTO visits VALUES (?, ?, ?)", rows)
    found = collect(tmp_path, staging, cursor="at", batch_rows=30)
    assert len(found.arrivals) == 4
    schemas = {tuple(pl.read_parquet_schema(arrival.place or "").items()) for arrival in found.arrivals}
    assert schemas == {(("id", pl.Int64()), ("at", pl.Int64()), ("note", pl.String()))}
    assert rows_of(found).height == 100


def test_a_snapshot_says_which_parts_changed(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(number, number, "x") for number in range(20)])
    said = {"query": "SELECT * FROM visits ORDER BY id", "batch_rows": 10}
    first = collect(tmp_path, staging, **said)
    known = State(items={arrival.item.key: arrival.item for arrival in first.arrivals})
    second = collect(tmp_path, staging, known, **said)
    assert (second.arrivals, len(second.kept), second.gone) == ((), 2, ())
    database("DELETE FROM visits WHERE id >= 9")
    third = collect(tmp_path, staging, known, **said)
    assert [(arrival.item.rows, arrival.changed) for arrival in third.arrivals] == [(9, True)]
    assert [item.key for item in third.gone] == ["rows-00001"]


def test_a_snapshot_that_is_appended_comes_whole_when_it_changed(
    tmp_path: Path, staging: Staging, database: Execute
) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 1, "x")])
    first = collect(tmp_path, staging, mode="append")
    known = State(items={arrival.item.key: arrival.item for arrival in first.arrivals})
    assert collect(tmp_path, staging, known, mode="append").arrivals == ()
    database("INSERT INTO visits VALUES (?, ?, ?)", [(2, 2, "y")])
    assert rows_of(collect(tmp_path, staging, known, mode="append")).height == 2


def test_a_colon_and_a_percent_sign_of_the_query_are_its_own(
    tmp_path: Path, staging: Staging, database: Execute
) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 10, "at :noon, 100%"), (2, 20, "else")])
    query = "SELECT * FROM visits WHERE note LIKE '%:noon, 100%' -- a remark"
    assert rows_of(collect(tmp_path, staging, query=query, cursor="at"))["id"].to_list() == [1]


def test_a_query_cannot_write(tmp_path: Path, staging: Staging, database: Execute) -> None:
    with pytest.raises((Invalid, Unavailable)):
        collect(tmp_path, staging, query="DELETE FROM visits")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"query": "SELECT nothing FROM visits"}, "source.database"),
        ({"query": "SELECT id, id FROM visits"}, "source.same_column"),
        ({"cursor": "nowhere"}, "source.database"),
        ({"cursor": "at", "key": ("nowhere",)}, "source.no_column"),
        ({"cursor": "at", "lag": "1h"}, "source.lag"),
    ],
)
def test_what_cannot_be_asked_is_said(
    tmp_path: Path, staging: Staging, database: Execute, said: dict[str, Any], code: str
) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, 10, "a"), (2, 20, "b")])
    with pytest.raises((Invalid, Unavailable)) as raised:
        collect(tmp_path, staging, **said)
    assert raised.value.code == code


def test_a_row_without_a_cursor_is_refused(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("INSERT INTO visits VALUES (?, ?, ?)", [(1, None, "a")])
    with pytest.raises(Invalid) as raised:
        collect(tmp_path, staging, cursor="at")
    assert raised.value.code == "source.cursor_missing"


def test_a_column_of_several_kinds_is_refused(tmp_path: Path, staging: Staging, database: Execute) -> None:
    database("CREATE TABLE mixed (x)")
    database("INSERT INTO mixed VALUES (?)", [(1,), ("one",)])
    with pytest.raises(Invalid) as raised:
        collect(tmp_path, staging, query="SELECT x FROM mixed")
    assert raised.value.code == "source.mixed_types"


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, staging: Staging) -> None:
    with pytest.raises(NotFound):
        collect(tmp_path, staging, url="sqlite:///nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_a_dialect_that_is_not_installed_is_named(tmp_path: Path, staging: Staging) -> None:
    with pytest.raises(Unavailable) as raised:
        collect(tmp_path, staging, url="nosuch://host/db")
    assert raised.value.code == "source.no_driver"


def test_the_address_holds_no_password(tmp_path: Path) -> None:
    source = SqlSource(url="postgresql://reader@db.example/sales?x=1", password="env:SECRET", query="SELECT 1")
    shown = SqlCollector(source, {"SECRET": "s3cret-value"}, tmp_path).address
    assert shown == "postgresql+psycopg://reader@db.example/sales"


NOW = datetime(2013, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TYPES: dict[str, tuple[str, Any, pl.DataType]] = {
    "yes": ("boolean", True, pl.Boolean()),
    "small": ("smallint", 7, pl.Int16()),
    "whole": ("integer", 7, pl.Int32()),
    "large": ("bigint", 2**40, pl.Int64()),
    "single": ("real", 0.5, pl.Float32()),
    "double": ("double precision", 0.1, pl.Float64()),
    "money": ("numeric(12,2)", Decimal("12345678.90"), pl.Decimal(12, 2)),
    "exact": ("numeric", Decimal("1.2345678901234567890123"), pl.Decimal(38, 22)),
    "word": ("text", "چرخ", pl.String()),
    "bounded": ("varchar(10)", "ten", pl.String()),
    "raw": ("bytea", b"\x00\xff", pl.Binary()),
    "day": ("date", date(2013, 1, 2), pl.Date()),
    "hour": ("time", time(3, 4, 5), pl.Time()),
    "local": ("timestamp", NOW.replace(tzinfo=None), pl.Datetime("us")),
    "moment": ("timestamptz", NOW, pl.Datetime("us", "UTC")),
    "span": ("interval", timedelta(days=1, seconds=2), pl.Duration("us")),
    "many": ("integer[]", [1, 2], pl.List(pl.Int32())),
}


@pytest.mark.needs("postgresql")
def test_the_types_of_postgresql_are_kept(tmp_path: Path, staging: Staging, postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(postgres_url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )
    columns = ", ".join(f"{name} {declared}" for name, (declared, _, _) in TYPES.items())
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE TABLE kinds ({columns}, said jsonb, id uuid)"))
        values = {name: value for name, (_, value, _) in TYPES.items()}
        names = ", ".join(values)
        places = ", ".join(f":{name}" for name in values)
        more = "'{\"a\": [1, null]}', '12345678-1234-5678-1234-567812345678'"
        connection.execute(sqlalchemy.text(f"INSERT INTO kinds ({names}, said, id) VALUES ({places}, {more})"), values)
        connection.execute(sqlalchemy.text("INSERT INTO kinds (yes, said) VALUES (null, '\"text\"')"))
    found = rows_of(collect(tmp_path, staging, url=postgres_url, query="SELECT * FROM kinds ORDER BY small NULLS LAST"))
    assert {name: found.schema[name] for name in TYPES} == {name: dtype for name, (_, _, dtype) in TYPES.items()}
    assert {name: found.row(0, named=True)[name] for name in TYPES} == {
        name: each for name, (_, each, _) in TYPES.items()
    }
    assert found["said"].to_list() == ['{"a": [1, null]}', '"text"']
    assert found["id"].to_list() == ["12345678-1234-5678-1234-567812345678", None]
    assert found.row(1)[: len(TYPES)] == (None,) * len(TYPES)


@pytest.mark.needs("postgresql")
def test_a_cursor_of_moments_in_postgresql(tmp_path: Path, staging: Staging, postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(postgres_url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )

    def execute(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    execute("CREATE SEQUENCE counter")
    execute('CREATE TABLE orders (id int PRIMARY KEY, "Changed At" timestamptz)')
    execute(
        "INSERT INTO orders SELECT n, timestamptz '2013-01-01' + n * interval '1 hour' FROM generate_series(1, 5) n"
    )
    said = {
        "url": postgres_url,
        "query": 'SELECT id, "Changed At" FROM orders WHERE id::int > 0',
        "cursor": "Changed At",
        "lag": "2h",
        "key": ("id",),
    }
    first = collect(tmp_path, staging, batch_rows=2, **said)
    assert rows_of(first)["id"].to_list() == [1, 2, 3, 4, 5]
    execute("INSERT INTO orders VALUES (6, '2013-01-01 03:30'), (7, '2013-01-01 06:00'), (8, '2013-01-01 00:10')")
    # A session in another zone sees the same moments.
    execute("ALTER ROLE CURRENT_USER SET timezone TO 'Asia/Tehran'")
    second = collect(tmp_path, staging, after(first), **said)
    assert rows_of(second)["id"].to_list() == [6, 7]
    assert collect(tmp_path, staging, after(second), **said).arrivals == ()
    with pytest.raises((Invalid, Unavailable), match="read-only"):
        collect(tmp_path, staging, url=postgres_url, query="SELECT nextval('counter') AS n")
    execute("ALTER ROLE CURRENT_USER RESET timezone")


def test_nobody_listening_is_said_without_the_password(tmp_path: Path, staging: Staging) -> None:
    with pytest.raises(Unavailable) as raised:
        collect(
            tmp_path, staging, url="postgresql://reader@127.0.0.1:9/sales", password="env:SECRET", query="SELECT 1 AS x"
        )
    assert raised.value.code == "source.database"
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "lag", "expected"),
    [
        (datetime(2013, 1, 1, 2), "90m", datetime(2013, 1, 1, 0, 30)),
        (date(2013, 1, 2), "1d", date(2013, 1, 1)),
        (date(2013, 1, 2), "1h", date(2013, 1, 1)),
        (100, "30", 70),
        (1.5, "0.5", 1.0),
        (Decimal("2.50"), "0.25", Decimal("2.25")),
        ("2013-01-01 02:00:00", "1h", "2013-01-01 01:00:00"),
        ("2013-01-01T02:00:00.500000", "1h", "2013-01-01T01:00:00.500000"),
        ("2013-01-02", "1d", "2013-01-01"),
        ("anything", "", "anything"),
    ],
)
def test_a_lag_is_taken_off_a_value_of_its_own_kind(value: Any, lag: str, expected: Any) -> None:
    assert reduced(value, lag, "at") == expected
    assert type(reduced(value, lag, "at")) is type(value)


@pytest.mark.parametrize("value", [7, 0.1, "x", Decimal("1.20"), date(2013, 1, 2), NOW, NOW.replace(tzinfo=None)])
def test_a_cursor_is_read_as_it_was_written(value: Any) -> None:
    window = CursorWindow("at", ["at"], (), "", State())
    window.fresh([(value,)])
    read = cursor_of(decode_state(encode_state(window.state(State()))))
    assert (type(read), read) == (type(value), value)


@settings(max_examples=150)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=6), min_size=1, max_size=6),
    st.integers(0, 4),
)
def test_whatever_comes_within_the_lag_comes_once(batches: list[list[tuple[int, int]]], lag: int) -> None:
    """Rows appear in any order, each no later than the lag allows; every one of them comes exactly once."""
    table: list[tuple[int, int]] = []
    state, came = State(), list[tuple[int, int]]()
    for batch in batches:
        top = max((at for at, _ in table), default=0)
        fresh = [(at + top - lag, number) if at + top >= lag else (top, number) for at, number in batch]
        table += [row for row in dict.fromkeys(fresh) if row not in table and row[0] >= top - lag]
        last = cursor_of(state)
        bound = -(10**9) if last is None else reduced(last, str(lag) if lag else "", "at")
        asked = sorted(row for row in table if row[0] >= bound)  # pyright: ignore[reportOperatorIssue]
        window = CursorWindow("at", ["at", "number"], (), str(lag) if lag else "", state)
        came += [(row[0], row[1]) for row in window.fresh(asked)]
        state = window.state(state)
    assert sorted(came) == sorted(table)
