"""Drift: how far the live rows are from the reference, column by column, and whether that can be chance.

Pure functions over Polars frames. A column drifts when an effect is large enough to matter (a floor) *and* too large
to be chance (Benjamini-Hochberg over all tests of all columns). PSI alone cannot tell: between two samples of one
distribution it is on average (B-1)(1/n + 1/m) for B bins (Yurdakul & Naranjo 2020), 0.09 for two samples of 200 rows.
"""

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import polars as pl

from charkh.core.divergence import chi_square, jensen_shannon, stability_index
from charkh.core.significance import (
    adjust,
    chi_square_tail,
    kolmogorov_tail,
    poisson_tail,
    shares_differ,
)
from charkh.monitors.bins import EXACT, CategoryBins, NumberBins, category_bins, number_bins
from charkh.monitors.comparable import comparable, typed
from charkh.monitors.sketches.table import kind_of

MIN_ROWS = 20
"""With fewer values on either side a column is not judged."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as drift.

    Attributes:
        level: false discovery rate over all tests of all columns.
        psi: floor of the PSI beyond what chance gives.
        ks: floor of the Kolmogorov-Smirnov distance.
        missing: floor of the change in the share of missing values.
        new: floor of the share of rows in categories that the reference lacks.
        bins: of a numeric column at most.
        categories: that are told apart at most; the rest counts as one.
        exact: the exact Kolmogorov-Smirnov and Wasserstein distances, for which both columns are sorted whole; then
            memory grows with the rows. Without, they come from bins, and the report bounds their error.
    """

    level: float = 0.01
    psi: float = 0.1
    ks: float = 0.1
    missing: float = 0.05
    new: float = 0.01
    bins: int = 10
    categories: int = 50
    exact: bool = False


class DriftTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test of one column.

    Attributes:
        name: `psi`, `ks`, `missing` or `new`.
        effect: how large the difference is.
        floor: how large it must be to matter.
        p: probability of one as large by chance.
        adjusted: the same after Benjamini-Hochberg over all tests.
        significant: it is not chance.
        drifted: it is not chance, and it matters.
    """

    name: str
    effect: float
    floor: float
    p: float
    adjusted: float = 1.0
    significant: bool = False
    drifted: bool = False


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """What one column came to.

    Attributes:
        column: its name.
        kind: `number` or `category`.
        rows: live values that are not missing.
        psi: population stability index, in nats; 0 where the column could not be judged.
        psi_expected: what it is on average where nothing changed.
        js: Jensen-Shannon distance of the bins, 0 to 1.
        ks: Kolmogorov-Smirnov distance, 0 to 1; None for categories.
        wasserstein: mean distance that values moved, in standard deviations of the reference; None for categories.
        missing: share of missing live values.
        missing_reference: share of missing reference values.
        new: share of live values in categories that the reference lacks.
        new_categories: how many categories those are.
        tests: what was tested.
        drifted: whether any test found drift.
        reason: why, in a sentence; empty when it did not drift.
        ks_error: how much larger the exact distance can be; 0 where it is exact.
        wasserstein_error: likewise.
    """

    column: str
    kind: str
    rows: int
    psi: float = 0.0
    psi_expected: float = 0.0
    js: float = 0.0
    ks: float | None = None
    wasserstein: float | None = None
    missing: float = 0.0
    missing_reference: float = 0.0
    new: float = 0.0
    new_categories: int = 0
    tests: tuple[DriftTest, ...] = ()
    drifted: bool = False
    reason: str = ""
    ks_error: float = 0.0
    wasserstein_error: float = 0.0

    def effect(self, test: str) -> float:
        """How large what a test found is, beyond chance; 0 where it is not significant."""
        return max((each.effect for each in self.tests if each.name == test and each.significant), default=0.0)


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What all columns came to.

    Attributes:
        rows: live rows.
        reference_rows: rows of the reference.
        columns: what was judged.
        skipped: columns that were not, with the reason.
        blocks: of the live rows that were dealt anew for the p-values; 0 where rows were taken as independent.
        reference_blocks: of the reference, likewise.
        note: why rows were taken as independent although they have blocks; empty otherwise.
    """

    rows: int
    reference_rows: int
    columns: tuple[ColumnDrift, ...]
    skipped: dict[str, str] = {}
    blocks: int = 0
    reference_blocks: int = 0
    note: str = ""

    @property
    def psi(self) -> float:
        """The largest PSI beyond chance among columns where it is significant; 0 where it nowhere is."""
        return self._largest("psi")

    @property
    def ks(self) -> float:
        """The largest significant Kolmogorov-Smirnov distance; 0 where there is none."""
        return self._largest("ks")

    @property
    def drifted(self) -> float:
        """The share of judged columns that drifted."""
        return sum(column.drifted for column in self.columns) / len(self.columns) if self.columns else 0.0

    def _largest(self, name: str) -> float:
        return max((column.effect(name) for column in self.columns), default=0.0)


