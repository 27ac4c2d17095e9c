"""What a check of a table came to: good rows, bad rows with their reasons, and the outcome of every rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import polars as pl

from charkh.checks.rule import Severity, Status
from charkh.checks.suite import CheckSuite
from charkh.core.events import Fact

REASONS = "_reasons"
ROW = "_row"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule came to.

    Attributes:
        id: of the rule.
        check: its kind.
        columns: that it looks at.
        severity: of the rule.
        status: `passed`; `set_aside`, some rows failed and are set aside, or tolerated as a warning; `failed`, an
            error rule does not hold; `warned`, a warning rule does not hold; `skipped`, a column is missing.
        failed: rows that fail it; 0 for table rules.
        share: of all rows, from 0 to 1.
        message: in a sentence, for people.
        examples: values of failing rows.
        reason: what the suite says about failing rows.
    """

    id: str
    check: str
    columns: tuple[str, ...]
    severity: Severity
    status: Status
    failed: int = 0
    share: float = 0.0
    message: str = ""
    examples: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A table, checked.

    Attributes:
        suite: the rules.
        rows: how many rows were looked at.
        passing: the rows that fail no rule that sets aside, in their order; of a lazy table they are read when they
            are collected.
        bad: the others, in their order, with the ids of the rules they fail in `_reasons` and their place in the
            table, from 0, in `_row`.
        outcomes: of every rule, in the suite's order; missing columns come first, one outcome each.
    """

    suite: CheckSuite
    rows: int
    passing: pl.LazyFrame
    bad: pl.DataFrame
    outcomes: tuple[Outcome, ...] = field(default=())

    @property
    def good(self) -> pl.DataFrame:
        """`passing`, in memory."""
        return self.passing.collect()

    @property
    def good_rows(self) -> int:
        """How many rows are not set aside."""
        return self.rows - self.bad.height

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The error rules that do not hold."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def ok(self) -> bool:
        """Whether the good rows can be used: no error rule failed, and there are good rows if there are any."""
        return not self.failures and (self.good_rows > 0 or self.rows == 0)

    @property
    def facts(self) -> Mapping[str, Fact]:
        """What is published about the table: `checks.ok`, `checks.rows`, `checks.failed_rows`, `checks.warnings`."""
        return {
            "checks.ok": self.ok,
            "checks.rows": self.rows,
            "checks.failed_rows": self.bad.height,
            "checks.warnings": sum(outcome.status == "warned" for outcome in self.outcomes),
        }
