"""What every kind of test is given, and how it says what it found. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.stability_settings import PerturbationTest, TestSettings
from charkh.evaluations.stability.certificate import MAX_NOTE, Found, Result
from charkh.evaluations.stability.moved import Moves, Share, moves, share, unit, verdict, witnesses
from charkh.evaluations.stability.subject import Answers, Tried, Unanswered, answers

ROBUST = 1.3489795003921634
"""Distance of the quartiles of a normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One test about to be made.

    Attributes:
        name: of the test in its suite.
        kind: of the test.
        tried: the model and the rows of this test.
        before: what it says to those rows as they are.
        random: where draws come from; the same for equal seeds and names.
    """

    name: str
    kind: str
    tried: Tried
    before: Answers
    random: np.random.Generator

    @property
    def rows(self) -> pl.DataFrame:
        return self.tried.rows

    def asked(self, rows: pl.DataFrame) -> Answers:
        """The answers to changed rows.

        Raises:
            Unanswered: there are none, or none that make sense.
        """
        after = answers(self.tried.ask, rows)
        trouble = after.unsound(self.before)
        if trouble:
            raise Unanswered(trouble)
        return after

    def skipped(self, why: str) -> Found:
        """There was no occasion for the test."""
        return Found(result=Result(test=self.name, kind=self.kind, outcome="skipped", note=why[:MAX_NOTE]))

    def broken(self, trouble: Unanswered) -> Found:
        """The model could not be asked."""
        result = Result(
            test=self.name, kind=self.kind, outcome="broken", rows=self.rows.height, note=trouble.what[:MAX_NOTE]
        )
        return Found(result=result, trouble=str(trouble))

    def equal(self, worst: float, tolerance: float, measure: str, note: str = "") -> Found:
        """Answers were to be the same, and differ by at most `worst`."""
        return Found(
            result=Result(
                test=self.name,
                kind=self.kind,
                outcome=verdict(worst, tolerance),
                measure=measure,
                # An infinite difference is a label that differs; JSON has no infinity.
                value=worst if np.isfinite(worst) else None,
                bound=tolerance,
                rows=self.rows.height,
                note=note if np.isfinite(worst) else "a label differs, or a number is missing in one answer alone",
            )
        )

    def of_share(self, found: Share, failures: float, measure: str, note: str = "") -> Result:
        """A share of rows beside the share that may be so."""
        return Result(
            test=self.name,
            kind=self.kind,
            outcome=verdict(found.value, failures),
            measure=measure,
            value=found.value,
            bound=failures,
            low=found.low,
            high=found.high,
            rows=self.rows.height,
            note=note[:MAX_NOTE],
        )

    def changed(self, test: PerturbationTest, tries: Sequence["Change"]) -> Found:
        """Ask each of several changes of the rows; the one that changes most rows decides."""
        worst: tuple[Share, Change, Answers, Moves] | None = None
        shares: dict[str, float] = {}
        for each in tries:
            after = self.asked(each.rows)
            moved = moves(self.before, after, test.tolerance)
            part = share(moved.changed)
            if each.what:
                shares[each.what] = part.value
            if worst is None or part.value > worst[0].value:
                worst = part, each, after, moved
        if worst is None:
            return self.skipped("there is nothing to change")
        part, change, after, moved = worst
        note = f"most of {len(tries)}: {change.what}" if len(tries) > 1 else ""
        return Found(
            result=self.of_share(part, test.failures, unit(self.before, test.tolerance), note),
            witnesses=witnesses(self.before, after, moved, self.rows, change.rows, change.columns, change.what),
            lines=shares,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """Rows as they are asked otherwise.

    Attributes:
        rows: changed, in the order of the rows that they come from.
        columns: that were changed.
        what: the change in a few words, where there are several.
    """

    rows: pl.DataFrame
    columns: tuple[str, ...]
    what: str = ""


def chosen(test: str, named: Sequence[str], able: Sequence[str], what: str) -> tuple[str, ...]:
    """The columns of a test: those that it names, or all that are able to.

    Raises:
        Invalid: one is no such column.
    """
    for name in named:
        if name not in able:
            raise Invalid(
                f"the test {test!r} names {name!r}, which is no input of {what}",
                code="stability.no_column",
                hint=f"Those are: {', '.join(able) or 'none'}.",
            )
    return tuple(named) or tuple(able)


def spread_of(values: pl.Series) -> float:
    """A robust standard deviation: from the quartiles, or the plain one where those meet; 0 for a constant column."""
    known = values.drop_nulls().cast(pl.Float64).drop_nans().to_numpy()
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0
    low, high = np.quantile(known, [0.25, 0.75])
    return float(high - low) / ROBUST or float(np.std(known))


def replaced(rows: pl.DataFrame, name: str, values: pl.Series) -> pl.DataFrame:
    """The rows with other values in a column, in the type that it has; whole numbers are rounded and kept in range."""
    dtype = rows.schema[name]
    if dtype.is_integer() and values.dtype.is_float():
        bounds = _range(dtype)
        values = values.fill_nan(None).round().clip(*bounds)
    return rows.with_columns(values.cast(dtype, strict=False).alias(name))


def _range(dtype: pl.DataType) -> tuple[float, float]:
    limits = pl.select(pl.lit(None, dtype).lower_bound().alias("low"), pl.lit(None, dtype).upper_bound().alias("high"))
    low, high = limits.row(0)
    # The greatest whole numbers of 64 bits have no float of their own: the next one down has.
    return float(low), float(np.nextafter(float(high), 0))


def kind_of(test: TestSettings) -> str:
    """The kind of a test as its suite writes it."""
    return str(type(test).__struct_config__.tag)
