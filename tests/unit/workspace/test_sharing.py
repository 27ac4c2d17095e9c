"""Workspaces on one medium: a collection by one takes nothing that another holds, and an undone one took nothing."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from charkh.assets import collect as collecting
from charkh.assets.lease import medium_now
from charkh.assets.trash import list_trash
from charkh.core.errors import NotFound
from charkh.datasets.add import add_table
from charkh.datasets.delete import delete
from charkh.datasets.find import find
from charkh.datasets.read import read_table
from charkh.stores.blobs_folder import FolderBlobs
from charkh.workspace import collecting as room
from charkh.workspace.collecting import collect_garbage, undo_collection
from charkh.workspace.sharing import dismiss, report, sharers, silent
from charkh.workspace.workspace import Workspace, open_workspace

ROWS = pl.DataFrame({"x": range(2000)})


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Workspace, Workspace]]:
    """Two workspaces with stores of their own over one medium, where nothing is young."""
    real = collecting.collect
    monkeypatch.setattr(room, "collect", lambda *given, **named: real(*given, **{**named, "young_seconds": 0.0}))
    medium = FolderBlobs(tmp_path / "medium")
    monkeypatch.setattr("charkh.workspace.workspace._blobs", lambda *_given: medium)
    with (
        open_workspace(tmp_path / "ann", create=True) as ann,
        open_workspace(tmp_path / "bob", create=True) as bob,
    ):
        yield ann, bob


def test_what_another_workspace_holds_is_kept(pair: tuple[Workspace, Workspace]) -> None:
    ann, bob = pair
    add_table(bob.store, "bobs", ROWS)
    report(bob)
    add_table(ann.store, "anns", ROWS + 1)
    delete(ann.store, "anns@1")
    done = collect_garbage(ann, dry_run=False)
    assert done.workspaces == 1
    assert done.collected.trashed == 0, "what was written since Bob's last word may be his"
    report(bob)
    done = collect_garbage(ann, dry_run=False)
    assert done.collected.trashed > 0
    assert [each.title for each in done.deleted] == ["anns@1"]
    assert read_table(bob.store, find(bob.store, "bobs")).equals(ROWS)


def test_the_trash_waits_for_a_workspace_that_is_silent(pair: tuple[Workspace, Workspace], tmp_path: Path) -> None:
    ann, bob = pair
    (tmp_path / "ann" / "charkh.toml").write_text('[gc]\ngrace = "0s"\nsilent = "0s"\n')
    add_table(ann.store, "anns", ROWS)
    delete(ann.store, "anns@1")
    report(bob)
    with open_workspace(tmp_path / "ann") as strict:
        assert collect_garbage(strict, dry_run=False).collected.trashed > 0
        told = collect_garbage(strict, dry_run=False)
        assert told.collected.emptied == 0
        assert [each.store for each in told.waiting] == [bob.identifier]
        assert silent(strict, sharers(strict), medium_now(strict.blobs) + 1)
        dismiss(strict, bob.identifier)
        assert collect_garbage(strict, dry_run=False).collected.emptied > 0
        with pytest.raises(NotFound):
            dismiss(strict, bob.identifier)


def test_the_last_collection_can_be_undone(pair: tuple[Workspace, Workspace]) -> None:
    ann, _bob = pair
    version = add_table(ann.store, "anns", ROWS)
    delete(ann.store, version.id)
    before = set(ann.vault.shelf.list_packs())
    assert collect_garbage(ann, dry_run=False).collected.trashed > 0
    listed = list_trash(ann.vault)
    assert listed
    assert all(each.last and each.records for each in listed)
    assert set(undo_collection(ann)) == {each.pack for each in listed}
    assert before <= set(ann.vault.shelf.list_packs())
    assert list_trash(ann.vault) == ()
    assert undo_collection(ann) == ()
