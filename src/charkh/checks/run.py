"""Run a suite over a table: every rule in one scan, rows that fail set aside, and an outcome for each rule."""

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from charkh.checks.context import Context
from charkh.checks.outcomes import absence, broken_status, outcome_of, row_outcome, table_outcome
from charkh.checks.plan import Named, Plan, compile_suite
from charkh.checks.result import REASONS, ROW, CheckResult, Outcome
from charkh.checks.scan import Scanned, scan_frame, scan_lazily
from charkh.checks.suite import CheckSuite, needed_columns, rule_ids
from charkh.checks.validate import validate_patterns, validate_rule
from charkh.core.errors import Invalid


def run(
    suite: CheckSuite,
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    moment: datetime | None = None,
    context: Context | None = None,
) -> CheckResult:
    """Check a table.

    A rule that cannot be applied (a missing column, a type that does not fit) is a finding, not an error.

    Args:
        suite: the rules.
        frame: the table; a lazy one is read once, streaming, and only its bad rows are held in memory (and, for
            `unique` and `increasing`, the columns that these look at).
        moment: what `fresh` compares with; now by default.
        context: what the table is compared with; a rule that needs more is skipped.

    Raises:
        Invalid: a rule has no meaning whatever the table, or the table has a column `_reasons` or `_row`.
    """
    around = context or Context()
    schema = frame.collect_schema()
    _refuse_reserved(schema.names())
    for rule in suite.rules:
        validate_rule(rule)
    validate_patterns(zip(rule_ids(suite.rules), suite.rules, strict=True))
    plan = compile_suite(suite, schema, moment or datetime.now(UTC), around.tables)
    scanned = scan_frame(plan, frame) if isinstance(frame, pl.DataFrame) else scan_lazily(plan, frame)
    outcomes = [_outcome(suite, plan, scanned, each) for each in plan.named if each.id not in plan.compared]
    outcomes += _compared(plan, frame, around)
    order = {each.id: place for place, each in enumerate(plan.named)}
    ordered = sorted(outcomes, key=lambda outcome: order[outcome.id])
    return CheckResult(
        suite=suite,
        rows=scanned.rows,
        passing=scanned.good,
        bad=scanned.bad,
        outcomes=(*_absences(plan.named, schema.names()), *ordered),
    )


def _outcome(suite: CheckSuite, plan: Plan, scanned: Scanned, each: Named) -> Outcome:
    if each.id in plan.skipped:
        return outcome_of(each, "skipped", "a column is missing")
    if each.id in plan.broken:
        return outcome_of(each, broken_status(each.rule), plan.broken[each.id])
    if each.id in plan.rows:
        return row_outcome(suite, each, scanned)
    return table_outcome(each, plan.measures[each.id][1], scanned)


def _compared(plan: Plan, frame: pl.DataFrame | pl.LazyFrame, context: Context) -> list[Outcome]:
    """The outcomes of rules that compare the table with others; its profile is made only when there are any."""
    if not plan.compared:
        return []
    # Loaded where a suite compares: the others need no profile.
    from charkh.checks.compare import compare

    return compare([each for each in plan.named if each.id in plan.compared], frame, context)


def _absences(named: Sequence[Named], columns: Sequence[str]) -> list[Outcome]:
    """One finding for every column that is not there, however many rules name it."""
    rules: dict[str, list[Named]] = {}
    for each in named:
        for column in needed_columns(each.rule):
            if column not in columns:
                rules.setdefault(column, []).append(each)
    return [
        absence(column, naming, difflib.get_close_matches(column, columns, n=1, cutoff=0.6))
        for column, naming in rules.items()
    ]


def _refuse_reserved(columns: Sequence[str]) -> None:
    taken = [name for name in (REASONS, ROW) if name in columns]
    if taken:
        raise Invalid(
            f"the table has a column {taken[0]!r}, which a check writes itself",
            code="check.reserved_column",
            hint="Drop it first: it is left from an earlier quarantine.",
        )
