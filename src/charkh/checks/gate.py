"""The gate: a table whose rules do not hold goes no further."""

from charkh.checks.result import CheckResult
from charkh.core.errors import GateRefused


def gate(result: CheckResult, what: str = "the table") -> CheckResult:
    """The result, when it is good enough to go on with its good rows.

    Args:
        result: of `run`.
        what: how the error calls the table.

    Raises:
        GateRefused: an error rule fails on more rows than it may, a table rule fails, or no good row is left.
    """
    if result.ok:
        return result
    said = [f"{outcome.id}: {outcome.message}" for outcome in result.failures]
    if not said:
        said = [f"all {result.rows:,} rows are set aside"]
    raise GateRefused(
        f"{what} does not satisfy its checks: {'; '.join(said[:5])}{'; …' if len(said) > 5 else ''}",
        code="check.refused",
        hint="Mend the data, or the rule where it is the rule that is wrong: `at_most` says what share may fail.",
        facts={"rules": [outcome.id for outcome in result.failures], "rows": result.rows},
    )
