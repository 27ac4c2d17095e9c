"""Compare live rows with a reference, drift and data quality in one reading, whatever the number of rows.

Small frames are sorted whole and all distances are exact. Larger tables, and those that are read lazily, become
sketches over the reference's edges: their memory does not depend on the rows, and the report bounds their error.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from charkh.monitors.bins import EXACT, CategoryBins, NumberBins
from charkh.monitors.comparable import Typed, comparable
from charkh.monitors.drift import DriftReport, Thresholds, drift, report_of
from charkh.monitors.quality import QualityReport, quality
from charkh.monitors.sketches.categories import CategorySketch
from charkh.monitors.sketches.compare import category_bins_of, number_bins_of
from charkh.monitors.sketches.table import (
    ColumnSketch,
    TableSketch,
    batches_of,
    sketch_live,
    sketch_reference,
)

Table = pl.DataFrame | pl.LazyFrame


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison found, and the sketches that it read.

    Attributes:
        drift: column by column.
        quality: column by column.
        reference: counts over its own edges; to be kept, so that it need not be read again.
        live: counts over the same edges; those of several batches add up.
    """

    drift: DriftReport
    quality: QualityReport
    reference: TableSketch
    live: TableSketch


def compare(
    reference: Table | TableSketch,
    live: Table | TableSketch,
    *,
    columns: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
) -> Comparison:
    """Compare live rows with a reference.

    Args:
        reference: rows that the model was trained or accepted on, or their sketch.
        live: rows that it met, or their sketch over the same reference's edges.
        columns: whose drift and quality are looked at; without, all.
        thresholds: what counts as drift. With `exact`, tables are read into memory.
    """
    limits = thresholds or Thresholds()
    if limits.exact:
        # An exact distance needs both columns whole, which a sketch no longer has.
        reference, live = _whole(reference), _whole(live)
    before = _chosen(reference, columns)
    if not isinstance(before, TableSketch):
        before = sketch_reference(batches_of(before))
    after = _chosen(live, columns)
    if not isinstance(after, TableSketch):
        after = sketch_live(batches_of(after)(), before)
    if (
        isinstance(reference, pl.DataFrame)
        and isinstance(live, pl.DataFrame)
        and (limits.exact or reference.height + live.height <= EXACT)
    ):
        found = drift(reference, live, columns=columns, thresholds=limits)
    else:
        found = drift_of(before, after, columns=columns, thresholds=limits)
    return Comparison(drift=found, quality=quality(before, after), reference=before, live=after)


def drift_of(
    reference: TableSketch,
    live: TableSketch,
    *,
    columns: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
) -> DriftReport:
    """The drift between two sketches over the same edges."""
    limits = thresholds or Thresholds()
    known, met = ({each.name: each for each in side.columns} for side in (reference, live))
    judged, skipped = comparable(_typed(reference), _typed(live), columns)
    bins = {name: _bins(known[name], met[name], limits) for name in judged}
    return report_of(reference.rows, live.rows, bins, skipped, limits)


def _typed(sketch: TableSketch) -> dict[str, Typed]:
    return {each.name: Typed(each.kind, each.dtype) for each in sketch.columns}


def _bins(reference: ColumnSketch, live: ColumnSketch, limits: Thresholds) -> NumberBins | CategoryBins:
    if reference.numbers is not None and live.numbers is not None:
        return number_bins_of(reference.numbers, live.numbers, limits.bins)
    return category_bins_of(
        reference.categories or CategorySketch(rows=reference.rows, missing=reference.missing),
        live.categories or CategorySketch(rows=live.rows, missing=live.missing),
        limits.categories,
    )


def _whole(table: Table | TableSketch) -> Table | TableSketch:
    return table.collect() if isinstance(table, pl.LazyFrame) else table


def _chosen(table: Table | TableSketch, columns: Sequence[str] | None) -> Table | TableSketch:
    if columns is None:
        return table
    if isinstance(table, TableSketch):
        return msgspec.structs.replace(table, columns=tuple(each for each in table.columns if each.name in columns))
    there = table.columns if isinstance(table, pl.DataFrame) else table.collect_schema().names()
    return table.select([name for name in columns if name in there])
