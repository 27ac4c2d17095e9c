"""What every rule may say, whatever it checks. Pure data, no I/O."""

from typing import Literal

import msgspec

MAX_RULE_ID = 100

Severity = Literal["error", "warning", "critical"]
Status = Literal["passed", "set_aside", "failed", "warned", "skipped"]
Bound = int | float | str
Value = bool | int | float | str


class RuleBase(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="check"
):
    """What every rule may say.

    Attributes:
        id: what the rule is called in results and quarantine; by default the check and its columns.
        severity: rows that fail an `error` or `critical` rule are set aside; those that fail a `warning` are counted
            only. A `critical` rule tolerates none, unless it says itself how many.
        at_most: greatest share of rows, from 0 to 1, that may fail before the rule itself fails. By default the
            suite's for errors, and 0 for warnings and critical rules. Table rules have no share.
        at_most_rows: greatest number of rows that may fail; given without `at_most`, it alone counts.
        reason: why a failing row is wrong, for people.
        when: an expression (`charkh.core.expressions`); the rule looks only at rows for which it is true.
        by: columns; the rule must hold in every group of rows with equal values there.
    """

    id: str = ""
    severity: Severity = "error"
    at_most: float | None = None
    at_most_rows: int | None = None
    reason: str = ""
    when: str = ""
    by: tuple[str, ...] = ()
