"""Odd rows are few where nothing changed, and found where a value or a category is out of all proportion."""

import numpy as np
import polars as pl
import pytest

from charkh.monitors.odd import FEWEST, learned, odd_rows, scores_of
from charkh.monitors.segments import drift_by_segment
from charkh.monitors.sketches.table import TableSketch, batches_of, sketch_reference


def rows(count: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "speed": random.normal(size=count),
            "delay": random.exponential(10, count),
            "origin": random.choice(["EWR", "JFK", "LGA"], count),
            "gaps": np.where(random.random(count) < 0.3, np.nan, random.normal(size=count)),
        }
    )


def reference(count: int = 20_000) -> TableSketch:
    table = rows(count, 1)
    return learned(sketch_reference(batches_of(table)), batches_of(table))


def test_about_one_row_in_a_hundred_is_odd_where_nothing_changed() -> None:
    found = odd_rows(reference(), rows(20_000, 2))
    assert found is not None
    assert found.share == pytest.approx(0.01, abs=0.004)


def test_what_is_far_out_scores_higher_and_is_named() -> None:
    sketch = reference()
    usual = pl.DataFrame({"speed": [0.0], "delay": [7.0], "origin": ["JFK"], "gaps": [0.0]})
    far = usual.with_columns(pl.lit(-9.0).alias("speed"))
    unseen = usual.with_columns(pl.lit("SWF").alias("origin"))
    scores = scores_of(sketch, pl.concat([usual, far, unseen]))
    assert scores[0] < scores[1]
    assert scores[0] < scores[2]
    live = pl.concat([rows(900, 3), *[unseen] * 100])
    found = odd_rows(sketch, live)
    assert found is not None
    assert found.share >= 0.1 * (scores[2] > found.threshold)
    assert scores[2] > found.threshold
    assert next(iter(found.columns)) == "origin"


def test_a_small_reference_calls_nothing_odd_and_other_columns_are_left_out() -> None:
    assert odd_rows(reference(FEWEST - 1), rows(100, 2)) is None
    found = odd_rows(reference(), rows(50, 2).select(pl.col("origin").alias("speed"), pl.col("speed").alias("more")))
    assert found is not None
    assert (found.rows, found.share) == (50, 0.0)
    assert odd_rows(reference(), rows(0, 2)) is None


def test_a_change_in_one_segment_is_found_there() -> None:
    old, new = rows(20_000, 1), rows(5000, 2)
    moved = new.with_columns(pl.col("speed") + pl.when(pl.col("origin") == "JFK").then(1.0).otherwise(0.0))
    found = drift_by_segment(batches_of(old), moved, ["origin", "nothing"], columns=["speed", "delay"])
    assert sorted(found) == ["origin=EWR", "origin=JFK", "origin=LGA"]
    drifted = {name: [each.column for each in report.columns if each.drifted] for name, report in found.items()}
    assert drifted == {"origin=EWR": [], "origin=JFK": ["speed"], "origin=LGA": []}
