"""Checking out: whole files, nothing lost, nothing outside the folder."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.core.errors import Conflict, Corrupt, Denied, Invalid, NotFound, Unavailable
from charkh.core.files import TreeEntry
from charkh.datasets import checkout as checking_out
from charkh.datasets import placing
from charkh.datasets.add import add_files
from charkh.datasets.checkout import CheckedOut, checkout
from charkh.datasets.copying import copy_file
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.file_cache import FileCache
from charkh.datasets.index import PROJECTION
from charkh.datasets.stat_cache import StatCache, is_racy
from charkh.datasets.walk import local_files
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


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "cache")


def test_out_of_the_cache(store: Store, version: DatasetVersion, cache: FileCache, tmp_path: Path) -> None:
    done = checkout(store, version, tmp_path / "none", cache=cache)
    assert (done.written, done.cloned, done.linked) == (3, 0, 0)
    assert cache.verify() == []
    assert not list(cache.folder.glob("??/*"))
    done = checkout(store, version, tmp_path / "filled", cache=cache, fill=True)
    assert (done.written, done.size, done.linked) == (3, 6, 0)
    assert len(list(cache.folder.glob("??/*"))) == 3
    assert tree(tmp_path / "none") == tree(tmp_path / "filled") == FILES
    assert (tmp_path / "filled/a.txt").stat().st_mode & 0o200


def test_links_are_the_files_of_the_cache(
    store: Store, version: DatasetVersion, cache: FileCache, tmp_path: Path
) -> None:
    seen: list[int] = []
    done = checkout(store, version, tmp_path / "one", cache=cache, link=True, progress=seen.append)
    assert (done.written, done.linked, sum(seen)) == (3, 3, 6)
    assert checkout(store, version, tmp_path / "two", cache=cache, link=True).linked == 3
    assert tree(tmp_path / "two") == FILES
    assert (tmp_path / "one/a.txt").samefile(tmp_path / "two/a.txt")
    assert not (tmp_path / "one/a.txt").stat().st_mode & 0o222
    # Who writes into one all the same does not reach a checkout that is made later.
    (tmp_path / "one/a.txt").chmod(0o644)
    (tmp_path / "one/a.txt").write_text("xxx")
    assert checkout(store, version, tmp_path / "three", cache=cache, link=True).written == 3
    assert tree(tmp_path / "three") == FILES
    with pytest.raises(Conflict):
        checkout(store, version, tmp_path / "two", cache=cache, link=True)
    assert checkout(store, version, tmp_path / "two", cache=cache, link=True, force=True).written == 1
    assert tree(tmp_path / "two") == FILES
    assert not list(tmp_path.glob("**/.charkh-part-*"))


def test_an_executable_file_is_never_linked(store: Store, cache: FileCache, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!")
    (tmp_path / "run.sh").chmod(0o755)
    version = add_files(store, "x", [tmp_path / "run.sh"])
    assert checkout(store, version, tmp_path / "out", cache=cache, link=True).linked == 0
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o300 == 0o300


def test_links_that_cannot_be(
    store: Store, version: DatasetVersion, cache: FileCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int) -> Callable[[str, str], None]:
        def link(source: str, target: str) -> None:
            raise OSError(number, os.strerror(number), source, None, target)

        return link

    monkeypatch.setattr(placing.os, "link", refuse(errno.EXDEV))
    with pytest.raises(Unavailable, match="no hard links"):
        checkout(store, version, tmp_path / "out", cache=cache, link=True)
    assert tree(tmp_path / "out") == {}
    # One that has as many names as it can have is copied.
    monkeypatch.setattr(placing.os, "link", refuse(errno.EMLINK))
    assert checkout(store, version, tmp_path / "out", cache=cache, link=True).linked == 0
    assert tree(tmp_path / "out") == FILES


def test_clones_are_taken_where_there_are_any(
    store: Store, cache: FileCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/large.bin").write_bytes(bytes(placing.LARGE))
    (tmp_path / "data/small.bin").write_bytes(b"small")
    version = add_files(store, "x", [tmp_path / "data"])

    def clone(source: str, target: str, mode: int) -> bool:
        copy_file(source, target, mode)
        return True

    assert checkout(store, version, tmp_path / "plain", cache=cache).cloned in {0, 1}
    monkeypatch.setattr(placing, "can_clone", lambda *_: True)
    monkeypatch.setattr(placing, "clone_file", clone)
    assert checkout(store, version, tmp_path / "out", cache=cache).cloned == 1
    assert len(list(cache.folder.glob("??/*"))) == 1
    assert (tmp_path / "out/large.bin").read_bytes() == bytes(placing.LARGE)
    assert checkout(store, version, tmp_path / "all", cache=cache, fill=True).cloned == 2
    small = FileCache(tmp_path / "small", limit=100)
    assert checkout(store, version, tmp_path / "over", cache=small, fill=True).cloned == 1
    assert checkout(store, version, tmp_path / "none", cache=FileCache(tmp_path / "x", limit=0), fill=True).cloned == 0


def test_what_is_there_is_known_by_its_times(
    store: Store, version: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, stats = tmp_path / "out", StatCache(None)
    checkout(store, version, out)
    while any(is_racy(file) for file in local_files([out])):
        time.sleep(0.02)
    assert checkout(store, version, out, stats=stats).unchanged == 3
    with monkeypatch.context() as patched:
        patched.setattr(checking_out, "_digest_of", lambda _path: pytest.fail("read again"))
        assert checkout(store, version, out, stats=stats).unchanged == 3
    (out / "a.txt").write_text("bbb")
    with pytest.raises(Conflict):
        checkout(store, version, out, stats=stats)


def test_what_a_killed_checkout_left_goes(store: Store, version: DatasetVersion, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    for name, age in ((".charkh-part-old", 2 * 3600), (".charkh-part-new", 0)):
        (out / "deep" / name).write_text("x")
        os.utime(out / "deep" / name, (time.time() - age,) * 2)
    checkout(store, version, out)
    assert [path.name for path in out.glob("**/.charkh-part*")] == [".charkh-part-new"]
    # What is left of it is no file of a dataset.
    assert add_files(store, "y", [out]).made.tree.files == 3
