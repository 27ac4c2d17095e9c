"""Infer a suite from a table: rules that it satisfies and that the next one should, each with its reason."""

from collections.abc import Iterator
from typing import NamedTuple, cast

import msgspec
import polars as pl

from charkh.checks.document import format_suite
from charkh.checks.row_rules import Length, NotNull, OneOf, Pattern, Range, Unique
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
        """The suite's document, with the reasons as comments."""
        return format_suite(self.suite, self.reasons)


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
    elif gaps < RARE:
        bound = round(min(1.0, gaps * 2 + 0.001), 4)
        yield _Found(
            NotNull(columns=(column.name,), at_most=bound, severity="warning"),
            f"only {gaps:.2%} of the rows have a gap here",
        )
    if not len(known):
        return
    distinct = known.n_unique()
    if distinct == len(known) and kind in {INTEGER, TEXT} and not gaps:
        yield _Found(Unique(columns=(column.name,)), f"all {rows:,} values differ: it looks like a key")
    if kind == TEXT:
        yield from _text_rules(known.cast(pl.String), distinct)
    elif kind in {INTEGER, NUMBER}:
        yield from _number_rules(known)


def _text_rules(known: pl.Series, distinct: int) -> Iterator[_Found]:
    name = known.name
    if distinct <= MOST_VALUES and distinct * 10 <= len(known):
        values = tuple(cast(list[str], known.unique().sort().to_list()))
        yield _Found(OneOf(column=name, values=values), f"only {distinct} values in {len(known):,} rows")
        return
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


def _number_rules(known: pl.Series) -> Iterator[_Found]:
    least, greatest = cast(float, known.min()), cast(float, known.max())
    if least >= 0 and greatest <= 1 and known.dtype.is_float():
        yield _Found(Range(column=known.name, min=0, max=1), "every value lies between 0 and 1: it looks like a share")
    elif least >= 0:
        yield _Found(Range(column=known.name, min=0), "no value is negative")
