"""A version is read without a checkout: lazily, by PyArrow, DuckDB, pandas and Polars, and file by file."""

import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

import charkh
from charkh.core.errors import Denied, Invalid, NotFound
from charkh.datasets.add import add_files
from charkh.pipelines.codecs import BUILT_IN
from charkh.pipelines.values import put_together, take_apart
from charkh.workspace.ambient import use
from charkh.workspace.dataset import Dataset
from charkh.workspace.filesystem import CharkhFileSystem
from charkh.workspace.pipelines import codecs_of
from charkh.workspace.workspace import Workspace, open_workspace

ROWS = 20_000


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Workspace]:
    data = tmp_path / "data"
    (data / "more").mkdir(parents=True)
    table = pl.DataFrame({"id": range(ROWS), "v": [number % 7 / 2 for number in range(ROWS)]})
    table.write_csv(data / "a.csv")
    (data / "more" / "b.csv").write_text(f"id,v\n{ROWS},1\n")
    place = tmp_path / "work"
    place.mkdir()
    with open_workspace(place, create=True) as workspace, use(workspace):
        add_files(workspace.store, "team/flights", [data / "a.csv"])
        add_files(workspace.store, "team/flights", [data])
        wide = pl.DataFrame(
            {"k": range(50_000), "x": [random.Random(number).randbytes(16).hex() for number in range(50_000)]}
        )
        wide.write_parquet(tmp_path / "wide.parquet", row_group_size=5_000)
        add_files(workspace.store, "wide", [tmp_path / "wide.parquet"])
        yield workspace


