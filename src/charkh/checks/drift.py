"""Drift between two profiles: how far the columns are apart, and whether that can be chance.

A column drifts when an effect is large enough to matter (a floor) *and* too large to be chance (Benjamini-Hochberg over
all tests of all columns): a PSI of 0.1 between two samples of 200 rows is nothing, and one of 0.001 between two million
rows is no chance, but no matter either. Only sketches are read, never rows; the Kolmogorov-Smirnov distance is too
small by at most the larger rank error of the two histograms.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from charkh.checks.table_rules import Drift
from charkh.core.divergence import Counts, chi_square, greatest_change, jensen_shannon, stability_index
from charkh.core.significance import adjust, chi_square_tail, kolmogorov_tail, poisson_tail, shares_differ
from charkh.datasets.profile.histogram import aligned
from charkh.datasets.profile.profile import ColumnProfile, TableProfile

MIN_ROWS = 20
"""With fewer values on either side a column is not judged."""
BINS = 10
CATEGORIES = 50
FEWEST = 5
"""Rows that a bin should have on either side for its chi-square to be one (Cochran 1954)."""


class DriftTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test of one column.

    Attributes:
        name: `psi`, `ks`, `js`, `linf`, `missing` or `new`.
        effect: how large the difference is.
        floor: from where on it matters.
        p: probability of one as large by chance.
        adjusted: the same after Benjamini-Hochberg over all tests.
        drifted: it matters, and is no chance.
    """

    name: str
    effect: float
    floor: float
    p: float
    adjusted: float = 1.0
    drifted: bool = False


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """What one column came to."""

    column: str
    tests: tuple[DriftTest, ...]

    @property
    def drifted(self) -> bool:
        return any(test.drifted for test in self.tests)

    @property
    def reason(self) -> str:
        """What says most clearly that it drifted; empty when it did not."""
        found = [test for test in self.tests if test.drifted]
        if not found:
            return ""
        test = max(found, key=lambda each: each.effect / max(each.floor, 1e-9))
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{test.name} {test.effect:.3g} (from {test.floor:.3g} on it matters){more}"


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What all columns came to.

    Attributes:
        reference_rows: rows of the reference.
        rows: rows that are compared with it.
        columns: those that were judged.
        skipped: those that were not, with the reason.
    """

    reference_rows: int
    rows: int
    columns: tuple[ColumnDrift, ...]
    skipped: dict[str, str] = {}

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        return tuple(column for column in self.columns if column.drifted)


class _Sides(NamedTuple):
    """A column's counts over the same bins, and its test of the whole distribution where it has one."""

    reference: Counts
    live: Counts
    ks: float | None = None


def compare_profiles(reference: TableProfile, live: TableProfile, limits: Drift | None = None) -> DriftReport:
    """Compare a table with a reference by their profiles.

    Args:
        reference: what is taken for granted.
        live: what is compared with it.
        limits: columns, floors and level; the defaults of a drift rule without.
    """
    limits = limits or Drift()
    tests: dict[str, list[DriftTest]] = {}
    skipped: dict[str, str] = {}
    wanted = limits.columns or tuple(dict.fromkeys(each.name for each in (*reference.columns, *live.columns)))
    for name in wanted:
        old, new = reference.column(name), live.column(name)
        if old is None or new is None:
            skipped[name] = "only one side has it"
        elif _family(old) != _family(new):
            skipped[name] = f"{old.dtype} here, {new.dtype} there"
        elif _family(old) == "other":
            skipped[name] = f"{old.dtype} is not compared"
        elif min(old.rows, new.rows) < MIN_ROWS:
            skipped[name] = f"fewer than {MIN_ROWS} rows"
        else:
            tests[name] = list(_column_tests(old, new, limits))
    return DriftReport(
        reference_rows=reference.rows, rows=live.rows, columns=_adjusted(tests, limits.level), skipped=skipped
    )


def _family(column: ColumnProfile) -> str:
    return "number" if column.kind == "integer" else column.kind


