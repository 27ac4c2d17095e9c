"""Which batch changed what: a change that was put into one batch is told first, and chance is told nowhere."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.trouble.batches import batch_changes
from charkh.core.errors import Invalid


def calm(seed: int, batches: int = 4, rows: int = 300) -> pl.DataFrame:
    source = np.random.default_rng(seed)
    total = batches * rows
    return pl.DataFrame(
        {
            "a": source.normal(100, 5, total),
            "kind": source.choice(["x", "y", "z"], total),
            "gap": pl.Series(source.normal(size=total)).set(pl.Series(source.random(total) < 0.1), None),
            "_batch": np.repeat([f"t@{number + 1}" for number in range(batches)], rows),
        }
    )


@settings(max_examples=10)
@given(st.integers(0, 500))
def test_chance_is_no_change(seed: int) -> None:
    assert [each for each in batch_changes(calm(seed)) if each.measure != "new values"] == []


@pytest.mark.parametrize(
    ("column", "change", "measure"),
    [
        ("a", pl.col("a") + 20, "mean"),
        ("kind", pl.lit("x"), "distribution"),
        ("kind", pl.lit("never seen"), "new values"),
        ("gap", pl.lit(None, dtype=pl.Float64), "missing"),
    ],
)
def test_the_batch_that_changed_it_is_named(column: str, change: pl.Expr, measure: str) -> None:
    frame = calm(1).with_columns(
        pl.when(pl.col("_batch") == "t@3").then(change).otherwise(pl.col(column)).alias(column)
    )
    found = [each for each in batch_changes(frame) if each.measure == measure and each.column == column]
    assert found[0].batch == "t@3"
    assert found[0].effect == max(each.effect for each in found)


def test_a_burst_of_repeated_rows_is_seen() -> None:
    frame = calm(2)
    copies = frame.head(200).with_columns(pl.lit("t@5").alias("_batch"))
    found = [each for each in batch_changes(pl.concat([frame, copies])) if each.measure == "repeated rows"]
    assert [(each.batch, each.after) for each in found] == [("t@5", 1.0)]


def test_the_order_of_batches_is_the_callers() -> None:
    frame = calm(3).with_columns(
        pl.when(pl.col("_batch") == "t@1").then(pl.col("a") + 20).otherwise(pl.col("a")).alias("a")
    )
    order = ["t@2", "t@3", "t@4", "t@1"]
    assert [each.batch for each in batch_changes(frame, order=order) if each.measure == "mean"] == ["t@1"]


def test_a_table_without_batches_is_refused() -> None:
    with pytest.raises(Invalid) as raised:
        batch_changes(pl.DataFrame({"a": [1]}))
    assert raised.value.code == "check.no_batches"
    with pytest.raises(Invalid):
        batch_changes(calm(0), order=["t@1"])


def test_one_batch_changes_nothing() -> None:
    assert batch_changes(calm(0, batches=1)) == []
