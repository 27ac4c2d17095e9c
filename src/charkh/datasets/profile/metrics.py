"""The numbers of a profile by name, `null_share(tailnum)`: what histories, gates and people ask for."""

import math
from collections.abc import Iterator

from charkh.datasets.profile.histogram import quantiles_of
from charkh.datasets.profile.profile import ColumnProfile, TableProfile


def metrics_of(profile: TableProfile) -> dict[str, float]:
    """Every number of a profile: `rows`, `columns`, and such of columns as `mean(distance)`.

    Every column has `null_share` and `distinct`; numbers and times have `mean`, `min`, `max`, `std`, `median` (times in
    seconds since the epoch, `std` in seconds), numbers also `zero_share` and `negative_share`; texts have `mean_length`
    and `top_share`. What is not finite is left out.
    """
    found: dict[str, float] = {"rows": profile.rows, "columns": len(profile.columns)}
    for column in profile.columns:
        found |= {f"{name}({column.name})": value for name, value in _metrics(column) if math.isfinite(value)}
    return found


def _metrics(column: ColumnProfile) -> Iterator[tuple[str, float]]:
    yield "null_share", column.missing_share
    if column.kind == "other":
        return
    yield "distinct", column.distinct.count
    if not column.known:
        return
    if column.kind in {"text", "boolean"}:
        yield "top_share", max(column.texts.counts, default=0) / column.known
        if column.kind == "text":
            yield "mean_length", column.lengths.mean
        return
    unit = 1e6 if column.kind == "time" else 1.0
    moments = column.moments
    if moments.count:
        yield "mean", moments.mean / unit
        yield "std", moments.deviation / unit
        yield "min", moments.least / unit
        yield "max", moments.greatest / unit
        yield "median", quantiles_of(column.histogram, [0.5])[0] / unit
    if column.kind != "time":
        yield "zero_share", column.zeros / column.known
        yield "negative_share", column.negative / column.known
