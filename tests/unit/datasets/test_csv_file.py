"""Columns, types and rows of CSV files, and the word about each that cannot be a table."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.datasets.csv_file import TableFile, read_csv_shape, read_header
from charkh.datasets.dataset import Reading
from charkh.datasets.formats import scan_csv


def shape(folder: Path, data: bytes, **reading: object) -> TableFile:
    path = folder / "x.csv"
    path.write_bytes(data)
    return read_csv_shape(path, "x.csv", Reading(**reading))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "columns", "rows"),
    [
        (b"a,b\n1,x\n2,y\n", {"a": pl.Int64(), "b": pl.String()}, 2),
        (b"\xef\xbb\xbfa,b\r\n1,2.5\r\n", {"a": pl.Int64(), "b": pl.Float64()}, 1),
        (b"a,b", {"a": pl.Null(), "b": pl.Null()}, 0),
        (b"a,b\n,1\n,2\n", {"a": pl.Null(), "b": pl.Int64()}, 2),
        (b"a\n1\n\n3\n", {"a": pl.Int64()}, 3),
        (b"a,b,c\n1,2,\n4,5,6\n", {"a": pl.Int64(), "b": pl.Int64(), "c": pl.Int64()}, 2),
        (b'a,b,c\n1,"2,3\n4",\n4,5,\n', {"a": pl.Int64(), "b": pl.String(), "c": pl.Null()}, 2),
        (b"d,t\n2013-01-01,2013-01-01 10:00:00\n", {"d": pl.Date(), "t": pl.Datetime("us")}, 1),
        (b"d\n2013-01-01T05:00:00Z\n", {"d": pl.Datetime("us", "UTC")}, 1),
        (b'"a,1",b\ntrue,FALSE\n', {"a,1": pl.Boolean(), "b": pl.Boolean()}, 1),
        (b"a,b\n1,\x01\n2,\n", {"a": pl.Int64(), "b": pl.String()}, 2),
    ],
)
def test_columns_and_rows(tmp_path: Path, data: bytes, columns: dict[str, pl.DataType], rows: int) -> None:
    assert shape(tmp_path, data) == TableFile(columns, rows)


def test_a_day_first_or_month_first_date_stays_text(tmp_path: Path) -> None:
    assert shape(tmp_path, b"d\n01/02/2013\n03/04/2013\n").columns == {"d": pl.String()}


def test_the_reading_says_separator_and_nulls(tmp_path: Path) -> None:
    assert shape(tmp_path, b"a;b\n1;2,5\nNA;x\n", separator=";", nulls=("NA",)) == TableFile(
        {"a": pl.Int64(), "b": pl.String()}, 2
    )
    path = tmp_path / "x.tsv"
    path.write_bytes(b"a\tb\n1\t2\n")
    assert read_csv_shape(path, "x.tsv", Reading(separator=";")).columns == {"a": pl.Int64(), "b": pl.Int64()}


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (
            b"1.5,x,2013-01-02 10:00,FALSE,99999999999999999999",
            [pl.Float64, pl.String, pl.Datetime, pl.Boolean, pl.Int128],
        ),
        (b"1,1e40,abc,maybe,1.5", [pl.Int64, pl.Float64, pl.String, pl.String, pl.Float64]),
        (b",,,,", [pl.Int64, pl.Int64, pl.Date, pl.Boolean, pl.Int64]),
    ],
)
def test_a_value_far_down_widens_its_column(tmp_path: Path, last: bytes, expected: list[type[pl.DataType]]) -> None:
    found = shape(tmp_path, b"a,b,c,d,e\n" + b"1,1,2013-01-01,true,1\n" * 10_500 + last + b"\n")
    assert [type(dtype) for dtype in found.columns.values()] == expected
    assert found.rows == 10_501


@pytest.mark.parametrize(
    ("data", "message", "code"),
    [
        (b"a,b,c\n1,2,3\n4,5\n", "line 3 has 2 fields", "dataset.ragged"),
        (b"a,b,c\n1,2,3\n4,5,6,7\n", "line 3 has 4 fields", "dataset.ragged"),
        (b'a,b,c\n1,2,"3\n3"\n4,5\n', "line 4 has 2 fields", "dataset.ragged"),
        (b"a,b\n1,2\n\n4,5\n", "line 3 is empty", "dataset.ragged"),
        (b"a,b\n1,2\n\n", "line 3 is empty", "dataset.ragged"),
        (b'a,b\n"abc,1\nx,2\n', "line 3 has 1 fields", "dataset.ragged"),
        (b"", "empty", "dataset.empty_file"),
        (b"\n\n", "no name", "dataset.header"),
        (b"a,,c\n1,2,3\n", "no name", "dataset.header"),
        (b"a,b,a\n1,2,3\n", "'a' stands twice", "dataset.header"),
        ("a,b\n1,é\n".encode("latin1"), "not UTF-8", "dataset.encoding"),
        (b"a,b\n" + b"1,2\n" * 20_000 + "1,é\n".encode("latin1"), "not UTF-8", "dataset.encoding"),
        ("é,b\n1,2\n".encode("latin1"), "not UTF-8", "dataset.encoding"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16", "dataset.encoding"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, message: str, code: str) -> None:
    with pytest.raises(Invalid, match=message) as refused:
        shape(tmp_path, data)
    assert refused.value.code == code
    assert refused.value.message.startswith("x.csv")


def test_the_header_is_read_from_bytes_too() -> None:
    assert read_header(b'"a,\nb",c\n1,2\n', "x.csv", Reading()) == ["a,\nb", "c"]


CELLS = st.text(st.sampled_from('ab1.- ,"\n\r;é'), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8))
def test_every_whole_csv_is_accepted_and_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["x", "y", "z"], *cells])
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(buffer.getvalue().encode())
    found = read_csv_shape(path, "x.csv", Reading())
    assert found.rows == len(cells)
    texts = scan_csv(path, "x.csv", Reading(), dict.fromkeys("xyz", pl.String())).collect()
    assert [[cell or "" for cell in row] for row in texts.rows()] == cells


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.booleans())
def test_a_file_is_refused_exactly_when_a_record_is_ragged(
    tmp_path_factory: pytest.TempPathFactory, widths: list[int], quoted: bool
) -> None:
    cell = '"x"' if quoted else "x"
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_text("a,b,c\n" + "".join(",".join([cell] * width) + "\n" for width in widths))
    wrong = [place for place, width in enumerate(widths) if width != 3]
    if not wrong:
        assert read_csv_shape(path, "x.csv", Reading()).rows == len(widths)
        return
    with pytest.raises(Invalid) as refused:
        read_csv_shape(path, "x.csv", Reading())
    assert refused.value.facts == {"path": "x.csv", "line": wrong[0] + 2}
