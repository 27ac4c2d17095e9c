"""A profile for people: a few numbers a column, as JSON, a table or a page have them."""

import math
from datetime import UTC, datetime

import msgspec

from charkh.datasets.profile.histogram import aligned, quantiles_of
from charkh.datasets.profile.profile import ColumnProfile, TableProfile

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BARS = 24
_TOP = 10

Shown = float | str


class ColumnSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column; times are ISO 8601, in UTC where they have no zone of their own.

    Attributes:
        distinct_exact: `distinct` is no estimate (its standard error is about 3 %).
        quantiles: by share; their rank is off by at most `rank_error`, a share of all values.
        bars: how many values there are in `BARS` parts of equal width between the least and the greatest.
        top: the most common texts, each at least so often.
        shapes: the most common shapes of texts, such as `Aaa-999`.
    """

    name: str
    dtype: str
    kind: str
    rows: int
    missing: int
    missing_share: float
    distinct: int = 0
    distinct_exact: bool = True
    infinite: int = 0
    zeros: int = 0
    negative: int = 0
    mean: Shown | None = None
    deviation: float | None = None
    least: Shown | None = None
    greatest: Shown | None = None
    quantiles: dict[str, Shown] = {}
    rank_error: float = 0.0
    bars: tuple[int, ...] = ()
    mean_length: float | None = None
    longest: int | None = None
    top: tuple[tuple[str, int], ...] = ()
    shapes: tuple[tuple[str, int], ...] = ()


def summaries_of(profile: TableProfile) -> tuple[ColumnSummary, ...]:
    """Every column of a profile in a few numbers."""
    return tuple(_summary(column) for column in profile.columns)


def _summary(column: ColumnProfile) -> ColumnSummary:
    summary = ColumnSummary(
        name=column.name,
        dtype=column.dtype,
        kind=column.kind,
        rows=column.rows,
        missing=column.missing,
        missing_share=column.missing_share,
        distinct=column.distinct.count,
        distinct_exact=column.distinct.exact,
        infinite=column.infinite,
        zeros=column.zeros,
        negative=column.negative,
    )
    if column.kind in {"text", "boolean"}:
        return msgspec.structs.replace(
            summary,
            mean_length=column.lengths.mean if column.lengths.count else None,
            longest=int(column.lengths.greatest) if column.lengths.count else None,
            top=column.texts.items[:_TOP],
            shapes=column.shapes.items[:_TOP],
        )
    moments = column.moments
    if not moments.count:
        return summary
    quantiles = quantiles_of(column.histogram, list(QUANTILES))
    return msgspec.structs.replace(
        summary,
        mean=_shown(column, moments.mean),
        deviation=_finite(moments.deviation / (1e6 if column.kind == "time" else 1)),
        least=_shown(column, moments.least),
        greatest=_shown(column, moments.greatest),
        quantiles={f"{share:g}": _shown(column, value) for share, value in zip(QUANTILES, quantiles, strict=True)},
        rank_error=column.histogram.rank_error,
        bars=_bars(column),
    )


def _bars(column: ColumnProfile) -> tuple[int, ...]:
    high, counts, _ = aligned(column.histogram, column.histogram)
    least, greatest = column.moments.least, column.moments.greatest
    if not greatest > least:
        return (int(counts.sum()),)
    bars = [0] * BARS
    for value, count in zip(high.tolist(), counts.tolist(), strict=True):
        share = min(1.0, max(0.0, (min(value, greatest) / 2 - least / 2) / (greatest / 2 - least / 2)))
        bars[min(BARS - 1, int(share * BARS))] += count
    return tuple(bars)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(column: ColumnProfile, value: float) -> Shown:
    if column.kind != "time":
        return int(value) if column.kind == "integer" and value == int(value) else value
    try:
        moment = datetime.fromtimestamp(value / 1e6, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return value / 1e6
    return moment.date().isoformat() if column.dtype == "Date" and moment.hour == 0 else moment.isoformat(sep=" ")