def drift(
    reference: pl.DataFrame,
    live: pl.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
) -> DriftReport:
    """Compare live rows with reference rows, both in memory and sorted whole.

    `charkh.monitors.compare` does it for tables of any size.

    Args:
        reference: what the model was trained or accepted on.
        live: what it meets now.
        columns: to compare; without, all that both have.
        thresholds: what counts as drift.
    """
    limits = thresholds or Thresholds()
    judged, skipped = comparable(typed(reference.schema), typed(live.schema), columns)
    return report_of(
        reference.height,
        live.height,
        _all_bins(reference.select(judged), live.select(judged), limits),
        skipped,
        limits,
    )


def report_of(
    reference_rows: int,
    rows: int,
    bins: Mapping[str, NumberBins | CategoryBins],
    skipped: dict[str, str],
    limits: Thresholds,
) -> DriftReport:
    """What the counts of all columns come to."""
    judged = [
        _number(name, found, limits) if isinstance(found, NumberBins) else _category(name, found, limits)
        for name, found in bins.items()
    ]
    return DriftReport(rows=rows, reference_rows=reference_rows, columns=_decided(judged, limits), skipped=skipped)


def decided_anew(report: DriftReport, p: Mapping[str, Mapping[str, float]], limits: Thresholds) -> DriftReport:
    """The report with these p-values of tests by column instead of its own, where there are any."""
    changed = [
        msgspec.structs.replace(
            column,
            tests=tuple(
                msgspec.structs.replace(test, p=p.get(column.column, {}).get(test.name, test.p))
                for test in column.tests
            ),
        )
        for column in report.columns
    ]
    return msgspec.structs.replace(report, columns=_decided(changed, limits))


def _all_bins(reference: pl.DataFrame, live: pl.DataFrame, limits: Thresholds) -> dict[str, NumberBins | CategoryBins]:
    pairs = list(zip(reference.get_columns(), live.get_columns(), strict=True))
    if reference.height + live.height <= EXACT:
        return {old.name: _bins(old, new, limits) for old, new in pairs}

    def both(old: pl.Series, new: pl.Series) -> NumberBins | CategoryBins:
        return _bins(old, new, limits)

    # Sorting releases Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        found = threads.map(both, reference.get_columns(), live.get_columns())
        return dict(zip(reference.columns, found, strict=True))


def _bins(reference: pl.Series, live: pl.Series, limits: Thresholds) -> NumberBins | CategoryBins:
    if kind_of(reference.dtype) == "number":
        return number_bins(reference, live, limits.bins, exact=limits.exact)
    return category_bins(reference, live, limits.categories)


def _number(name: str, bins: NumberBins, limits: Thresholds) -> ColumnDrift:
    tests = [*_missing_test(bins, limits)]
    known = ColumnDrift(
        column=name,
        kind="number",
        rows=bins.live_rows,
        missing=bins.missing_live,
        missing_reference=bins.missing_reference,
    )
    if bins.few(MIN_ROWS):
        return msgspec.structs.replace(known, tests=tuple(tests))
    psi, expected, test = _psi_test(bins, limits)
    p = kolmogorov_tail(bins.ks, bins.reference_rows, bins.live_rows)
    tests += [test, DriftTest(name="ks", effect=bins.ks, floor=limits.ks, p=p)]
    return msgspec.structs.replace(
        known,
        psi=psi,
        psi_expected=expected,
        js=jensen_shannon(bins.reference, bins.live),
        ks=bins.ks,
        wasserstein=bins.wasserstein if math.isfinite(bins.wasserstein_error) else None,
        ks_error=bins.ks_error,
        wasserstein_error=bins.wasserstein_error if math.isfinite(bins.wasserstein_error) else 0.0,
        tests=tuple(tests),
    )


