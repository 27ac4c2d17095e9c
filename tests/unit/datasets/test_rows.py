"""Which file a row came from."""

from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.add import add_files, add_table
from charkh.datasets.index import PROJECTION
from charkh.datasets.read import read_table
from charkh.datasets.rows import FileRows, file_of_row, file_rows
from charkh.testing.stores import memory_store


def test_rows_are_placed_in_path_order(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    (tmp_path / "b.csv").write_text('x,y\n1,"a\nb"\n2,c\n')
    (tmp_path / "a.csv").write_text("x,y\n3,d")
    (tmp_path / "c.csv").write_text("x,y\n")
    (tmp_path / "d.jsonl").write_text('{"x":4,"y":"e"}\n{"x":5,"y":"f"}\n')
    pl.DataFrame({"x": [6], "y": ["g"]}).write_parquet(tmp_path / "e.parquet")
    version = add_files(store, "x", [tmp_path])
    placed = file_rows(store, version)
    assert placed == (
        FileRows("a.csv", 0, 1),
        FileRows("b.csv", 1, 3),
        FileRows("c.csv", 3, 3),
        FileRows("d.jsonl", 3, 5),
        FileRows("e.parquet", 5, 6),
    )
    table = read_table(store, version)
    assert placed[-1].past == version.made.rows == table.height
    for row in range(table.height):
        there = file_of_row(placed, row)
        part = read_table(store, version, file=there.path)
        assert part.row(row - there.first) == table.row(row)
    for row in (-1, 6):
        with pytest.raises(NotFound):
            file_of_row(placed, row)


def test_a_single_file_has_all_rows(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    version = add_table(store, "x", pl.DataFrame({"a": [1, 2]}))
    assert file_rows(store, version) == (FileRows("part.parquet", 0, 2),)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(Invalid):
        file_rows(store, add_files(store, "files", [tmp_path]))
