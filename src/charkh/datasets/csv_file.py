"""What a CSV file is: its columns, their types and its rows, or a clear word about what is wrong with it.

Polars infers types from the first rows and then parses the whole file with them once, streamed; a column
that does not fit further down is typed by a second pass over its text. Polars fills short rows with
nulls, so a file whose last column has gaps gets its fields counted. Dates are read year first: what is
written day or month first could be either, and stays text.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import polars as pl
from polars.exceptions import PolarsError

from charkh.core.errors import Invalid
from charkh.datasets.dataset import Reading
from charkh.datasets.formats import Source, scan_csv, separator_of

SAMPLE = 10_000
"""Rows that types are first inferred from."""

_PATH = "__path__"
_YEAR_FIRST = r"^\d{4}[-/]"
_LADDERS: dict[type[pl.DataType], tuple[pl.DataType, ...]] = {
    pl.Int64: (pl.Int64(), pl.Int128(), pl.Float64()),
    pl.Int128: (pl.Int128(), pl.Float64()),
    pl.Date: (pl.Date(), pl.Datetime("us")),
}


class TableFile(NamedTuple):
    """One file of a table: its columns with their types, and its rows."""

    columns: dict[str, pl.DataType]
    rows: int


def read_csv_shape(disk: Path, path: str, reading: Reading) -> TableFile:
    """The columns and rows of a CSV file; a column without any value has the type `Null`.

    Args:
        disk: where it lies.
        path: what it is called in the dataset.
        reading: how it is read.

    Raises:
        Invalid: it is empty, not UTF-8, ragged, or has two columns of one name; with the line where known.
    """
    header = read_header(disk, path, reading)
    texts = dict.fromkeys(header, pl.String())
    try:
        schema = _inferred(disk, path, reading, header)
    except PolarsError:
        schema = texts
    try:
        nulls, rows = _parse_all(disk, path, reading, schema)
    except PolarsError:
        try:
            schema = _typed_by_text(disk, path, reading, schema)
            nulls, rows = _parse_all(disk, path, reading, schema)
        except PolarsError as error:
            _explain(disk, path, reading, len(header), error)
    if len(header) > 1 and nulls[-1]:
        _refuse_ragged(disk, path, reading, len(header))
    columns = {
        name: pl.Null() if empty == rows else dtype for (name, dtype), empty in zip(schema.items(), nulls, strict=True)
    }
    return TableFile(columns, rows)


def read_csv_rows(
    files: Sequence[tuple[str, Path]], reading: Reading, columns: Mapping[str, pl.DataType]
) -> dict[str, int] | None:
    """The rows of many small CSV files of known columns, by path, in one pass over all of them.

    None where they have to be looked at one by one: a header or a separator differs, a value does not fit, or the
    columns are of types that only inference tells apart, such as dates with and without a zone.

    Args:
        files: paths in the dataset, and where the files lie.
        reading: how they are read.
        columns: what each of them should have, in this order.

    Raises:
        Invalid: one has no header, is not UTF-8 or is ragged.
    """
    header, separators = list(columns), {separator_of(path, reading) for path, _ in files}
    inferred_only = any(dtype.is_temporal() or dtype == pl.Null for dtype in columns.values())
    if inferred_only or len(separators) != 1 or _PATH in columns:
        return None
    if any(read_header(disk, path, reading) != header for path, disk in files):
        return None
    paths = {str(disk): path for path, disk in files}
    lazy = scan_csv([disk for _, disk in files], files[0][0], reading, columns, paths_in=_PATH)
    last = pl.col(header[-1]).null_count().alias("gaps")
    # A column is only counted when it is parsed, and only what is parsed has been looked at.
    parsed = [pl.col(name).null_count().alias(f"{place}") for place, name in enumerate(header)]
    try:
        counted = lazy.group_by(_PATH).agg(pl.len().alias("rows"), last, *parsed).collect(engine="streaming")
    except PolarsError:
        return None
    rows = dict.fromkeys((path for path, _ in files), 0)
    for disk, count, gaps in counted.select(_PATH, "rows", "gaps").iter_rows():
        rows[paths[disk]] = count
        if gaps and len(header) > 1:
            _refuse_ragged(Path(disk), paths[disk], reading, len(header))
    return rows


def read_header(source: Source, path: str, reading: Reading) -> list[str]:
    """The names of the columns.

    Raises:
        Invalid: there is no header, it is not UTF-8, or a name is empty or stands twice.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        start = file.read(2)
        if not start:
            raise Invalid(
                f"{path} is empty",
                code="dataset.empty_file",
                hint="Leave it out, write a header into it, or keep plain files (`--files`).",
            )
        if start in {b"\xff\xfe", b"\xfe\xff"}:
            raise _not_utf8(path, "it is UTF-16")
        file.seek(0)
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            records = _guarded(csv.reader(text, delimiter=separator_of(path, reading)), path)
            header = next(records, list[str]())
    twice = next((name for place, name in enumerate(header) if name in header[:place]), None)
    if not header or not all(header) or twice:
        problem = f"the column {twice!r} stands twice" if twice else "a column in the first line has no name"
        raise Invalid(
            f"{path}: {problem}",
            code="dataset.header",
            hint="Give every column a name of its own in the first line, or keep plain files (`--files`).",
        )
    return header


