"""Checking out: whole files, nothing lost, nothing outside the folder."""

from pathlib import Path

import pytest

from charkh.core.errors import Conflict, Corrupt, Denied, Invalid, NotFound, Unavailable
from charkh.core.files import TreeEntry
from charkh.datasets.add import add_files
from charkh.datasets.checkout import CheckedOut, checkout
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import PROJECTION
from charkh.ports.store import Store
from charkh.testing.stores import memory_store

FILES = {"a.txt": "aaa", "deep/er/b.txt": "bb", "deep/c.txt": "c"}


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


@pytest.fixture
def version(store: Store, tmp_path: Path) -> DatasetVersion:
    return add(store, tmp_path / "data", FILES)


def add(store: Store, folder: Path, files: dict[str, str]) -> DatasetVersion:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return add_files(store, "x", [folder])


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_come_back(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    seen: list[int] = []
    out = tmp_path / "new/out"
    assert checkout(store, version, out, progress=seen.append) == CheckedOut(written=3, size=6, unchanged=0)
    assert sum(seen) == 6
    assert tree(out) == FILES
    assert checkout(store, version, out) == CheckedOut(written=0, size=0, unchanged=3)
    (out / "deep/c.txt").unlink()
    assert checkout(store, version, out) == CheckedOut(written=1, size=1, unchanged=2)


def test_some_paths(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    assert checkout(store, version, tmp_path / "out", paths=["deep/er/", "a.txt"]).written == 2
    assert set(tree(tmp_path / "out")) == {"a.txt", "deep/er/b.txt"}
    for path in ("dee", "a.txt/x", ""):
        with pytest.raises(NotFound, match="x@1 has no"):
            checkout(store, version, tmp_path / "out", paths=[path])


def test_executable_files_stay_so(store: Store, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!")
    (tmp_path / "run.sh").chmod(0o755)
    checkout(store, add_files(store, "x", [tmp_path / "run.sh"]), tmp_path / "out")
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o111


def test_other_versions_replace_each_other_and_other_files_stay(
    store: Store, version: DatasetVersion, tmp_path: Path
) -> None:
    newer = add(store, tmp_path / "data", {"a.txt": "AAAA"})
    out = tmp_path / "out"
    checkout(store, version, out)
    (out / "mine.txt").write_text("mine")
    assert checkout(store, newer, out).written == 1
    assert checkout(store, version, out).written == 1
    assert tree(out) == {**FILES, "mine.txt": "mine"}


def test_changed_files_are_kept_unless_forced(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").write_text("my own")
    with pytest.raises(Conflict, match=r"a\.txt") as refused:
        checkout(store, version, out)
    assert refused.value.facts["paths"] == ["a.txt"]
    assert tree(out) == {"a.txt": "my own"}
    assert checkout(store, version, out, force=True).written == 3
    assert tree(out) == FILES


def test_the_content_of_another_path_does_not_excuse(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").write_text(FILES["deep/c.txt"])
    with pytest.raises(Conflict):
        checkout(store, version, out)


def test_links_do_not_lead_elsewhere(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "deep").symlink_to(outside)
    with pytest.raises(Denied, match="is a link"):
        checkout(store, version, out, force=True)
    assert tree(outside) == {}
    (out / "deep").unlink()
    (outside / "a.txt").write_text(FILES["a.txt"])
    (out / "a.txt").symlink_to(outside / "a.txt")
    with pytest.raises(Conflict):
        checkout(store, version, out)
    checkout(store, version, out, force=True)
    assert not (out / "a.txt").is_symlink()
    assert tree(outside) == {"a.txt": "aaa"}


def test_a_folder_where_a_file_belongs(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "out/a.txt").mkdir(parents=True)
    with pytest.raises(Conflict, match=r"a\.txt"):
        checkout(store, version, tmp_path / "out", force=True)


def test_a_tree_that_climbs_is_never_written(
    store: Store, version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = TreeEntry("../evil.txt", store.vault.put_bytes(b"x"))
    monkeypatch.setattr(store.vault, "entries", lambda _root: iter([evil]))
    with pytest.raises(Invalid):
        checkout(store, version, tmp_path / "out/in")
    assert not (tmp_path / "out").exists()


def test_damaged_bytes_leave_no_partial_file(
    store: Store, version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_ref: object) -> object:
        yield b"a"
        raise Corrupt("a chunk is not what its digest says")

    monkeypatch.setattr(store.vault, "read", broken)
    with pytest.raises(Corrupt):
        checkout(store, version, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_folder_that_cannot_be_written_is_said(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="cannot write"):
        checkout(store, version, tmp_path / "file/out")