def _column_tests(old: ColumnProfile, new: ColumnProfile, limits: Drift) -> Iterator[DriftTest]:
    p = shares_differ(new.missing, new.rows, old.missing, old.rows)
    effect = abs(new.missing_share - old.missing_share)
    yield DriftTest(name="missing", effect=effect, floor=limits.missing, p=p)
    if min(old.known, new.known) < MIN_ROWS:
        return
    texts = old.kind in {"text", "boolean"}
    sides = _categories(old, new) if texts else _numbers(old, new)
    rows = int(sides.reference.sum()), int(sides.live.sum())
    if min(rows) < MIN_ROWS:
        return
    filled = int(np.count_nonzero(sides.reference + sides.live))
    if filled > 1:
        p = chi_square_tail(chi_square(sides.reference, sides.live), filled - 1)
        expected = (filled - 1) * (1 / rows[0] + 1 / rows[1])
        psi = max(0.0, stability_index(sides.reference, sides.live) - expected)
        yield DriftTest(name="psi", effect=psi, floor=limits.psi, p=p)
        yield DriftTest(name="js", effect=jensen_shannon(sides.reference, sides.live), floor=limits.js, p=p)
        if texts:
            yield DriftTest(name="linf", effect=greatest_change(sides.reference, sides.live), floor=limits.linf, p=p)
    if sides.ks is not None:
        yield DriftTest(name="ks", effect=sides.ks, floor=limits.ks, p=kolmogorov_tail(sides.ks, *rows))
    if texts and old.texts.exact:
        yield _new_test(old, new, limits)


def _numbers(old: ColumnProfile, new: ColumnProfile) -> _Sides:
    _, reference, live = aligned(old.histogram, new.histogram)
    if not len(reference):
        return _Sides(reference, live)
    shares = [np.cumsum(counts) / max(1, counts.sum()) for counts in (reference, live)]
    ks = float(np.abs(shares[0] - shares[1]).max())
    # Groups of about equal size in both together, so that none is empty and none is too small to be judged.
    reached = np.cumsum(reference + live)
    least = max(1, min(int(reference.sum()), int(live.sum())))
    bins = max(2, min(BINS, least // FEWEST))
    group = ((reached - 1) * bins) // int(reached[-1])
    return _Sides(*(np.bincount(group, counts, bins).astype(np.int64) for counts in (reference, live)), ks=ks)


def _categories(old: ColumnProfile, new: ColumnProfile) -> _Sides:
    first, second = dict(old.texts.items), dict(new.texts.items)
    rows = old.texts.total, new.texts.total
    # A text that one side does not list may still have been there: it counts among the others of both.
    sure = [
        text
        for text in dict.fromkeys((*first, *second))
        if (text in first or old.texts.exact) and (text in second or new.texts.exact)
    ]
    least = min(rows) / max(1, sum(rows))
    sure.sort(key=lambda text: -(first.get(text, 0) + second.get(text, 0)))
    told = [text for text in sure[:CATEGORIES] if (first.get(text, 0) + second.get(text, 0)) * least >= FEWEST]
    sides = [[counts.get(text, 0) for text in told] for counts in (first, second)]
    counts = [np.array([*side, total - sum(side)], np.int64) for side, total in zip(sides, rows, strict=True)]
    return _Sides(counts[0], counts[1])


def _new_test(old: ColumnProfile, new: ColumnProfile, limits: Drift) -> DriftTest:
    """Rows in categories that the reference lacks: by chance about as many as are alone in theirs (Good 1953)."""
    there = dict(old.texts.items)
    found = sum(count for text, count in new.texts.items if text not in there)
    once = sum(count == 1 for count in old.texts.counts)
    expected = max(once, 1) * new.known / old.known
    return DriftTest(name="new", effect=found / new.known, floor=limits.new, p=poisson_tail(found, expected))


def _adjusted(tests: dict[str, list[DriftTest]], level: float) -> tuple[ColumnDrift, ...]:
    adjusted = iter(adjust(np.array([test.p for found in tests.values() for test in found])).tolist())
    return tuple(
        ColumnDrift(column=name, tests=tuple(_judged(test, next(adjusted), level) for test in found))
        for name, found in tests.items()
    )


def _judged(test: DriftTest, adjusted: float, level: float) -> DriftTest:
    drifted = adjusted <= level and test.effect >= test.floor
    return msgspec.structs.replace(test, adjusted=adjusted, drifted=drifted)


def told(report: DriftReport, most: int = 5) -> str:
    """The columns that drifted, in a sentence."""
    found: Sequence[ColumnDrift] = report.drifted
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(f"{column.column}: {column.reason}" for column in found[:most]) + more
