"""What an add would bring, told without storing anything and reading as little as there is to read."""

import time
from pathlib import Path

import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.datasets import put
from charkh.datasets.add import add_files
from charkh.datasets.index import PROJECTION
from charkh.datasets.stat_cache import StatCache, is_racy
from charkh.datasets.status import SMALL, dataset_status
from charkh.datasets.walk import local_files
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("a.bin", "b/1.bin", "b/2.bin", "b-c.bin", "z.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "large.bin").write_bytes(bytes(SMALL + 1))
    while any(is_racy(file) for file in local_files([folder])):
        time.sleep(0.02)
    return folder


def test_before_there_is_a_version_everything_is_new(store: Store, data: Path) -> None:
    found = dataset_status(store, "x", [data], limit=2)
    assert (found.against, found.new, found.changed, found.removed, found.unchanged) == ("", 6, 0, 0, 0)
    assert found.new_paths == ("a.bin", "b-c.bin")
    assert found.size == sum(file.size for file in local_files([data]))
    assert (found.read, found.clean) == (0, False)
    with pytest.raises(NotFound):
        dataset_status(store, "x", [data / "none"])
    with pytest.raises(Invalid):
        dataset_status(store, "@bad", [data])


@pytest.mark.parametrize("together", [1, 2, 4096])
def test_what_differs(store: Store, data: Path, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(put, "TOGETHER", together)
    stats = StatCache(None)
    version = add_files(store, "x", [data], stats=stats)
    assert dataset_status(store, "x", [data], stats=stats).read == 0
    (data / "b/1.bin").write_text("B/1.bin")
    (data / "b/2.bin").unlink()
    (data / "b-c.bin").chmod(0o755)
    (data / "new").write_text("n")
    (data / "0").write_text("0")
    (data / "a.bin").touch()
    large = bytearray(SMALL + 1)
    large[-1] = 1
    (data / "large.bin").write_bytes(large)
    found = dataset_status(store, "x", [data], stats=stats)
    assert found.against == "x@1"
    assert found.new_paths == ("0", "new")
    assert found.changed_paths == ("b-c.bin", "b/1.bin", "large.bin")
    assert found.removed_paths == ("b/2.bin",)
    assert (found.new, found.changed, found.removed, found.unchanged) == (2, 3, 1, 2)
    assert found.read == 3
    kept = dataset_status(store, "x", [data], stats=stats, append=True)
    assert (kept.removed, kept.removed_paths) == (0, ())
    add_files(store, "x", [data], stats=stats)
    assert dataset_status(store, "x", [data]).clean
    assert dataset_status(store, "x", [data], against=version).changed == 3
    assert [each.number for each in [version.made]] == [1]


def test_what_was_read_is_remembered(store: Store, data: Path) -> None:
    add_files(store, "x", [data])
    (data / "a.bin").write_text("A.bin")
    while any(is_racy(file) for file in local_files([data])):
        time.sleep(0.02)
    stats, seen = StatCache(None), list[int]()
    found = dataset_status(store, "x", [data], stats=stats, progress=seen.append)
    assert (found.read, found.changed, sum(seen)) == (6, 1, sum(file.size for file in local_files([data])))
    assert dataset_status(store, "x", [data], stats=stats).read == 0
    assert dataset_status(store, "x", [data], stats=stats).changed_paths == ("a.bin",)
    # What status found out, an add need not find out again; the vault does not have it yet.
    assert add_files(store, "x", [data], stats=stats).made.batch.files == 1
