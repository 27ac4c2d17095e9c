"""Run a suite over a table: every rule in one pass, as masks and aggregates of one Polars query.

Only the rows that repeat another are looked for in a second pass, when the first has counted any.
"""

import difflib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, cast

import polars as pl

from charkh.checks.result import REASONS, ROW, CheckResult, Outcome
from charkh.checks.rules import dtype_fits, failing, repeats
from charkh.checks.suite import (
    TABLE_RULES,
    CheckSuite,
    ColumnExists,
    Fresh,
    RowCount,
    Rule,
    Status,
    Unique,
    check_of,
    rule_columns,
    rule_ids,
    validate_rule,
)
from charkh.core.config import parse_duration
from charkh.core.errors import Invalid
from charkh.datasets.expression_functions import DATE, TIME, reason_of
from charkh.datasets.expressions import kind_of

EXAMPLES = 3
_EXAMPLE_LENGTH = 60
_TOO_SHORT = "the table has {rows:,} rows, fewer than {bound:,}"
_TOO_LONG = "the table has {rows:,} rows, more than {bound:,}"


class _Named(NamedTuple):
    id: str
    rule: Rule


def run(suite: CheckSuite, frame: pl.DataFrame, *, moment: datetime | None = None) -> CheckResult:
    """Check a table.

    A rule that cannot be applied (a missing column, a type that does not fit) is a finding, not an error.

    Args:
        suite: the rules.
        frame: the table.
        moment: what `fresh` compares with; now by default.

    Raises:
        Invalid: a rule has no meaning whatever the table, or the table has a column `_reasons` or `_row`.
    """
    _refuse_reserved(frame)
    for rule in suite.rules:
        validate_rule(rule)
    named = [_Named(name, rule) for name, rule in zip(rule_ids(suite.rules), suite.rules, strict=True)]
    masks, outcomes = _scan(named, frame, moment or datetime.now(UTC))
    for name, rule in named:
        if name in masks:
            outcomes[name] = _row_outcome(suite, name, rule, masks[name], frame)
    errors = {name: masks[name] for name, rule in named if rule.severity == "error" and name in masks}
    good, bad = _part(frame, {name: mask for name, mask in errors.items() if outcomes[name].failed})
    ordered = [*_absences(named, frame), *(outcomes[name] for name, _ in named)]
    return CheckResult(suite=suite, rows=frame.height, good=good, bad=bad, outcomes=tuple(ordered))


def _scan(
    named: Sequence[_Named], frame: pl.DataFrame, moment: datetime
) -> tuple[dict[str, pl.Series], dict[str, Outcome]]:
    """The masks of the rules that could be applied, and the outcomes of all others."""
    outcomes: dict[str, Outcome] = {}
    queries: dict[str, pl.Expr] = {}
    for name, rule in named:
        columns = rule_columns(rule)
        if any(column not in frame.schema for column in columns):
            outcomes[name] = _outcome(name, rule, "skipped", "a column is missing")
            continue
        try:
            if isinstance(rule, TABLE_RULES):
                outcomes[name] = _table_outcome(name, rule, frame, moment)
            else:
                repeated = isinstance(rule, Unique)
                queries[name] = repeats(rule, frame.schema) if repeated else failing(rule, frame.schema).implode()
        except Invalid as error:
            outcomes[name] = _outcome(name, rule, _broken(rule), error.message)
    found = _collect(queries, frame)
    again = {
        name: failing(rule, frame.schema).implode()
        for name, rule in named
        if isinstance(rule, Unique) and isinstance(count := found.get(name), int) and count
    }
    found = {**found, **_collect(again, frame)}
    return {name: _whole(mask, frame.height) for name, mask in found.items()}, outcomes


def _collect(queries: dict[str, pl.Expr], frame: pl.DataFrame) -> dict[str, pl.Series | int]:
    if not queries:
        return {}
    # One row of lists and numbers: masks and aggregates of all rules come out of one pass over the table.
    try:
        row = frame.lazy().select(query.alias(name) for name, query in queries.items()).collect()
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"the rules cannot be applied to this table: {reason_of(error)}",
            code="check.failed",
            hint="Look at the types of its columns; a `column` rule with `dtype` names the one that is wrong.",
        ) from error
    return {name: cast(pl.Series | int, row[name][0]) for name in queries}


def _whole(mask: pl.Series | int, rows: int) -> pl.Series:
    """A mask for each row, also where a rule gave one value for all of them."""
    if isinstance(mask, pl.Series) and len(mask) == rows:
        return mask
    same = bool(mask[0]) if isinstance(mask, pl.Series) and len(mask) else False
    return pl.repeat(same, rows, dtype=pl.Boolean, eager=True)


