"""Rules that compare a table with others: drift against a reference, and metrics against their history."""

import difflib
from collections.abc import Sequence

import polars as pl

from charkh.checks.context import Context
from charkh.checks.drift import compare_profiles, told
from charkh.checks.history import strays
from charkh.checks.outcomes import broken_status, outcome_of
from charkh.checks.plan import Named
from charkh.checks.result import Outcome
from charkh.checks.table_rules import Drift, History
from charkh.datasets.profile.measure import profile_frame, profile_lazily
from charkh.datasets.profile.metrics import metrics_of
from charkh.datasets.profile.profile import TableProfile


def compare(rules: Sequence[Named], frame: pl.DataFrame | pl.LazyFrame, context: Context) -> list[Outcome]:
    """The outcomes of drift and history rules; the table is profiled when its profile is not given."""
    profile = context.profile
    if profile is None:
        profile = profile_frame(frame) if isinstance(frame, pl.DataFrame) else profile_lazily(frame)
    metrics = metrics_of(profile)
    found: list[Outcome] = []
    for each in rules:
        if isinstance(each.rule, Drift):
            found.append(_drift(each, each.rule, profile, context))
        elif isinstance(each.rule, History):
            found.append(_history(each, each.rule, metrics, context))
    return found


def _drift(each: Named, rule: Drift, profile: TableProfile, context: Context) -> Outcome:
    reference = context.references.get(rule.against)
    if reference is None:
        return outcome_of(each, "skipped", f"there is nothing to compare with: {rule.against}")
    report = compare_profiles(reference, profile, rule)
    columns, drifted = len(report.columns), len(report.drifted)
    if not columns:
        return outcome_of(each, "skipped", "no column can be compared")
    said = (
        f"{drifted} of {columns} columns drifted: {told(report)}" if drifted else f"none of {columns} columns drifted"
    )
    over = drifted / columns > rule.at_most_columns
    return outcome_of(each, broken_status(rule) if over else "passed", said)


def _history(each: Named, rule: History, metrics: dict[str, float], context: Context) -> Outcome:
    value = metrics.get(rule.metric)
    if value is None:
        nearest = difflib.get_close_matches(rule.metric, list(metrics), n=1, cutoff=0.5)
        meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return outcome_of(each, broken_status(rule), f"there is no metric {rule.metric!r}{meant}")
    values = [earlier[rule.metric] for earlier in context.history if rule.metric in earlier]
    if not values:
        return outcome_of(each, "skipped", "there is no history yet")
    finding = strays(values, value, rule)
    return outcome_of(each, broken_status(rule) if finding else "passed", finding or f"{value:.6g}, as before")
