"""What differs between two tables of a million rows of eight columns, row by row and cell by cell.

    row_diff.py [ROWS] [ROUNDS]          1,000,000 rows, 5 rounds

The new table has 0.5 % more rows, 0.02 % fewer, and 0.1 % with one changed cell, in another order. charkh compares
with a key and without one; the worse of the two ratios to its own limit is what is promised. The limit is a plain
Polars join of the hashes: of the keys with the rows' hashes beside them, and of the rows' hashes counted. It says how
many rows differ, but neither which cells nor, where two hashes meet, the truth. The peer is datacompy with Polars, the
only one found that compares two tables cell by cell in memory; it needs a key. Tables are in memory for all of them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import polars as pl
from harness import clock, in_turn, median, peer_python, report, version_of, workplace

from charkh.datasets.row_diff import RowDiff, diff_rows

DEFAULTS = (1_000_000, 5)
ALLOWED = 3
KEY = ["id"]
PEER = """
import json, sys, time
import polars as pl
from datacompy.polars import PolarsCompare
old, new = pl.read_parquet(sys.argv[1]), pl.read_parquet(sys.argv[2])
begin = time.perf_counter()
found = PolarsCompare(old, new, join_columns=["id"])
taken = time.perf_counter() - begin
rows = [len(found.df2_unq_rows), len(found.df1_unq_rows)]
changed = sum(each["unequal_cnt"] for each in found.column_stats)
print(json.dumps([taken, *rows, changed]))
"""


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    rows, rounds = [*given, *DEFAULTS[len(given) :]]
    old, new, wanted = _tables(rows, int.from_bytes(os.urandom(4)))
    found: dict[str, RowDiff] = {}
    peer = peer_python("datacompy", "datacompy>=0.16", "polars")
    with workplace() as folder:
        old.write_parquet(folder / "old.parquet")
        new.write_parquet(folder / "new.parquet")
        peer_said: list[list[float]] = []

        def charkh(name: str, key: list[str] | None) -> float:
            return clock(lambda: found.__setitem__(name, diff_rows(old, new, key=key)))

        def datacompy() -> float:
            command = [str(peer), "-c", PEER, str(folder / "old.parquet"), str(folder / "new.parquet")]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peer_said.append(json.loads(said.splitlines()[-1]))
            return peer_said[-1][0]

        contenders: dict[str, Callable[[], float]] = {
            "limit keyed": lambda: clock(lambda: _join_keyed(old, new)),
            "charkh keyed": lambda: charkh("keyed", KEY),
            "limit keyless": lambda: clock(lambda: _join_keyless(old, new)),
            "charkh keyless": lambda: charkh("keyless", None),
        }
        if peer is not None:
            contenders["datacompy keyed"] = datacompy
        readings = in_turn(rounds, contenders)
    seconds = {name: median(values) for name, values in readings.items()}
    ratios = {how: seconds[f"charkh {how}"] / seconds[f"limit {how}"] for how in ("keyed", "keyless")}
    exact = _is_exact(found, wanted)
    report(
        "row_diff",
        charkh=seconds["charkh keyed"],
        peer=seconds.get("datacompy keyed"),
        limit=seconds["limit keyed"],
        aim=f"keyed and keyless, at most {ALLOWED} times as long as a plain join of the hashes",
        holds=exact and max(ratios.values()) <= ALLOWED,
        unit="s",
        rows=rows,
        exact=exact,
        times_the_limit={how: round(ratio, 3) for how, ratio in ratios.items()},
        seconds={name: round(value, 4) for name, value in seconds.items()},
        peer_agrees=[said[1:] for said in peer_said[:1]] == [[wanted["added"], wanted["removed"], wanted["changed"]]],
        peer_version=version_of(peer, "datacompy"),
    )


def _tables(rows: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    source = np.random.default_rng(seed)
    more, fewer, changed = rows // 200, rows // 5000, rows // 1000

    def table(first: int, count: int) -> pl.DataFrame:
        places = pl.Series(["EWR", "JFK", "LGA", "SFO", "MIA", "ORD", "BOS"])
        return pl.DataFrame(
            {
                "id": np.arange(first, first + count),
                "carrier": pl.Series(["UA", "AA", "B6", "DL", "EV"])[source.integers(0, 5, count)],
                "origin": places[source.integers(0, 3, count)],
                "dest": places[source.integers(3, 7, count)],
                "day": source.integers(1, 366, count),
                "delay": source.normal(10, 40, count).round(3),
                "distance": source.integers(80, 5000, count),
                "tail": pl.Series(source.integers(10_000, 99_999, count)).cast(pl.String),
            }
        )

    old = table(0, rows)
    edited = source.choice(rows, changed + fewer, replace=False)
    kept = old.with_columns(
        delay=pl.when(pl.col("id").is_in(edited[:changed].tolist())).then(9999.0).otherwise("delay")
    ).filter(~pl.col("id").is_in(edited[changed:].tolist()))
    new = pl.concat([kept, table(rows, more)]).sample(fraction=1.0, shuffle=True, seed=seed)
    return old, new, {"added": more, "removed": fewer, "changed": changed}


def _join_keyed(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    hashed = [
        frame.lazy()
        .select("id", pl.struct(pl.exclude("id")).hash().alias(name))
        .with_columns(pl.lit(True).alias(f"in_{name}"))
        for frame, name in ((old, "old"), (new, "new"))
    ]
    joined = hashed[0].join(hashed[1], on="id", how="full", coalesce=True)
    return joined.select(
        pl.col("in_old").is_null().sum().alias("added"),
        pl.col("in_new").is_null().sum().alias("removed"),
        (pl.col("old") != pl.col("new")).sum().alias("changed"),
    ).collect()


def _join_keyless(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    counted = [
        frame.lazy()
        .select(pl.struct(pl.all()).hash().alias("row"))
        .group_by("row")
        .agg(pl.len().cast(pl.Int64).alias(name))
        for frame, name in ((old, "old"), (new, "new"))
    ]
    joined = counted[0].join(counted[1], on="row", how="full", coalesce=True)
    more = (pl.col("new").fill_null(0) - pl.col("old").fill_null(0)).alias("more")
    return joined.select(more.clip(0).sum().alias("added"), more.clip(None, 0).sum().alias("removed")).collect()


def _is_exact(found: dict[str, RowDiff], wanted: dict[str, int]) -> bool:
    keyed, keyless = found["keyed"], found["keyless"]
    moved = wanted["changed"]
    return (
        (keyed.added.height, keyed.removed.height, keyed.old.height) == (wanted["added"], wanted["removed"], moved)
        and keyed.cells == {"delay": moved}
        and (keyless.added.height, keyless.removed.height) == (wanted["added"] + moved, wanted["removed"] + moved)
    )


if __name__ == "__main__":
    main()
