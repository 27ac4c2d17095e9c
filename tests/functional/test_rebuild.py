"""The catalog is a view: thrown away, it is folded anew from the facts alone, and no point is decoded."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.models.index import Models
from charkh.runs.search import search
from charkh.runs.start import start
from charkh.stores.journal_folder import FolderJournal
from charkh.testing.projections import dump_tables
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.sealing import seal_all
from charkh.workspace.workspace import open_workspace

RUNS = 40


def test_a_rebuild_decodes_no_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    with open_workspace(tmp_path, create=True) as workspace:
        store = workspace.store
        for number in range(RUNS):
            with start(store, name=f"run {number}", params={"rate": number / 10}) as run:
                for step in range(5):
                    run.log({"loss": 1.0 / (step + 1)}, step=step)
        seal_all(workspace)
        found = search(store, "metrics.loss < 0.5 and params.rate >= 2")
        assert len(found) == RUNS - 20
        before = dump_tables(workspace.catalog, PROJECTIONS)

        def refuse(*_arguments: object, **_named: object) -> object:
            raise AssertionError("a rebuild reads facts alone")

        with monkeypatch.context() as patch:
            patch.setattr(FolderJournal, "read_data", refuse)
            patch.setattr(type(workspace.vault), "read", refuse)
            begun = time.perf_counter()
            workspace.catalog.rebuild()
            store.queries.ask(Models())
            seconds = time.perf_counter() - begun
        record_property("rebuild: seconds per million runs", round(seconds / RUNS * 1_000_000))
        assert dump_tables(workspace.catalog, PROJECTIONS) == before
        assert search(store, "metrics.loss < 0.5 and params.rate >= 2") == found
