"""Text tables as columns: parsed once, bounded, made again when damaged, and gone with what is erased."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from charkh.assets.vault import PackVault
from charkh.core.errors import Corrupt
from charkh.datasets.add import add_files
from charkh.datasets.dataset import DatasetVersion, Reading
from charkh.datasets.file_cache import FileCache
from charkh.datasets.index import PROJECTION
from charkh.datasets.read import scan_table
from charkh.datasets.table_cache import TableCache
from charkh.ports.store import Store
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.stores import memory_store

ROWS = 12_000


def version_of(store: Store, tmp_path: Path, *, name: str = "a.csv", seed: int = 0, **options: Any) -> DatasetVersion:
    file = tmp_path / name
    file.write_text("id,day,empty,v\n" + "".join(f"{n + seed},2013-01-0{n % 9 + 1},,{n / 7}\n" for n in range(ROWS)))
    return add_files(store, "x", [file], **options)


def cache_in(folder: Path, limit: int = 10**9) -> TableCache:
    return TableCache(folder / "tables", FileCache(folder / "files"), limit)


def copies(folder: Path) -> list[Path]:
    return sorted((folder / "tables").glob("*.parquet"))


def test_the_second_scan_reads_columns_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = memory_store(PROJECTION)
    version = version_of(store, tmp_path)
    plain = scan_table(store, version).collect()
    assert scan_table(store, version, cache=cache_in(tmp_path)).collect().equals(plain)
    (copy,) = copies(tmp_path)
    for file in (tmp_path / "files").glob("??/*"):
        file.unlink()
    monkeypatch.setattr(store.vault, "read", lambda *_: pytest.fail("the text was read"))
    again = scan_table(store, version, cache=cache_in(tmp_path))
    assert str(copy) in again.explain()
    assert again.collect().equals(plain)
    assert again.collect_schema() == plain.schema
    few = again.filter(pl.col("id") == 7).select("v")
    assert "SELECTION" in few.explain(), "the condition goes down to the file"
    assert "PROJECT 2/4 COLUMNS" in few.explain()
    assert not list((tmp_path / "files").glob("??/*"))


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_what_is_gone_or_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    store = memory_store(PROJECTION)
    version = version_of(store, tmp_path)
    plain = scan_table(store, version, cache=cache_in(tmp_path)).collect()
    (copy,) = copies(tmp_path)
    whole = copy.read_bytes()
    if damage == "gone":
        copy.unlink()
    else:
        copy.write_bytes(whole[:-9] if damage == "cut" else whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    assert scan_table(store, version, cache=cache_in(tmp_path)).collect().equals(plain)
    assert copies(tmp_path)[0].read_bytes() == whole


def test_another_reading_is_another_copy(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    one, other = version_of(store, tmp_path), version_of(store, tmp_path, reading=Reading(nulls=("0",)))
    cache = cache_in(tmp_path)
    first, second = (scan_table(store, version, cache=cache).collect() for version in (one, other))
    assert (first["id"].null_count(), second["id"].null_count()) == (0, 1)
    assert len(copies(tmp_path)) == 2


def test_the_least_recently_used_goes(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    scan_table(store, version_of(store, tmp_path), cache=cache_in(tmp_path))
    (old,) = copies(tmp_path)
    os.utime(old, (1, 1))
    scan_table(store, version_of(store, tmp_path, seed=5), cache=cache_in(tmp_path, limit=old.stat().st_size + 10))
    assert len(copies(tmp_path)) == 1
    assert copies(tmp_path) != [old]


def test_what_was_erased_is_not_found_again(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    store = dataclasses.replace(memory_store(PROJECTION), vault=PackVault(blobs, None, dict))
    version = version_of(store, tmp_path)
    scan_table(store, version, cache=cache_in(tmp_path))
    assert len(copies(tmp_path)) == 1
    (entry,) = store.vault.entries(version.made.tree.root)
    erased = {list(store.vault.chunks(entry.file))[1][0]: ""}
    store.vault.flush()
    store = dataclasses.replace(store, vault=PackVault(blobs, None, lambda: erased))
    for file in (tmp_path / "files").glob("??/*"):
        file.unlink()
    with pytest.raises(Corrupt):
        # Half a line is left, which no longer has the types that the version says.
        scan_table(store, version, cache=cache_in(tmp_path)).collect()
    assert not copies(tmp_path)


def test_digests_are_forgotten(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    version = version_of(store, tmp_path)
    cache = cache_in(tmp_path)
    scan_table(store, version, cache=cache)
    (entry,) = store.vault.entries(version.made.tree.root)
    assert cache.forget(["0" * 64]) == 0
    assert cache.forget([entry.file.digest]) == 1
    assert not copies(tmp_path)
    assert scan_table(store, version, cache=cache).collect().height == ROWS


def test_a_small_text_is_parsed_each_time(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    (tmp_path / "b.csv").write_text("a\n1\n")
    version = add_files(store, "x", [tmp_path / "b.csv"])
    assert scan_table(store, version, cache=cache_in(tmp_path)).collect().rows() == [(1,)]
    assert not (tmp_path / "tables").exists()


def test_damaged_copies_and_what_was_left_behind_are_deleted(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    version = version_of(store, tmp_path)
    cache = cache_in(tmp_path)
    scan_table(store, version, cache=cache)
    (entry,) = store.vault.entries(version.made.tree.root)
    assert cache.verify() == []
    copies(tmp_path)[0].write_bytes(b"something else")
    assert cache.verify() == [entry.file.digest]
    assert not copies(tmp_path)
    left = tmp_path / "tables" / ".left"
    left.write_text("half a file")
    os.utime(left, (1, 1))
    assert scan_table(store, version, cache=cache).collect().height == ROWS
    assert not left.exists()
