"""Rows written out for other programs, whole or not at all."""

from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.datasets.export import write_rows

ROWS = pl.DataFrame({"a": [1, None], "b": ["x", 'y,"\n']})


def test_the_name_says_the_format(tmp_path: Path) -> None:
    readers = {"x.csv": pl.read_csv, "x.parquet": pl.read_parquet, "x.jsonl": pl.read_ndjson}
    for name, read in readers.items():
        write_rows(ROWS, tmp_path / name)
        assert read(tmp_path / name).equals(ROWS)
    write_rows(ROWS.head(1), tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == "a\tb\n1\tx\n"


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("old")
    with pytest.raises(Invalid, match="cannot hold"):
        write_rows(ROWS.with_columns(c=pl.concat_list("a")), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "old"
    with pytest.raises(Invalid, match="names no format"):
        write_rows(ROWS, tmp_path / "x.xlsx")
    with pytest.raises(Unavailable, match="cannot write"):
        write_rows(ROWS, tmp_path / "nowhere/x.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
