"""Infer a suite from a table: rules that it satisfies and that the next one should, each with its reason."""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

import msgspec
import polars as pl

from charkh.checks.document import format_suite
from charkh.checks.proposed import proposed_line
from charkh.checks.row_rules import Increasing, Length, NotNull, OneOf, Parses, Pattern, Range, Unique
from charkh.checks.suite import CheckSuite, Rule, rule_ids
from charkh.checks.table_rules import ColumnExists, RowCount
from charkh.datasets.dtypes import dtype_text
from charkh.datasets.expression_functions import DATE, INTEGER, NOTHING, NUMBER, OTHER, TEXT, TIME, TRUTH
from charkh.datasets.expressions import kind_of

MOST_VALUES = 25
"""Most distinct values that are taken for a closed list."""

FEWEST_ROWS = 20
"""Below this many rows nothing is concluded from values."""

RARE = 0.05
"""A column with a smaller share of gaps is held to it, with some slack."""

MOSTLY_MISSING = 0.8
"""From this share of gaps on nothing is said about them."""

NEARLY_ALL = 0.9
"""Share of the rows that a list of common values covers at least."""

SLACK = 0.1
"""What a number may lie beyond those seen, as a share of their range."""

ParsedKind = Literal["integer", "number", "date"]
_NUMBERS: tuple[tuple[ParsedKind, type[pl.DataType]], ...] = (("integer", pl.Int64), ("number", pl.Float64))
_WORDS: dict[ParsedKind, str] = {"integer": "a whole number", "number": "a number", "date": "a date"}
_DTYPES = {INTEGER: "integer", NUMBER: "number", TEXT: "text", TRUTH: "boolean", DATE: "date", TIME: "datetime"}
_SHAPES = (
    (r"[A-Z]{%d}", "capital letters"),
    (r"[a-z]{%d}", "small letters"),
    (r"[0-9]{%d}", "digits"),
    (r"[0-9A-Z]{%d}", "digits and capital letters"),
)


class Inferred(msgspec.Struct, frozen=True, kw_only=True):
    """A suite, and why each rule is in it.

    Attributes:
        suite: the rules.
        reasons: by rule id.
    """

    suite: CheckSuite
    reasons: dict[str, str]

    @property
    def toml(self) -> str:
        """The suite's document, with the reasons as comments, and a comment that says what was proposed."""
        return format_suite(self.suite, self.reasons) + "\n" + proposed_line(rule_ids(self.suite.rules))


class _Found(NamedTuple):
    rule: Rule
    reason: str


def infer(frame: pl.DataFrame, *, description: str = "") -> Inferred:
    """Rules that the table satisfies; to be read and mended by a person before they decide anything."""
    found = [_Found(RowCount(min=1), "a table without rows is a mistake")]
    for name in frame.columns:
        found += _column_rules(frame[name], frame.height)
    rules = tuple(each.rule for each in found)
    reasons = {name: each.reason for name, each in zip(rule_ids(rules), found, strict=True)}
    return Inferred(suite=CheckSuite(description=description, rules=rules), reasons=reasons)


def _column_rules(column: pl.Series, rows: int) -> Iterator[_Found]:
    kind = kind_of(column.dtype)
    dtype = _DTYPES.get(kind, "")
    yield _Found(
        ColumnExists(column=column.name, dtype=dtype), f"the column is here, holding {dtype_text(column.dtype)}"
    )
    if kind in {OTHER, NOTHING} or rows < FEWEST_ROWS:
        return
    known = column.drop_nans().drop_nulls() if column.dtype.is_float() else column.drop_nulls()
    gaps = (rows - len(known)) / rows
    if not gaps:
        yield _Found(NotNull(columns=(column.name,)), f"none of {rows:,} rows has a gap here")
    elif gaps < MOSTLY_MISSING:
        only = "only " if gaps < RARE else ""
        yield _Found(
            NotNull(columns=(column.name,), at_most=_most_gaps(gaps, rows), severity="warning"),
            f"{only}{gaps:.2%} of the rows have a gap here",
        )
    if not len(known):
        return
    distinct = known.n_unique()
    if distinct == len(known) and kind in {INTEGER, TEXT} and not gaps:
        yield _Found(Unique(columns=(column.name,)), f"all {rows:,} values differ: it looks like a key")
    if kind == TEXT:
        yield from _text_rules(known.cast(pl.String), distinct)
    elif kind in {INTEGER, NUMBER}:
        yield from _number_rules(known, is_key=distinct == len(known) and kind == INTEGER)
    elif kind in {DATE, TIME} and distinct > 1 and known.is_sorted():
        yield _Found(Increasing(column=column.name, severity="warning"), f"all {len(known):,} values come in order")