def _guarded(records: Iterable[list[str]], path: str) -> Iterator[list[str]]:
    try:
        yield from records
    except UnicodeDecodeError as error:
        raise _not_utf8(path, f"byte {error.object[error.start : error.start + 1]!r} cannot be read") from error
    except csv.Error as error:
        raise Invalid(f"{path}: {error}", code="dataset.not_csv", hint="Look at its quotes and separators.") from error


def _inferred(disk: Path, path: str, reading: Reading, header: list[str]) -> dict[str, pl.DataType]:
    """Types by the first rows; dates only where they are written year first."""
    separator, nulls = separator_of(path, reading), list(reading.nulls) or None
    lazy = pl.scan_csv(
        disk, separator=separator, null_values=nulls, try_parse_dates=True, infer_schema_length=SAMPLE, glob=False
    )
    schema = lazy.collect_schema()
    dated = [name for name, dtype in schema.items() if dtype.is_temporal() and dtype != pl.Time]
    if dated:
        texts = pl.scan_csv(disk, separator=separator, null_values=nulls, infer_schema=False, glob=False)
        sample = texts.select(dated).head(SAMPLE).collect()
        doubtful = [name for name in dated if not sample[name].drop_nulls().str.contains(_YEAR_FIRST).all()]
        schema.update(dict.fromkeys(doubtful, pl.String()))
    # Polars renames what it does not like; the file's own names are kept.
    return dict(zip(header, schema.dtypes(), strict=True))


def _parse_all(disk: Path, path: str, reading: Reading, schema: Mapping[str, pl.DataType]) -> tuple[list[int], int]:
    """Parse every row with these types: how many nulls each column has, and the rows."""
    lazy = scan_csv(disk, path, reading, schema)
    counts = lazy.select(
        *(pl.col(name).null_count().alias(str(place)) for place, name in enumerate(schema)), pl.len().alias("rows")
    )
    *nulls, rows = counts.collect(engine="streaming").row(0)
    return nulls, rows


def _typed_by_text(
    disk: Path, path: str, reading: Reading, schema: Mapping[str, pl.DataType]
) -> dict[str, pl.DataType]:
    """The first type of each column's ladder that every value of the file fits, text at the end."""
    lazy = scan_csv(disk, path, reading, dict.fromkeys(schema, pl.String()))
    steps = [
        (name, dtype)
        for name, inferred in schema.items()
        if inferred != pl.String
        for dtype in _LADDERS.get(type(inferred), (inferred,))
    ]
    misfits = lazy.select(
        (_as_type(pl.col(name), dtype).is_null() & pl.col(name).is_not_null()).any().alias(str(place))
        for place, (name, dtype) in enumerate(steps)
    )
    found: dict[str, pl.DataType] = {}
    for (name, dtype), misfit in zip(steps, misfits.collect(engine="streaming").row(0), strict=True):
        if not misfit:
            found.setdefault(name, dtype)
    return {name: found.get(name, pl.String()) for name in schema}


def _as_type(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Boolean:
        lowered = text.str.to_lowercase()
        return pl.when(lowered.is_in(["true", "false"])).then(lowered == "true")
    if isinstance(dtype, pl.Datetime):
        return text.str.to_datetime(time_unit="us", time_zone=dtype.time_zone, strict=False)
    if dtype == pl.Date:
        return text.str.to_date(strict=False)
    return text.cast(dtype, strict=False)


def _refuse_ragged(disk: Path, path: str, reading: Reading, width: int) -> None:
    """Raise for the first record that has not `width` fields; the fast way where nothing is quoted."""
    separator = separator_of(path, reading)
    line = pl.col("line").fill_null("")
    lazy = pl.scan_csv(
        disk,
        separator="\x01",
        quote_char=None,
        has_header=False,
        schema={"line": pl.String()},
        low_memory=True,
        glob=False,
    )
    counts = lazy.select(
        line.str.contains('"', literal=True).any().alias("quoted"),
        (line.str.count_matches(separator, literal=True) != width - 1).any().alias("ragged"),
    )
    try:
        quoted, ragged = counts.collect(engine="streaming").row(0)
    except PolarsError:
        quoted = ragged = True
    if quoted or ragged:
        _find_ragged(disk, path, reading, width)


def _find_ragged(disk: Path, path: str, reading: Reading, width: int) -> None:
    with disk.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=separator_of(path, reading))
        for record in _guarded(reader, path):
            if len(record) != width:
                what = f"has {len(record)} fields" if record else "is empty"
                raise Invalid(
                    f"{path}, line {reader.line_num} {what}, the first line has {width}",
                    code="dataset.ragged",
                    hint="Mend that line, quote the field that holds a separator, or keep plain files (`--files`).",
                    facts={"path": path, "line": reader.line_num},
                )


def _explain(disk: Path, path: str, reading: Reading, width: int, error: PolarsError) -> NoReturn:
    """Say what is wrong with a file that Polars cannot parse even as text."""
    if "utf-8" in str(error):
        raise _not_utf8(path, "a field cannot be read") from error
    _find_ragged(disk, path, reading, width)
    raise Invalid(
        f"{path} cannot be read as a table: {str(error).partition(chr(10))[0]}",
        code="dataset.not_csv",
        hint="Look at its quotes and separators, or keep plain files (`--files`).",
    ) from error


def _not_utf8(path: str, why: str) -> Invalid:
    return Invalid(
        f"{path} is not UTF-8: {why}",
        code="dataset.encoding",
        hint="Convert it, for example with `iconv -f latin1 -t utf-8`, or keep plain files (`--files`).",
        facts={"path": path},
    )
