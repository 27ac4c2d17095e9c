"""The noun: a suite of rules over a table, as it stands in TOML (docs/formats/checks.md). Pure data, no I/O.

A *row rule* looks at rows and says which fail; a *table rule* looks at the table as a whole. Missing values pass
every row rule but `not_null`.
"""

from collections import Counter
from typing import Literal

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.config import parse_duration
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.expressions import columns_of, parse_expression

FORMAT = 1
MAX_RULES = 500
MAX_RULE_ID = 100
DEFAULT_AT_MOST = 0.05

Severity = Literal["error", "warning"]
Status = Literal["passed", "set_aside", "failed", "warned", "skipped"]
Bound = int | float | str


class RuleBase(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="check"
):
    """What every rule may say.

    Attributes:
        id: what the rule is called in results and quarantine; by default the check and its columns.
        severity: rows that fail an `error` rule are set aside; those that fail a `warning` are counted only.
        at_most: greatest share of rows, from 0 to 1, that may fail before the rule itself fails. By default the
            suite's for errors, and 0 for warnings. Table rules have no share.
        reason: why a failing row is wrong, for people.
    """

    id: str = ""
    severity: Severity = "error"
    at_most: float | None = None
    reason: str = ""


class ColumnExists(RuleBase, frozen=True, kw_only=True, tag="column"):
    """The table has the column; with `dtype`, of that type: a Polars name or one of the kinds in `KINDS`."""

    column: str
    dtype: str = ""


class NotNull(RuleBase, frozen=True, kw_only=True, tag="not_null"):
    """None of the columns is missing in a row; NaN counts as missing."""

    columns: tuple[str, ...]


class Unique(RuleBase, frozen=True, kw_only=True, tag="unique"):
    """No earlier row has the same values in all of the columns; rows with a missing one are not compared."""

    columns: tuple[str, ...]


class Range(RuleBase, frozen=True, kw_only=True, tag="range"):
    """The value lies between the bounds, both included: numbers, or dates and times."""

    column: str
    min: Bound | None = None
    max: Bound | None = None


class OneOf(RuleBase, frozen=True, kw_only=True, tag="one_of"):
    """The value is one of a list."""

    column: str
    values: tuple[bool | int | float | str, ...]


class Pattern(RuleBase, frozen=True, kw_only=True, tag="pattern"):
    """The whole text matches a regular expression (Rust's syntax)."""

    column: str
    pattern: str


class Length(RuleBase, frozen=True, kw_only=True, tag="length"):
    """The text has so many characters, both bounds included."""

    column: str
    min: int = 0
    max: int | None = None


class Condition(RuleBase, frozen=True, kw_only=True, tag="condition"):
    """An expression over the row is true (charkh.core.expressions); where it is missing, the row passes."""

    that: str


class Increasing(RuleBase, frozen=True, kw_only=True, tag="increasing"):
    """No value is smaller than one before it; with `strict`, none is equal to one before it either."""

    column: str
    strict: bool = False


class RowCount(RuleBase, frozen=True, kw_only=True, tag="rows"):
    """The table has so many rows, both bounds included."""

    min: int = 1
    max: int | None = None


class Fresh(RuleBase, frozen=True, kw_only=True, tag="fresh"):
    """The latest date or time of the column is no older than `within`, such as `2d`; times without zone are UTC."""

    column: str
    within: str


Rule = ColumnExists | NotNull | Unique | Range | OneOf | Pattern | Length | Condition | Increasing | RowCount | Fresh
TABLE_RULES = (ColumnExists, RowCount, Fresh)
SHAPES: dict[str, type[RuleBase]] = {
    str(shape.__struct_config__.tag): shape
    for shape in (
        *(ColumnExists, NotNull, Unique, Range, OneOf, Pattern),
        *(Length, Condition, Increasing, RowCount, Fresh),
    )
}
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
    """The columns that a rule looks at."""
    if isinstance(rule, Condition):
        return columns_of(parse_expression(rule.that))
    if isinstance(rule, NotNull | Unique):
        return rule.columns
    return () if isinstance(rule, RowCount) else (rule.column,)


def check_of(rule: Rule) -> str:
    """The kind of a rule, as TOML names it."""
    return str(type(rule).__struct_config__.tag)


def rule_ids(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """What each rule is called: its id, or its check and columns, with a number where two would be alike."""
    plain = [rule.id or f"{check_of(rule)}({','.join(rule_columns(rule))})"[:MAX_RULE_ID] for rule in rules]
    seen: Counter[str] = Counter()
    named: list[str] = []
    for name in plain:
        seen[name] += 1
        named.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(named)


def validate_rule(rule: Rule) -> None:
    """Refuse a rule that has no meaning, whatever the table.

    Raises:
        Invalid: it has none.
    """
    if rule.at_most is not None and not 0 <= rule.at_most <= 1:
        raise _invalid(f"at_most is {rule.at_most}, which is no share", "Write a share from 0 to 1, such as 0.01.")
    if len(rule.id) > MAX_RULE_ID:
        raise _invalid("the id is too long", f"Use at most {MAX_RULE_ID} characters.")
    if isinstance(rule, NotNull | Unique) and not rule.columns:
        raise _invalid("`columns` is empty", 'Write columns = ["a"].')
    if isinstance(rule, Range) and rule.min is None and rule.max is None:
        raise _invalid("a range needs a bound", "Write min, max or both.")
    if isinstance(rule, OneOf) and not rule.values:
        raise _invalid("`values` is empty", 'Write values = ["EWR", "JFK"].')
    if isinstance(rule, OneOf) and len({_kind(value) for value in rule.values}) > 1:
        raise _invalid("`values` mixes kinds", "List texts, or numbers, or true and false.")
    if isinstance(rule, Fresh):
        parse_duration(rule.within)
    if isinstance(rule, Condition):
        parse_expression(rule.that)


def _kind(value: bool | int | float | str) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, code="check.invalid_rule", hint=hint)
