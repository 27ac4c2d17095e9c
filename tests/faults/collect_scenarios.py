"""Fetching a database by a cursor and a folder by its files, and what must be true of both afterwards."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from workspace_scenarios import reopened

from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.workspace.fetching import fetch
from charkh.workspace.workspace import Workspace, open_workspace

Ack = Callable[[str], None]
SETTINGS = """
[source.orders]
kind = "sql"
url = "sqlite:///shop.db"
query = "SELECT id, day FROM orders"
cursor = "day"
lag = "1"
key = ["id"]
batch_rows = 3

[source.files]
kind = "files"
paths = ["in/*.csv"]
"""
ROUNDS = 3
EACH = 5


def play_collect(folder: Path, ack: Ack) -> None:
    """Rows and files appear; each time both sources are fetched."""
    (folder / "charkh.toml").write_text(SETTINGS)
    (folder / "in").mkdir(exist_ok=True)
    for number in range(ROUNDS):
        _appear(folder, number)
        with open_workspace(folder, create=True) as workspace:
            for source in ("orders", "files"):
                outcome = fetch(workspace, source)
                assert outcome.version is not None
                ack(f"fetched {source} {outcome.version.id} {outcome.version.made.rows}")


def check_collect(folder: Path, acked: list[str]) -> None:
    """What was fetched is there; whatever was interrupted, the next fetch ends with each row exactly once."""
    if not (folder / "shop.db").exists():
        return
    with reopened(folder) as workspace:
        for line in acked:
            _, _, version, rows = line.split()
            assert read_table(workspace.store, find_dataset(workspace.store, version)).height == int(rows)
        _appear(folder, ROUNDS)
        for source in ("orders", "files"):
            fetch(workspace, source)
            assert fetch(workspace, source).status == "nothing new"
        with contextlib.closing(sqlite3.connect(folder / "shop.db")) as database:
            expected = sorted(database.execute("SELECT id, day FROM orders"))
        assert _rows(workspace, "orders") == expected
        lines = [line for path in (folder / "in").glob("*.csv") for line in path.read_text().splitlines()[1:]]
        assert _rows(workspace, "files") == sorted((int(line),) for line in lines)


def _appear(folder: Path, number: int) -> None:
    """Rows of a day, one of them with the day before's value, and a file that is renamed into its place."""
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, day INTEGER)")
        rows = [(number * EACH + each, number - (each == 0)) for each in range(EACH)]
        database.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?)", rows)
    partial = folder / f"{number}.partial"
    partial.write_text("a\n" + "".join(f"{number * EACH + each}\n" for each in range(EACH)))
    partial.replace(folder / "in" / f"{number}.csv")


def _rows(workspace: Workspace, name: str) -> list[tuple[int, ...]]:
    return sorted(read_table(workspace.store, find_dataset(workspace.store, name)).rows())
