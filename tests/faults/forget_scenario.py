"""A person is forgotten while the process may die: every version stays readable, and forgetting again completes it."""

from pathlib import Path

import polars as pl
from workspace_scenarios import Ack, is_sound

from charkh.datasets.add import add_files
from charkh.datasets.find import find
from charkh.datasets.forgotten_index import ErasedFrom
from charkh.datasets.index import DatasetVersions
from charkh.datasets.read import read_table
from charkh.datasets.selection import Selection
from charkh.workspace.forget_verify import verify_forgotten
from charkh.workspace.forgetting import forget
from charkh.workspace.workspace import open_workspace

ANN = "ann.smith@example.org"
SELECTION = Selection(column="email", values=(ANN,))
ROWS = 3000


def people(version: int) -> pl.DataFrame:
    numbers = range(ROWS + version)
    return pl.DataFrame({"id": numbers, "email": [ANN if each == 7 else f"u{each}@example.org" for each in numbers]})


def play_forget(folder: Path, ack: Ack) -> None:
    """Two versions that share most chunks, as text and as columns; then the person asks."""
    with open_workspace(folder, create=True) as workspace:
        for version in range(2):
            for name, write in (("text", pl.DataFrame.write_csv), ("columns", pl.DataFrame.write_parquet)):
                source = folder / f"{name}{'.csv' if name == 'text' else '.parquet'}"
                write(people(version), source)
                ack(f"added {add_files(workspace.store, name, [source]).ref}")
        for source in (*folder.glob("*.csv"), *folder.glob("*.parquet")):
            source.unlink()
        forget(workspace, SELECTION)
        ack("forgotten")


def check_forget(folder: Path, acked: list[str]) -> None:
    with open_workspace(folder, create=True) as workspace:
        is_sound(workspace)
        store = workspace.store
        for again in range(2):
            for line in acked:
                if not line.startswith("added"):
                    continue
                version = find(store, line.removeprefix("added "))
                frame = read_table(store, version)
                whole = people(version.made.number - 1)
                gone = again or ANN not in frame["email"]
                assert frame.equals(whole.filter(pl.col("email") != ANN) if gone else whole), line
                told = sum(each.lost.rows for each in store.queries.ask(ErasedFrom(version=version.id)))
                assert told == (1 if gone else 0), "what was erased is told, and nothing else"
            if "forgotten" in acked:
                assert verify_forgotten(workspace, SELECTION) == ()
            for source in (*folder.glob("*.csv"), *folder.glob("*.parquet")):
                source.unlink()
            forget(workspace, SELECTION)
            is_sound(workspace)
        left = verify_forgotten(workspace, SELECTION)
        assert left == (), left
        held = [each for name in ("text", "columns") for each in store.queries.ask(DatasetVersions(name=name))]
        assert len(held) >= sum(line.startswith("added") for line in acked)
