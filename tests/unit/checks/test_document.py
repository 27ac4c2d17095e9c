"""The TOML document: round trips, and errors that name the nearest right word; and suites read off a table."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.document import format_suite, parse_suite
from charkh.checks.infer import infer
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
    Unique,
)
from charkh.checks.run import run
from charkh.checks.suite import CheckSuite
from charkh.checks.table_rules import (
    ColumnExists,
    Columns,
    Drift,
    Fresh,
    History,
    Includes,
    Measured,
    RowCount,
)
from charkh.core.errors import Invalid

names = st.text(min_size=1, max_size=8)
columns = st.lists(names, min_size=1, max_size=3).map(tuple)
common: dict[str, st.SearchStrategy[Any]] = {
    "severity": st.sampled_from(["error", "warning", "critical"]),
    "at_most": st.one_of(st.none(), st.floats(0, 1)),
    "reason": st.text(max_size=20),
}
parted: dict[str, st.SearchStrategy[Any]] = {
    **common,
    "when": st.sampled_from(["", "a > 0"]),
    "by": st.one_of(st.just(()), columns),
}
bounds = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False))
rules = st.one_of(
    st.builds(ColumnExists, column=names, dtype=st.sampled_from(["", "number", "Int64"]), **common),
    st.builds(NotNull, columns=columns, **common),
    st.builds(Unique, columns=columns, **common),
    st.builds(Range, column=names, min=bounds, max=st.one_of(st.none(), bounds), **common),
    st.builds(OneOf, column=names, values=st.lists(names, min_size=1).map(tuple), **common),
    st.builds(Pattern, column=names, pattern=st.sampled_from(["[a-z]+", r"\d", "a|b"]), absent=st.booleans(), **common),
    st.builds(Length, column=names, min=st.integers(0, 9), max=st.one_of(st.none(), st.integers(0, 9)), **common),
    st.builds(Condition, that=st.sampled_from(["a > 0", "hour(t) in (1, 2)"]), **common),
    st.builds(Increasing, column=names, strict=st.booleans(), **common),
    st.builds(RowCount, min=st.integers(0, 9), **common),
    st.builds(Fresh, column=names, within=st.just("2d"), **common),
    st.builds(NoneOf, column=names, values=st.lists(st.integers(), min_size=1).map(tuple), **parted),
    st.builds(Range, column=names, above=bounds, at_most_rows=st.integers(0, 9), **parted),
    st.builds(Parses, column=names, kind=st.sampled_from(["integer", "json"]), **parted),
    st.builds(ForeignKey, columns=columns, to=names, **parted),
    st.builds(Outliers, column=names, deviations=st.floats(1, 9), **parted),
    st.builds(Columns, min=st.integers(0, 9), only=st.lists(names).map(tuple), **common),
    st.builds(Measured, column=names, of=st.sampled_from(["mean", "distinct"]), min=st.floats(-9, 9), **parted),
    st.builds(Includes, column=names, values=st.lists(names, min_size=1).map(tuple), **parted),
    st.builds(Drift, against=names, columns=columns, psi=st.floats(0, 9), **common),
    st.builds(History, metric=st.just("mean(a)"), rise=st.floats(0, 9), season=st.integers(0, 9), **common),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(rules, max_size=5).map(tuple), st.text(max_size=20), st.floats(0, 1))
def test_a_round_trip_is_exact(given_rules: tuple[Any, ...], description: str, at_most: float) -> None:
    suite = CheckSuite(rules=given_rules, description=description, at_most=at_most)
    again = parse_suite(format_suite(suite, {"": "no rule has this id"}))
    assert again == suite
    assert again.digest == suite.digest


def test_comments_stand_above_their_rules() -> None:
    suite = CheckSuite(rules=(NotNull(columns=("a",)),))
    text = format_suite(suite, {"not_null(a)": "because\nof this"})
    assert "[[rule]]\n# because\n# of this\ncheck" in text
    assert parse_suite(text) == suite


def test_dates_may_be_written_as_toml_has_them() -> None:
    text = '[[rule]]\ncheck = "range"\ncolumn = "t"\nmin = 2013-01-01\nmax = 2013-12-31T23:59:59'
    assert parse_suite(text).rules[0] == Range(column="t", min="2013-01-01", max="2013-12-31T23:59:59")


@pytest.mark.parametrize(
    ("rule", "words", "hint"),
    [
        ('check = "not_nul"\ncolumns = ["a"]', "rule 2: there is no check 'not_nul'", "'not_null'"),
        ('columns = ["a"]', "rule 2 names no check", "not_null"),
        ('check = "not_null"\ncolumn = "a"', r"rule 2 \(not_null\): unknown key 'column'", "'columns'"),
        ('check = "not_null"\ncolumns = []', "`columns` is empty", "columns"),
        ('check = "range"\ncolumn = "a"', "needs a bound", "min"),
        ('check = "range"\ncolumn = "a"\nmin = true', "min", "Mend"),
        ('check = "one_of"\ncolumn = "a"\nvalues = []', "`values` is empty", "values"),
        ('check = "one_of"\ncolumn = "a"\nvalues = [1, "a"]', "mixes kinds", "texts"),
        ('check = "condition"\nthat = "a >"', "the end", "quotes"),
        ('check = "fresh"\ncolumn = "t"\nwithin = "soon"', "'soon' is not a duration", "30s"),
        ('check = "rows"\nat_most = 2', "no share", "0 to 1"),
        ('check = "pattern"\ncolumn = "s"\npattern = "("', "no regular expression", "Rust"),
        ('check = "none_of"\ncolumn = "s"\nvalues = []', "`values` is empty", "values"),
        ('check = "statistic"\ncolumn = "a"\nof = "mean"', "needs a bound", "above"),
        ('check = "statistic"\ncolumn = "a"\nof = "men"\nmin = 1', "men", "mean"),
        ('check = "statistic"\ncolumn = "a"\nof = "correlation"\nmin = 1', "other", "other"),
        ('check = "statistic"\ncolumn = "a"\nof = "quantile"\nquantile = 9\nmin = 1', "no share", "0 to 1"),
        ('check = "history"\nmetric = "rows"', "needs a bound", "rise"),
        ('check = "history"\nmetric = "mean"\nrise = 1', "no metric", "mean(distance)"),
        ('check = "drift"\nks = 2', "no share", "0 and 1"),
        ('check = "columns"\nmin = 1\nwhen = "a > 0"', "no single rows", "when"),
        ('check = "rows"\nat_most_rows = 3', "fails no rows", "at_most_rows"),
        ('check = "foreign"\ncolumns = ["a"]\nto = "b"\nto_columns = ["a", "b"]', "as many", "each"),
        ('check = "range"\ncolumn = "a"\nmin = 0\nwhen = "a >"', "the end", "quotes"),
        ('check = "outliers"\ncolumn = "a"\ndeviations = 0', "above 0", "5.0"),
        ('check = "parses"\ncolumn = "a"\nkind = "json"\nformat = "%Y"', "no `format`", "datetime"),
        ('check = "rows"\nseverity = "fatal"', "fatal", "error, warning"),
        (f'check = "rows"\nid = "{"x" * 200}"', "too long", "100"),
    ],
)
def test_a_mistake_names_its_rule_and_the_nearest_right_word(rule: str, words: str, hint: str) -> None:
    with pytest.raises(Invalid, match=words) as error:
        parse_suite(f'[[rule]]\ncheck = "rows"\n[[rule]]\n{rule}', "flights.toml")
    assert error.value.message.startswith("flights.toml, rule 2")
    assert hint in error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "rule = 1",
        "[rule]\ncheck = 'rows'",
        "format = 2",
        "formt = 1",
        "at_most = 2.0",
        "a = ",
        "[[rule]]\ncheck = 'rows'\nid = 'a'\n[[rule]]\ncheck = 'rows'\nid = 'a'",
    ],
)
def test_what_is_no_suite_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="flights") as error:
        parse_suite(text, "flights.toml")
    assert error.value.hint


def test_the_digest_is_of_the_content_and_not_of_its_writing() -> None:
    plain = parse_suite("[[rule]]\ncheck = 'rows'\nmin = 1")
    assert plain.digest == parse_suite("# why\nformat = 1\n[[rule]]\n  min = 1\n  check = 'rows'").digest
    assert plain.digest != parse_suite("[[rule]]\ncheck = 'rows'\nmin = 2").digest


TABLE = pl.DataFrame(
    {
        "key": range(100),
        "code": [f"{letter}{other}Z" for letter in "ABCDEFGHIJ" for other in "KLMNOPQRST"],
        "kind": ["a", "b"] * 50,
        "share": [place / 100 for place in range(100)],
        "gaps": [None if place % 50 == 0 else -place for place in range(100)],
        "list": [[1]] * 100,
        "word": [f"w{place}é" if place > 9 else f"w{place}éé" for place in range(100)],
    }
)


def test_rules_are_read_off_a_table_with_their_reasons() -> None:
    inferred = infer(TABLE)
    found = inferred.suite.rules
    assert Unique(columns=("key",)) in found
    assert Range(column="key", min=0) in found
    assert Pattern(column="code", pattern="[A-Z]{3}") in found
    assert OneOf(column="kind", values=("a", "b")) in found
    assert Range(column="share", min=0, max=1) in found
    assert ColumnExists(column="list") in found
    assert NotNull(columns=("gaps",), at_most=0.041, severity="warning") in found
    assert Length(column="word", min=4, max=4) in found
    assert "# only 2 values in 100 rows" in inferred.toml
    assert parse_suite(inferred.toml) == inferred.suite


def test_too_few_rows_say_nothing_about_values() -> None:
    shapes = {type(rule) for rule in infer(TABLE.head(5)).suite.rules}
    assert shapes == {RowCount, ColumnExists}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "i": st.one_of(st.none(), st.integers(-3, 3)),
                "x": st.one_of(st.none(), st.floats(-2, 2)),
                "s": st.one_of(st.none(), st.sampled_from(["a", "bb", "ccc"])),
            }
        ),
        min_size=1,
        max_size=40,
    )
)
def test_a_table_satisfies_what_is_read_off_it(records: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(records, schema={"i": pl.Int64, "x": pl.Float64, "s": pl.String})
    result = run(infer(frame).suite, frame)
    assert result.ok
    assert result.bad.height == 0
    assert {outcome.status for outcome in result.outcomes} <= {"passed", "set_aside"}


def test_an_error_says_its_line_and_one_column_may_stand_alone() -> None:
    text = '[[rule]]\ncheck = "rows"\n\n[[rule]]\ncheck = "range"\ncolumn = "a"\nmn = 0'
    with pytest.raises(Invalid, match=r"unknown key 'mn' \(line 7\)"):
        parse_suite(text)
    with pytest.raises(Invalid, match=r"needs a bound \(line 4\)"):
        parse_suite(text.replace("\nmn = 0", ""))
    assert parse_suite('[[rule]]\ncheck = "unique"\ncolumns = "a"\nby = "b"').rules == (
        Unique(columns=("a",), by=("b",)),
    )


def test_a_recorded_suite_with_a_pattern_that_cannot_be_read_is_still_shown() -> None:
    text = '[[rule]]\ncheck = "pattern"\ncolumn = "s"\npattern = "("'
    assert parse_suite(text, recorded=True).rules == (Pattern(column="s", pattern="("),)
