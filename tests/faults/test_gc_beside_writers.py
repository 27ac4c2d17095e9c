"""Collecting and forgetting beside processes that add and delete: what was acknowledged stays, what was erased goes."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from charkh.assets.verify import verify
from charkh.core.errors import Conflict, Denied, Locked
from charkh.datasets.add import add_files, add_table
from charkh.datasets.delete import delete
from charkh.datasets.find import find
from charkh.datasets.index import DatasetVersions
from charkh.datasets.read import read_table
from charkh.datasets.selection import Selection
from charkh.lineage.index import HeldDigests
from charkh.workspace.collecting import collect_garbage
from charkh.workspace.forget_verify import verify_forgotten
from charkh.workspace.forgetting import forget
from charkh.workspace.workspace import open_workspace

WRITERS = 3
ROUNDS = 6
ANN = "ann.smith@example.org"
SELECTION = Selection(column="email", values=(ANN,))
SETTINGS = '[gc]\nyoung = "5s"\ngrace = "5s"\n'


def table(writer: int, number: int) -> pl.DataFrame:
    """Tables of which each shares most of its rows with the one before."""
    rows = range(3000 + number)
    return pl.DataFrame({"n": rows, "writer": [writer] * len(rows), "text": [f"row {row * row}" for row in rows]})


def write(folder: Path, name: str) -> None:
    with open_workspace(folder) as workspace:
        for number in range(ROUNDS):
            (folder / f"w{name}.csv").write_text(table(int(name), number).write_csv())
            add_files(workspace.store, f"w{name}", [folder / f"w{name}.csv"])
            if number >= 2:
                delete(workspace.store, f"w{name}@{number - 1}")
            time.sleep(0.5)


def collect(folder: Path, seconds: str) -> None:
    until = time.monotonic() + float(seconds)
    with open_workspace(folder) as workspace:
        while time.monotonic() < until:
            with contextlib.suppress(Locked):
                collect_garbage(workspace, dry_run=False)
            time.sleep(0.1)


def rejoin(folder: Path, _name: str) -> None:
    """Somebody who adds the person's rows all the while, beside rows of others."""
    with open_workspace(folder) as workspace:
        for number in range(ROUNDS):
            frame = pl.DataFrame({"email": [ANN, *[f"u{each}@example.org" for each in range(200 + number)]]})
            with contextlib.suppress(Denied, Conflict):
                add_table(workspace.store, "people", frame)


def forget_thrice(folder: Path, _name: str) -> None:
    with open_workspace(folder) as workspace:
        for _round in range(3):
            forget(workspace, SELECTION)


ROLES = {role.__name__: role for role in (write, collect, rejoin, forget_thrice)}


def together(folder: Path, *roles: tuple[str, str]) -> None:
    """Play the roles in processes of their own; a fork would inherit the locks of Polars' threads."""
    command = [sys.executable, __file__]
    players = [subprocess.Popen([*command, role, str(folder), told]) for role, told in roles]
    try:
        assert [player.wait(120) for player in players] == [0] * len(players)
    finally:
        for player in players:
            player.kill()
            player.wait()


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_text(SETTINGS)
    with open_workspace(tmp_path, create=True):
        pass
    together(tmp_path, *[("write", str(name)) for name in range(WRITERS)], ("collect", "5"), ("collect", "5"))
    with open_workspace(tmp_path) as workspace:
        for name in range(WRITERS):
            versions = workspace.store.queries.ask(DatasetVersions(name=f"w{name}"))
            assert [version.made.number for version in versions] == [ROUNDS, ROUNDS - 1]
            for version in versions:
                assert read_table(workspace.store, version).equals(table(name, version.made.number - 1))
        held = workspace.store.queries.ask(HeldDigests())
        assert verify(workspace.vault, level="everything", roots=held).problems == []


@pytest.mark.parametrize("collecting", [False, True])
def test_forgetting_beside_writers_ends_with_nothing_left(tmp_path: Path, collecting: bool) -> None:
    (tmp_path / "charkh.toml").write_text(SETTINGS)
    with open_workspace(tmp_path, create=True) as workspace:
        add_table(workspace.store, "people", pl.DataFrame({"email": [ANN, "bob@example.org"]}))
    others = [("collect", "4")] if collecting else []
    together(tmp_path, ("rejoin", ""), ("forget_thrice", ""), *others)
    with open_workspace(tmp_path) as workspace:
        forget(workspace, SELECTION)
        assert verify_forgotten(workspace, SELECTION) == ()
        for version in workspace.store.queries.ask(DatasetVersions(name="people")):
            left = read_table(workspace.store, find(workspace.store, version.ref))
            assert ANN not in left["email"]
            assert left.height == (version.made.rows or 0) - 1


if __name__ == "__main__":
    ROLES[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
