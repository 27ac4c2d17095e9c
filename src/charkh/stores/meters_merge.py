"""One reading of the meters of several processes: counts are added, gauges combined, the latest exemplar kept."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from charkh.ports.meters import Exemplar, Family, Sample
from charkh.stores.meters_series import Series


class Row(NamedTuple):
    """What one process says about one series.

    Attributes:
        series: what it is.
        values: one number; of a histogram the count of each bucket, and the sum.
        exemplars: of each bucket.
    """

    series: Series
    values: tuple[float, ...]
    exemplars: Sequence[Exemplar | None]


def families(rows: Iterable[Row]) -> list[Family]:
    """Families by name, their series by labels; a process that has no number for a gauge is left out."""
    merged: dict[str, dict[tuple[tuple[str, str], ...], Row]] = {}
    for row in rows:
        if row.series.kind == "gauge" and math.isnan(row.values[0]):
            continue
        series = merged.setdefault(row.series.name, {})
        key = tuple(sorted(row.series.labels.items()))
        known = series.get(key)
        if known is None:
            series[key] = row
        elif len(known.values) == len(row.values):
            series[key] = _both(known, row)
    return [_family([series[key] for key in sorted(series)]) for _, series in sorted(merged.items())]


def _both(one: Row, other: Row) -> Row:
    join = max if one.series.combine == "max" else float.__add__
    values = tuple(join(first, second) for first, second in zip(one.values, other.values, strict=True))
    exemplars = [_later(*pair) for pair in zip(one.exemplars, other.exemplars, strict=True)]
    return Row(one.series, values, exemplars)


def _later(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or other is None:
        return one or other
    return one if one.time >= other.time else other


def _family(rows: Sequence[Row]) -> Family:
    first = rows[0].series
    samples: list[Sample] = []
    for row in rows:
        if first.kind == "histogram":
            samples += _histogram(row)
        else:
            samples.append(Sample("_total" if first.kind == "counter" else "", row.series.labels, row.values[0]))
    return Family(first.name, first.kind, first.help, samples)


def _histogram(row: Row) -> Iterable[Sample]:
    labels, total = row.series.labels, 0.0
    for bound, count, exemplar in zip((*row.series.buckets, math.inf), row.values, row.exemplars, strict=False):
        total += count
        yield Sample("_bucket", {**labels, "le": "+Inf" if bound == math.inf else repr(float(bound))}, total, exemplar)
    yield Sample("_sum", labels, row.values[-1])
    yield Sample("_count", labels, total)