def _category(name: str, bins: CategoryBins, limits: Thresholds) -> ColumnDrift:
    tests = [*_missing_test(bins, limits)]
    known = ColumnDrift(
        column=name,
        kind="category",
        rows=bins.live_rows,
        missing=bins.missing_live,
        missing_reference=bins.missing_reference,
        new=bins.new / bins.live_rows if bins.live_rows else 0.0,
        new_categories=bins.new_categories,
    )
    if bins.few(MIN_ROWS):
        return msgspec.structs.replace(known, tests=tuple(tests))
    tests.append(DriftTest(name="new", effect=known.new, floor=limits.new, p=_new_by_chance(bins)))
    psi, expected, test = _psi_test(bins, limits)
    return msgspec.structs.replace(
        known,
        psi=psi,
        psi_expected=expected,
        js=jensen_shannon(bins.reference, bins.live),
        tests=(*tests, test),
    )


def _psi_test(bins: NumberBins | CategoryBins, limits: Thresholds) -> tuple[float, float, DriftTest]:
    psi = stability_index(bins.reference, bins.live)
    filled = int(np.count_nonzero(bins.reference + bins.live))
    expected = max(0, filled - 1) * (1 / bins.reference_rows + 1 / bins.live_rows)
    p = chi_square_tail(chi_square(bins.reference, bins.live), filled - 1)
    return psi, expected, DriftTest(name="psi", effect=max(0.0, psi - expected), floor=limits.psi, p=p)


def _missing_test(bins: NumberBins | CategoryBins, limits: Thresholds) -> Sequence[DriftTest]:
    if min(bins.reference_all, bins.live_all) < MIN_ROWS:
        return ()
    gaps = bins.live_all - bins.live_rows, bins.reference_all - bins.reference_rows
    p = shares_differ(gaps[0], bins.live_all, gaps[1], bins.reference_all)
    effect = abs(bins.missing_live - bins.missing_reference)
    return (DriftTest(name="missing", effect=effect, floor=limits.missing, p=p),)


def _new_by_chance(bins: CategoryBins) -> float:
    """P of so many rows in unseen categories by chance.

    Good & Turing (1953): the share that a sample has not seen is about that of what it saw once, and we take two
    standard deviations more of it.
    """
    unseen = (bins.singletons + 2 * math.sqrt(bins.singletons) + 2) / bins.reference_rows
    return poisson_tail(bins.new, min(1.0, unseen) * bins.live_rows)


def _decided(columns: Sequence[ColumnDrift], limits: Thresholds) -> tuple[ColumnDrift, ...]:
    adjusted = iter(adjust(np.array([test.p for column in columns for test in column.tests])).tolist())
    return tuple(
        _judged(column, [_tested(test, next(adjusted), limits) for test in column.tests]) for column in columns
    )


def _tested(test: DriftTest, adjusted: float, limits: Thresholds) -> DriftTest:
    significant = adjusted <= limits.level
    return msgspec.structs.replace(
        test, adjusted=adjusted, significant=significant, drifted=significant and test.effect >= test.floor
    )


def _judged(column: ColumnDrift, tests: Sequence[DriftTest]) -> ColumnDrift:
    found = [test for test in tests if test.drifted]
    reason = "; ".join(
        f"{test.name} {test.effect:.3g}, from {test.floor:.3g} on it matters (by chance: p {test.adjusted:.1g})"
        for test in found
    )
    return msgspec.structs.replace(column, tests=tuple(tests), drifted=bool(found), reason=reason)
