"""Writing packs: nothing twice, nothing small by itself, nothing lost when the medium refuses."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from charkh.assets import packing
from charkh.assets.vault import PackVault
from charkh.core.errors import Conflict, Unavailable
from charkh.core.files import FileRef
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.vaults import content, sample_bytes, sample_table


class Refusing(MemoryBlobs):
    """Blobs that take no more packs while `full`."""

    full = False

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        if self.full and key.startswith("pack/"):
            raise Unavailable("the disk is full", code="blobs.unavailable")
        super().put(key, parts)


def stored(blobs: MemoryBlobs) -> int:
    return sum(info.size for info in blobs.list("pack/"))


def test_what_is_there_is_not_stored_again() -> None:
    blobs = MemoryBlobs()
    data = sample_table(60_000)
    for _ in range(2):
        vault = PackVault(blobs)
        vault.put_bytes(data, "a.csv")
        vault.put_bytes(data, "b.csv")
        vault.flush()
        assert len(vault.shelf.list_packs()) == 1


def test_an_appended_table_stores_little() -> None:
    blobs = MemoryBlobs()
    vault = PackVault(blobs)
    data = sample_table(200_000)
    vault.put_bytes(data, "a.csv")
    vault.flush()
    before = stored(blobs)
    vault.put_bytes(data + sample_table(2_000, 1), "a.csv")
    vault.flush()
    assert stored(blobs) - before < before / 30


def test_flushing_nothing_writes_nothing() -> None:
    blobs = MemoryBlobs()
    vault = PackVault(blobs)
    vault.flush()
    vault.put_bytes(b"x")
    vault.flush()
    vault.put_bytes(b"x")
    vault.flush()
    assert len(list(blobs.list())) == 1


def test_much_is_written_beside_in_several_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_SIZE", 200_000)
    monkeypatch.setattr(packing, "DECIDED_AT_ONCE", 50_000)
    vault = PackVault(MemoryBlobs())
    refs = [vault.put_bytes(sample_bytes(10_000, seed)) for seed in range(150)]
    written_before_flush = len(vault.shelf.list_packs())
    vault.flush()
    assert written_before_flush > 0
    assert len(vault.shelf.list_packs()) == 8
    assert [content(vault, ref) for ref in refs] == [sample_bytes(10_000, seed) for seed in range(150)]


def test_a_full_medium_loses_nothing() -> None:
    blobs = Refusing()
    vault = PackVault(blobs)
    blobs.full = True
    refs = [vault.put_bytes(b"first")]
    for _ in range(2):
        with pytest.raises(Unavailable):
            vault.flush()
    with pytest.raises(Unavailable):
        vault.put_bytes(b"more")
    assert content(vault, refs[0]) == b"first"
    blobs.full = False
    vault.flush()
    refs.append(vault.put_bytes(b"more"))
    vault.flush()
    assert [content(PackVault(blobs), ref) for ref in refs] == [b"first", b"more"]


def test_an_index_that_cannot_be_asked_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = MemoryBlobs()
    vault = PackVault(blobs)
    ref = vault.put_bytes(b"first")

    def refuse(_digests: object) -> None:
        raise Unavailable("database or disk is full", code="asset.index_unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(vault.shelf.index, "find", refuse)
        with pytest.raises(Unavailable):
            vault.flush()
    assert vault.put_bytes(b"first") == ref
    vault.flush()
    assert content(PackVault(blobs), ref) == b"first"


def test_a_medium_that_fills_up_meanwhile_stops_the_putter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_SIZE", 50_000)
    monkeypatch.setattr(packing, "DECIDED_AT_ONCE", 10_000)
    blobs = Refusing()
    vault = PackVault(blobs)
    blobs.full = True
    taken: list[FileRef] = []
    with pytest.raises(Unavailable):
        for seed in range(10_000):
            taken.append(vault.put_bytes(sample_bytes(1_000, seed)))
    blobs.full = False
    vault.flush()
    assert len(taken) >= 30
    assert [content(PackVault(blobs), ref) for ref in taken[-3:]]


def test_a_flush_waits_for_what_other_threads_put() -> None:
    blobs = MemoryBlobs()
    vault = PackVault(blobs)
    gate = threading.Barrier(4)

    def work(seed: int) -> None:
        gate.wait()
        for turn in range(30):
            ref = vault.put_bytes(sample_bytes(2_000, seed * 100 + turn))
            vault.flush()
            assert content(PackVault(blobs), ref)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = PackVault(blobs)
    for seed in range(4):
        for turn in range(30):
            assert fresh.has(vault.put_bytes(sample_bytes(2_000, seed * 100 + turn)).digest)


def test_bytes_that_were_collected_while_they_were_relied_upon() -> None:
    blobs = MemoryBlobs()
    vault = PackVault(blobs)
    vault.put_bytes(b"shared")
    vault.flush()
    vault.put_bytes(b"shared")
    for info in list(blobs.list("pack/")):
        blobs.delete(info.key)
    with pytest.raises(Conflict) as raised:
        vault.flush()
    assert raised.value.code == "asset.collected"
    ref = vault.put_bytes(b"shared")
    vault.flush()
    assert content(PackVault(blobs), ref) == b"shared"


def test_bytes_that_are_relied_upon_come_back_from_the_trash() -> None:
    blobs = MemoryBlobs()
    vault = PackVault(blobs)
    ref = vault.put_bytes(b"shared")
    vault.flush()
    vault.put_bytes(b"shared")
    (name,) = vault.shelf.list_packs()
    blobs.put(f"trash/{name}", [blobs.get(f"pack/{name}")])
    blobs.delete(f"pack/{name}")
    vault.flush()
    assert list(vault.shelf.list_packs()) == [name]
    assert content(PackVault(blobs), ref) == b"shared"


def test_a_file_that_is_being_read_cannot_block_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no ordinary file"):
        PackVault(MemoryBlobs()).put_file(tmp_path / "pipe")
