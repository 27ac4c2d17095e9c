"""Reading tables back: types, order, columns, files, damaged bytes, and the cache on disk."""

from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import Corrupt, Invalid, NotFound, Unavailable
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import Reading
from charkh.datasets.file_cache import FileCache
from charkh.datasets.index import PROJECTION
from charkh.datasets.read import read_table, scan_table
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


def test_formats_are_read_alike(store: Store, tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [1, None, 3], "s": ["a", 'b,"\n', None], "f": [1.5, None, -2.0]})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_csv(tmp_path / "b.tsv", separator="\t")
    frame.write_parquet(tmp_path / "c.parquet")
    frame.write_ndjson(tmp_path / "d.jsonl")
    for path in sorted(tmp_path.iterdir()):
        assert read_table(store, add_files(store, path.stem, [path])).equals(frame)
    version = add_files(store, "all", [tmp_path])
    assert read_table(store, version).equals(pl.concat([frame] * 4))
    assert read_table(store, version, file="c.parquet").equals(frame)
    assert scan_table(store, version, files=["a.csv", "d.jsonl"]).select(pl.len()).collect().item() == 6


def test_types_are_those_of_the_version(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("i;d;t;e;b\n1;2013-01-01;2013-01-01 10:00:00;;true\n-;2013-01-02;;;false\n")
    (tmp_path / "b.csv").write_text("i;d;t;e;b\n1.5;2013-01-01 00:30;;;\n")
    version = add_files(store, "x", [tmp_path], reading=Reading(separator=";", nulls=("-",)))
    frame = read_table(store, version)
    assert frame.schema == {
        "i": pl.Float64(),
        "d": pl.Datetime("us"),
        "t": pl.Datetime("us"),
        "e": pl.Null(),
        "b": pl.Boolean(),
    }
    assert frame["i"].to_list() == [1.0, None, 1.5]
    assert [column.dtype for column in version.made.schema] == [
        "Float64",
        "Datetime('us')",
        "Datetime('us')",
        "Null",
        "Boolean",
    ]


def test_narrow_parquet_columns_widen(store: Store, tmp_path: Path) -> None:
    pl.DataFrame({"x": [1]}, schema={"x": pl.Int16}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"x": [2.5]}).write_parquet(tmp_path / "b.parquet")
    version = add_files(store, "x", [tmp_path])
    assert read_table(store, version)["x"].to_list() == [1.0, 2.5]


def test_nested_and_categorical_columns_survive(store: Store) -> None:
    frame = pl.DataFrame(
        {"l": [[1, 2], []], "s": [{"a": 1}, {"a": 2}], "c": ["u", "v"], "e": ["x", "y"]},
        schema_overrides={"c": pl.Categorical, "e": pl.Enum(["x", "y"])},
    )
    assert read_table(store, add_table(store, "x", frame)).equals(frame)


def test_columns_are_chosen(store: Store) -> None:
    version = add_table(store, "x", pl.DataFrame({"a": [1], "b": [2], "c": [3]}))
    assert read_table(store, version, columns=["c", "a"]).rows() == [(3, 1)]
    with pytest.raises(Invalid, match="no column 'd'"):
        read_table(store, version, columns=["a", "d"])


def test_what_is_not_there(store: Store, tmp_path: Path) -> None:
    version = add_table(store, "x", pl.DataFrame({"a": [1]}))
    with pytest.raises(NotFound, match="no file b"):
        read_table(store, version, file="b")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(Invalid, match="no table"):
        read_table(store, add_files(store, "files", [tmp_path]))


def test_bytes_that_read_otherwise_are_corrupt(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    version = add_files(store, "x", [tmp_path / "a.csv"])
    monkeypatch.setattr(store.vault, "read", lambda _ref: iter([b"a\nx\n"]))
    with pytest.raises(Corrupt, match=r"x@1 cannot be read"):
        read_table(store, version)
    parts = add_table(store, "y", pl.DataFrame({"a": [1]}))
    with pytest.raises(Corrupt, match=r"y@1 cannot be read"):
        read_table(store, parts)


def test_the_cache_holds_what_was_read(store: Store, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(100)})
    frame.write_csv(tmp_path / "a.csv")
    version = add_files(store, "x", [tmp_path / "a.csv"])
    cache = FileCache(tmp_path / "cache")
    lazy = scan_table(store, version, cache=cache)
    assert [path.suffix for path in (tmp_path / "cache").glob("??/*")] == [".csv"]
    assert lazy.collect().equals(frame)
    assert read_table(store, version, cache=FileCache(tmp_path / "cache")).equals(frame)


def test_the_cache_is_bounded_but_keeps_what_is_in_use(store: Store, tmp_path: Path) -> None:
    versions = [add_table(store, f"x{number}", pl.DataFrame({"a": [number]})) for number in range(4)]
    folder = tmp_path / "cache"
    size = versions[0].made.tree.size
    for version in versions[:3]:
        read_table(store, version, cache=FileCache(folder, limit=2 * size + size // 2))
    kept = {path.name for path in folder.glob("??/*")}
    assert len(kept) == 2
    cache = FileCache(folder, limit=1)
    lazies = [scan_table(store, version, cache=cache) for version in versions]
    assert [lazy.collect().item() for lazy in lazies] == [0, 1, 2, 3]


def test_a_damaged_cache_is_filled_again(store: Store, tmp_path: Path) -> None:
    version = add_table(store, "x", pl.DataFrame({"a": [1]}))
    cache = FileCache(tmp_path)
    read_table(store, version, cache=cache)
    (path,) = tmp_path.glob("??/*")
    path.chmod(0o600)
    path.write_bytes(b"cut")
    assert read_table(store, version, cache=cache).item() == 1


def test_a_cache_that_cannot_be_written_is_said(store: Store, tmp_path: Path) -> None:
    version = add_table(store, "x", pl.DataFrame({"a": [1]}))
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="cannot use the cache"):
        read_table(store, version, cache=FileCache(tmp_path / "file/cache"))
