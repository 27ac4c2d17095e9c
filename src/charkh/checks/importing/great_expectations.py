"""Carry over a suite of Great Expectations (0.x and 1.x JSON)."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, cast

import msgspec

from charkh.checks.importing.imported import (
    Imported,
    NotCarried,
    Translated,
    condition_of,
    gather,
    in_expression,
    share_left,
)
from charkh.checks.importing.kinds import kind_of_name
from charkh.checks.row_rules import (
    Condition,
    Increasing,
    Length,
    NoneOf,
    NotNull,
    OneOf,
    Parses,
    Pattern,
    Range,
    Unique,
)
from charkh.checks.suite import Rule, needed_columns
from charkh.checks.table_rules import ColumnExists, Columns, Includes, Measured, RowCount, Statistic
from charkh.core.errors import Invalid
from charkh.core.redact import redact

Given = Mapping[str, Any]
MAX_REASON = 200

_STATISTICS: dict[str, Statistic] = {
    "expect_column_mean_to_be_between": "mean",
    "expect_column_median_to_be_between": "median",
    "expect_column_stdev_to_be_between": "std",
    "expect_column_sum_to_be_between": "sum",
    "expect_column_min_to_be_between": "min",
    "expect_column_max_to_be_between": "max",
    "expect_column_unique_value_count_to_be_between": "distinct",
    "expect_column_proportion_of_unique_values_to_be_between": "distinct_share",
}
_GAPS = "here a missing value passes"
_NEIGHBOURS = "there the neighbour alone is compared, here every value before"


def import_suite(text: str, source: str = "suite") -> Imported:
    """The suite in the JSON of `great_expectations`.

    Args:
        text: the document.
        source: what to call it in errors.

    Raises:
        Invalid: it is no such suite.
    """
    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
        expectations = msgspec.convert(document["expectations"], list[dict[str, Any]])
    except (msgspec.MsgspecError, KeyError) as error:
        raise Invalid(
            f"{source} is no suite of Great Expectations: {error}",
            code="check.not_a_suite",
            hint="It is a JSON object with a list `expectations`.",
        ) from error
    name = document.get("name") or document.get("expectation_suite_name") or source
    return gather(redact(f"Great Expectations: {name}"), ((_called(each), _translation(each)) for each in expectations))


def _called(expectation: Given) -> str:
    kwargs = cast(dict[str, Any], expectation.get("kwargs") or {})
    columns = [str(kwargs[key]) for key in ("column", "column_A", "column_B", "column_list") if key in kwargs]
    return f"{_type(expectation)}({', '.join(columns)})"


def _type(expectation: Given) -> str:
    return str(expectation.get("type") or expectation.get("expectation_type") or "")


def _translation(expectation: Given) -> Callable[[], Translated]:
    def translate() -> Translated:
        kwargs = cast(dict[str, Any], expectation.get("kwargs") or {})
        try:
            found = _translate(_type(expectation), kwargs)
        except KeyError as error:
            raise NotCarried(f"it has no {error}") from error
        except msgspec.ValidationError as error:
            raise NotCarried(str(error)) from error
        return found._replace(rules=[_with(rule, expectation, kwargs) for rule in found.rules])

    return translate


def _with(rule: Rule, expectation: Given, kwargs: Given) -> Rule:
    """The rule with what every expectation may say: `mostly`, a row condition, a severity, notes."""
    fields: dict[str, Any] = {}
    conditions: list[str] = []
    condition = kwargs.get("row_condition")
    if condition is not None:
        if not isinstance(condition, str):
            raise NotCarried("its row condition is no text")
        conditions.append(f"({condition_of(condition)})")
    mostly = kwargs.get("mostly", 1)
    if isinstance(mostly, int | float) and mostly < 1:
        fields["at_most"] = share_left(float(mostly))
        if not isinstance(rule, NotNull | Unique):
            # There the share is of the rows that have a value.
            conditions += [f"{in_expression(name)} is not null" for name in needed_columns(rule)]
    if conditions:
        fields["when"] = " and ".join(conditions)
    if expectation.get("severity") in {"warning", "info"}:
        fields["severity"] = "warning"
    reason = _reason(expectation)
    if reason:
        fields["reason"] = reason
    return msgspec.structs.replace(rule, **fields)


def _reason(expectation: Given) -> str:
    meta = cast(dict[str, Any], expectation.get("meta") or {})
    notes = cast(Any, expectation.get("notes") or meta.get("notes") or "")
    if isinstance(notes, dict):
        notes = cast(dict[str, Any], notes).get("content", "")
    if isinstance(notes, list):
        notes = " ".join(map(str, cast(list[Any], notes)))
    return redact(" ".join(str(notes).split()))[:MAX_REASON]


def _translate(kind: str, kwargs: Given) -> Translated:
    if kind in _STATISTICS:
        return Translated([Measured(column=kwargs["column"], of=_STATISTICS[kind], **_bounds(kwargs))])
    short = kind.removeprefix("expect_")
    handler = _HANDLERS.get(short)
    if handler is None:
        raise NotCarried("there is no such check here")
    found = handler(kwargs)
    return found if isinstance(found, Translated) else Translated(list(found))


def _bounds(kwargs: Given) -> dict[str, Any]:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    strict = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    return {
        key: value
        for key, value in (("above" if strict[0] else "min", low), ("below" if strict[1] else "max", high))
        if value is not None
    }


def _between(kwargs: Given) -> Iterator[Rule]:
    bounds = _bounds(kwargs)
    if not bounds:
        yield ColumnExists(column=kwargs["column"])
        return
    yield msgspec.convert({"check": "range", "column": kwargs["column"], **bounds}, Range)


def _listed(kwargs: Given, shape: type[OneOf] | type[NoneOf]) -> Iterator[Rule]:
    yield shape(column=kwargs["column"], values=tuple(kwargs["value_set"]))


def _pattern(kwargs: Given, *, absent: bool) -> Iterator[Rule]:
    yield Pattern(column=kwargs["column"], pattern=kwargs["regex"], anywhere=True, absent=absent)


def _patterns(kwargs: Given, *, absent: bool) -> Iterator[Rule]:
    column, patterns = kwargs["column"], [str(each) for each in kwargs["regex_list"]]
    if not absent and kwargs.get("match_on", "any") == "any":
        yield Pattern(column=column, pattern="|".join(f"(?:{each})" for each in patterns), anywhere=True)
        return
    for each in patterns:
        yield Pattern(column=column, pattern=each, anywhere=True, absent=absent)


def _like(kwargs: Given, *, absent: bool) -> Iterator[Rule]:
    signs = {"%": "(?s:.*)", "_": "(?s:.)"}
    pattern = "".join(signs.get(sign) or re.escape(sign) for sign in str(kwargs["like_pattern"]))
    yield Pattern(column=kwargs["column"], pattern=pattern, absent=absent)


def _length(kwargs: Given) -> Iterator[Rule]:
    if "value" in kwargs:
        yield Length(column=kwargs["column"], min=int(kwargs["value"]), max=int(kwargs["value"]))
        return
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    low = None if low is None else int(low) + bool(kwargs.get("strict_min"))
    high = None if high is None else int(high) - bool(kwargs.get("strict_max"))
    yield Length(column=kwargs["column"], min=low or 0, max=high)


def _typed(kwargs: Given) -> Iterator[Rule]:
    names = kwargs.get("type_list") or [kwargs["type_"]]
    kinds = {kind_of_name(str(name)) for name in names}
    if len(kinds) != 1 or "" in kinds:
        raise NotCarried(f"the type is no one kind here: {', '.join(map(str, names))}")
    yield ColumnExists(column=kwargs["column"], dtype=kinds.pop())


def _ordered(kwargs: Given, *, decreasing: bool) -> Translated:
    rule = Increasing(column=kwargs["column"], strict=bool(kwargs.get("strictly")), decreasing=decreasing)
    return Translated([rule], _NEIGHBOURS)


def _pair(kwargs: Given, sign: str) -> Iterator[Rule]:
    sign = ">=" if sign == ">" and kwargs.get("or_equal") else sign
    first, second = in_expression(kwargs["column_A"]), in_expression(kwargs["column_B"])
    compared = f"{first} {sign} {second}"
    both = f"{first} is not null and {second} is not null and {compared}"
    # A missing value passes here; there it fails, but for the rows that are said to be left out.
    yield Condition(
        that={
            "either_value_is_missing": compared,
            "neither": both,
        }.get(str(kwargs.get("ignore_row_if")), f"({first} is null and {second} is null) or ({both})")
    )


def _within_row(kwargs: Given) -> Translated:
    names = [in_expression(name) for name in kwargs["column_list"]]
    pairs = [f"{one} != {other}" for place, one in enumerate(names) for other in names[place + 1 :]]
    return Translated([Condition(that=" and ".join(pairs))], _GAPS)


def _row_sum(kwargs: Given) -> Translated:
    names = " + ".join(in_expression(name) for name in kwargs["column_list"])
    return Translated([Condition(that=f"{names} == {kwargs['sum_total']}")], _GAPS)


def _quantiles(kwargs: Given) -> Iterator[Rule]:
    ranges = kwargs["quantile_ranges"]
    for share, (low, high) in zip(ranges["quantiles"], ranges["value_ranges"], strict=True):
        yield Measured(column=kwargs["column"], of="quantile", quantile=share, min=low, max=high)


def _known_share(kwargs: Given) -> Iterator[Rule]:
    bounds = _bounds(kwargs)
    turned = {"min": "max", "max": "min", "above": "below", "below": "above"}
    gaps: dict[str, Any] = {turned[key]: share_left(float(value)) for key, value in bounds.items()}
    yield Measured(column=kwargs["column"], of="null_share", **gaps)


def _rows(kwargs: Given) -> Iterator[Rule]:
    if "value" in kwargs:
        yield RowCount(min=int(kwargs["value"]), max=int(kwargs["value"]))
        return
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    low = 0 if low is None else int(low) + bool(kwargs.get("strict_min"))
    high = None if high is None else int(high) - bool(kwargs.get("strict_max"))
    yield RowCount(min=low, max=high)


def _column_count(kwargs: Given) -> Iterator[Rule]:
    if "value" in kwargs:
        yield Columns(min=int(kwargs["value"]), max=int(kwargs["value"]))
        return
    yield Columns(min=int(kwargs.get("min_value") or 0), max=kwargs.get("max_value"))


def _column_set(kwargs: Given) -> Iterator[Rule]:
    names = tuple(kwargs["column_set"])
    if kwargs.get("exact_match", True):
        yield Columns(only=names)
        return
    for name in names:
        yield ColumnExists(column=name)


def _exists(kwargs: Given) -> Translated:
    note = "its place among the columns is not checked" if kwargs.get("column_index") is not None else ""
    return Translated([ColumnExists(column=kwargs["column"])], note)


def _distinct(kwargs: Given, what: Literal["in", "contain", "equal"]) -> Iterator[Rule]:
    values = tuple(kwargs["value_set"])
    if what in {"in", "equal"}:
        yield OneOf(column=kwargs["column"], values=values)
    if what in {"contain", "equal"}:
        yield Includes(column=kwargs["column"], values=values)


_HANDLERS: dict[str, Callable[[Given], Iterator[Rule] | list[Rule] | Translated]] = {
    "column_to_exist": _exists,
    "column_values_to_not_be_null": lambda given: [NotNull(columns=(given["column"],))],
    "column_values_to_be_null": lambda given: [Condition(that=f"{in_expression(given['column'])} is null")],
    "column_values_to_be_unique": lambda given: [Unique(columns=(given["column"],), alone=True)],
    "compound_columns_to_be_unique": lambda given: Translated(
        [Unique(columns=tuple(given["column_list"]), alone=True)], "here rows with a missing value are not compared"
    ),
    "select_column_values_to_be_unique_within_record": _within_row,
    "column_values_to_be_between": _between,
    "column_values_to_be_in_set": lambda given: _listed(given, OneOf),
    "column_values_to_not_be_in_set": lambda given: _listed(given, NoneOf),
    "column_values_to_match_regex": lambda given: _pattern(given, absent=False),
    "column_values_to_not_match_regex": lambda given: _pattern(given, absent=True),
    "column_values_to_match_regex_list": lambda given: _patterns(given, absent=False),
    "column_values_to_not_match_regex_list": lambda given: _patterns(given, absent=True),
    "column_values_to_match_like_pattern": lambda given: _like(given, absent=False),
    "column_values_to_not_match_like_pattern": lambda given: _like(given, absent=True),
    "column_value_lengths_to_be_between": _length,
    "column_value_lengths_to_equal": _length,
    "column_values_to_be_of_type": _typed,
    "column_values_to_be_in_type_list": _typed,
    "column_values_to_be_increasing": lambda given: _ordered(given, decreasing=False),
    "column_values_to_be_decreasing": lambda given: _ordered(given, decreasing=True),
    "column_values_to_be_json_parseable": lambda given: [Parses(column=given["column"], kind="json")],
    "column_values_to_match_strftime_format": lambda given: [
        Parses(column=given["column"], kind="datetime", format=given["strftime_format"])
    ],
    "column_pair_values_a_to_be_greater_than_b": lambda given: _pair(given, ">"),
    "column_pair_values_to_be_equal": lambda given: _pair(given, "=="),
    "multicolumn_sum_to_equal": _row_sum,
    "column_quantile_values_to_be_between": _quantiles,
    "column_proportion_of_non_null_values_to_be_between": _known_share,
    "column_most_common_value_to_be_in_set": lambda given: [
        Includes(column=given["column"], values=tuple(given["value_set"]), most_common=True)
    ],
    "column_distinct_values_to_be_in_set": lambda given: _distinct(given, "in"),
    "column_distinct_values_to_contain_set": lambda given: _distinct(given, "contain"),
    "column_distinct_values_to_equal_set": lambda given: _distinct(given, "equal"),
    "table_row_count_to_be_between": _rows,
    "table_row_count_to_equal": _rows,
    "table_column_count_to_be_between": _column_count,
    "table_column_count_to_equal": _column_count,
    "table_columns_to_match_set": _column_set,
    "table_columns_to_match_ordered_list": lambda given: [Columns(ordered=tuple(given["column_list"]))],
}
