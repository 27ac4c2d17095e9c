"""Verifying and collecting a whole store: every kind of damage is named, nothing is deleted, what is held stays."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import Corrupt, Invalid
from charkh.core.events import Draft
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import VERSION_KIND
from charkh.datasets.delete import delete
from charkh.datasets.find import find
from charkh.datasets.read import read_table
from charkh.workspace import collecting
from charkh.workspace.auditing import verify_audit
from charkh.workspace.collecting import collect_garbage
from charkh.workspace.fsck import check_store
from charkh.workspace.workspace import Workspace, open_workspace

ROWS = pl.DataFrame({"x": list(range(500))})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path, create=True) as first:
        add_table(first.store, "rows", ROWS)
    with open_workspace(tmp_path) as opened:
        yield opened


def packs(workspace: Workspace) -> list[Path]:
    return sorted(path for path in workspace.store_folder.glob("packs/**/*") if path.is_file())


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)


@pytest.mark.parametrize("level", ["index", "sample", "everything"])
def test_a_sound_store_is_sound_at_every_level(workspace: Workspace, level: str) -> None:
    counted: list[int] = []
    report = check_store(workspace, level=level, progress=counted.append)  # type: ignore[arg-type]
    assert report.problems == ()
    assert report.sound
    assert report.journal is not None
    assert report.journal.facts >= 1
    assert " sealed segment" in report.journal_line
    assert sum(counted) == report.bytes.packs >= 1


def test_a_flipped_bit_in_a_pack_is_found_named_and_not_deleted(workspace: Workspace) -> None:
    before = {path.name for path in packs(workspace)}
    for path in packs(workspace):
        if path.stat().st_size > 200:
            flip(path, 40)
    report = check_store(workspace, level="everything")
    assert not report.sound
    assert any(problem.startswith("pack ") for problem in report.problems)
    assert {path.name for path in packs(workspace)} == before


def test_held_bytes_that_are_gone_name_their_holder(workspace: Workspace) -> None:
    version = find(workspace.store, "rows@1")
    for path in packs(workspace):
        path.unlink()
    report = check_store(workspace)
    assert any(f"held by {version.ref}" in problem for problem in report.problems), report.problems


def test_repair_sets_aside_and_saves(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "more.csv"
    source.write_text("a,b\n1,2\n")
    add_files(workspace.store, "more", [source])
    damaged = max(packs(workspace), key=lambda path: path.stat().st_size)
    flip(damaged, damaged.stat().st_size // 2)
    report = check_store(workspace, level="everything", repair=True)
    assert report.bytes.quarantined == [damaged.name]
    assert [path for path in packs(workspace) if "quarantine" in path.parts]


def test_an_event_that_nobody_could_read_is_told(workspace: Workspace) -> None:
    workspace.store.record(Draft(kind=VERSION_KIND, subject="dataset:1", body={"not": "one"}))
    report = check_store(workspace)
    assert any(problem.startswith("catalog: event ") for problem in report.problems)


def test_a_changed_fact_breaks_the_chain(workspace: Workspace) -> None:
    sound = verify_audit(workspace)
    assert sound.sound
    assert verify_audit(workspace, head=sound.head).sound
    (sealed,) = workspace.store_folder.glob("journal/sealed/*.facts")
    flip(sealed, 100)
    assert [each.code for each in verify_audit(workspace).problems] == ["audit.segment_changed"]
    assert any("audit.segment_changed" in problem for problem in check_store(workspace).problems)
    with pytest.raises(Invalid):
        verify_audit(workspace, head="x")


def test_what_is_held_is_never_collected_and_the_rest_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    real = collecting.collect
    monkeypatch.setattr(collecting, "collect", lambda *given, **named: real(*given, **{**named, "young_seconds": 0.0}))
    assert collect_garbage(workspace).collected.freed == ()
    add_table(workspace.store, "other", ROWS + 7)
    delete(workspace.store, "other@1")
    told = collect_garbage(workspace).collected
    assert told.dry_run
    assert told.freed
    assert collect_garbage(workspace).collected.freed == told.freed, "a dry run changes nothing"
    done = collect_garbage(workspace, dry_run=False).collected
    assert done.freed == told.freed
    assert read_table(workspace.store, find(workspace.store, "rows@1")).equals(ROWS)
    assert collect_garbage(workspace).collected.freed == ()
    assert check_store(workspace, level="everything").sound


def test_a_damaged_tree_keeps_everything(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in packs(workspace):
        path.unlink()
    with pytest.raises(Corrupt):
        collect_garbage(workspace, dry_run=False)
