"""The noun: a suite of rules over a table, as it stands in TOML (docs/formats/checks.md). Pure data, no I/O.

A *row rule* looks at rows and says which fail; a *table rule* looks at the table as a whole. Missing values pass
every row rule but `not_null`.
"""

from collections import Counter
from typing import get_args

import msgspec

from charkh.checks.row_rules import (
    Condition,
    ForeignKey,
    Increasing,
    Length,
    NoneOf,
    NotNull,
    OneOf,
    Outliers,
    Parses,
    Pattern,
    Range,
    RowRule,
    Unique,
)
from charkh.checks.rule import MAX_RULE_ID, RuleBase
from charkh.checks.table_rules import (
    ColumnExists,
    Columns,
    Drift,
    Fresh,
    History,
    Includes,
    Measured,
    RowCount,
    TableRule,
)
from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.expressions import columns_of, parse_expression

FORMAT = 1
MAX_RULES = 500
DEFAULT_AT_MOST = 0.05

Rule = (
    ColumnExists
    | NotNull
    | Unique
    | Range
    | OneOf
    | Pattern
    | Length
    | Condition
    | Increasing
    | RowCount
    | Fresh
    | NoneOf
    | Parses
    | ForeignKey
    | Outliers
    | Columns
    | Measured
    | Includes
    | Drift
    | History
)
ROW_RULES: tuple[type[RuleBase], ...] = get_args(RowRule)
TABLE_RULES: tuple[type[RuleBase], ...] = get_args(TableRule)
SHAPES: dict[str, type[RuleBase]] = {str(shape.__struct_config__.tag): shape for shape in get_args(Rule)}
"""Every kind of rule, by its name in TOML."""


class CheckSuite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of a table.

    Attributes:
        format: version of the document's format.
        description: what the suite is for.
        at_most: greatest share of rows that may fail an error rule before the rule itself fails.
        rules: in the order in which a row's reasons are listed; `[[rule]]` in TOML.
    """

    format: int = FORMAT
    description: str = ""
    at_most: float = DEFAULT_AT_MOST
    rules: tuple[Rule, ...] = msgspec.field(default=(), name="rule")

    @property
    def digest(self) -> str:
        """Digest of the suite's content: equal suites have equal digests, however they were written."""
        return digest_of(canonical_json(self))


def rule_columns(rule: Rule) -> tuple[str, ...]:
    """The columns that a rule is about."""
    if isinstance(rule, Condition):
        return columns_of(parse_expression(rule.that))
    if isinstance(rule, NotNull | Unique | ForeignKey | Drift):
        return rule.columns
    return () if isinstance(rule, RowCount | Columns | History) else (rule.column,)


def needed_columns(rule: Rule) -> tuple[str, ...]:
    """The columns without which a rule cannot be looked at, in order of their first mention."""
    needed = [*rule_columns(rule), *rule.by]
    if rule.when:
        needed += columns_of(parse_expression(rule.when))
    if isinstance(rule, Increasing) and rule.order:
        needed.append(rule.order)
    if isinstance(rule, Measured) and rule.other:
        needed.append(rule.other)
    return tuple(dict.fromkeys(needed))


def check_of(rule: Rule) -> str:
    """The kind of a rule, as TOML names it."""
    return str(type(rule).__struct_config__.tag)


def rule_ids(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """What each rule is called: its id, or its check and columns, with a number where two would be alike."""
    plain = [rule.id or _plain_id(rule)[:MAX_RULE_ID] for rule in rules]
    seen: Counter[str] = Counter()
    named: list[str] = []
    for name in plain:
        seen[name] += 1
        named.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(named)


def _plain_id(rule: Rule) -> str:
    if isinstance(rule, Measured):
        return f"{rule.of}({rule.column})"
    if isinstance(rule, History):
        return f"history({rule.metric})"
    if isinstance(rule, Drift):
        return f"drift({','.join((rule.against, *rule.columns))})"
    return f"{check_of(rule)}({','.join(rule_columns(rule))})"
