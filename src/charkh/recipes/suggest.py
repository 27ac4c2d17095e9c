"""Suggest steps for a table: a few sound rules, each with its reason; nobody but the user decides."""

from collections.abc import Iterator
from typing import cast

import msgspec
import polars as pl

from charkh.recipes.operations.all import Operation
from charkh.recipes.operations.columns import Drop
from charkh.recipes.operations.text import Case, Trim
from charkh.recipes.operations.types import Cast, ParseTime
from charkh.recipes.operations.values import SetNull

NULL_SPELLINGS = ("", "-", "--", "?", "n/a", "na", "nan", "nil", "none", "null", "unknown", "#n/a", "missing")
TIME_FORMATS = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
)
LARGEST_SAMPLE = 200_000
MOST_CATEGORIES = 1000
_AMBIGUOUS = ("%d/%m/%Y", "%m/%d/%Y")


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that may help, why, and a few values that show it."""

    operation: Operation
    reason: str
    examples: tuple[str, ...] = ()


def suggest(frame: pl.DataFrame) -> tuple[Suggestion, ...]:
    """Operations for a table, in an order in which they can be applied.

    A table of more than `LARGEST_SAMPLE` rows is judged by evenly spaced rows.
    """
    step = max(1, -(-frame.height // LARGEST_SAMPLE))
    sample = frame.gather_every(step) if step > 1 else frame
    texts = [column for column in sample.get_columns() if column.dtype == pl.String]
    found = [
        *_untrimmed(texts),
        *_null_spellings(texts),
        *(suggestion for column in texts for suggestion in _unread(column)),
        *(suggestion for column in texts for suggestion in _inconsistent_case(column)),
        *_constant(frame),
    ]
    return tuple(found)


def _untrimmed(texts: list[pl.Series]) -> Iterator[Suggestion]:
    names, examples = list[str](), list[str]()
    for column in texts:
        padded = column.filter(column != column.str.strip_chars())
        if len(padded):
            names.append(column.name)
            examples.append(padded[0])
    if names:
        reason = "values begin or end with white space, so that equal ones look different"
        yield Suggestion(operation=Trim(columns=tuple(names)), reason=reason, examples=tuple(examples[:3]))


def _null_spellings(texts: list[pl.Series]) -> Iterator[Suggestion]:
    columns, spellings = list[str](), dict[str, None]()
    for column in texts:
        found = _spellings(column)
        if found:
            columns.append(column.name)
            spellings.update(dict.fromkeys(found))
    if columns:
        yield Suggestion(
            operation=SetNull(values=tuple(spellings), columns=tuple(columns)),
            reason="these spellings mean that nothing is known",
            examples=tuple(spellings)[:3],
        )


def _spellings(column: pl.Series) -> list[str]:
    stripped = column.str.strip_chars()
    return stripped.filter(stripped.str.to_lowercase().is_in(NULL_SPELLINGS)).unique().sort().to_list()


def _unread(column: pl.Series) -> Iterator[Suggestion]:
    known = column.str.strip_chars()
    known = known.filter(~known.str.to_lowercase().is_in(NULL_SPELLINGS)).drop_nulls()
    if not len(known):
        return
    examples = tuple(cast(list[str], known.head(3).to_list()))
    numbers = known.cast(pl.Float64, strict=False)
    leading_zero = bool(known.str.contains(r"^-?0[0-9]").any())
    if not numbers.null_count() and bool(numbers.is_finite().all()) and not leading_zero:
        whole = not known.cast(pl.Int64, strict=False).null_count()
        yield Suggestion(
            operation=Cast(columns={column.name: "Int64" if whole else "Float64"}),
            reason="every value is a number that is stored as text",
            examples=examples,
        )
        return
    formats = [each for each in TIME_FORMATS if _reads(known, each)]
    if formats and not set(_AMBIGUOUS) <= set(formats):
        to = "datetime" if "%H" in formats[0] else "date"
        yield Suggestion(
            operation=ParseTime(column=column.name, formats=(formats[0],), to=to),
            reason="every value is a date or time that is stored as text",
            examples=examples,
        )


def _reads(texts: pl.Series, form: str) -> bool:
    head = texts.head(100).str.to_datetime(form, strict=False)
    return not head.null_count() and not texts.str.to_datetime(form, strict=False).null_count()


def _inconsistent_case(column: pl.Series) -> Iterator[Suggestion]:
    distinct = column.drop_nulls().unique()
    if not 1 < len(distinct) <= MOST_CATEGORIES:
        return
    groups = distinct.to_frame("value").group_by(pl.col("value").str.to_lowercase().alias("key")).agg("value")
    mixed = groups.filter(pl.col("value").list.len() > 1).sort("key")
    if mixed.height:
        counts = {"lower": 0, "upper": 0, "title": 0}
        counts["lower"] = int((column == column.str.to_lowercase()).sum())
        counts["upper"] = int((column == column.str.to_uppercase()).sum())
        counts["title"] = int((column == column.str.to_titlecase()).sum())
        target = max(("upper", "title", "lower"), key=lambda case: counts[case])
        yield Suggestion(
            operation=Case(to=target, columns=(column.name,)),
            reason="the same words are written in different cases",
            examples=tuple(sorted(mixed["value"][0])[:3]),
        )


def _constant(frame: pl.DataFrame) -> Iterator[Suggestion]:
    if frame.height < 2:
        return
    names = [column.name for column in frame.get_columns() if _is_constant(column)]
    if names:
        reason = "the same in every row, so that nothing can be learnt from it"
        yield Suggestion(operation=Drop(columns=tuple(names)), reason=reason)


def _is_constant(column: pl.Series) -> bool:
    first = column.head(1)
    return bool(column.eq_missing(first).all()) if not column.dtype.is_nested() else False
