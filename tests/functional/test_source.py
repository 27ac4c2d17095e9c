"""Data is collected from where it is made: only what is new, as versions that know where they came from."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from tests.functional.conftest import Charkh
from tests.web import Web, status, web_server

SUITE = """
at_most = 0.5
[[rule]]
check = "not_null"
columns = ["b"]
"""


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


def configure(charkh: Charkh, name: str, **said: Any) -> None:
    """Add a source to charkh.toml."""
    lines = [f"[source.{name}]", *(f"{key} = {_toml(value)}" for key, value in said.items())]
    path = charkh.folder / "charkh.toml"
    before = path.read_text() if path.exists() else ""
    path.write_text(before + "\n".join(lines) + "\n")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def fetch(charkh: Charkh, *arguments: str) -> dict[str, Any]:
    (outcome,) = charkh.json("source", "fetch", *arguments)["done"]
    return outcome


def made(charkh: Charkh, ref: str) -> dict[str, Any]:
    return charkh.json("dataset", "show", ref)["version"]["made"]


def rows(charkh: Charkh, ref: str) -> int:
    return made(charkh, ref)["rows"]


def test_a_month_at_a_time_over_http(charkh: Charkh, web: Web) -> None:
    configure(
        charkh,
        "flights",
        kind="http",
        url=web.address + "/{year}-{month:02}.csv",
        values={"year": [2013], "month": "1..12"},
        headers={"Authorization": "env:TOKEN"},
        missing="skip",
        licence="CC-BY-4.0",
    )
    web.files["/2013-01.csv"] = b"a,b\n1,x\n2,y\n"
    assert "TOKEN" in charkh.fails(13, "source", "fetch", "flights")
    first = charkh("source", "fetch", "flights", TOKEN="s3cret-value")
    assert "flights@1 (1 new, 0 changed, 0 gone; 2 rows" in first
    assert "flights: nothing new" in charkh("source", "fetch", "flights", TOKEN="s3cret-value")
    web.files["/2013-02.csv"] = b"a,b\n3,z\n"
    second = charkh("source", "fetch", "flights", TOKEN="s3cret-value")
    assert "flights@2 (1 new, 0 changed, 0 gone; 1 row," in second
    assert rows(charkh, "flights@2") == 3
    assert web.asked[-1][1]["authorization"] == "s3cret-value"
    assert "source.licence = CC-BY-4.0" in charkh("trace", "flights@2")
    stored = [path.read_bytes() for path in (charkh.folder / ".charkh").rglob("*") if path.is_file()]
    assert all(b"s3cret-value" not in content for content in stored)


def test_what_the_settings_say_wrong_is_named(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="http", url="https://example.org/a.csv", header={"A": "b"})
    assert "source.rows.header" in charkh.fails(2, "source", "list")
    (charkh.folder / "charkh.toml").unlink()
    configure(charkh, "rows", kind="htp", url="https://example.org/a.csv")
    assert "kind is one of: files, http, sql, objects, charkh, dlt" in charkh.fails(2, "source", "list")
    (charkh.folder / "charkh.toml").unlink()
    configure(charkh, "rows", kind="http", url="https://ann:s3cret@example.org/a.csv")
    refused = charkh.fails(2, "source", "list")
    assert "credential" in refused
    assert "s3cret" not in refused


def test_files_by_pattern_mirror_their_folder(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="files", paths=["in/**/*.csv"])
    charkh.write("in/2013/jan.csv", "a,b\n1,x\n")
    charkh.write("in/2014/jan.csv", "a,b\n2,y\n")
    outcome = fetch(charkh, "rows")
    assert (outcome["new"], outcome["version"]["made"]["rows"]) == (2, 2)
    charkh.write("in/2014/jan.csv", "a,b\n2,y\n3,z\n")
    (charkh.folder / "in/2013/jan.csv").unlink()
    planned = fetch(charkh, "rows", "--dry-run")
    assert (planned["status"], planned["changed"], planned["gone"]) == ("would fetch", 1, 1)
    outcome = fetch(charkh, "rows")
    assert (outcome["new"], outcome["changed"], outcome["gone"]) == (0, 1, 1)
    assert outcome["version"]["made"]["rows"] == 2
    charkh("dataset", "checkout", "rows", "out")
    assert [path.relative_to(charkh.folder / "out").as_posix() for path in (charkh.folder / "out").rglob("*.csv")] == [
        "2014/jan.csv"
    ]


def test_an_appending_source_keeps_what_came(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="files", paths=["in/*.csv"], mode="append")
    charkh.write("in/day.csv", "a\n1\n")
    fetch(charkh, "rows")
    charkh.write("in/day.csv", "a\n2\n3\n")
    outcome = fetch(charkh, "rows")
    assert (outcome["version"]["made"]["appended"], total(outcome)) == (True, 3)
    (charkh.folder / "in/day.csv").unlink()
    charkh.write("in/next.csv", "a\n4\n")
    assert total(fetch(charkh, "rows")) == 4


def test_a_replacing_source_is_its_last_delivery(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="files", paths=["in/*.csv"], mode="replace")
    charkh.write("in/one.csv", "a\n1\n2\n")
    fetch(charkh, "rows")
    charkh.write("in/two.csv", "a\n3\n")
    assert total(fetch(charkh, "rows")) == 1
    assert rows(charkh, "rows@1") == 2


def test_state_follows_the_version_that_is_there(charkh: Charkh) -> None:
    with contextlib.closing(sqlite3.connect(charkh.folder / "shop.db")) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, price REAL)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(1, 1.5), (2, 2.5)])
    configure(charkh, "orders", kind="sql", url="sqlite:///shop.db", query="SELECT * FROM orders", cursor="id")
    fetch(charkh, "orders")
    with contextlib.closing(sqlite3.connect(charkh.folder / "shop.db")) as database, database:
        database.execute("INSERT INTO orders VALUES (3, 3.5)")
    second = fetch(charkh, "orders")
    assert (rows_of(second), total(second)) == (1, 3)
    # The newest version goes; what it had brought is fetched again, and nothing twice.
    charkh("dataset", "delete", "orders@2")
    again = fetch(charkh, "orders")
    assert (again["version"]["made"]["number"], rows_of(again), total(again)) == (3, 1, 3)
    assert fetch(charkh, "orders")["status"] == "nothing new"
    # Rows added by hand do not move the cursor.
    charkh("dataset", "checkout", "orders", "out")
    one = next(iter(sorted((charkh.folder / "out").glob("*.parquet"))))
    by_hand = one.rename(charkh.folder / "by-hand.parquet")
    charkh("dataset", "add", "orders", by_hand, "--append")
    assert fetch(charkh, "orders")["status"] == "nothing new"
    assert charkh.json("source", "show", "orders")["state"]["cursor"] == "3"
    # All anew: what the source has now, and nothing else.
    assert total(fetch(charkh, "orders", "--full")) == 3


def test_what_a_colleague_fetched_is_not_fetched_again(
    charkh: Charkh, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop = tmp_path_factory.mktemp("shop") / "shop.db"
    with contextlib.closing(sqlite3.connect(shop)) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO orders VALUES (?)", [(1,), (2,)])
    colleague = Charkh(tmp_path_factory.mktemp("colleague"))
    colleague("init")
    for each in (charkh, colleague):
        configure(each, "orders", kind="sql", url=f"sqlite:///{shop}", query="SELECT * FROM orders", cursor="id")
    fetch(colleague, "orders")
    charkh("sync", colleague.folder)
    assert fetch(charkh, "orders")["status"] == "nothing new"
    with contextlib.closing(sqlite3.connect(shop)) as database, database:
        database.execute("INSERT INTO orders VALUES (3)")
    mine = fetch(charkh, "orders")
    assert (mine["version"]["made"]["number"], rows_of(mine), total(mine)) == (2, 1, 3)


@pytest.mark.needs("postgresql")
def test_rows_of_postgresql_by_a_moment(charkh: Charkh, postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(postgres_url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )

    def execute(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    execute("CREATE TABLE visits (id int, at timestamptz, price numeric(8,2))")
    execute(
        "INSERT INTO visits SELECT n, timestamptz '2013-01-01' + n * interval '1 min', n FROM generate_series(1, 500) n"
    )
    configure(
        charkh,
        "visits",
        kind="sql",
        url="env:SHOP",
        query="SELECT * FROM visits",
        cursor="at",
        lag="10m",
        key=["id"],
        batch_rows=200,
    )
    assert "visits@1" in charkh("source", "fetch", "visits", SHOP=postgres_url)
    assert rows(charkh, "visits") == 500
    execute("INSERT INTO visits VALUES (501, '2013-01-01 08:19', 1.25), (502, '2013-01-01 09:00', 2.50)")
    assert "2 rows" in charkh("source", "fetch", "visits", SHOP=postgres_url)
    assert "nothing new" in charkh("source", "fetch", "visits", SHOP=postgres_url)
    schema = dict(made(charkh, "visits")["schema"])
    assert schema["price"] == "Decimal(precision=8, scale=2)"


@pytest.mark.needs("moto")
def test_objects_of_a_bucket(charkh: Charkh, s3_config: dict[str, str]) -> None:
    from obstore.store import S3Store

    bucket = s3_config["bucket"]
    store = S3Store.from_url(f"s3://{bucket}/drop")
    configure(charkh, "drop", kind="objects", url=f"s3://{bucket}/drop", pattern="**/*.csv", mode="append")
    store.put("2013/jan.csv", b"a\n1\n2\n")
    store.put("2013/readme.txt", b"not wanted")
    assert rows_of(fetch(charkh, "drop")) == 2
    assert fetch(charkh, "drop")["status"] == "nothing new"
    store.put("2013/feb.csv", b"a\n3\n")
    outcome = fetch(charkh, "drop")
    assert (outcome["new"], outcome["changed"], total(outcome)) == (1, 0, 3)
    store.put("2013/feb.csv", b"a\n3\n4\n")
    outcome = fetch(charkh, "drop")
    assert (outcome["changed"], total(outcome)) == (1, 5)


def total(outcome: dict[str, Any]) -> int:
    return outcome["version"]["made"]["rows"]


def rows_of(outcome: dict[str, Any]) -> int:
    return outcome["version"]["made"]["batch"]["rows"]


def test_a_dataset_of_another_store(charkh: Charkh, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Charkh(tmp_path_factory.mktemp("other"))
    other("init")
    other.write("jan.csv", "a\n1\n2\n")
    other("dataset", "add", "flights", "jan.csv")
    configure(charkh, "flights", kind="charkh", remote=str(other.folder), ref="flights")
    first = fetch(charkh, "flights")
    assert rows_of(first) == 2
    assert fetch(charkh, "flights")["status"] == "nothing new"
    other.write("feb.csv", "a\n3\n")
    other("dataset", "add", "flights", "feb.csv", "--append")
    theirs = made(other, "flights")["version"]
    second = fetch(charkh, "flights")
    assert (second["new"], total(second)) == (1, 3)
    assert f"dataset:{theirs}" in charkh("trace", "flights")
    assert "no dataset nothing" in charkh_fails_with(charkh, other)


def charkh_fails_with(charkh: Charkh, other: Charkh) -> str:
    configure(charkh, "gone", kind="charkh", remote=str(other.folder), ref="nothing")
    return charkh.fails(13, "source", "fetch", "gone")


def test_checks_look_at_the_new_rows_alone(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="files", paths=["in/*.csv"], mode="append", checks="checks/rows.toml")
    charkh.write("checks/rows.toml", SUITE)
    charkh.write("in/jan.csv", "a,b\n1,x\n2,\n3,y\n")
    charkh.write("in/feb.csv", "a,b\n4,z\n")
    first = fetch(charkh, "rows")
    assert (first["check"]["ran"]["failed_rows"], total(first)) == (1, 3)
    assert rows(charkh, "rows.quarantine") == 1
    # A text stays one, although all of the new ones look like numbers.
    charkh.write("in/mar.csv", "a,b\n5,7\n")
    third = fetch(charkh, "rows")
    assert (third["check"]["ran"]["rows"], total(third)) == (1, 4)
    charkh.write("in/apr.csv", "a,b\n6,\n7,\n")
    assert "not_null" in charkh.fails(4, "source", "fetch", "rows")
    assert rows(charkh, "rows") == 4
    (charkh.folder / "in/apr.csv").write_text("a,b\n6,v\n7,u\n")
    assert rows_of(fetch(charkh, "rows")) == 2
    assert "checks.ok" in charkh("lineage", "why", "rows")


def test_a_recipe_prepares_the_new_rows(charkh: Charkh) -> None:
    recipe = {"steps": [{"op": "drop", "columns": ["b"]}]}
    charkh.write("recipes/rows.json", json.dumps(recipe))
    configure(charkh, "rows", kind="files", paths=["in/*.csv"], recipe="recipes/rows.json")
    charkh.write("in/jan.csv", "a,b\n1,x\n")
    result = charkh.run("source", "fetch", "rows", "--json")
    assert result.returncode == 0, result.stderr
    assert [name for name, _ in made(charkh, "rows")["schema"]] == ["a"]
    assert fetch(charkh, "rows")["status"] == "nothing new"


def test_one_source_that_fails_stops_no_other(charkh: Charkh, web: Web) -> None:
    web.tricks["/a.csv"] = [status(403)] * 9
    web.files["/b.csv"] = b"a\n1\n"
    configure(charkh, "first", kind="http", url=f"{web.address}/a.csv")
    configure(charkh, "second", kind="http", url=f"{web.address}/b.csv")
    result = charkh.run("source", "fetch", "--all")
    assert result.returncode == 3
    assert "second@1" in result.stdout
    assert "first: " in result.stderr
    assert [each["made"]["source"] for each in charkh.json("source", "log")] == ["second"]
    assert [each["name"] for each in charkh.json("source", "list")] == ["first", "second"]


def test_a_source_is_fetched_when_it_is_time_and_a_loop_can_follow(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="files", paths=["in/*.csv"], every="0s")
    charkh.write("in/jan.csv", "a\n1\n")
    printed = charkh.python(
        "from charkh.server.scheduler import Scheduler\n"
        "from charkh.workspace.workspace import open_workspace\n"
        "with open_workspace() as workspace:\n"
        "    scheduler = Scheduler(workspace, 1.0)\n"
        "    scheduler.round()\n"
        "    scheduler.round()\n"
        "    print('done')\n"
    )
    assert "done" in printed
    assert [version["made"]["number"] for version in charkh.json("dataset", "log", "rows")] == [1]


def test_two_fetches_at_once_bring_one_version(charkh: Charkh, web: Web) -> None:
    import subprocess
    import sys

    def slow(handler: Any, content: bytes) -> None:
        time.sleep(1.5)
        handler.serve(content)

    web.files["/a.csv"] = b"a\n1\n"
    web.tricks["/a.csv"] = [slow]
    configure(charkh, "rows", kind="http", url=f"{web.address}/a.csv")
    first = subprocess.Popen(
        [sys.executable, "-m", "charkh", "source", "fetch", "rows"],
        cwd=charkh.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not web.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "being fetched" in charkh.fails(11, "source", "fetch", "rows")
    printed, _ = first.communicate(timeout=60)
    assert "rows@1" in printed
    assert len(charkh.json("source", "log")) == 1


def test_a_source_that_lost_everything_empties_no_dataset(charkh: Charkh) -> None:
    configure(charkh, "rows", kind="files", paths=["in/*.csv"])
    place = charkh.write("in/jan.csv", "a\n1\n")
    fetch(charkh, "rows")
    Path(place).unlink()
    assert "source.empty" in charkh.fails(2, "source", "fetch", "rows", "--json")
    assert rows(charkh, "rows") == 1
