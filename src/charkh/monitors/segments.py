"""Drift within segments: the live rows of one origin against the reference's rows of that origin."""

from collections.abc import Iterator, Sequence

import msgspec
import polars as pl

from charkh.monitors.compare import drift_of
from charkh.monitors.drift import MIN_ROWS, DriftReport, Thresholds
from charkh.monitors.sketches.table import Batches, batches_of, sketch_live, sketch_reference

MOST = 10
"""Values of a segment column that are looked at, those with the most live rows."""


def drift_by_segment(
    reference: Batches,
    live: pl.DataFrame,
    segments: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
) -> dict[str, DriftReport]:
    """The drift of each segment, by `COLUMN=VALUE`; the false discovery rate is shared among all of them.

    Args:
        reference: the reference's rows; each segment reads them twice.
        live: the live rows.
        segments: columns of both by whose values rows are told apart; one that is not there is left out.
        columns: to compare; without, all that both have.
        thresholds: what counts as drift.
    """
    limits = thresholds or Thresholds()
    there = next(iter(reference()), pl.DataFrame()).columns
    values = [
        (column, value)
        for column in dict.fromkeys(segments)
        if column in live.columns and column in there
        for value in _largest(live[column])
    ]
    shared = msgspec.structs.replace(limits, level=limits.level / max(1, len(values)))
    return {f"{column}={value}": _segment(reference, live, column, value, columns, shared) for column, value in values}


def _segment(
    reference: Batches, live: pl.DataFrame, column: str, value: str, columns: Sequence[str] | None, limits: Thresholds
) -> DriftReport:
    chosen = pl.col(column).cast(pl.String) == value

    def rows() -> Iterator[pl.DataFrame]:
        return (batch.filter(chosen) for batch in reference())

    sketch = sketch_reference(rows)
    found = sketch_live(batches_of(live.filter(chosen))(), sketch)
    names = [each.name for each in sketch.columns if each.name != column and (columns is None or each.name in columns)]
    return drift_of(sketch, found, columns=names, thresholds=limits)


def _largest(column: pl.Series) -> list[str]:
    counted = column.cast(pl.String).drop_nulls().alias("value").value_counts(name="rows")
    enough = counted.filter(pl.col("rows") >= MIN_ROWS).sort("rows", "value", descending=[True, False])
    return enough["value"].head(MOST).to_list()
