"""Data quality of live rows against the reference: gaps, ranges, categories, columns and types. Pure functions."""

from typing import Any

import msgspec
import polars as pl


class ColumnQuality(msgspec.Struct, frozen=True, kw_only=True):
    """One column; shares are of all live rows.

    Attributes:
        column: its name.
        nulls: share of missing live values (null or NaN).
        nulls_reference: share of missing reference values.
        out_of_range: share below the least or above the greatest reference value; 0 for categories.
        unseen: share of live values that the reference lacks; 0 for numbers.
    """

    column: str
    nulls: float
    nulls_reference: float
    out_of_range: float = 0.0
    unseen: float = 0.0


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the live rows are like.

    Attributes:
        rows: how many.
        reference_rows: how many the reference has.
        columns: those that both have.
        missing: columns of the reference that the live rows lack.
        extra: columns that only the live rows have.
        retyped: columns whose values are of another kind now, as `was → is`.
    """

    rows: int
    reference_rows: int
    columns: tuple[ColumnQuality, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    retyped: dict[str, str] = {}

    @property
    def nulls(self) -> float:
        """The largest increase in the share of missing values."""
        return max((max(0.0, each.nulls - each.nulls_reference) for each in self.columns), default=0.0)

    @property
    def out_of_range(self) -> float:
        """The largest share of values out of range."""
        return max((each.out_of_range for each in self.columns), default=0.0)

    @property
    def unseen(self) -> float:
        """The largest share of values in unseen categories."""
        return max((each.unseen for each in self.columns), default=0.0)


def quality(reference: pl.DataFrame, live: pl.DataFrame) -> QualityReport:
    """Compare live rows with the reference, column by column."""
    shared = [name for name in reference.columns if name in live.columns]
    retyped = {
        name: f"{reference[name].dtype} → {live[name].dtype}"
        for name in shared
        if _kind(reference[name].dtype) != _kind(live[name].dtype)
        and pl.Null not in (reference[name].dtype, live[name].dtype)
    }
    return QualityReport(
        rows=live.height,
        reference_rows=reference.height,
        columns=tuple(_column(reference[name], live[name]) for name in shared if name not in retyped),
        missing=tuple(name for name in reference.columns if name not in live.columns),
        extra=tuple(name for name in live.columns if name not in reference.columns),
        retyped=retyped,
    )


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "category"
    return "time" if dtype.is_temporal() else str(dtype)


def _column(reference: pl.Series, live: pl.Series) -> ColumnQuality:
    old, new = _present(reference), _present(live)
    outside, unseen = 0, 0
    if len(old) and len(new):
        kind = _kind(reference.dtype)
        if kind in {"number", "time"}:
            least: Any = old.min()
            greatest: Any = old.max()
            outside = int(((new < least) | (new > greatest)).sum())
        elif kind == "category":
            texts = new.cast(pl.String)
            unseen = len(texts) - int(texts.is_in(old.cast(pl.String).unique().implode()).sum())
    rows = max(1, len(live))
    return ColumnQuality(
        column=reference.name,
        nulls=1 - len(new) / rows if len(live) else 0.0,
        nulls_reference=1 - len(old) / len(reference) if len(reference) else 0.0,
        out_of_range=outside / rows,
        unseen=unseen / rows,
    )


def _present(series: pl.Series) -> pl.Series:
    series = series.drop_nulls()
    return series.drop_nans() if series.dtype.is_float() else series
