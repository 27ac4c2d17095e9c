"""The index: a cache that is made anew when it is missing, damaged or of another version."""

import sqlite3
from pathlib import Path

import pytest

from charkh.assets.chunk_index import MAX_BOUND, ChunkIndex
from charkh.assets.pack import CHUNK, Pack, Record, build_pack, record_digest
from charkh.assets.vault import PackVault
from charkh.core.errors import Unavailable
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.children import in_child
from charkh.testing.vaults import content, sample_bytes


def pack_of(*contents: bytes) -> Pack:
    return build_pack([Record(record_digest(CHUNK, data), CHUNK, data, False) for data in contents])


def test_it_answers_in_batches(tmp_path: Path) -> None:
    index = ChunkIndex(tmp_path / "index.sqlite")
    pack = pack_of(*(b"%d" % number for number in range(2 * MAX_BOUND + 7)))
    index.add(pack.name, 1, pack.entries)
    wanted = [entry.digest for entry in pack.entries]
    found = index.find([*wanted, bytes(32)])
    assert found.keys() == set(wanted)
    assert [found[digest].offset for digest in wanted] == [entry.offset for entry in pack.entries]
    assert index.find([]) == {}
    index.close()


def test_a_digest_may_lie_in_two_packs(tmp_path: Path) -> None:
    index = ChunkIndex(tmp_path / "index.sqlite")
    one, other = pack_of(b"a", b"b"), pack_of(b"b", b"c")
    for pack in (one, other, one):
        index.add(pack.name, 1, pack.entries)
    digest = record_digest(CHUNK, b"b")
    assert {place.pack for place in index.places(digest)} == {one.name, other.name}
    index.drop([one.name])
    assert index.find([digest])[digest].pack == other.name
    assert index.find([record_digest(CHUNK, b"a")]) == {}
    assert index.packs() == {other.name: 1}
    index.clear()
    assert list(index.rows()) == []
    index.close()


@pytest.mark.parametrize("damage", ["missing", "noise", "cut", "other version", "half a schema"])
def test_a_damaged_index_is_made_anew_from_the_packs(tmp_path: Path, damage: str) -> None:
    blobs, path = MemoryBlobs(), tmp_path / "index.sqlite"
    vault = PackVault(blobs, path)
    refs = [vault.put_bytes(sample_bytes(3000, seed)) for seed in range(500)]
    vault.flush()
    vault.close()
    if damage == "missing":
        path.unlink()
    elif damage == "noise":
        path.write_bytes(sample_bytes(path.stat().st_size))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:8192] + bytes(8192))
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99" if damage == "other version" else "DROP TABLE chunk")
        database.close()
    again = PackVault(blobs, path)
    assert [content(again, ref) for ref in refs] == [sample_bytes(3000, seed) for seed in range(500)]
    again.put_bytes(sample_bytes(3000, 1))
    again.flush()
    assert len(again.shelf.list_packs()) == 1
    again.close()


def test_an_index_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").mkdir()
    with pytest.raises(Unavailable) as raised:
        ChunkIndex(tmp_path / "index.sqlite").packs()
    assert raised.value.code == "asset.index_unavailable"


def test_a_child_of_a_fork_has_a_connection_of_its_own(tmp_path: Path) -> None:
    vault = PackVault(FolderBlobs(tmp_path / "packs"), tmp_path / "index.sqlite")
    ref = vault.put_bytes(b"from the parent")
    waiting = vault.put_bytes(b"not flushed yet")
    vault.flush()
    later = vault.put_bytes(b"still in memory")

    def work() -> None:
        assert content(vault, ref) == b"from the parent"
        vault.put_bytes(b"from the child")
        vault.flush()
        assert content(vault, later) == b"still in memory"

    in_child(work)
    vault.flush()
    assert content(vault, waiting) == b"not flushed yet"
    assert content(vault, later) == b"still in memory"
    vault.close()
