"""Rows that are there twice, and rows that are alike but for what a model should learn from them."""

from collections.abc import Iterator, Sequence

import polars as pl

from charkh.checks.trouble.trouble import Trouble, places, trouble


def duplicates(frame: pl.DataFrame, *, target: str = "") -> Iterator[Trouble]:
    """Repeated rows, all but the first of each; with a target also rows that contradict each other.

    Args:
        frame: the table.
        target: a column; rows that are equal in all others and differ in it contradict each other.
    """
    again = places(~frame.select(pl.struct(pl.all()).is_first_distinct()).to_series())
    if len(again):
        yield trouble("duplicate", (), again, frame.height, f"{len(again)} rows repeat an earlier row")
    features = [name for name in frame.columns if name != target]
    if not target or not features:
        return
    disagree = frame.select(pl.col(target).n_unique().over(features) > 1).to_series()
    if disagree.any():
        rows = places(disagree)
        message = f"{len(rows)} rows are equal in every other column and differ in {target!r}"
        yield trouble("contradiction", (target,), rows, frame.height, message)


def leaked_rows(train: pl.DataFrame, test: pl.DataFrame, *, leave_out: Sequence[str] = ()) -> Iterator[Trouble]:
    """Rows of `test` that a model has seen in `train`, compared in the columns that both have.

    Args:
        train: what a model learns from.
        test: what it is judged on; the rows are places in it.
        leave_out: columns that are not compared, such as the target and ids.
    """
    common = [name for name in test.columns if name in train.columns and name not in leave_out]
    same = [name for name in common if test.schema[name] == train.schema[name]]
    if not same:
        return
    seen = train.lazy().select(same).unique()
    numbered = test.lazy().select(same).with_row_index("_place")
    found = numbered.join(seen, on=same, how="semi", nulls_equal=True).select("_place").collect().to_series()
    if found.len():
        rows = found.sort().cast(pl.Int64).to_numpy()
        message = f"{len(rows)} rows stand in the other table too, equal in {len(same)} columns"
        yield trouble("train_test_leak", tuple(leave_out), rows, test.height, message)
