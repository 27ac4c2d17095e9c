"""A suite compiled against a table's columns: which masks and aggregates it asks for, and what needs no looking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeGuard

import polars as pl

from charkh.checks.masks import Lookups, Schema, applies, failing
from charkh.checks.measures import AggregateRule, Measure, measure
from charkh.checks.row_rules import RowRule
from charkh.checks.suite import ROW_RULES, CheckSuite, Rule, needed_columns, rule_ids
from charkh.checks.table_rules import Drift, History
from charkh.core.errors import Invalid


class Named(NamedTuple):
    """A rule and what it is called."""

    id: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class RowPlan:
    """A row rule, compiled.

    Attributes:
        named: the rule.
        mask: true where a row fails, never null.
        looked_at: the rows that the rule looks at; None for all.
    """

    named: Named
    mask: pl.Expr
    looked_at: pl.Expr | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a table.

    Attributes:
        named: all rules in the suite's order.
        rows: row rules, by id.
        measures: table rules, by id.
        compared: rules that compare the table with others, by id.
        broken: why a rule cannot be applied, by id.
        skipped: ids of rules that need a column that is not there.
    """

    named: tuple[Named, ...]
    rows: Mapping[str, RowPlan]
    measures: Mapping[str, tuple[Named, Measure]]
    compared: Mapping[str, Drift | History]
    broken: Mapping[str, str]
    skipped: frozenset[str]


def is_row_rule(rule: Rule) -> TypeGuard[RowRule]:
    """Whether it says of each row whether it fails."""
    return isinstance(rule, ROW_RULES)


def compile_suite(suite: CheckSuite, schema: Schema, moment: datetime, lookups: Lookups) -> Plan:
    """Compile every rule; one that cannot be applied is a finding, not an error.

    Args:
        suite: the rules.
        schema: of the table.
        moment: what `fresh` compares with.
        lookups: tables that foreign keys point to, by reference.
    """
    named = tuple(Named(name, rule) for name, rule in zip(rule_ids(suite.rules), suite.rules, strict=True))
    rows: dict[str, RowPlan] = {}
    measures: dict[str, tuple[Named, Measure]] = {}
    compared: dict[str, Drift | History] = {}
    broken: dict[str, str] = {}
    skipped = frozenset(each.id for each in named if any(name not in schema for name in needed_columns(each.rule)))
    for each in named:
        if each.id in skipped:
            continue
        try:
            rule = each.rule
            if is_row_rule(rule):
                rows[each.id] = RowPlan(each, failing(rule, schema, lookups), applies(rule, schema))
            elif isinstance(rule, Drift | History):
                compared[each.id] = rule
            elif not isinstance(rule, ROW_RULES):
                measures[each.id] = (each, measure(_aggregated(rule), schema, moment))
        except Invalid as error:
            broken[each.id] = error.message
    return Plan(named, rows, measures, compared, broken, skipped)


def _aggregated(rule: Rule) -> AggregateRule:
    if not isinstance(rule, AggregateRule):
        raise TypeError(type(rule).__name__)
    return rule


def segments_of(plans: Sequence[Named]) -> list[tuple[str, ...]]:
    """The different ways in which rules part the table."""
    return list(dict.fromkeys(each.rule.by for each in plans if each.rule.by))
