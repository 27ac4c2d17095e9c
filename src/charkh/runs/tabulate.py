"""Small tables as JSON: `{"columns": […], "data": [[…], …]}`, row by row, as pandas' own `split` form.

A table to look at beside a run; data to work with is a dataset, or an artifact.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec

from charkh.core.errors import Invalid
from charkh.core.redact import redact
from charkh.runs.pictures import Encoded

MIME = "application/json"
MAX_ROWS = 10_000
MAX_COLUMNS = 1_000
MAX_CELL = 10_000
"""Characters of a text in one cell; what is longer is cut."""


def encode_table(table: Any) -> Encoded:
    """A table from a frame (Polars, pandas, PyArrow), columns by name, or a list of rows by name.

    The first 10,000 rows of the first 1,000 columns are kept, and the details say how many there were (`rows`,
    `columns`). Numbers that JSON cannot say, and missing ones, are null.

    Raises:
        Invalid: it is no table, or its columns differ in length.
    """
    columns, rows = _columns(table)
    names = list(columns)[:MAX_COLUMNS]
    lengths = {name: len(columns[name]) for name in columns}
    if len(set(lengths.values())) > 1:
        raise Invalid(
            f"the columns have different lengths: {dict(list(lengths.items())[:5])}",
            code="run.bad_media",
            hint="Give every column as many values.",
        )
    plain = [[_cell(each) for each in columns[name][:MAX_ROWS]] for name in names]
    data = [list(row) for row in zip(*plain, strict=True)]
    payload = msgspec.json.encode({"columns": [redact(str(name)) for name in names], "data": data})
    return Encoded(payload, MIME, {"rows": rows, "columns": len(columns)})


def _columns(table: Any) -> tuple[Mapping[str, Sequence[Any]], int]:
    """The first rows by column, and how many there are."""
    library = type(table).__module__.partition(".")[0]
    found: dict[str, Sequence[Any]]
    if library == "polars" and hasattr(table, "select"):
        frame = table.collect() if hasattr(table, "collect") else table
        return frame.head(MAX_ROWS).to_dict(as_series=False), int(frame.height)
    if library == "pandas" and hasattr(table, "columns"):
        head = table.head(MAX_ROWS)
        found = {str(name): head.iloc[:, place].tolist() for place, name in enumerate(table.columns)}
        return found, len(table)
    if library == "pyarrow" and callable(getattr(table, "to_pydict", None)):
        return table.slice(0, MAX_ROWS).to_pydict(), int(table.num_rows)
    if isinstance(table, Mapping):
        found = {str(name): _listed(name, values) for name, values in cast(Mapping[Any, Any], table).items()}
    elif isinstance(table, Sequence) and not isinstance(table, str | bytes):
        found = _by_column(cast(Sequence[Any], table))
    else:
        raise _no_table(table)
    return found, max(map(len, found.values()), default=0)


def _by_column(rows: Sequence[Any]) -> dict[str, Sequence[Any]]:
    if not all(isinstance(row, Mapping) for row in rows):
        raise _no_table(rows)
    named = cast(Sequence[Mapping[Any, Any]], rows)
    names: dict[Any, None] = {name: None for row in named for name in row}
    return {str(name): [row.get(name) for row in named] for name in names}


def _listed(name: object, values: Any) -> Sequence[Any]:
    listed = getattr(values, "tolist", None) or getattr(values, "to_list", None)
    found: Any = listed() if callable(listed) else values
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return cast(Sequence[Any], found)
    raise Invalid(
        f"the column {str(name)[:80]!r} is {type(values).__name__}, not a list of values",
        code="run.bad_media",
        hint="Give a list or an array for each column.",
    )


def _cell(value: Any) -> Any:
    item = getattr(value, "item", None)
    plain: Any = item() if callable(item) and getattr(value, "shape", None) == () else value
    if plain is None or isinstance(plain, bool | int):
        return plain
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if isinstance(plain, str):
        return redact(plain[:MAX_CELL]).encode("utf-8", "replace").decode()
    if isinstance(plain, datetime | date | time):
        return plain.isoformat()
    if isinstance(plain, timedelta):
        return plain.total_seconds()
    if isinstance(plain, Decimal):
        return str(plain)
    return redact(str(plain)[:MAX_CELL]).encode("utf-8", "replace").decode()


def _no_table(value: object) -> Invalid:
    return Invalid(
        f"{type(value).__name__} is no table",
        code="run.bad_media",
        hint="Give a frame of Polars or pandas, a dictionary of columns, or a list of rows by name.",
    )
