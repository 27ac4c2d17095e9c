"""Checking a table: five rules over a million rows, and the rows that fail set aside with their reasons.

    checks.py [ROWS] [ROUNDS]          1000000 rows, 5 rounds

The limit is one Polars query, written by hand, that counts what fails; the peer is Great Expectations on pandas, which
returns the failing rows as charkh does. All three have the table in memory, loaded before the clock starts; charkh
is measured with the quarantine, in memory, and also streaming from the Parquet file that it was read from. What failed
is compared. A profile of the table is measured beside.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from harness import in_turn, median, peer_python, report, version_of, workplace

from charkh.checks.document import parse_suite
from charkh.checks.run import run
from charkh.datasets.profile.measure import profile_frame

DEFAULTS = (1_000_000, 5)
AIM = 1.3
SUITE = """
at_most = 1.0
[[rule]]
check = "not_null"
columns = ["amount"]
[[rule]]
check = "range"
column = "amount"
min = 0
max = 1000
[[rule]]
check = "one_of"
column = "kind"
values = ["a", "b", "c", "d"]
[[rule]]
check = "unique"
columns = ["key"]
[[rule]]
check = "pattern"
column = "code"
pattern = "[A-Z]{2}[0-9]{3}"
"""
PEER = """
import json, logging, sys, time, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import great_expectations
import great_expectations.expectations as gxe
import pandas
context = great_expectations.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
frame = pandas.read_parquet(sys.argv[1])
asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
suite = great_expectations.ExpectationSuite(name="suite", expectations=[
    gxe.ExpectColumnValuesToNotBeNull(column="amount"),
    gxe.ExpectColumnValuesToBeBetween(column="amount", min_value=0, max_value=1000),
    gxe.ExpectColumnValuesToBeInSet(column="kind", value_set=["a", "b", "c", "d"]),
    gxe.ExpectColumnValuesToBeUnique(column="key"),
    gxe.ExpectColumnValuesToMatchRegex(column="code", regex="^[A-Z]{2}[0-9]{3}$"),
])
begin = time.perf_counter()
found = batch.validate(suite, result_format="COMPLETE")
seconds = time.perf_counter() - begin
counts = {each.expectation_config.type: each.result["unexpected_count"] for each in found.results}
print(json.dumps({"seconds": seconds, "counts": counts}))
"""


def main() -> None:
    rows, rounds = _sizes()
    peer = peer_python("great-expectations", "great-expectations>=1.3,<2", "pyarrow")
    suite = parse_suite(SUITE)
    with workplace() as folder:
        path = folder / "table.parquet"
        _generate(rows, int(time.time())).write_parquet(path)
        frame = pl.read_parquet(path)
        result = run(suite, frame)
        failed = {outcome.check: outcome.failed for outcome in result.outcomes}
        peers: list[dict[str, int]] = []
        contenders: dict[str, Callable[[], float]] = {
            "query": lambda: _timed(lambda: _by_hand(frame)),
            "charkh": lambda: _timed(lambda: run(suite, frame)),
            "charkh streaming": lambda: _timed(lambda: run(suite, pl.scan_parquet(path))),
            "charkh profile": lambda: _timed(lambda: profile_frame(frame)),
        }
        if peer is not None:
            contenders["great expectations"] = lambda: _peer(peer, path, peers)
        readings = in_turn(rounds, contenders)
        by_hand = _by_hand(frame)
        streamed = run(suite, pl.scan_parquet(path))
    middle = {name: median(values) for name, values in readings.items()}
    equal = (
        failed == by_hand
        and streamed.bad.equals(result.bad)
        and all(_told(found) == {**failed, "unique": found["expect_column_values_to_be_unique"]} for found in peers)
    )
    report(
        "checks",
        charkh=middle["charkh"],
        peer=middle.get("great expectations"),
        limit=middle["query"],
        aim=f"with quarantine at most {AIM} times one query written by hand, which sets no row aside",
        holds=equal and middle["charkh"] <= AIM * middle["query"],
        unit="s",
        rows=rows,
        set_aside=result.bad.height,
        found_equal=equal,
        readings={name: round(value, 5) for name, value in middle.items()},
        peer_version=version_of(peer, "great-expectations"),
    )


def _sizes() -> list[int]:
    given = [int(text) for text in sys.argv[1:3]]
    return [*given, *DEFAULTS[len(given) :]]


def _generate(rows: int, seed: int) -> pl.DataFrame:
    """A table in which about one row in a thousand breaks each rule."""
    random = np.random.default_rng(seed)
    bad = [random.random(rows) < 0.001 for _ in range(5)]
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    codes = [
        f"{a}{b}{n:03}" for a, b, n in zip(*(letters[random.integers(0, 26, (2, 5000))]), range(5000), strict=True)
    ]
    codes = [code[:5] for code in codes]
    key = np.where(bad[3], 0, np.arange(rows))
    amount = np.where(bad[1], -1.0, random.uniform(0, 1000, rows))
    frame = pl.DataFrame(
        {
            "key": key,
            "amount": amount,
            "kind": pl.Series(np.array(list("abcd"))[random.integers(0, 4, rows)]),
            "code": pl.Series(np.array(codes)[random.integers(0, 5000, rows)]),
            **{f"x{place}": random.normal(size=rows) for place in range(4)},
        }
    )
    return frame.with_columns(
        pl.when(pl.Series(bad[0])).then(None).otherwise("amount").alias("amount"),
        pl.when(pl.Series(bad[2])).then(pl.lit("z")).otherwise("kind").alias("kind"),
        pl.when(pl.Series(bad[4])).then(pl.lit("?")).otherwise("code").alias("code"),
    )


def _by_hand(frame: pl.DataFrame) -> dict[str, int]:
    """What somebody would write who wants the five counts and nothing else."""
    amount = pl.col("amount")
    counts = frame.lazy().select(
        not_null=amount.is_null().sum(),
        range=(~amount.is_between(0, 1000)).sum(),
        one_of=(~pl.col("kind").is_in(["a", "b", "c", "d"])).sum(),
        unique=(~pl.col("key").is_first_distinct()).sum(),
        pattern=(~pl.col("code").str.contains("^(?:[A-Z]{2}[0-9]{3})$")).sum(),
    )
    return {name: int(value) for name, value in counts.collect().row(0, named=True).items()}


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _peer(python: Path, path: Path, found: list[dict[str, int]]) -> float:
    """Seconds of the validation alone, its own imports and the reading of the file left out."""
    result = subprocess.run([python, "-c", PEER, path], capture_output=True, text=True, check=True)
    told = json.loads(result.stdout.strip().splitlines()[-1])
    found.append(told["counts"])
    return float(told["seconds"])


def _told(counts: dict[str, int]) -> dict[str, int]:
    """The peer's counts by our names; of equal keys it counts the first one too."""
    names = {
        "expect_column_values_to_not_be_null": "not_null",
        "expect_column_values_to_be_between": "range",
        "expect_column_values_to_be_in_set": "one_of",
        "expect_column_values_to_be_unique": "unique",
        "expect_column_values_to_match_regex": "pattern",
    }
    return {names[name]: count for name, count in counts.items()}


if __name__ == "__main__":
    main()
