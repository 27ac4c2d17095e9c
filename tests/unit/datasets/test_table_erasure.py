"""Rows leave a file: every other byte of a text stays, whatever is quoted, and what is written reads as the others."""

import csv
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.datasets.formats import Format, scan_jsonl
from charkh.datasets.selection import Selection, checked_selection
from charkh.datasets.table_erasure import Scan, matching_rows, record_ends, remove_rows

CELLS = st.text('ab,"\n\r x', max_size=6)


def scan_of(kind: Format) -> Scan:
    if kind == "csv":
        return lambda path: pl.scan_csv(path, infer_schema=False, glob=False)
    return scan_jsonl if kind == "jsonl" else lambda path: pl.scan_parquet(path, glob=False)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), st.sets(st.integers(0, 19)), st.booleans())
def test_a_text_keeps_every_other_byte(cells: list[tuple[str, str]], gone: set[int], ended: bool) -> None:
    def record(*values: str) -> bytes:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(values)
        return text.getvalue().encode()

    records = [record("a", "b"), *(record(*each) for each in cells)]
    data = b"".join(records)
    if not ended:
        data = data[:-1]
        records[-1] = records[-1][:-1]
    ends = record_ends(np.frombuffer(data, np.uint8), quoted=True)
    assert ends.tolist() == np.cumsum([len(each) for each in records]).tolist()
    left = [each for number, each in enumerate(records) if number - 1 not in gone]
    starts = [0, *ends[:-1].tolist()]
    kept = [
        data[a:b] for number, (a, b) in enumerate(zip(starts, ends.tolist(), strict=True)) if number - 1 not in gone
    ]
    assert kept == left


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("rows", [[0], [4], [1, 2, 3], [0, 1, 2, 3, 4]])
def test_what_is_written_has_the_other_rows(kind: Format, rows: list[int], tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": ["x", 'say "hi"', "two\nlines", "é", "end"], "b": ["1", "2", "3", "4", "5"]})
    source, target = tmp_path / f"s.{kind}", tmp_path / f"t.{kind}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind](source)
    removed = remove_rows(source, target, kind, np.array(rows), scan_of(kind), ",")
    assert (removed.rows, removed.left) == (len(rows), 5 - len(rows))
    assert (removed.ranges is None) == (kind == "parquet")
    if removed.left or kind != "jsonl":
        left = frame.with_row_index("n").filter(~pl.col("n").is_in(rows)).drop("n")
        assert scan_of(kind)(target).collect().equals(left)
    if removed.ranges is not None:
        data, position, kept = source.read_bytes(), 0, b""
        for first, last in removed.ranges:
            kept, position = kept + data[position:first], last
        assert target.read_bytes() == kept + data[position:]


def test_records_that_are_not_rows_are_written_anew(tmp_path: Path) -> None:
    source, target = tmp_path / "s.csv", tmp_path / "t.csv"
    source.write_text("a,b\r1,x\r2,y\r3,z\r")

    def scan(path: Path) -> pl.LazyFrame:
        return pl.scan_csv(path, infer_schema=False, eol_char="\r" if path == source else "\n", glob=False)

    removed = remove_rows(source, target, "csv", np.array([1]), scan, ",")
    assert (removed.left, removed.ranges) == (2, None)
    assert scan(target).collect()["b"].to_list() == ["x", "z"]


def test_who_is_meant() -> None:
    frame = pl.DataFrame({"email": ["ann@x.org", None, "bob@x.org"], "n": [1, 2, 3]})
    for selection, rows in [
        (Selection(column="email", values=("ann@x.org",)), [0]),
        (Selection(column="n", values=("2", "3")), [1, 2]),
        (Selection(where="email == 'bob@x.org' and n > 2"), [2]),
    ]:
        condition = selection.condition(frame.schema)
        assert condition is not None
        assert matching_rows(frame.lazy(), condition).tolist() == rows
    assert Selection(where="nobody == 1").condition(frame.schema) is None
    assert Selection(column="nobody", values=("1",)).condition(frame.schema) is None
    assert Selection(where="email == 'bob@x.org' and n == 2").texts == ("bob@x.org",)
    assert Selection(column="n", values=("1", "long")).texts == ("long",)
    key = bytes(32)
    assert Selection(column="n", values=("1", "2")).keyed_hash(key) == Selection(
        column="n", values=("2", "1")
    ).keyed_hash(key)
    assert Selection(where="n == 1").keyed_hash(key) != Selection(where="n == 1").keyed_hash(b"k" * 32)


@pytest.mark.parametrize(
    ("where", "column", "values"),
    [("", "", []), ("n == 1", "n", ["1"]), ("", "n", []), ("", "n", [""]), ("1 == 1", "", [])],
)
def test_a_selection_says_one_thing(where: str, column: str, values: list[str]) -> None:
    with pytest.raises(Invalid) as error:
        checked_selection(where, column, values)
    assert error.value.code == "dataset.no_selection"
