"""Logging, adding, registering and promoting through a workspace, and what must be true of it afterwards."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from charkh.assets.verify import verify
from charkh.datasets.add import add_files, add_table
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import DatasetVersions
from charkh.datasets.read import read_table
from charkh.lineage.index import HeldDigests
from charkh.models.alias import holder_of
from charkh.models.find import find as find_model
from charkh.models.index import ModelVersions
from charkh.models.load import load
from charkh.models.promote import promote
from charkh.models.register import register
from charkh.runs.find import by_id
from charkh.runs.history import metric_history
from charkh.runs.start import start
from charkh.stores.audit import verify_chain
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace.sealing import seal_all
from charkh.workspace.workspace import Workspace, open_workspace

Ack = Callable[[str], None]


def play_log(folder: Path, ack: Ack) -> None:
    """Two runs with params and points, the second in a workspace that is there."""
    for life in range(2):
        with open_workspace(folder, create=True) as workspace:
            with start(workspace.store, name=f"life {life}", params={"rate": 0.1}) as run:
                ack(f"started {run.id}")
                for step in range(4):
                    run.log({"loss": float(step)}, step=step)
                    ack(f"logged {run.id} {step}")
                run.set_params({"leaves": 31})
                ack(f"params {run.id}")
            ack(f"ended {run.id}")
            seal_all(workspace)


def check_log(folder: Path, acked: list[str]) -> None:
    with reopened(folder) as workspace:
        for line in acked:
            what, identifier, *rest = line.split()
            run = by_id(workspace.store, identifier)
            if what == "logged":
                curve = metric_history(workspace.store, identifier, "loss")
                assert float(rest[0]) in curve.values, line
                assert len(curve) == len(set(curve.steps.tolist()))
            elif what == "params":
                assert run.params["leaves"] == 31
            elif what == "ended":
                assert run.status == "finished"


def table(number: int) -> pl.DataFrame:
    return pl.DataFrame({"number": [number] * 50, "text": [f"row {row} of {number}" for row in range(50)]})


def big(number: int) -> bytes:
    """Bytes that are cut into several chunks, half of which every number shares."""
    parts = [hashlib.blake2b(b"%d" % (place if place < 2000 else place + number)).digest() for place in range(4000)]
    return b"".join(parts)


def play_add(folder: Path, ack: Ack) -> None:
    """Versions of a table, and of files that share chunks."""
    source = folder / "source"
    source.mkdir()
    for life in range(2):
        (source / "big.bin").write_bytes(big(life))
        with open_workspace(folder, create=True) as workspace:
            version = add_table(workspace.store, "numbers", table(life), append=life > 0)
            ack(f"added {version.ref}")
            version = add_files(workspace.store, "files", [source], as_files=True)
            ack(f"added {version.ref}")


def check_add(folder: Path, acked: list[str]) -> None:
    with reopened(folder) as workspace:
        store = workspace.store
        for line in acked:
            version = find_dataset(store, line.removeprefix("added "))
            if version.made.name == "numbers":
                frame = read_table(store, version)
                assert sorted(frame["number"]) == [life for life in range(version.made.number) for _row in range(50)]
            else:
                (entry,) = [
                    each for each in store.vault.entries(version.made.tree.root) if each.path.endswith("big.bin")
                ]
                assert b"".join(store.vault.read(entry.file)) == big(version.made.number - 1)
        for name in ("numbers", "files"):
            numbers = [version.made.number for version in store.queries.ask(DatasetVersions(name=name))]
            assert sorted(numbers) == list(range(1, len(numbers) + 1))


def line_of(slope: float) -> Any:
    return LinearRegression().fit(np.array([[0.0], [1.0]]), np.array([0.0, slope]))


def play_register(folder: Path, ack: Ack) -> None:
    """Register, promote, register a better one, promote that."""
    before = ""
    for life in range(2):
        with open_workspace(folder, create=True) as workspace:
            version = register(
                workspace.store,
                "delay",
                line_of(life + 1.0),
                runtimes=workspace.runtimes,
                example=np.array([[0.5]]),
                description=f"Life {life}.",
            )
            ack(f"registered {version.ref}")
            promote(workspace.store, version.id, decided_by="f" * 32, expect=before)
            before = version.id
            ack(f"promoted {version.ref}")


def check_register(folder: Path, acked: list[str]) -> None:
    with reopened(folder) as workspace:
        store = workspace.store
        versions = store.queries.ask(ModelVersions(name="delay"))
        assert sorted(version.made.number for version in versions) == list(range(1, len(versions) + 1))
        for version in versions:
            predictor = load(store, version.ref, runtimes=workspace.runtimes).predictor
            (name,) = [spec.name for spec in version.made.signature.inputs]
            (answer,) = predictor.predict({name: np.array([[2.0]])}).values()
            assert np.asarray(answer).ravel()[0] == pytest.approx(2.0 * version.made.number)
        for line in acked:
            find_model(store, line.split()[1])
        promoted = [line.split()[1] for line in acked if line.startswith("promoted")]
        if promoted:
            holder = holder_of(store, "delay", "champion")
            assert holder is not None
            assert holder.version is not None
            # What died before its acknowledgement may have happened all the same.
            assert holder.version.made.number >= int(promoted[-1].partition("@")[2])
            assert not holder.rivals


class reopened:  # noqa: N801 - used as a statement
    """The workspace after the crash: opened, sealed and sound, twice over, and at work again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for _again in range(2):
            with open_workspace(folder, create=True) as workspace:
                seal_all(workspace)
                is_sound(workspace)

    def __enter__(self) -> Workspace:
        self._workspace = open_workspace(self._folder, create=True)
        return self._workspace

    def __exit__(self, *_error: object) -> None:
        add_table(self._workspace.store, "after", table(0))
        is_sound(self._workspace)
        self._workspace.close()


def is_sound(workspace: Workspace) -> None:
    assert isinstance(workspace.journal, FolderJournal)
    held = workspace.store.queries.ask(HeldDigests())
    report = verify(workspace.vault, level="everything", roots=held)
    assert report.problems == []
    assert verify_chain(workspace.journal).sound
    assert workspace.catalog.set_aside() == []
    assert not any(segment.live for segment in workspace.journal.list_data())
