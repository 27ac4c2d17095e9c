"""Logs and additions under way, refetching, and what damage means: beside what the command line shows."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.between import Between

from charkh.core.errors import Denied
from charkh.datasets.add import add_files, add_table
from charkh.datasets.find import find
from charkh.datasets.index import DatasetVersions
from charkh.datasets.read import read_table
from charkh.datasets.selection import Selection
from charkh.endpoints.log import PredictionLog
from charkh.endpoints.read import predictions
from charkh.workspace.forget_verify import verify_forgotten
from charkh.workspace.forgetting import forget
from charkh.workspace.fsck import check_store
from charkh.workspace.workspace import Workspace, open_workspace

ANN = "ann.smith@example.org"
SELECTION = Selection(column="email", values=(ANN,))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path, create=True) as opened:
        yield opened


def log_of(workspace: Workspace) -> PredictionLog:
    log = PredictionLog(workspace.journal, endpoint="delay", deployment="d" * 32, model=f"model:{'e' * 32}")
    emails = np.array(["bob@example.org", ANN], object)
    log.record({"email": emails}, {"late": np.array([0.25, 0.5])}, 2)
    return log


def test_a_sealed_prediction_is_forgotten(workspace: Workspace) -> None:
    log_of(workspace).close()
    report = forget(workspace, SELECTION)
    assert report.rows == 1
    assert {each.partition(":")[0] for content in report.contents for each in content.subjects} == {"predictions"}
    left = predictions(workspace.store, "delay")
    assert left["email"].to_list() == ["bob@example.org"]
    assert left["late"].to_list() == [0.25]
    assert verify_forgotten(workspace, SELECTION) == ()


def test_a_log_under_way_is_named_and_forgotten_later(workspace: Workspace) -> None:
    log = log_of(workspace)
    report = forget(workspace, SELECTION)
    assert any("endpoint:delay" in each.what for each in report.unreached)
    assert verify_forgotten(workspace, SELECTION)
    log.close()
    assert forget(workspace, SELECTION).rows == 1
    assert verify_forgotten(workspace, SELECTION) == ()


def test_damage_is_told_by_version_and_mended_from_a_working_copy(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    rows = pl.DataFrame({"n": range(30_000)})
    rows.write_csv(source)
    os.utime(source, (1e9, 1e9))
    time.sleep(0.2)
    add_files(workspace.store, "rows", [source], stats=workspace.stat_cache)
    version = find(workspace.store, "rows")
    (pack,) = [path for path in (workspace.store_folder / "packs" / "pack").iterdir() if path.stat().st_size > 10_000]
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 4
    pack.chmod(0o600)
    pack.write_bytes(data)
    report = check_store(workspace, level="everything")
    assert [(each.title, each.files, each.count) for each in report.affected] == [("rows@1", ("rows.csv",), 1)]
    mended = check_store(workspace, level="everything", refetch=True)
    assert mended.problems == ()
    assert mended.mended
    assert mended.fetched >= 1
    assert mended.affected == ()
    assert read_table(workspace.store, version).equals(rows)


def test_bytes_that_were_erased_before_they_were_named_are_not_held(workspace: Workspace, tmp_path: Path) -> None:
    with open_workspace(tmp_path) as other:
        add_table(workspace.store, "people", pl.DataFrame({"email": [ANN, "bob@example.org"]}))
        store = replace(workspace.store, commands=Between(workspace.store.commands, lambda: forget(other, SELECTION)))
        with pytest.raises(Denied, match=r"part\.parquet has bytes that were erased"):
            add_table(store, "people", pl.DataFrame({"email": [ANN, "cid@example.org"]}))
        assert verify_forgotten(workspace, SELECTION) == ()
        assert [version.ref for version in workspace.store.queries.ask(DatasetVersions(name="people"))] == ["people@1"]


def test_other_bytes_are_held_though_some_were_erased_meanwhile(workspace: Workspace, tmp_path: Path) -> None:
    with open_workspace(tmp_path) as other:
        add_table(workspace.store, "people", pl.DataFrame({"email": [ANN, "bob@example.org"]}))
        store = replace(workspace.store, commands=Between(workspace.store.commands, lambda: forget(other, SELECTION)))
        table = pl.DataFrame({"email": ["cid@example.org", "dan@example.org"]})
        assert read_table(workspace.store, add_table(store, "people", table)).equals(table)
