"""Row differences of versions: equal files are not read, and the answer is the same."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import Reading
from charkh.datasets.index import PROJECTION
from charkh.datasets.read import read_table
from charkh.datasets.row_diff import diff_rows
from charkh.datasets.version_diff import diff_versions
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
    monkeypatch.setattr(store.vault, "read", lambda ref: (seen.append(ref), read(ref))[1])
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