def test_rows_are_read_when_they_are_asked_for(opened: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table = charkh.dataset("team/flights@2")
    assert isinstance(table, charkh.Table)
    assert (len(table), table.ref) == (ROWS + 1, "team/flights@2")
    assert "2 files" in repr(table)
    assert not list(opened.file_cache.folder.glob("*.csv")), "nothing was read for that"
    lazy = table.scan().filter(pl.col("id") == 5).select("v")
    assert "PROJECT 2/2 COLUMNS" in lazy.explain()
    assert lazy.collect().rows() == [(2.5,)]
    assert table.columns == ["id", "v"]
    assert table.frame.height == ROWS + 1
    assert table.frame is table.frame
    assert table.origins == (table.version.subject,)
    assert table.having(table.frame, "run:1").origins == (table.version.subject, "run:1")
    batches = table.scan(batch=True).group_by("_batch").len().sort("_batch").collect()
    assert batches.rows() == [("team/flights@1", ROWS), ("team/flights@2", 1)]


def test_the_second_scan_parses_no_text(opened: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = charkh.dataset("team/flights@1").frame
    monkeypatch.setattr(opened.vault, "read", lambda *_: pytest.fail("the text was read"))
    monkeypatch.setattr(opened.file_cache, "path_of", lambda *_: pytest.fail("the text was read"))
    assert charkh.dataset("team/flights@1").frame.equals(first)


def test_arrow_and_duckdb_read_it(opened: Workspace) -> None:
    table = charkh.dataset("team/flights")
    arrow = table.to_arrow()
    assert isinstance(arrow, pa.Table)
    assert arrow.num_rows == ROWS + 1
    found = table.arrow_dataset().to_table(filter=pyarrow.dataset.field("id") >= ROWS, columns=["v"])
    assert found.to_pydict() == {"v": [1.0]}
    assert table.duckdb("SELECT count(*), max(id) FROM data").fetchall() == [(ROWS + 1, ROWS)]
    assert table.duckdb().filter("id < 3").project("id").fetchall() == [(0,), (1,), (2,)]
    assert table.duckdb("SELECT id FROM data WHERE v > 2").pl().height == table.frame.filter(pl.col("v") > 2).height


def test_files_are_opened_where_they_lie(opened: Workspace) -> None:
    table = charkh.dataset("team/flights")
    assert [entry.path for entry in table.files()] == ["a.csv", "more/b.csv"]
    with table.open("more/b.csv") as file:
        assert file.readline() == b"id,v\n"
        file.seek(-2, 2)
        assert file.read() == b"1\n"
        assert file.read() == b""
        with pytest.raises(ValueError, match="no byte"):
            file.seek(-1)
    assert table.path("more/b.csv").read_bytes() == f"id,v\n{ROWS},1\n".encode()
    with pytest.raises(NotFound, match="no file nothing"):
        table.open("nothing")


def test_plain_files_have_no_rows(opened: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    add_files(opened.store, "notes", [tmp_path / "a.txt"])
    notes = charkh.dataset("notes")
    assert notes.open("a.txt").read() == b"hello"
    for ask in (notes.scan, notes.arrow_dataset, notes.duckdb, lambda: notes.frame):
        with pytest.raises(Invalid, match="no table"):
            ask()


def test_a_step_gets_a_plain_table(opened: Workspace) -> None:
    apart = take_apart(charkh.dataset("team/flights"), [*codecs_of(opened), *BUILT_IN])
    back = put_together(apart.form, [leaf.value for leaf in apart.leaves])
    assert type(back) is charkh.Table
    assert back.frame.height == ROWS + 1
    assert apart.origins == (charkh.dataset("team/flights").version.subject,)


@pytest.fixture
def files(opened: Workspace) -> Iterator[Any]:
    fsspec.register_implementation("charkh", CharkhFileSystem, clobber=True)
    yield fsspec.filesystem("charkh")


def test_versions_are_folders(files: Any) -> None:
    assert files.ls("", detail=False) == ["team/flights@2", "team/flights@1", "wide@1"]
    assert files.ls("charkh://team/flights@2", detail=False) == ["team/flights@2/a.csv", "team/flights@2/more"]
    (below,) = files.ls("team/flights/more")
    assert (below["name"], below["size"], below["type"]) == ("team/flights/more/b.csv", 13, "file")
    assert files.find("team/flights@2") == ["team/flights@2/a.csv", "team/flights@2/more/b.csv"]
    assert files.glob("charkh://team/flights@2/**/*.csv") == ["team/flights@2/a.csv", "team/flights@2/more/b.csv"]
    assert files.isdir("team/flights@2/more")
    assert not files.exists("team/flights@2/nothing")
    assert not files.exists("nothing@1/a.csv")
    assert files.cat_file("team/flights/more/b.csv", -2) == b"1\n"
    assert files.cat_file("team/flights/more/b.csv", 0, 2) == b"id"
    for missing in (files.ls, files.info, files.open):
        with pytest.raises(FileNotFoundError):
            missing("team/flights@2/nothing")
    with pytest.raises(Denied):
        files.open("team/flights@2/a.csv", "wb")


def test_every_reader_reads_through_it(files: Any, opened: Workspace) -> None:
    url = "charkh://team/flights@2/a.csv"
    assert len(pd.read_csv(url)) == ROWS
    with fsspec.open(url) as file:
        assert pl.read_csv(file).height == ROWS
    parquet = "charkh://wide@1/wide.parquet"
    assert len(pd.read_parquet(parquet)) == 50_000
    assert pyarrow.parquet.read_table("wide@1/wide.parquet", filesystem=files).num_rows == 50_000
    connection = duckdb.connect()
    connection.register_filesystem(files)
    assert connection.sql(f"SELECT sum(k) FROM read_parquet('{parquet}')").fetchall() == [(sum(range(50_000)),)]


def test_a_part_of_a_file_is_a_part_of_its_chunks(
    files: Any, opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = charkh.dataset("wide").files()
    read, seen = opened.vault.read, list[int]()

    def counted(ref: Any, start: int = 0, length: int | None = None) -> Any:
        seen.append(ref.size - start if length is None else length)
        return read(ref, start, length)

    monkeypatch.setattr(opened.vault, "read", counted)
    with files.open("wide@1/wide.parquet") as file:
        group = pyarrow.parquet.ParquetFile(file).read_row_group(3, columns=["k"])
    assert group.num_rows == 5_000
    assert sum(seen) < entry.file.size / 2


def test_another_workspace_is_named_by_an_option(files: Any, opened: Workspace, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("z\n1\n")
    with open_workspace(tmp_path / "work2", create=True) as other:
        add_files(other.store, "other", [tmp_path / "c.csv"])
    frame = pd.read_csv("charkh://other/c.csv", storage_options={"workspace": str(tmp_path / "work2")})
    assert frame["z"].to_list() == [1]


def test_another_process_gets_the_rows(opened: Workspace) -> None:
    table = charkh.dataset("team/flights@1")
    assert isinstance(table, Dataset)
    copy = pickle.loads(pickle.dumps(table))
    assert type(copy) is charkh.Table
    assert (copy.frame.height, copy.origins) == (ROWS, table.origins)
