"""Refuse rules that have no meaning, whatever the table."""

import re
from collections.abc import Iterable

from charkh.checks.row_rules import (
    Condition,
    ForeignKey,
    Length,
    NoneOf,
    NotNull,
    OneOf,
    Outliers,
    Parses,
    Pattern,
    Range,
    Unique,
)
from charkh.checks.rule import MAX_RULE_ID
from charkh.checks.suite import TABLE_RULES, Rule
from charkh.checks.table_rules import ColumnExists, Columns, Drift, Fresh, History, Includes, Measured, RowCount
from charkh.core.errors import Invalid
from charkh.core.expressions import parse_expression
from charkh.core.quantities import parse_duration

METRIC = re.compile(r"rows|columns|[a-z_]+\(.+\)", re.DOTALL)


def validate_rule(rule: Rule) -> None:
    """Refuse a rule that has no meaning.

    Raises:
        Invalid: it has none.
    """
    _validate_common(rule)
    if isinstance(rule, NotNull | Unique | ForeignKey) and not rule.columns:
        raise _invalid("`columns` is empty", 'Write columns = ["a"].')
    if isinstance(rule, Range | Measured) and not _bounded(rule):
        what = "a range" if isinstance(rule, Range) else "a statistic"
        raise _invalid(f"{what} needs a bound", "Write min, max, above, below or two of them.")
    if isinstance(rule, OneOf | NoneOf | Includes):
        _validate_values(rule)
    if isinstance(rule, Fresh):
        parse_duration(rule.within)
    if isinstance(rule, Condition):
        parse_expression(rule.that)
    if isinstance(rule, Length | Columns | RowCount):
        _validate_order(rule.min, rule.max)
    if isinstance(rule, ForeignKey) and rule.to_columns and len(rule.to_columns) != len(rule.columns):
        raise _invalid("`to_columns` has not as many columns as `columns`", "Name one column for each.")
    if isinstance(rule, Outliers) and not rule.deviations > 0:
        raise _invalid("`deviations` is not above 0", "Write deviations = 5.0.")
    if isinstance(rule, Parses) and rule.format and rule.kind not in {"date", "datetime"}:
        raise _invalid(f"a {rule.kind} has no `format`", "`format` is for kind = 'date' and kind = 'datetime'.")
    if isinstance(rule, Measured):
        _validate_statistic(rule)
    if isinstance(rule, History):
        _validate_history(rule)
    if isinstance(rule, Drift):
        _validate_drift(rule)


def validate_patterns(rules: Iterable[tuple[str, Rule]]) -> None:
    """Refuse a regular expression that is none; apart, because it loads Polars.

    Args:
        rules: with where each stands.

    Raises:
        Invalid: one is none.
    """
    patterns = [(where, rule) for where, rule in rules if isinstance(rule, Pattern)]
    if not patterns:
        return
    # Polars is the one that knows its syntax; a suite without patterns is read without loading it.
    from charkh.datasets.expression_functions import checked_pattern

    for where, rule in patterns:
        try:
            checked_pattern(rule.pattern)
        except Invalid as error:
            raise Invalid(f"{where}: {error.message}", code="check.invalid_rule", hint=error.hint) from error


def _validate_common(rule: Rule) -> None:
    if rule.at_most is not None and not 0 <= rule.at_most <= 1:
        raise _invalid(f"at_most is {rule.at_most}, which is no share", "Write a share from 0 to 1, such as 0.01.")
    if rule.at_most_rows is not None and rule.at_most_rows < 0:
        raise _invalid("at_most_rows is negative", "Write a number of rows.")
    if len(rule.id) > MAX_RULE_ID:
        raise _invalid("the id is too long", f"Use at most {MAX_RULE_ID} characters.")
    if rule.when:
        parse_expression(rule.when)
    if isinstance(rule, ColumnExists | Columns | Drift | History) and (rule.when or rule.by):
        raise _invalid("this check looks at no single rows", "Leave `when` and `by` out.")
    if isinstance(rule, TABLE_RULES) and rule.at_most_rows is not None:
        raise _invalid("this check fails no rows", "Leave `at_most_rows` out.")


def _bounded(rule: Range | Measured) -> bool:
    return any(bound is not None for bound in (rule.min, rule.max, rule.above, rule.below))


def _validate_values(rule: OneOf | NoneOf | Includes) -> None:
    if not rule.values:
        raise _invalid("`values` is empty", 'Write values = ["EWR", "JFK"].')
    if len({_kind(value) for value in rule.values}) > 1:
        raise _invalid("`values` mixes kinds", "List texts, or numbers, or true and false.")


def _validate_order(least: int, most: int | None) -> None:
    if least < 0 or (most is not None and most < 0):
        raise _invalid("a bound is negative", "Count from 0.")


def _validate_statistic(rule: Measured) -> None:
    if not 0 <= rule.quantile <= 1:
        raise _invalid(f"quantile is {rule.quantile}, which is no share", "Write a share from 0 to 1, such as 0.9.")
    if (rule.of == "correlation") != bool(rule.other):
        raise _invalid("a correlation is with `other`, and nothing else is", 'Write of = "correlation", other = "b".')


def _validate_history(rule: History) -> None:
    if not METRIC.fullmatch(rule.metric):
        raise _invalid(f"{rule.metric!r} is no metric", "Write rows, or such as null_share(tailnum) or mean(distance).")
    if rule.rise is None and rule.fall is None and rule.deviations is None:
        raise _invalid("a history needs a bound", "Write rise, fall, deviations or several of them.")
    if min(rule.rise or 0, rule.fall or 0, rule.deviations or 0, rule.season) < 0 or rule.last < 1:
        raise _invalid("a bound is negative", "Write rise = 0.5 for half as much again, deviations = 4.0, last = 50.")


def _validate_drift(rule: Drift) -> None:
    shares = (rule.at_most_columns, rule.level, rule.ks, rule.js, rule.linf, rule.missing, rule.new)
    if not rule.against or min(*shares, rule.psi) < 0 or max(shares) > 1:
        raise _invalid("a threshold is no share", "All but psi lie between 0 and 1; against is a reference.")


def _kind(value: bool | int | float | str) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, code="check.invalid_rule", hint=hint)
