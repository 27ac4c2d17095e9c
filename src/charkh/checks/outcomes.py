"""What each rule came to, in a sentence, from what a scan counted and measured."""

from collections.abc import Sequence

from charkh.checks.measures import Measure
from charkh.checks.plan import Named
from charkh.checks.result import Outcome
from charkh.checks.rule import RuleBase, Status
from charkh.checks.scan import Scanned, Segment
from charkh.checks.suite import CheckSuite, check_of, rule_columns

EXAMPLES = 3
_EXAMPLE_LENGTH = 60
_SEGMENTS = 3


def outcome_of(
    each: Named,
    status: Status,
    message: str,
    *,
    failed: int = 0,
    share: float = 0.0,
    examples: tuple[str, ...] = (),
) -> Outcome:
    """The outcome of a rule."""
    return Outcome(
        id=each.id,
        check=check_of(each.rule),
        columns=rule_columns(each.rule),
        severity=each.rule.severity,
        status=status,
        failed=failed,
        share=share,
        message=message,
        examples=examples,
        reason=each.rule.reason,
    )


def broken_status(rule: RuleBase) -> Status:
    """What a rule that does not hold comes to."""
    return "warned" if rule.severity == "warning" else "failed"


def row_outcome(suite: CheckSuite, each: Named, scanned: Scanned) -> Outcome:
    """The outcome of a row rule: how many rows fail, and whether that is more than may."""
    rule, rows, failed = each.rule, scanned.looked_at[each.id], scanned.failed[each.id]
    share = failed / rows if rows else 0.0
    said = f"{failed:,} of {rows:,} rows ({share:.2%})" if failed else "all rows pass"
    bound = _bound(suite, rule)
    over = _over(rule, bound, failed, rows)
    if over and bound is not None and share > bound:
        said += f", more than {bound:.2%}"
    elif over:
        said += f", more than {rule.at_most_rows:,} rows"
    wrong = [part for part in scanned.segments.get(each.id, ()) if _over(rule, bound, *_counts(part))]
    if wrong:
        wrong.sort(key=lambda part: -part.values["failed"] / max(1, part.values["rows"]))
        counts = [f"{_key(rule, part)} ({part.values['failed'] / part.values['rows']:.2%})" for part in wrong]
        said += f"; too many in {_listed(counts)}"
    status: Status = "passed" if not failed else broken_status(rule) if over or wrong else "set_aside"
    return outcome_of(each, status, said, failed=failed, share=share, examples=_examples(each, scanned))


def table_outcome(each: Named, measure: Measure, scanned: Scanned) -> Outcome:
    """The outcome of a table rule: for the whole, or for every group of rows."""
    if each.rule.by:
        parts = scanned.segments.get(each.id, [])
        found = [(part, measure.judge(part.values)) for part in parts]
        wrong = [f"{_key(each.rule, part)}: {finding}" for part, finding in found if finding]
        finding = f"in {len(wrong)} of {len(parts)} groups: {_listed(wrong)}" if wrong else ""
    else:
        finding = measure.judge(scanned.measured[each.id])
    return outcome_of(each, broken_status(each.rule) if finding else "passed", finding or "it holds")


def absence(column: str, naming: Sequence[Named], nearest: Sequence[str]) -> Outcome:
    """The finding that a column is not there."""
    error = any(each.rule.severity != "warning" for each in naming)
    meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
    needing = "rules need" if len(naming) > 1 else "rule needs"
    return Outcome(
        id=f"missing({column})",
        check="column",
        columns=(column,),
        severity="error" if error else "warning",
        status="failed" if error else "warned",
        message=f"there is no column {column!r}{meant} ({len(naming)} {needing} it)",
    )


def _bound(suite: CheckSuite, rule: RuleBase) -> float | None:
    """The share that may fail; None where only a number of rows counts."""
    if rule.at_most is not None:
        return rule.at_most
    if rule.at_most_rows is not None:
        return None
    return suite.at_most if rule.severity == "error" else 0.0


def _over(rule: RuleBase, bound: float | None, failed: int, rows: int) -> bool:
    if rule.at_most_rows is not None and failed > rule.at_most_rows:
        return True
    return bound is not None and failed > 0 and failed / max(1, rows) > bound


def _counts(part: Segment) -> tuple[int, int]:
    return part.values["failed"], part.values["rows"]


def _key(rule: RuleBase, part: Segment) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in zip(rule.by, part.key, strict=True))


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SEGMENTS} more" if len(texts) > _SEGMENTS else ""
    return "; ".join(texts[:_SEGMENTS]) + more


def _examples(each: Named, scanned: Scanned) -> tuple[str, ...]:
    sample = scanned.samples.get(each.id)
    if sample is None:
        return ()
    rows = sample.unique(maintain_order=True).head(EXAMPLES)
    return tuple(", ".join(_shown(value) for value in row) for row in rows.iter_rows())


def _shown(value: object) -> str:
    return "missing" if value is None else str(value)[:_EXAMPLE_LENGTH]