def _most_gaps(gaps: float, rows: int) -> float:
    """The share of gaps that may come: some slack for rare ones, else the end of its 95 % interval."""
    if gaps < RARE:
        return round(min(1.0, gaps * 2 + 0.001), 4)
    return round(min(1.0, gaps + 1.96 * math.sqrt(gaps * (1 - gaps) / rows)), 4)


def _text_rules(known: pl.Series, distinct: int) -> Iterator[_Found]:
    name = known.name
    if distinct <= MOST_VALUES and distinct * 10 <= len(known):
        values = tuple(cast(list[str], known.unique().sort().to_list()))
        yield _Found(OneOf(column=name, values=values), f"only {distinct} values in {len(known):,} rows")
        return
    read = _read_as(known)
    if read is not None:
        yield _Found(Parses(column=name, kind=read), f"every text can be read as {_WORDS[read]}")
    yield from _common_values(known)
    lengths = known.str.len_chars()
    shortest, longest = cast(int, lengths.min()), cast(int, lengths.max())
    if shortest != longest or not shortest:
        return
    for shape, words in _SHAPES:
        pattern = shape % longest
        if known.str.contains(f"^{pattern}$").all():
            yield _Found(Pattern(column=name, pattern=pattern), f"every value is {longest} {words}")
            return
    yield _Found(Length(column=name, min=shortest, max=longest), f"every value has {longest} characters")


def _read_as(known: pl.Series) -> ParsedKind | None:
    """What all texts are a spelling of; a leading zero says that it is a code and no number."""
    if known.str.contains(r"^0[0-9]").any():
        return None
    for kind, dtype in _NUMBERS:
        if known.str.strip_chars().cast(dtype, strict=False).is_not_null().all():
            return kind
    try:
        return "date" if known.str.to_date("%Y-%m-%d", strict=False).is_not_null().all() else None
    except pl.exceptions.PolarsError:
        return None


def _common_values(known: pl.Series) -> Iterator[_Found]:
    """A list of values that nearly all rows have, where the rest are many and rare."""
    counted = known.value_counts(sort=True, name="count")
    top = counted.head(MOST_VALUES)
    share = int(top["count"].sum()) / len(known)
    if share < NEARLY_ALL or counted.height == top.height:
        return
    values = tuple(sorted(cast(list[str], top[known.name].to_list())))
    bound = round(min(1.0, (1 - share) * 2), 4)
    yield _Found(
        OneOf(column=known.name, values=values, at_most=bound, severity="warning"),
        f"{share:.1%} of the rows have one of {len(values)} values; {counted.height - top.height:,} more are rare",
    )


def _number_rules(known: pl.Series, *, is_key: bool) -> Iterator[_Found]:
    least, greatest = cast(float, known.min()), cast(float, known.max())
    if least >= 0 and greatest <= 1 and known.dtype.is_float():
        yield _Found(Range(column=known.name, min=0, max=1), "every value lies between 0 and 1: it looks like a share")
        return
    if least >= 0:
        yield _Found(Range(column=known.name, min=0), "no value is negative")
    slack = SLACK * (float(greatest) - float(least))
    if is_key or not math.isfinite(slack) or slack <= 0:
        return
    low, high = _rounded(least - slack, down=True), _rounded(greatest + slack, down=False)
    low = max(0.0, low) if least >= 0 else low
    yield _Found(
        Range(column=known.name, min=_plain(low), max=_plain(high), severity="warning"),
        f"values go from {least:.6g} to {greatest:.6g}; a tenth of that more is allowed for",
    )


def _rounded(value: float, *, down: bool) -> float:
    """Two digits, away from the values, so that the rule reads well."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    found = (math.floor if down else math.ceil)(value / unit) * unit
    return float(f"{found:.6g}") if math.isfinite(found) else value


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) and abs(value) < 2**53 else value
