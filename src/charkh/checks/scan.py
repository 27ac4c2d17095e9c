"""Evaluate a plan in one scan: masks and aggregates of all rules together, in memory or streaming.

In memory a mask is a column of its own, so that counts and bad rows come out of it without another pass. Streaming, the
counts, the groups and the bad rows are queries that Polars runs together over one reading of the source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from charkh.checks.plan import Plan, RowPlan, segments_of
from charkh.checks.result import REASONS, ROW
from charkh.checks.suite import rule_columns
from charkh.core.errors import Invalid
from charkh.datasets.expression_functions import reason_of

SAMPLE = 50
"""Failing rows that examples are taken from."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One group of rows: its values in the columns of `by`, and what was counted or measured in it."""

    key: tuple[object, ...]
    values: Mapping[str, Any]


@dataclass(slots=True)
class Scanned:
    """What one scan found.

    Attributes:
        rows: how many there are.
        failed: failing rows, by rule id.
        looked_at: rows that a rule looked at, by id.
        measured: aggregates of table rules, by id.
        segments: by id, of rules that must hold in every group: failing rows as `failed` and all as `rows`, or the
            aggregates.
        samples: some failing rows, by id, in the columns of the rule.
        good: the rows that fail none of the rules that set aside.
        bad: the others, with reasons and places.
    """

    rows: int
    failed: dict[str, int] = field(default_factory=dict[str, int])
    looked_at: dict[str, int] = field(default_factory=dict[str, int])
    measured: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    segments: dict[str, list[Segment]] = field(default_factory=dict[str, list[Segment]])
    samples: dict[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    good: pl.LazyFrame = field(default_factory=pl.LazyFrame)
    bad: pl.DataFrame = field(default_factory=pl.DataFrame)


def scan_frame(plan: Plan, frame: pl.DataFrame) -> Scanned:
    """Evaluate over a table in memory.

    Raises:
        Invalid: Polars cannot apply the rules to it.
    """
    counts = {f"w{name}": row.looked_at.sum() for name, row in plan.rows.items() if row.looked_at is not None}
    counts |= _aggregates(plan)
    # Masks as columns: as lists in the row of the aggregates they would be copied once more.
    marks = _select({name: row.mask for name, row in plan.rows.items()}, frame.lazy())
    try:
        marked, counted = pl.collect_all([marks, _select(counts, frame.lazy())])
    except pl.exceptions.PolarsError as error:
        raise _unfit(error) from error
    found = counted.row(0, named=True) if counts else {}
    masks = {name: _whole(marked[name], frame.height) for name in plan.rows}
    scanned = Scanned(rows=frame.height, measured=_measured(plan, found))
    for name, row in plan.rows.items():
        scanned.failed[name] = int(masks[name].sum())
        looked_at = found[f"w{name}"] if row.looked_at is not None else frame.height
        scanned.looked_at[name] = int(looked_at)
        columns = rule_columns(row.named.rule)
        if scanned.failed[name] and columns:
            scanned.samples[name] = frame.select(columns)[masks[name].arg_true().head(SAMPLE)]
    _segment_frame(plan, frame, scanned)
    aside = {name: masks[name] for name in _setting_aside(plan) if scanned.failed[name]}
    scanned.good, scanned.bad = _part(frame, aside)
    return scanned


def scan_lazily(plan: Plan, lazy: pl.LazyFrame) -> Scanned:
    """Evaluate over a table that need not fit into memory; what is bad must.

    Raises:
        Invalid: Polars cannot apply the rules to it.
    """
    queries: dict[str, pl.Expr] = {"n": pl.len()}
    for name, row in plan.rows.items():
        queries[f"m{name}"] = row.mask.sum()
        if row.looked_at is not None:
            queries[f"w{name}"] = row.looked_at.sum()
        if columns := rule_columns(row.named.rule):
            queries[f"e{name}"] = pl.struct(columns).filter(row.mask).head(SAMPLE).implode()
    queries |= _aggregates(plan)
    groups = segments_of([each for each in plan.named if each.id in plan.rows or each.id in plan.measures])
    aside = {name: plan.rows[name].mask for name in _setting_aside(plan)}
    marked = lazy.with_row_index(ROW).with_columns(mask.alias(f"\0{name}") for name, mask in aside.items())
    failed = pl.any_horizontal(f"\0{name}" for name in aside) if aside else pl.lit(False)
    plans = [_select(queries, lazy), marked.filter(failed), *(_grouped(plan, lazy, by) for by in groups)]
    try:
        counted, bad, *parts = pl.collect_all(plans, engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise _unfit(error) from error
    found = counted.row(0, named=True)
    scanned = Scanned(rows=found["n"], measured=_measured(plan, found))
    for name, row in plan.rows.items():
        # A rule that gives one value for all rows is counted as one.
        scanned.failed[name] = int(found[f"m{name}"])
        scanned.looked_at[name] = int(found[f"w{name}"] if row.looked_at is not None else scanned.rows)
        columns = rule_columns(row.named.rule)
        if scanned.failed[name] and columns:
            scanned.samples[name] = pl.DataFrame(found[f"e{name}"], schema=list(columns), strict=False)
    for by, part in zip(groups, parts, strict=True):
        _keep_segments(plan, by, part, scanned)
    scanned.bad = _told(bad, list(aside))
    scanned.good = marked.filter(~failed).select(lazy.collect_schema().names())
    return scanned


def _setting_aside(plan: Plan) -> list[str]:
    return [name for name, row in plan.rows.items() if row.named.rule.severity != "warning"]


def _aggregates(plan: Plan) -> dict[str, pl.Expr]:
    return {
        f"a{name}:{key}": value
        for name, (named, measure) in plan.measures.items()
        if not named.rule.by
        for key, value in measure.values.items()
    }


def _measured(plan: Plan, found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        name: {key: found[f"a{name}:{key}"] for key in measure.values}
        for name, (named, measure) in plan.measures.items()
        if not named.rule.by
    }


def _select(queries: Mapping[str, pl.Expr], lazy: pl.LazyFrame) -> pl.LazyFrame:
    return lazy.select(query.alias(name) for name, query in queries.items())


def _unfit(error: pl.exceptions.PolarsError) -> Invalid:
    return Invalid(
        f"the rules cannot be applied to this table: {reason_of(error)}",
        code="check.failed",
        hint="Look at the types of its columns; a `column` rule with `dtype` names the one that is wrong.",
    )


def _whole(mask: pl.Series, rows: int) -> pl.Series:
    """A mask for each row, also where every rule gave one value for all of them."""
    if len(mask) == rows:
        return mask
    return pl.repeat(bool(mask[0]) if len(mask) else False, rows, dtype=pl.Boolean, eager=True)


def _in_groups(plan: Plan, by: tuple[str, ...]) -> tuple[dict[str, RowPlan], dict[str, pl.Expr]]:
    """The row rules of a way of parting, and the aggregates."""
    rows = {name: row for name, row in plan.rows.items() if row.named.rule.by == by}
    aggregates = {
        f"a{name}:{key}": value
        for name, (named, measure) in plan.measures.items()
        if named.rule.by == by
        for key, value in measure.values.items()
    }
    return rows, aggregates


def _grouped(plan: Plan, lazy: pl.LazyFrame, by: tuple[str, ...]) -> pl.LazyFrame:
    rows, aggregates = _in_groups(plan, by)
    marks = [row.mask.alias(f"\0m{name}") for name, row in rows.items()]
    marks += [
        (pl.lit(True) if row.looked_at is None else row.looked_at).alias(f"\0w{name}") for name, row in rows.items()
    ]
    sums = [pl.col(f"\0{sign}{name}").sum().alias(f"{sign}{name}") for name in rows for sign in "mw"]
    values = [value.alias(name) for name, value in aggregates.items()]
    return lazy.with_columns(marks).group_by(by, maintain_order=True).agg(*sums, *values)


def _segment_frame(plan: Plan, frame: pl.DataFrame, scanned: Scanned) -> None:
    for by in segments_of([each for each in plan.named if each.id in plan.rows or each.id in plan.measures]):
        _keep_segments(plan, by, _grouped(plan, frame.lazy(), by).collect(), scanned)


def _keep_segments(plan: Plan, by: Sequence[str], part: pl.DataFrame, scanned: Scanned) -> None:
    rows, _ = _in_groups(plan, tuple(by))
    measures = {name: each for name, each in plan.measures.items() if each[0].rule.by == tuple(by)}
    for record in part.iter_rows(named=True):
        key = tuple(record[name] for name in by)
        for name in rows:
            values = {"failed": record[f"m{name}"], "rows": record[f"w{name}"]}
            scanned.segments.setdefault(name, []).append(Segment(key, values))
        for name, (_, measure) in measures.items():
            values = {inner: record[f"a{name}:{inner}"] for inner in measure.values}
            scanned.segments.setdefault(name, []).append(Segment(key, values))


def _part(frame: pl.DataFrame, masks: Mapping[str, pl.Series]) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """The good rows, and the bad ones with their reasons."""
    if not masks:
        empty = frame.clear().with_columns(
            pl.Series(REASONS, [], dtype=pl.List(pl.String)), pl.Series(ROW, [], dtype=pl.Int64)
        )
        return frame.lazy(), empty
    failed = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    for mask in masks.values():
        failed = failed | mask
    reasons = pl.DataFrame({f"\0{name}": mask.filter(failed) for name, mask in masks.items()})
    bad = frame.filter(failed).with_columns(failed.arg_true().cast(pl.Int64).alias(ROW), *reasons.get_columns())
    # The good rows are taken when somebody wants them: a check that only judges need not copy the table.
    return frame.lazy().filter(~failed), _told(bad, list(masks))


def _told(bad: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Bad rows with the ids of the rules that they fail in one column, in the place of a column for each rule."""
    told = pl.lit(pl.Series([], dtype=pl.List(pl.String)))
    if names:
        told = pl.concat_list(pl.when(pl.col(f"\0{name}")).then(pl.lit(name)) for name in names).list.drop_nulls()
    marks = [f"\0{name}" for name in names]
    columns = [name for name in bad.columns if name not in marks and name != ROW]
    return bad.select(*columns, told.alias(REASONS), pl.col(ROW).cast(pl.Int64))
