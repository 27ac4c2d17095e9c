"""The lock of a workspace: what a name in code means, what is put where, what does not hold, and how it merges."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.unit.runs.working_trees import SYSTEMS, WorkingTree

import charkh
from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.lock import Lock, Pin
from charkh.datasets.add import add_files, add_table
from charkh.datasets.delete import delete
from charkh.workspace.ambient import use
from charkh.workspace.lock_checkout import check_out
from charkh.workspace.lock_verify import verify
from charkh.workspace.locking import FILE, add, read_lock, remove, update, write_lock
from charkh.workspace.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws", create=True) as opened, use(opened):
        yield opened


def make(workspace: Workspace, name: str, value: int) -> None:
    add_table(workspace.store, name, pl.DataFrame({"value": [value]}))


def value_of(ref: str) -> int:
    return charkh.dataset(ref).frame["value"][0]


def test_a_name_in_code_is_what_the_lock_pins(workspace: Workspace) -> None:
    make(workspace, "flights", 1)
    assert value_of("flights") == 1
    add(workspace, ["flights"])
    make(workspace, "flights", 2)
    assert [value_of(ref) for ref in ("flights", "flights@latest", "flights@2")] == [1, 2, 2]
    (change,) = update(workspace)
    assert change.old is not None
    assert (change.old.ref, change.new.ref) == ("flights@1", "flights@2")
    assert value_of("flights") == 2
    remove(workspace, ["flights"])
    assert read_lock(workspace.folder) == Lock()
    for refused in (remove, update):
        with pytest.raises(NotFound) as caught:
            refused(workspace, ["flights"])
        assert caught.value.code == "lock.not_pinned"


def test_a_pin_that_nobody_told_of_is_no_other_version(workspace: Workspace, tmp_path: Path) -> None:
    make(workspace, "flights", 1)
    add(workspace, ["flights"])
    with open_workspace(tmp_path / "other", create=True) as other, use(other):
        make(other, "flights", 2)
        write_lock(other.folder, read_lock(workspace.folder))
        with pytest.raises(NotFound) as caught:
            charkh.dataset("flights")
        assert caught.value.code == "lock.unknown"
        assert [each.problem for each in verify(other, read_lock(other.folder))] == ["unknown"]


def test_a_folder_holds_the_pinned_version_and_what_a_person_made(workspace: Workspace, tmp_path: Path) -> None:
    source, data = tmp_path / "in", workspace.folder / "data/flights"
    source.mkdir()
    for name in ("a.csv", "old.csv"):
        (source / name).write_text("value\n1\n")
    add_files(workspace.store, "flights", [source])
    (source / "old.csv").rename(source / "new.csv")
    add_files(workspace.store, "flights", [source])
    add(workspace, ["flights@1"], path="data/flights")
    check_out(workspace, read_lock(workspace.folder), workspace.folder)
    (data / "notes.txt").write_text("mine\n")
    update(workspace)
    (placed,) = check_out(workspace, read_lock(workspace.folder), workspace.folder)
    assert (placed.written, placed.unchanged, placed.removed) == (1, 1, ("old.csv",))
    assert {path.name for path in data.iterdir()} == {"a.csv", "new.csv", "notes.txt"}
    (data / "a.csv").write_text("value\n4711\n")
    add(workspace, ["flights@1"])
    lock = read_lock(workspace.folder)
    with pytest.raises(Conflict, match=r"a\.csv"):
        check_out(workspace, lock, workspace.folder)
    check_out(workspace, lock, workspace.folder, force=True)
    assert {path.name for path in data.iterdir()} == {"a.csv", "old.csv", "notes.txt"}
    check_out(workspace, lock, workspace.folder, places={"flights": "elsewhere"})
    assert (workspace.folder / "elsewhere/old.csv").is_file()
    with pytest.raises(Invalid):
        check_out(workspace, lock, workspace.folder, places={"flights": "../outside"})
    with pytest.raises(NotFound):
        check_out(workspace, lock, workspace.folder, places={"nothing": "here"})


def test_verify_says_what_does_not_hold(workspace: Workspace) -> None:
    for name in ("airports", "flights", "weather"):
        make(workspace, name, 1)
    add(workspace, ["airports", "flights", "weather"])
    lock = read_lock(workspace.folder)
    assert [each.problem for each in verify(workspace, lock)] == ["", "", ""]
    path = workspace.folder / FILE
    path.write_text(path.read_text().replace(lock.pins[0].root, "0" * 64, 1))
    delete(workspace.store, "flights@1")
    for pack in (workspace.store_folder / "packs").rglob("*"):
        if pack.is_file() and pack.stat().st_size:
            pack.unlink()
    workspace.vault.close()
    (workspace.store_folder / "index.sqlite").unlink()
    with open_workspace(workspace.folder) as anew:
        problems = [each.problem for each in verify(anew, read_lock(anew.folder))]
    assert problems == ["different", "deleted", "missing"]


def test_a_reference_that_means_nothing_or_two_things(workspace: Workspace) -> None:
    make(workspace, "flights", 1)
    add(workspace, ["dataset:flights@1"])
    assert [pin.ref for pin in read_lock(workspace.folder).pins] == ["flights@1"]
    delete(workspace.store, "flights@1")
    for ref, error, code in (
        ("nothing", NotFound, "lock.not_found"),
        ("flights@1", NotFound, "dataset.deleted"),
        ("study:1f3a", Invalid, "lock.cannot_pin"),
    ):
        with pytest.raises(error) as caught:
            add(workspace, [ref])
        assert caught.value.code == code


def test_what_a_run_used_is_pinned_once(workspace: Workspace) -> None:
    make(workspace, "flights", 1)
    make(workspace, "flights", 2)
    with charkh.run() as run:
        charkh.dataset("flights@1")
    add(workspace, [run.subject])
    assert [pin.ref for pin in read_lock(workspace.folder).pins] == ["flights@1"]
    with charkh.run() as run:
        charkh.dataset("flights@1")
        charkh.dataset("flights@2")
    with pytest.raises(Invalid) as caught:
        add(workspace, [run.subject])
    assert caught.value.code == "lock.two_versions"


def test_what_a_pipeline_used_and_made_is_pinned(workspace: Workspace) -> None:
    from charkh.pipelines.run import run_pipeline

    @charkh.step
    def total(table: charkh.Table) -> int:
        return int(table.frame["value"].sum())

    @charkh.pipeline
    def flow() -> None:
        total(charkh.dataset("flights"))

    with pytest.raises(NotFound) as caught:
        add(workspace, ["pipeline:flow"])
    assert caught.value.code == "lock.no_execution"
    make(workspace, "flights", 1)
    run_pipeline(workspace.store, flow, folder=workspace.folder)
    add(workspace, ["pipeline:flow"])
    lock = read_lock(workspace.folder)
    assert [(pin.kind, pin.name.rpartition(".")[2], pin.number) for pin in lock.pins] == [
        ("dataset", "flights", 1),
        ("step", "total", 1),
    ]
    assert [each.problem for each in verify(workspace, lock)] == ["", ""]
    make(workspace, "flights", 2)
    update(workspace, ["flights"])
    run_pipeline(workspace.store, flow, folder=workspace.folder)
    update(workspace)
    after = read_lock(workspace.folder)
    assert len(after.pins) == 2
    assert after.pins[1].id != lock.pins[1].id


def pin(name: str, number: int) -> Pin:
    return Pin(kind="dataset", name=name, number=number, id=f"{number}" * 32, root=f"{number}" * 64, size=8)


def pinned(folder: Path, **numbers: int) -> None:
    write_lock(folder, read_lock(folder).having([pin(name, number) for name, number in numbers.items()]))


def colleague_of(ann: WorkingTree) -> WorkingTree:
    bob = ann.folder.with_name("bob")
    source = f"file://{ann.folder.with_name('repository')}/trunk" if ann.system == "svn" else str(ann.folder)
    ann(ann.system, "checkout" if ann.system == "svn" else "clone", "-q", source, str(bob))
    return WorkingTree(ann.system, bob, create=False)


def take_in(tree: WorkingTree) -> None:
    """Take in what the colleague has committed; conflicts are left as the system leaves them."""
    commands = {
        "git": [["git", "pull", "-q", "--no-rebase", "--no-edit"]],
        "hg": [["hg", "pull", "-q"], ["hg", "merge", "-q", "--tool", "internal:merge"]],
        "svn": [["svn", "update", "-q", "--accept", "postpone"]],
    }
    if tree.system != "svn":
        tree.commit(FILE)
    for command in commands[tree.system]:
        subprocess.run(command, cwd=tree.folder, check=False, capture_output=True)


@pytest.mark.parametrize("system", SYSTEMS)
def test_neighbouring_pins_merge(system: str, tmp_path: Path) -> None:
    ann = WorkingTree(system, tmp_path / "ann")
    pinned(ann.folder, airports=1, flights=1, weather=1)
    ann.commit(FILE)
    bob = colleague_of(ann)
    pinned(ann.folder, airports=2, planes=1)
    ann.commit(FILE)
    pinned(bob.folder, flights=2, zones=1)
    take_in(bob)
    found = {each.name: each.number for each in read_lock(bob.folder).pins}
    assert found == {"airports": 2, "flights": 2, "planes": 1, "weather": 1, "zones": 1}


@pytest.mark.parametrize("system", SYSTEMS)
def test_one_pin_that_both_changed_is_refused_with_both(system: str, tmp_path: Path) -> None:
    ann = WorkingTree(system, tmp_path / "ann")
    pinned(ann.folder, flights=1, weather=1)
    ann.commit(FILE)
    bob = colleague_of(ann)
    pinned(ann.folder, flights=2)
    ann.commit(FILE)
    pinned(bob.folder, flights=3)
    take_in(bob)
    with pytest.raises(Conflict) as caught:
        read_lock(bob.folder)
    assert "dataset flights@2" in caught.value.message
    assert "dataset flights@3" in caught.value.message
