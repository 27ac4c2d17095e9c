"""The hot cache: what it gives out is what was put, whatever happened to its files or to its list of them."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.assets.vault import PackVault
from charkh.core.errors import Corrupt, NotFound, Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.datasets import file_cache
from charkh.datasets.file_cache import FileCache
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.vaults import sample_bytes


class Erasing:
    """A vault and what is erased in it."""

    def __init__(self) -> None:
        self.erased: dict[str, str] = {}
        self.vault = PackVault(MemoryBlobs(), None, lambda: dict(self.erased))

    def put(self, data: bytes, path: str = "a.bin") -> TreeEntry:
        return TreeEntry(path, self.vault.put_bytes(data, path))

    def erase(self, old: str, new: str = "") -> None:
        self.erased[old] = new
        self.vault.flush()


@pytest.fixture
def store() -> Erasing:
    return Erasing()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*"))


SMALL, LARGE = b"small", sample_bytes(3_000_000)


def test_files_are_filled_once_and_read_only(store: Erasing, tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    entries = [store.put(SMALL, "a.txt"), store.put(LARGE, "b/c.BIN"), store.put(SMALL, "again.txt"), store.put(b"")]
    assert cache.find(store.vault, entries) == [None] * 4
    places = cache.fill(store.vault, entries)
    assert [Path(place).read_bytes() for place in places] == [SMALL, LARGE, SMALL, b""]
    assert [Path(place).suffix for place in places] == [".txt", ".bin", ".txt", ".bin"]
    assert {path.stat().st_mode & 0o222 for path in files(tmp_path)} == {0}
    assert len(files(tmp_path)) == 3
    before = [path.stat().st_ino for path in files(tmp_path)]
    other = FileCache(tmp_path)
    assert other.find(store.vault, entries) == places
    assert [str(other.path_of(store.vault, entry)) for entry in entries] == places
    assert [path.stat().st_ino for path in files(tmp_path)] == before
    assert not list((tmp_path / ".filling").iterdir())


@pytest.mark.parametrize("shared", [True, False])
def test_a_file_that_somebody_wrote_into_is_not_given_out(store: Erasing, tmp_path: Path, shared: bool) -> None:
    cache = FileCache(tmp_path / "cache")
    entries = [store.put(SMALL), store.put(LARGE, "b.bin"), store.put(b"other", "c.bin")]
    places = cache.fill(store.vault, entries, shared=shared)
    before = [Path(place).stat() for place in places]
    for number, place in enumerate(places):
        os.link(place, tmp_path / f"{number}")
    for number in range(2):
        (tmp_path / f"{number}").chmod(0o644)
        with (tmp_path / f"{number}").open("r+b") as file:
            file.write(b"SMALL")
    if not shared:
        # Size and time of change can be set back; that it was touched cannot.
        os.utime(places[0], ns=(before[0].st_atime_ns, before[0].st_mtime_ns))
    assert FileCache(tmp_path / "cache").find(store.vault, entries) == [None, None, places[2]]
    assert cache.fill(store.vault, entries) == places
    assert [Path(place).read_bytes() for place in places] == [SMALL, LARGE, b"other"]
    assert (tmp_path / "0").read_bytes() == b"SMALL"


def test_of_a_file_with_other_names_touches_say_nothing(
    store: Erasing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store.put(SMALL)
    cache = FileCache(tmp_path / "cache")
    (place,) = cache.fill(store.vault, [entry])
    cache.fill(store.vault, [entry], shared=True)
    os.link(place, tmp_path / "link")
    monkeypatch.setattr(FileCache, "_is_sound", lambda *_: pytest.fail("read again"))
    assert FileCache(tmp_path / "cache").find(store.vault, [entry]) == [place]
    (tmp_path / "link").unlink()
    assert cache.fill(store.vault, [entry]) == [place]


def test_verifying_finds_what_times_do_not_tell(store: Erasing, tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    entries = [store.put(SMALL), store.put(LARGE, "b.bin")]
    places = cache.fill(store.vault, entries)
    assert cache.verify() == []
    with sqlite3.connect(tmp_path / "index.sqlite") as database:
        Path(places[1]).chmod(0o644)
        Path(places[1]).write_bytes(LARGE[:-1] + b"x")
        status = Path(places[1]).stat()
        database.execute(
            "UPDATE file SET changed = ?, touched = ? WHERE digest = ?",
            (status.st_mtime_ns, status.st_ctime_ns, entries[1].file.digest),
        )
    assert cache.verify() == [entries[1].file.digest]
    assert cache.find(store.vault, entries) == [places[0], None]


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_erased_content_never_comes_out(store: Erasing, tmp_path: Path, size: int) -> None:
    cache = FileCache(tmp_path)
    data = sample_bytes(size, 1)
    entry, instead = store.put(data), store.put(b"[erased]")
    cache.fill(store.vault, [entry])
    digest, length = list(store.vault.chunks(entry.file))[-1]
    store.vault.flush()
    store.erase(digest, instead.file.digest)
    assert cache.find(store.vault, [entry]) == [None]
    shown = cache.path_of(store.vault, entry)
    assert shown.read_bytes() == data[: size - length] + b"[erased]"
    assert cache.path_of(store.vault, entry) == shown
    assert cache.forget([digest]) >= 1
    assert data not in [path.read_bytes() for path in files(tmp_path)]
    assert cache.path_of(store.vault, entry).read_bytes() == data[: size - length] + b"[erased]"


def test_what_was_erased_is_forgotten(store: Erasing, tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    entries = [store.put(SMALL), store.put(b"kept", "b.bin"), store.put(LARGE, "c.bin")]
    places = cache.fill(store.vault, entries)
    # The large one may hold what was erased as one of its chunks.
    assert cache.forget([entries[0].file.digest]) == 2
    assert cache.find(store.vault, entries) == [None, places[1], None]
    assert [str(path) for path in files(tmp_path)] == [places[1]]


def test_the_least_recently_used_go(store: Erasing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000_000.0]
    monkeypatch.setattr(file_cache.time, "time", lambda: clock[0])
    entries = [store.put(bytes([number]) * 1000, f"{number}") for number in range(5)]
    for entry in entries[:3]:
        FileCache(tmp_path, limit=3000).fill(store.vault, [entry])
        clock[0] += 5000
    assert FileCache(tmp_path, limit=3000).find(store.vault, entries[:1]) != [None]
    clock[0] += 5000
    FileCache(tmp_path, limit=3000).fill(store.vault, [entries[3]])
    found = FileCache(tmp_path).find(store.vault, entries)
    assert [place is not None for place in found] == [True, False, True, True, False]
    # What one process was given stays, beyond the limit if need be.
    cache = FileCache(tmp_path, limit=1)
    places = [str(cache.path_of(store.vault, entry)) for entry in entries]
    assert all(Path(place).exists() for place in places)


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize("damage", [_garbage, Path.unlink])
def test_a_lost_list_is_made_anew(store: Erasing, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    cache = FileCache(tmp_path)
    entries = [store.put(SMALL), store.put(LARGE, "b.bin"), store.put(b"three", "c.bin")]
    places = cache.fill(store.vault, entries)
    cache.close()
    damage(tmp_path / "index.sqlite")
    Path(places[2]).chmod(0o644)
    Path(places[2]).write_bytes(b"THREE")
    other = FileCache(tmp_path, limit=4_000_000)
    assert other.find(store.vault, entries) == [places[0], None, None]
    assert [Path(place).read_bytes() for place in other.fill(store.vault, entries)] == [SMALL, LARGE, b"three"]
    # What is not listed would never go.
    FileCache(tmp_path, limit=5).fill(store.vault, [store.put(b"x", "d.bin")])
    assert len(files(tmp_path)) == 1


def test_what_the_vault_does_not_have(store: Erasing, tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    absent = TreeEntry("a", FileRef("1" * 64, 5))
    there = store.put(SMALL, "b")
    with pytest.raises(NotFound):
        cache.fill(store.vault, [absent])
    assert cache.find(store.vault, [absent]) == [None]
    assert cache.path_of(store.vault, there).read_bytes() == SMALL


def test_what_a_vault_gives_is_verified(store: Erasing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = store.put(SMALL)
    monkeypatch.setattr(store.vault, "read_many", lambda refs: [(0, b"SMALL")])  # pyright: ignore
    with pytest.raises(Corrupt):
        FileCache(tmp_path).fill(store.vault, [entry])
    assert files(tmp_path) == []
    assert not list((tmp_path / ".filling").iterdir())


def test_a_folder_that_cannot_be_written(store: Erasing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="cannot use the cache"):
        FileCache(tmp_path / "file/cache").fill(store.vault, [store.put(SMALL)])


def test_threads_and_instances_share_a_folder(store: Erasing, tmp_path: Path) -> None:
    entries = [store.put(b"%d" % number * 100, f"{number}") for number in range(60)]
    store.vault.flush()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for start in range(0, 60, 10):
                cache = FileCache(tmp_path)
                some = entries[(start + number * 10) % 60 :][:10]
                for place, entry in zip(cache.fill(store.vault, some), some, strict=True):
                    assert Path(place).read_bytes() == entry.path.encode() * 100
                cache.close()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(files(tmp_path)) == 60