def _part(frame: pl.DataFrame, masks: dict[str, pl.Series]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The good rows, and the bad ones with their reasons."""
    failed = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    for mask in masks.values():
        failed = failed | mask
    bad = frame.filter(failed)
    reasons = pl.DataFrame({name: mask.filter(failed) for name, mask in masks.items()})
    told = reasons.select(
        pl.concat_list(pl.when(pl.col(name)).then(pl.lit(name)) for name in reasons.columns).list.drop_nulls()
        if masks
        else pl.lit(pl.Series([], dtype=pl.List(pl.String)))
    ).to_series()
    places = failed.arg_true().cast(pl.Int64)
    bad = bad.with_columns(told.alias(REASONS), places.alias(ROW))
    return (frame.filter(~failed) if masks else frame), bad


def _row_outcome(suite: CheckSuite, name: str, rule: Rule, mask: pl.Series, frame: pl.DataFrame) -> Outcome:
    failed = int(mask.sum())
    share = failed / frame.height if frame.height else 0.0
    error = rule.severity == "error"
    bound = rule.at_most if rule.at_most is not None else suite.at_most if error else 0.0
    status: Status = "passed"
    if failed:
        status = ("failed" if error else "warned") if share > bound else "set_aside"
    said = f"{failed:,} of {frame.height:,} rows ({share:.2%})" if failed else "all rows pass"
    if share > bound:
        said += f", more than {bound:.2%}"
    return _outcome(
        name,
        rule,
        status,
        said,
        failed=failed,
        share=share,
        examples=_examples(rule, mask, frame) if failed else (),
    )


def _examples(rule: Rule, mask: pl.Series, frame: pl.DataFrame) -> tuple[str, ...]:
    columns = rule_columns(rule)
    if not columns:
        return ()
    rows = frame.select(columns)[mask.arg_true().head(50)].unique(maintain_order=True).head(EXAMPLES)
    return tuple(", ".join(_shown(value) for value in row) for row in rows.iter_rows())


def _shown(value: object) -> str:
    return "missing" if value is None else str(value)[:_EXAMPLE_LENGTH]


def _table_outcome(name: str, rule: Rule, frame: pl.DataFrame, moment: datetime) -> Outcome:
    finding = ""
    if isinstance(rule, ColumnExists) and rule.dtype and not dtype_fits(frame.schema[rule.column], rule.dtype):
        finding = f"column {rule.column!r} holds {frame.schema[rule.column]}, not {rule.dtype}"
    elif isinstance(rule, RowCount):
        if frame.height < rule.min:
            finding = _TOO_SHORT.format(rows=frame.height, bound=rule.min)
        elif rule.max is not None and frame.height > rule.max:
            finding = _TOO_LONG.format(rows=frame.height, bound=rule.max)
    elif isinstance(rule, Fresh):
        finding = _staleness(rule, frame, moment)
    return _outcome(name, rule, _broken(rule) if finding else "passed", finding or "it holds")


def _staleness(rule: Fresh, frame: pl.DataFrame, moment: datetime) -> str:
    dtype = frame.schema[rule.column]
    if kind_of(dtype) not in {DATE, TIME}:
        return f"column {rule.column!r} holds {dtype}, not dates or times"
    newest = cast(date | datetime | None, frame[rule.column].max())
    if newest is None:
        return f"column {rule.column!r} has no value"
    if not isinstance(newest, datetime):
        newest = datetime(newest.year, newest.month, newest.day) + timedelta(days=1)
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment - newest <= timedelta(seconds=parse_duration(rule.within)):
        return ""
    return f"the newest value of {rule.column!r} is {newest:%Y-%m-%d %H:%M}, older than {rule.within}"


def _absences(named: Sequence[_Named], frame: pl.DataFrame) -> list[Outcome]:
    """One finding for every column that is not there, however many rules name it."""
    rules: dict[str, list[_Named]] = {}
    for each in named:
        for column in rule_columns(each.rule):
            if column not in frame.schema:
                rules.setdefault(column, []).append(each)
    found: list[Outcome] = []
    for column, naming in rules.items():
        error = any(each.rule.severity == "error" for each in naming)
        nearest = difflib.get_close_matches(column, frame.columns, n=1, cutoff=0.6)
        meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
        needing = "rules need" if len(naming) > 1 else "rule needs"
        found.append(
            Outcome(
                id=f"missing({column})",
                check="column",
                columns=(column,),
                severity="error" if error else "warning",
                status="failed" if error else "warned",
                message=f"there is no column {column!r}{meant} ({len(naming)} {needing} it)",
            )
        )
    return found


def _broken(rule: Rule) -> Status:
    return "failed" if rule.severity == "error" else "warned"


def _outcome(
    name: str,
    rule: Rule,
    status: Status,
    message: str,
    *,
    failed: int = 0,
    share: float = 0.0,
    examples: tuple[str, ...] = (),
) -> Outcome:
    return Outcome(
        id=name,
        check=check_of(rule),
        columns=rule_columns(rule),
        severity=rule.severity,
        status=status,
        failed=failed,
        share=share,
        message=message,
        examples=examples,
        reason=rule.reason,
    )


def _refuse_reserved(frame: pl.DataFrame) -> None:
    taken = [name for name in (REASONS, ROW) if name in frame.schema]
    if taken:
        raise Invalid(
            f"the table has a column {taken[0]!r}, which a check writes itself",
            code="check.reserved_column",
            hint="Drop it first: it is left from an earlier quarantine.",
        )
