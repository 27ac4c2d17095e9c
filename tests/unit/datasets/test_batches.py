"""Which addition brought a row: files, parts of files that grew, and rows by a condition."""

from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.add import add_files, add_table
from charkh.datasets.batches import BATCH, batch_rows, batches, scan_batches
from charkh.datasets.blame import blame, rows_where
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find
from charkh.datasets.index import PROJECTION
from charkh.datasets.merge import merge
from charkh.datasets.read import scan_table
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


def flights(tmp_path: Path) -> Store:
    """Version 1: a.csv of 2 rows; 2: b.csv comes; 3: a.csv grows by 2; 4: b.csv is edited, c.csv comes."""
    store = memory_store(PROJECTION)
    a, b, c = (tmp_path / f"{name}.csv" for name in "abc")
    a.write_text("id,v\n1,x\n2,y\n")
    add_files(store, "flights", [a], message="first")
    b.write_text("id,v\n3,z\n")
    add_files(store, "flights", [b], append=True)
    with a.open("a") as more:
        more.write("4,p\n5,q\n")
    add_files(store, "flights", [a, b])
    b.write_text("id,v\n3,Z\n")
    c.write_text("id,v\n6,r\n")
    add_files(store, "flights", [a, b, c])
    return store


def told(store: Store, ref: str) -> list[tuple[str, int, int, str]]:
    return [(rows.path, rows.first, rows.past, rows.version.ref) for rows in batch_rows(store, find(store, ref))]


def test_a_file_that_grew_keeps_the_batch_of_its_old_rows(tmp_path: Path) -> None:
    store = flights(tmp_path)
    assert told(store, "flights@1") == [("a.csv", 0, 2, "flights@1")]
    assert told(store, "flights@2") == [("a.csv", 0, 2, "flights@1"), ("b.csv", 0, 1, "flights@2")]
    assert told(store, "flights@4") == [
        ("a.csv", 0, 2, "flights@1"),
        ("a.csv", 2, 4, "flights@3"),
        ("b.csv", 0, 1, "flights@4"),
        ("c.csv", 0, 1, "flights@4"),
    ]


def newest(store: Store) -> DatasetVersion:
    return find(store, "flights")


def test_every_row_says_its_batch(tmp_path: Path) -> None:
    store = flights(tmp_path)
    table = scan_batches(store, newest(store)).collect()
    assert table.drop(BATCH).equals(scan_table(store, newest(store)).collect())
    assert table[BATCH].to_list() == ["flights@1"] * 2 + ["flights@3"] * 2 + ["flights@4"] * 2
    for batch in ("3", "flights@3"):
        assert scan_batches(store, newest(store), batch=batch).collect()["id"].to_list() == [4, 5]
    summaries = batches(store, newest(store))
    assert [(each.ref, each.files, each.rows) for each in summaries] == [
        ("flights@4", 2, 2),
        ("flights@3", 1, 2),
        ("flights@1", 1, 2),
    ]
    identifier = summaries[0].version.made.batch.id
    assert scan_batches(store, newest(store), batch=identifier).collect()["id"].to_list() == [3, 6]
    with pytest.raises(NotFound, match="no row of flights@4 came with the batch 2"):
        scan_batches(store, newest(store), batch="2")


def test_rows_of_a_file_that_was_edited_keep_their_batches(tmp_path: Path) -> None:
    store, file = memory_store(PROJECTION), tmp_path / "a.csv"
    for rows in ("1,x\n2,y\n", "1,x\n3,z\n2,y\n", "0,w\n1,x\n3,z\n2,Y\n2,y\n", "1,x\n3,z\n2,Y\n2,y\n1,x\n1.5,v\n"):
        file.write_text(f"id,v\n{rows}")
        add_files(store, "flights", [file])
    table = scan_batches(store, newest(store)).collect()
    assert table.rows() == [
        (1.0, "x", "flights@1"),
        (3.0, "z", "flights@2"),
        (2.0, "Y", "flights@3"),
        (2.0, "y", "flights@1"),
        (1.0, "x", "flights@4"),
        (1.5, "v", "flights@4"),
    ]
    file.write_text("id,v,more\n1,x,\n")
    add_files(store, "flights", [file])
    assert told(store, "flights") == [("a.csv", 0, 1, "flights@5")]


def test_rows_of_a_merge_came_with_either_side(tmp_path: Path) -> None:
    store, file = memory_store(PROJECTION), tmp_path / "a.csv"
    versions = []
    for name, rows in (("flights", "1,x\n2,y\n"), ("flights", "1,x\n2,y\n3,z\n"), ("bob", "2,Y\n4,p\n1,x\n")):
        file.write_text(f"id,v\n{rows}")
        versions.append(add_files(store, name, [file]))
    merged = merge(store, versions[1], versions[2], base=versions[0], key=["id"]).version
    assert merged is not None
    rows = {row: batch for row, _, batch in scan_batches(store, merged).collect().iter_rows()}
    assert rows == {1: "flights@1", 2: "bob@1", 3: "flights@2", 4: "bob@1"}


def test_files_of_other_batches_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = memory_store(PROJECTION)
    add_table(store, "x", pl.DataFrame({"a": [1]}), file="a.parquet")
    version = add_table(store, "x", pl.DataFrame({"a": [2]}), file="b.parquet", append=True)
    assert scan_batches(store, version, batch="2").collect().rows() == [(2, "x@2")]


def test_a_row_is_blamed(tmp_path: Path) -> None:
    store = flights(tmp_path)
    four, six = blame(store, newest(store), "id == 4 or v == 'r'", columns=["id"])
    assert (four.row, four.file, four.row_of_file, four.batch, four.cells) == (3, "a.csv", 3, "flights@3", {"id": "4"})
    assert (six.row, six.file, six.row_of_file, six.batch) == (6, "c.csv", 1, "flights@4")
    (first,) = blame(store, newest(store), "id > 0", limit=1)
    assert (first.actor, first.message, first.cells) == ("ann@laptop", "first", {"id": "1", "v": "x"})
    with pytest.raises(Invalid, match="no column 'nothing'"):
        blame(store, newest(store), "nothing == 1")


def test_rows_that_meet_a_condition() -> None:
    table = pl.LazyFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert rows_where(table, where="a >= 2", columns=["b"], limit=1).collect().rows() == [("y",)]
    assert rows_where(table).collect().height == 3
    with pytest.raises(Invalid, match="no column 'c'"):
        rows_where(table, columns=["c"])


def test_an_empty_table_has_no_batch_rows(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    version = add_table(store, "x", pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)}))
    assert scan_batches(store, version).collect().schema == {"a": pl.Int64, BATCH: pl.String}
