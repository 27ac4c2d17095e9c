"""A profile of a table, 20 numeric columns and 5 of texts: moments, quantiles, distinct values, the most common, gaps.

    profile.py [ROWS] [ROUNDS]          100000 rows, 5 rounds

The limit is one Polars pass that scans every column once for its least, greatest, mean and gaps; beside it is printed a
pass that finds 63 quantiles and the number of different values, exactly. The peer is ydata-profiling with
`minimal=True`, its fast setting, as an HTML page; charkh is measured with its HTML page too. The table is in memory
before the clock starts, and what charkh says of each column is compared with what Polars says.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
from harness import clock, in_turn, median, peer_python, report, version_of, workplace

from charkh.datasets.profile.histogram import quantiles_of
from charkh.datasets.profile.measure import profile_frame
from charkh.datasets.profile.page import profile_page
from charkh.datasets.profile.profile import TableProfile
from charkh.datasets.profile.summary import summaries_of

DEFAULTS = (100_000, 5)
AIM = 30
NUMBERS, TEXTS, QUANTILES = 20, 5, 63
PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas
from ydata_profiling import ProfileReport
frame = pandas.read_parquet(sys.argv[1])
begin = time.perf_counter()
page = ProfileReport(frame, minimal=True, progress_bar=False).to_html()
print(json.dumps({"seconds": time.perf_counter() - begin, "bytes": len(page)}))
"""


def table(rows: int, seed: int) -> pl.DataFrame:
    """Columns of several shapes, every fourth with gaps."""
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for number in range(NUMBERS):
        values = random.standard_normal(rows) if number % 2 else random.exponential(10.0, rows).round(2)
        columns[f"n{number}"] = pl.Series(
            np.where(random.random(rows) < 0.05, np.nan, values) if number % 4 == 0 else values
        )
    for number in range(TEXTS):
        names = [f"text {place}" for place in range(10 ** (1 + number % 4))]
        columns[f"t{number}"] = pl.Series(names).gather(random.integers(0, len(names), rows))
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def scan(frame: pl.DataFrame) -> pl.DataFrame:
    """The least, the greatest, the mean and the gaps."""
    every, numbers = pl.all(), pl.selectors.numeric()
    return (
        frame.lazy()
        .select(
            every.min().name.suffix(" min"),
            every.max().name.suffix(" max"),
            numbers.mean().name.suffix(" mean"),
            every.null_count().name.suffix(" gaps"),
        )
        .collect()
    )


def quantiles(frame: pl.DataFrame) -> pl.DataFrame:
    """Exact quantiles, and how many different values there are."""
    numbers = pl.selectors.numeric()
    places = [frame.height * place // (QUANTILES + 1) for place in range(1, QUANTILES + 1)]
    asked = numbers.sort().gather(places).implode(), pl.all().n_unique().name.suffix(" distinct")
    return frame.lazy().select(*asked).collect()


def ydata(python: Path | None, path: Path) -> float | None:
    """Seconds of the peer; None without it."""
    if python is None:
        return None
    done = subprocess.run([python, "-c", PEER, path], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def page(frame: pl.DataFrame) -> str:
    """The profile as a page."""
    return profile_page("table", frame.height, summaries_of(profile_frame(frame)))


def true(profile: TableProfile, frame: pl.DataFrame) -> bool:
    """Whether the profile says what Polars says: exactly, or within the sketch's own error of rank."""
    checks = list[bool]()
    for column in profile.columns:
        values = frame[column.name].drop_nulls()
        checks.append(column.missing == frame.height - len(values))
        if column.kind == "text":
            counted = dict(values.value_counts().iter_rows())
            checks.append(all(counted[text] == count for text, count in column.texts.items[:5]))
        else:
            checks.append(
                math.isclose(column.moments.mean, float(values.to_numpy().mean()), rel_tol=1e-9, abs_tol=1e-12)
            )
            median_ = quantiles_of(column.histogram, [0.5])[0]
            rank = int((values <= median_).sum()) / max(1, len(values))
            checks.append(abs(rank - 0.5) <= column.histogram.rank_error + 1 / frame.height)
    return all(checks)


def main(rows: int, rounds: int) -> None:
    frame = table(rows, 1)
    python = peer_python("ydata-profiling", "ydata-profiling==4.18.4", "setuptools<81", "pyarrow")
    with workplace() as folder:
        path = folder / "table.parquet"
        frame.write_parquet(path)
        contenders = {
            "limit": lambda: clock(lambda: scan(frame)),
            "limit_quantiles": lambda: clock(lambda: quantiles(frame)),
            "charkh": lambda: clock(lambda: profile_frame(frame)),
            "charkh_page": lambda: clock(lambda: page(frame)),
        }
        readings = in_turn(rounds, contenders)
        peers = [seconds for _ in range(min(rounds, 3)) if (seconds := ydata(python, path)) is not None]
    mine, with_page = median(readings["charkh"]), median(readings["charkh_page"])
    peer = median(peers) if peers else None
    correct = true(profile_frame(frame), frame)
    report(
        "profile",
        charkh=with_page,
        peer=peer,
        limit=median(readings["limit"]),
        aim=f"a page at least {AIM} times sooner than ydata-profiling's minimal one",
        holds=correct and (peer is None or peer >= AIM * with_page),
        unit="s",
        rows=rows,
        charkh_without_page=mine,
        limit_quantiles=median(readings["limit_quantiles"]),
        as_polars_says=correct,
        peer_version=version_of(python, "ydata-profiling"),
    )


if __name__ == "__main__":
    main(
        *(
            int(given) if given else default
            for given, default in zip([*sys.argv[1:], "", ""][:2], DEFAULTS, strict=True)
        )
    )
