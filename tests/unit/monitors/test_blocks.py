"""Rows of one day share what made them: no alarm for that, and one for days that are others."""

import numpy as np
import polars as pl
import pytest

from charkh.monitors.blocked import by_blocks
from charkh.monitors.blocks import can_tell, count_blocks, deals_needed, permuted
from charkh.monitors.compare import Comparison, compare
from charkh.monitors.sketches.table import batches_of, sketch_reference


def days(count: int, seed: int, *, shift: float = 0.0, rows: int = 150) -> pl.DataFrame:
    """Each day has weather of its own, which all of its rows share."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(count), rows)
    weather = {
        f"w{number}": random.normal(shift, 1, count)[of] + random.normal(size=len(of)) / 2 for number in range(4)
    }
    sky = np.array(["sun", "rain", "snow"])[random.integers(0, 3, count)[of]]
    gaps = np.where(random.random(count)[of] < 0.2, np.nan, random.normal(size=len(of)))
    return pl.DataFrame({"day": (1000 * seed + of).astype(str), **weather, "sky": sky, "gaps": gaps})


def both(old: pl.DataFrame, new: pl.DataFrame) -> tuple[Comparison, float]:
    found = compare(old, new, columns=[name for name in old.columns if name != "day"])
    return found, by_blocks(found.drift, found.reference, batches_of(old), batches_of(new), "day").drifted


def test_other_days_of_the_same_weather_are_no_drift_although_rows_alone_would_say_so() -> None:
    alone, dealt = list[float](), list[float]()
    for seed in range(1, 7):
        found, by_days = both(days(60, seed), days(15, 50 + seed))
        alone.append(found.drift.drifted)
        dealt.append(by_days)
    assert max(dealt) == 0.0
    assert np.mean(alone) > 0.2, "what a test of independent rows would have raised"


def test_other_weather_is_drift() -> None:
    old, new = days(60, 1), days(20, 60, shift=2.5)
    found = compare(old, new, columns=[name for name in old.columns if name != "day"])
    report = by_blocks(found.drift, found.reference, batches_of(old), batches_of(new), "day")
    assert {each.column for each in report.columns if each.drifted} == {"w0", "w1", "w2", "w3"}
    assert (report.blocks, report.reference_blocks, report.note) == (20, 60, "")
    assert min(test.p for each in report.columns for test in each.tests if test.name != "new") > 0


def test_too_few_days_are_said_and_change_nothing() -> None:
    old, new = days(60, 1), days(1, 60, shift=2.5)
    found = compare(old, new, columns=["w0", "sky"])
    report = by_blocks(found.drift, found.reference, batches_of(old), batches_of(new), "day")
    assert report.columns == found.drift.columns
    assert "1 and 60 blocks" in report.note
    assert not can_tell(60, 1, 10, 0.01)
    assert can_tell(60, 20, 100, 0.01)
    assert deals_needed(100, 0.01) == 20_000


def test_blocks_are_counted_alike_however_the_table_is_cut() -> None:
    table = days(9, 3)
    sketch = sketch_reference(batches_of(table))
    whole = count_blocks([table], "day", sketch, ["w0", "sky", "gaps"], 10)
    parts = count_blocks(table.iter_slices(37), "day", sketch, ["w0", "sky", "gaps"], 10)
    assert parts == whole
    assert [row[-1] + row[-2] for row in whole.counts["gaps"]] == [150] * 9


def test_p_values_are_uniform_where_blocks_are_exchangeable_and_never_zero() -> None:
    p = list[float]()
    for seed in range(60):
        table = days(24, 100 + seed, rows=12)
        halves = [
            table.filter(pl.col("day").is_in(table["day"].unique(maintain_order=True)[place::2].implode()))
            for place in (0, 1)
        ]
        sketch = sketch_reference(batches_of(halves[0]))
        counted = [count_blocks([half], "day", sketch, ["w0"], 10) for half in halves]
        p.append(permuted(counted[0], counted[1], {"w0": True}, 199, seed)["w0"].ks)
    assert min(p) >= 1 / 200
    assert np.mean(p) == pytest.approx(0.5, abs=0.13)
    assert np.mean(np.array(p) < 0.2) < 0.4
