"""Drift of a table against its reference, 20 numeric columns and 5 of categories: PSI, chi-square, Kolmogorov-Smirnov.

    drift.py [ROWS] [ROUNDS] [LARGE]          1000000 rows, 3 rounds; memory also at LARGE = 10000000 rows

The limit is one Polars pass over both frames that counts what lies under `EDGES` fixed quantiles of each numeric
column, and the rows of each category, with the edges given: as many as a Kolmogorov-Smirnov distance off by 1/64
needs. The same over the nine deciles, which is enough for PSI alone, is printed beside, and so are the exact distances,
for which every column is sorted whole. The peer is Evidently with its preset, which chooses tests by its own rule.
Tables are in memory before the clock starts. What charkh found is compared with the exact distances: each must lie
within the error that was reported.

Memory is the most that a process of its own held that read both tables from Parquet, at ROWS and at LARGE rows, beside
one that only imports.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from harness import clock, in_turn, median, peer_python, report, version_of, workplace

from charkh.monitors.compare import compare
from charkh.monitors.drift import DriftReport, Thresholds, drift

DEFAULTS = (1_000_000, 3, 10_000_000)
EDGES, DECILES = 63, 9
AIM, AIM_PEER, AIM_MEMORY = 1.5, 40, 1.5
NUMBERS, CATEGORIES = 20, 5
STEP = 500_000
PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas
from evidently import Report
from evidently.presets import DataDriftPreset
old, new = (pandas.read_parquet(path) for path in sys.argv[1:3])
begin = time.perf_counter()
found = Report([DataDriftPreset()]).run(new, old).dict()
seconds = time.perf_counter() - begin
print(json.dumps({"seconds": seconds, "metrics": len(found["metrics"])}))
"""
MEMORY = """
import sys
import polars as pl
from charkh.monitors.compare import compare
paths = sys.argv[1:3]
if paths:
    compare(*(pl.scan_parquet(path) for path in paths))
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def table(rows: int, seed: int, moved: float) -> pl.DataFrame:
    """Columns of several shapes; of every fifth the location moves."""
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for number in range(NUMBERS):
        values = random.standard_normal(rows) if number % 2 else random.exponential(1.0, rows)
        columns[f"n{number}"] = values + (moved if number % 5 == 0 else 0)
    for number in range(CATEGORIES):
        names = np.array([f"category {place}" for place in range(4 + 8 * number)])
        columns[f"c{number}"] = pl.Series(names[(len(names) * random.random(rows) ** (1 + moved)).astype(int)])
    return pl.DataFrame(columns)


def write(path: Path, rows: int, seed: int, moved: float) -> Path:
    """The table as a folder of Parquet files; more rows than `STEP` are the same ones again."""
    part = table(min(STEP, rows), seed, moved)
    folder = path.with_suffix("")
    folder.mkdir()
    for place, begin in enumerate(range(0, rows, STEP)):
        part.head(rows - begin).write_parquet(
            folder / f"{place:04}.parquet", compression="uncompressed", row_group_size=100_000
        )
    return folder


def counts(frames: tuple[pl.DataFrame, ...], edges: Mapping[str, list[float]]) -> list[pl.DataFrame]:
    """What any report needs, in one pass: values at most each edge, and rows of each category."""
    wanted = [
        *((pl.col(name) <= edge).sum().alias(f"{name} {edge!r}") for name, each in edges.items() for edge in each),
        *(pl.col(f"c{number}").value_counts().implode() for number in range(CATEGORIES)),
    ]
    return [frame.lazy().select(wanted).collect() for frame in frames]


def quantiles(frame: pl.DataFrame, count: int) -> dict[str, list[float]]:
    """So many edges of each numeric column."""
    at = np.arange(1, count + 1) / (count + 1)
    return {f"n{number}": np.quantile(frame[f"n{number}"].to_numpy(), at).tolist() for number in range(NUMBERS)}


def peak(*paths: Path) -> float:
    """MiB of a process that compares these tables."""
    patterns = [f"{path}/*.parquet" for path in paths]
    done = subprocess.run([sys.executable, "-c", MEMORY, *patterns], capture_output=True, text=True, check=True)
    return float(done.stdout)


def evidently(python: Path | None, old: pl.DataFrame, new: pl.DataFrame, folder: Path) -> float | None:
    """Seconds of one run; it takes too long for rounds."""
    if python is None:
        return None
    paths = (folder / "old.parquet", folder / "new.parquet")
    for frame, path in zip((old, new), paths, strict=True):
        frame.write_parquet(path)
    done = subprocess.run([python, "-c", PEER, *paths], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def within(found: DriftReport, exact: DriftReport) -> bool:
    """Whether every exact distance lies within the reported error, and both found the same columns."""
    return all(
        mine.drifted == theirs.drifted
        and (mine.ks is None or theirs.ks is None or -1e-9 <= theirs.ks - mine.ks <= mine.ks_error + 1e-9)
        for mine, theirs in zip(found.columns, exact.columns, strict=True)
    )


def main(rows: int, rounds: int, large: int) -> None:
    old, new = table(rows, 1, 0.0), table(rows, 2, 0.5)
    fine, deciles = quantiles(old, EDGES), quantiles(old, DECILES)
    found = compare(old, new).drift
    readings = in_turn(
        rounds,
        {
            "limit": lambda: clock(lambda: counts((old, new), fine)),
            "limit_deciles": lambda: clock(lambda: counts((old, new), deciles)),
            "charkh": lambda: clock(lambda: compare(old, new)),
            "charkh_exact": lambda: clock(lambda: drift(old, new, thresholds=Thresholds(exact=True))),
        },
    )
    exact = drift(old, new, thresholds=Thresholds(exact=True))
    python = peer_python("evidently", "evidently==0.7.23", "pandas<3", "pyarrow")
    with workplace() as folder:
        seconds = evidently(python, old, new, folder)
        small = [
            write(folder / f"{name}.small", rows, seed, moved) for name, seed, moved in (("o", 1, 0.0), ("n", 2, 0.5))
        ]
        great = [
            write(folder / f"{name}.great", large, seed, moved) for name, seed, moved in (("p", 1, 0.0), ("q", 2, 0.5))
        ]
        idle, memory, memory_large = peak(), peak(*small), peak(*great)
    mine, limit = median(readings["charkh"]), median(readings["limit"])
    checked = within(found, exact)
    aim = f"{AIM} times counts over {EDGES} edges, {AIM_PEER} times Evidently, {AIM_MEMORY} times the memory at LARGE"
    flat = memory_large <= AIM_MEMORY * memory
    report(
        "drift",
        charkh=mine,
        peer=seconds,
        limit=limit,
        aim=aim,
        holds=checked and flat and mine <= AIM * limit and (seconds is None or seconds >= AIM_PEER * mine),
        unit="s",
        rows=rows,
        limit_deciles=median(readings["limit_deciles"]),
        charkh_exact=median(readings["charkh_exact"]),
        largest_ks_error=max(each.ks_error for each in found.columns),
        errors_hold=checked,
        drifted=[each.column for each in found.columns if each.drifted],
        idle_mib=round(idle),
        peak_mib={rows: round(memory), large: round(memory_large)},
        peer_version=version_of(python, "evidently"),
    )


if __name__ == "__main__":
    main(
        *(
            int(given) if given else default
            for given, default in zip([*sys.argv[1:], *[""] * 3][:3], DEFAULTS, strict=True)
        )
    )
