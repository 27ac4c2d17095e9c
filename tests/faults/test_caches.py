"""Caches that are full, damaged or lied to: answers stay right, nothing half-written stays, and no hand is needed."""

import os
import random
import resource
from pathlib import Path

import pytest

from charkh.core.errors import Conflict, Unavailable
from charkh.datasets.add import add_files
from charkh.datasets.checkout import checkout
from charkh.datasets.index import NewestVersion
from charkh.datasets.status import dataset_status
from charkh.testing.children import in_child
from charkh.workspace.workspace import Workspace, open_workspace

LONG_AGO = 1_000_000_000
LARGE = random.Random(1).randbytes(300_000)


def fill(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir()
    for number in range(20):
        (data / f"{number:02}.bin").write_bytes(b"%d" % number * 50)
        os.utime(data / f"{number:02}.bin", (LONG_AGO, LONG_AGO))
    (data / "large.bin").write_bytes(LARGE)
    return data


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_cache_that_may_not_grow_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    data = fill(tmp_path)
    with open_workspace(tmp_path, create=True) as workspace:
        version = add_files(workspace.store, "x", [data], stats=workspace.stat_cache)

    def work() -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        with open_workspace(tmp_path) as workspace:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
            with pytest.raises(Unavailable) as raised:
                checkout(workspace.store, version, tmp_path / "out", cache=workspace.file_cache, fill=True)
            assert raised.value.code == "dataset.cache"
            assert not list((workspace.file_cache.folder / ".filling").iterdir())
            with pytest.raises(Unavailable) as raised:
                checkout(workspace.store, version, tmp_path / "out")
            assert raised.value.code == "dataset.folder_unavailable"
            assert not list((tmp_path / "out").glob("**/.charkh-part-*"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            checkout(workspace.store, version, tmp_path / "out", cache=workspace.file_cache, fill=True)
            assert contents(tmp_path / "out") == contents(data)

    in_child(work)


def test_without_a_stat_cache_files_are_read(tmp_path: Path) -> None:
    data = fill(tmp_path)
    with open_workspace(tmp_path, create=True) as workspace:
        first = add_files(workspace.store, "x", [data], stats=workspace.stat_cache)
    (tmp_path / ".charkh/cache/stat.sqlite").unlink()
    (tmp_path / ".charkh/cache/stat.sqlite").mkdir()
    with open_workspace(tmp_path) as workspace:
        for _time in range(2):
            found = dataset_status(workspace.store, "x", [data], stats=workspace.stat_cache)
            assert (found.clean, found.read) == (True, 21)
        assert add_files(workspace.store, "x", [data], stats=workspace.stat_cache) == first


def test_the_child_of_a_fork_hashes_with_its_own_threads(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(LARGE * 10)
    with open_workspace(tmp_path, create=True) as workspace:
        add_files(workspace.store, "x", [tmp_path / "large.bin"])
        assert dataset_status(workspace.store, "x", [tmp_path / "large.bin"]).clean

    def work() -> None:
        with open_workspace(tmp_path) as workspace:
            assert dataset_status(workspace.store, "x", [tmp_path / "large.bin"]).clean

    in_child(work)


@pytest.mark.parametrize("seed", range(12))
def test_garbage_in_the_caches_changes_no_answer(tmp_path: Path, seed: int) -> None:
    data = fill(tmp_path)
    with open_workspace(tmp_path, create=True) as workspace:
        version = add_files(workspace.store, "x", [data], stats=workspace.stat_cache)
        checkout(workspace.store, version, tmp_path / "out", cache=workspace.file_cache, fill=True)
    chance = random.Random(seed)
    for name in ("stat.sqlite", "files/index.sqlite"):
        damage(tmp_path / ".charkh/cache" / name, chance)
    with open_workspace(tmp_path) as workspace:
        (data / "00.bin").write_bytes(b"x" * 50)
        found = dataset_status(workspace.store, "x", [data], stats=workspace.stat_cache)
        assert (found.new, found.changed_paths, found.unchanged) == (0, ("00.bin",), 20)
        (data / "00.bin").write_bytes(b"0" * 50)
        assert add_files(workspace.store, "x", [data], stats=workspace.stat_cache) == version
        checkout(workspace.store, version, tmp_path / "again", cache=workspace.file_cache, fill=True)
    assert contents(tmp_path / "again") == contents(data)


def damage(path: Path, chance: random.Random) -> None:
    """Overwrite some stretches of a file, or cut it."""
    content = bytearray(path.read_bytes())
    for _stretch in range(chance.randrange(1, 6)):
        start = chance.randrange(len(content))
        length = min(chance.randrange(1, 300), len(content) - start)
        content[start : start + length] = chance.randbytes(length)
    path.write_bytes(content[: chance.choice((len(content), chance.randrange(len(content))))])


def test_a_file_that_changes_between_the_look_and_the_reading_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = fill(tmp_path)
    with open_workspace(tmp_path, create=True) as workspace:
        put = workspace.vault.put_file
        changes = iter([b"new", None])

        def change_first(path: Path | str, *rest: object) -> object:
            if str(path).endswith("07.bin") and (content := next(changes)) is not None:
                Path(path).write_bytes(content + Path(path).read_bytes()[len(content) :])
                os.utime(path, (LONG_AGO, LONG_AGO))
            return put(path, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(workspace.vault, "put_file", change_first)
        first = add_files(workspace.store, "x", [data], stats=workspace.stat_cache)
        (data / "07.bin").write_bytes(b"7" * 50)
        os.utime(data / "07.bin", (LONG_AGO, LONG_AGO))
        second = add_files(workspace.store, "x", [data], stats=workspace.stat_cache)
    assert second.made.batch.files == 1
    assert second.made.tree.root != first.made.tree.root
    assert held(tmp_path, "07.bin") == b"7" * 50


def test_a_file_that_changes_while_it_is_read_is_refused_and_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = fill(tmp_path)
    with open_workspace(tmp_path, create=True) as workspace:

        def grow(_size: int) -> None:
            with (data / "03.bin").open("ab") as file:
                file.write(b"more")

        with pytest.raises(Conflict):
            add_files(workspace.store, "x", [data / "03.bin"], stats=workspace.stat_cache, progress=grow)
        add_files(workspace.store, "x", [data], stats=workspace.stat_cache)
    assert held(tmp_path, "03.bin") == (data / "03.bin").read_bytes()


def held(folder: Path, path: str) -> bytes:
    """What the newest version has at a path."""
    with open_workspace(folder) as workspace:
        return _content(workspace, path)


def _content(workspace: Workspace, path: str) -> bytes:
    store = workspace.store
    version = store.queries.ask(NewestVersion(name="x"))
    assert version is not None
    entry = next(entry for entry in store.vault.entries(version.made.tree.root) if entry.path == path)
    return b"".join(store.vault.read(entry.file))
