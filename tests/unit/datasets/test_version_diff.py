"""Row differences of versions: equal files are not read, and the answer is the same."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.assets.vault import PackVault
from charkh.core.errors import Invalid
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import Reading
from charkh.datasets.external_diff import PartedDiff
from charkh.datasets.file_cache import FileCache
from charkh.datasets.index import PROJECTION
from charkh.datasets.read import read_table
from charkh.datasets.row_diff import diff_rows
from charkh.datasets.version_diff import diff_versions
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.stores import memory_store

FILES = st.dictionaries(
    st.sampled_from(["a.csv", "b.csv", "c.csv"]), st.lists(st.integers(0, 3), max_size=4), min_size=1
)


@given(FILES, FILES)
def test_it_is_the_difference_of_the_whole_tables(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, list[int]], new: dict[str, list[int]]
) -> None:
    store = memory_store(PROJECTION)
    versions = []
    for files in (old, new):
        folder = tmp_path_factory.mktemp("data")
        for name, values in files.items():
            (folder / name).write_text("x\n" + "".join(f"{value}\n" for value in values))
        versions.append(add_files(store, "x", [folder]))
    found = diff_versions(store, *versions)
    whole = diff_rows(*(read_table(store, version) for version in versions))
    assert sorted(found.added["x"].to_list(), key=str) == sorted(whole.added["x"].to_list(), key=str)
    assert sorted(found.removed["x"].to_list(), key=str) == sorted(whole.removed["x"].to_list(), key=str)
    assert found.unchanged == whole.unchanged


def test_equal_files_are_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    old = add_table(store, "x", pl.DataFrame({"x": [1, 2]}), file="a.parquet")
    new = add_table(store, "x", pl.DataFrame({"x": [2, 3]}), file="b.parquet", append=True)
    read, seen = store.vault.read, []
    monkeypatch.setattr(store.vault, "read", lambda ref, *part: (seen.append(ref), read(ref, *part))[1])
    found = diff_versions(store, old, new)
    assert (found.added["x"].to_list(), found.removed.height, found.unchanged) == ([2, 3], 0, 2)
    assert {ref.digest for ref in seen} & {entry.file.digest for entry in store.vault.entries(new.made.tree.root)}
    keyed = diff_versions(store, old, add_table(store, "y", pl.DataFrame({"x": [2, 9]})), key=["x"])
    assert (keyed.added["x"].to_list(), keyed.removed["x"].to_list()) == ([9], [1])


def test_another_reading_is_another_table(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    (tmp_path / "a.csv").write_text("x\n1\n9\n")
    old = add_files(store, "x", [tmp_path / "a.csv"])
    new = add_files(store, "x", [tmp_path / "a.csv"], reading=Reading(nulls=("9",)))
    found = diff_versions(store, old, new)
    assert (found.added["x"].to_list(), found.removed["x"].to_list(), found.unchanged) == ([None], [9], 1)


def test_what_is_no_table_has_no_rows(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    (tmp_path / "a.txt").write_text("x")
    files = add_files(store, "x", [tmp_path])
    with pytest.raises(Invalid, match="no table"):
        diff_versions(store, files, files)


def lines(first: int, count: int) -> str:
    source = random.Random(first)
    return "".join(f'{number},"a, {source.random()}"\n' for number in range(first, first + count))


def read_bytes(monkeypatch: pytest.MonkeyPatch, store: Any) -> list[int]:
    """How many bytes each call of `vault.read` is asked for; filled while the test goes on."""
    read, seen = store.vault.read, list[int]()

    def counted(ref: Any, start: int = 0, length: int | None = None) -> Any:
        seen.append(ref.size - start if length is None else length)
        return read(ref, start, length)

    monkeypatch.setattr(store.vault, "read", counted)
    return seen


@pytest.mark.parametrize("key", [None, ["id"]])
def test_rows_before_an_addition_at_the_end_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: list[str] | None
) -> None:
    store = dataclasses.replace(memory_store(PROJECTION), vault=PackVault(MemoryBlobs(), None, dict))
    file = tmp_path / "a.csv"
    file.write_text("id,text\n" + lines(0, 20_000))
    old = add_files(store, "x", [file])
    with file.open("a") as more:
        more.write(lines(20_000, 50))
    new = add_files(store, "x", [file])
    seen = read_bytes(monkeypatch, store)
    found = diff_versions(store, old, new, key=key, guess=True)
    assert found.added["id"].to_list() == list(range(20_000, 20_050))
    assert (found.unchanged, found.unread, found.key) == (20_000, 20_000, tuple(key or ()))
    assert found.summary().append_only
    if key is None:
        assert sum(seen) < new.made.tree.size / 2
    whole = diff_rows(read_table(store, old), read_table(store, new), key=key)
    assert whole.added.equals(found.added)


def test_an_edit_before_the_end_is_no_addition(tmp_path: Path) -> None:
    store, file = memory_store(PROJECTION), tmp_path / "a.csv"
    for old_text, new_text, added in [
        ("id,text\n1,a\n", "id,text\n1,b\n2,c\n", 1),
        ("id,text\n1,a", "id,text\n1,ab\n2,c\n", 1),
        ("id,text\n1,a\n", 'id,text\n1,a\n"2","c\nd"\n3,e\n', 2),
    ]:
        file.write_text(old_text)
        old = add_files(store, "x", [file])
        file.write_text(new_text)
        new = add_files(store, "x", [file])
        assert diff_versions(store, old, new, key=["id"]).added.height == added
        whole = diff_rows(read_table(store, old), read_table(store, new))
        assert diff_versions(store, old, new).added.rows() == whole.added.rows()


def test_lines_of_json_gain_rows_without_every_field(tmp_path: Path) -> None:
    store, file = memory_store(PROJECTION), tmp_path / "a.jsonl"
    file.write_text('{"a": 1, "b": 1.5}\n')
    old = add_files(store, "x", [file])
    file.write_text('{"a": 1, "b": 1.5}\n{"a": 2}\n')
    found = diff_versions(store, old, add_files(store, "x", [file]))
    assert (found.added.rows(), found.unread) == ([(2, None)], 1)


def test_a_key_is_guessed_where_one_is_needed(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    old = add_table(store, "x", pl.DataFrame({"id": [1, 2], "v": ["a", "b"]}))
    new = add_table(store, "x", pl.DataFrame({"id": [1, 2], "v": ["a", "c"]}))
    found = diff_versions(store, old, new, guess=True)
    assert (found.key, found.guessed, found.cells) == (("id",), True, {"v": 1})
    assert not diff_versions(store, old, new).key
    grown = add_table(store, "x", pl.DataFrame({"id": [3], "v": ["d"]}), append=True)
    appended = diff_versions(store, new, grown, guess=True)
    assert (appended.key, appended.added["id"].to_list(), appended.unread) == ((), [3], 2)


def test_a_key_that_an_equal_file_has_too_is_refused(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    old = add_table(store, "x", pl.DataFrame({"id": [1, 2]}), file="a.parquet")
    new = add_table(store, "x", pl.DataFrame({"id": [2, 3]}), file="b.parquet", append=True)
    with pytest.raises(Invalid, match="2 rows of the new table share their key"):
        diff_versions(store, old, new, key=["id"])


def test_larger_than_memory_is_the_same(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    old = add_table(store, "x", pl.DataFrame({"id": range(100), "v": [0] * 100}))
    new = add_table(store, "x", pl.DataFrame({"id": range(10, 120), "v": [0] * 100 + [1] * 10}))
    small = diff_versions(store, old, new, key=["id"])
    cache = FileCache(tmp_path / "cache")
    large = diff_versions(store, old, new, key=["id"], scratch=tmp_path / "scratch", memory=1000, cache=cache)
    assert isinstance(large, PartedDiff)
    assert large.summary() == small.summary()
    assert large.added.collect().equals(small.added)
