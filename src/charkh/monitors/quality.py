"""Data quality of live rows against the reference: gaps, ranges, categories, columns and types. Pure functions."""

import msgspec

from charkh.monitors.sketches.categories import CategorySketch
from charkh.monitors.sketches.table import ColumnSketch, TableSketch

FEW = 20
"""Fewer rows of one value are no sign that a sensor is stuck."""


class ColumnQuality(msgspec.Struct, frozen=True, kw_only=True):
    """One column; shares are of all live rows.

    Attributes:
        column: its name.
        nulls: share of missing live values (null or NaN).
        nulls_reference: share of missing reference values.
        out_of_range: share below the least or above the greatest reference value; 0 for categories.
        unseen: share of live values that the reference lacks; 0 for numbers.
        infinite: share of live numbers that are not finite.
        stuck: whether live rows all have one value, and those of the reference had several.
    """

    column: str
    nulls: float
    nulls_reference: float
    out_of_range: float = 0.0
    unseen: float = 0.0
    infinite: float = 0.0
    stuck: bool = False


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


def quality(reference: TableSketch, live: TableSketch) -> QualityReport:
    """Compare live rows with the reference, column by column; live rows were counted over the reference's edges."""
    known, met = ({each.name: each for each in side.columns} for side in (reference, live))
    shared = [name for name in known if name in met]
    retyped = {
        name: f"{known[name].dtype} → {met[name].dtype}"
        for name in shared
        if _kind(known[name]) != _kind(met[name]) and "anything" not in (known[name].kind, met[name].kind)
    }
    return QualityReport(
        rows=live.rows,
        reference_rows=reference.rows,
        columns=tuple(_column(known[name], met[name]) for name in shared if name not in retyped),
        missing=tuple(name for name in known if name not in met),
        extra=tuple(name for name in met if name not in known),
        retyped=retyped,
    )


def _kind(column: ColumnSketch) -> str:
    if column.kind == "category" and column.dtype == "Boolean":
        return column.dtype
    return column.kind or column.dtype


def _column(reference: ColumnSketch, live: ColumnSketch) -> ColumnQuality:
    rows = max(1, live.rows)
    outside = unseen = infinite = 0
    if reference.numbers is not None and live.numbers is not None:
        outside, infinite = live.numbers.outside, live.numbers.infinite
    elif reference.categories is not None and live.categories is not None:
        unseen = _unseen(reference.categories, live.categories)
    return ColumnQuality(
        column=reference.name,
        nulls=live.missing / rows,
        nulls_reference=reference.missing / max(1, reference.rows),
        out_of_range=outside / rows,
        unseen=unseen / rows,
        infinite=infinite / rows,
        stuck=live.rows >= FEW and _one_value(live) and not _one_value(reference),
    )


def _unseen(reference: CategorySketch, live: CategorySketch) -> int:
    if not reference.exact or not reference.known:
        return 0
    known = set(reference.values)
    return sum(size for value, size in zip(live.values, live.sizes, strict=True) if value not in known)


def _one_value(column: ColumnSketch) -> bool:
    if column.numbers is not None:
        return column.numbers.known > 0 and column.numbers.least == column.numbers.greatest
    return column.categories is not None and len(column.categories.values) == 1
