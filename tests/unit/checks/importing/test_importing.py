"""Foreign suites: what is carried over, with what it means, and what is left, with the reason."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.document import parse_suite
from charkh.checks.importing import dqdl, great_expectations, pandera, tfdv
from charkh.checks.importing.imported import Imported
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


def gx(*expectations: tuple[str, dict[str, Any]], **more: Any) -> Imported:
    listed = [{"type": f"expect_{kind}", "kwargs": kwargs, **more} for kind, kwargs in expectations]
    return great_expectations.import_suite(json.dumps({"name": "s", "expectations": listed}))


@pytest.mark.parametrize(
    ("kind", "kwargs", "rules"),
    [
        ("column_to_exist", {"column": "a"}, [ColumnExists(column="a")]),
        ("column_values_to_not_be_null", {"column": "a", "mostly": 0.9}, [NotNull(columns=("a",), at_most=0.1)]),
        ("column_values_to_be_null", {"column": "a b"}, [Condition(that="`a b` is null")]),
        ("column_values_to_be_unique", {"column": "a"}, [Unique(columns=("a",), alone=True)]),
        ("compound_columns_to_be_unique", {"column_list": ["a", "b"]}, [Unique(columns=("a", "b"), alone=True)]),
        (
            "select_column_values_to_be_unique_within_record",
            {"column_list": ["a", "b", "c"]},
            [Condition(that="a != b and a != c and b != c")],
        ),
        (
            "column_values_to_be_between",
            {"column": "a", "min_value": 0, "max_value": 9, "strict_max": True, "mostly": 0.95},
            [Range(column="a", min=0, below=9, at_most=0.05, when="a is not null")],
        ),
        (
            "column_values_to_be_between",
            {"column": "t", "min_value": "2013-01-01"},
            [Range(column="t", min="2013-01-01")],
        ),
        ("column_values_to_be_in_set", {"column": "a", "value_set": ["x"]}, [OneOf(column="a", values=("x",))]),
        ("column_values_to_not_be_in_set", {"column": "a", "value_set": [1]}, [NoneOf(column="a", values=(1,))]),
        (
            "column_values_to_match_regex",
            {"column": "a", "regex": "x"},
            [Pattern(column="a", pattern="x", anywhere=True)],
        ),
        (
            "column_values_to_match_regex_list",
            {"column": "a", "regex_list": ["x", "y"]},
            [Pattern(column="a", pattern="(?:x)|(?:y)", anywhere=True)],
        ),
        (
            "column_values_to_not_match_regex_list",
            {"column": "a", "regex_list": ["x", "y"]},
            [Pattern(column="a", pattern=each, anywhere=True, absent=True) for each in "xy"],
        ),
        (
            "column_values_to_match_like_pattern",
            {"column": "a", "like_pattern": "x%"},
            [Pattern(column="a", pattern="x(?s:.*)")],
        ),
        ("column_value_lengths_to_equal", {"column": "a", "value": 3}, [Length(column="a", min=3, max=3)]),
        (
            "column_value_lengths_to_be_between",
            {"column": "a", "min_value": 1, "strict_min": True},
            [Length(column="a", min=2)],
        ),
        ("column_values_to_be_of_type", {"column": "a", "type_": "int64"}, [ColumnExists(column="a", dtype="integer")]),
        (
            "column_values_to_be_in_type_list",
            {"column": "a", "type_list": ["INTEGER", "BIGINT"]},
            [ColumnExists(column="a", dtype="integer")],
        ),
        ("column_values_to_be_increasing", {"column": "a", "strictly": True}, [Increasing(column="a", strict=True)]),
        ("column_values_to_be_decreasing", {"column": "a"}, [Increasing(column="a", decreasing=True)]),
        ("column_values_to_be_json_parseable", {"column": "a"}, [Parses(column="a", kind="json")]),
        (
            "column_values_to_match_strftime_format",
            {"column": "a", "strftime_format": "%Y"},
            [Parses(column="a", kind="datetime", format="%Y")],
        ),
        (
            "column_pair_values_a_to_be_greater_than_b",
            {"column_A": "a", "column_B": "b", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
            [Condition(that="a >= b")],
        ),
        ("multicolumn_sum_to_equal", {"column_list": ["a", "b"], "sum_total": 3}, [Condition(that="a + b == 3")]),
        (
            "column_mean_to_be_between",
            {"column": "a", "min_value": 1, "strict_min": True},
            [Measured(column="a", of="mean", above=1)],
        ),
        (
            "column_quantile_values_to_be_between",
            {"column": "a", "quantile_ranges": {"quantiles": [0.1, 0.9], "value_ranges": [[0, 1], [None, 9]]}},
            [
                Measured(column="a", of="quantile", quantile=0.1, min=0, max=1),
                Measured(column="a", of="quantile", quantile=0.9, max=9),
            ],
        ),
        (
            "column_proportion_of_non_null_values_to_be_between",
            {"column": "a", "min_value": 0.9},
            [Measured(column="a", of="null_share", max=0.1)],
        ),
        (
            "column_most_common_value_to_be_in_set",
            {"column": "a", "value_set": ["x"]},
            [Includes(column="a", values=("x",), most_common=True)],
        ),
        (
            "column_distinct_values_to_equal_set",
            {"column": "a", "value_set": [1, 2]},
            [OneOf(column="a", values=(1, 2)), Includes(column="a", values=(1, 2))],
        ),
        ("table_row_count_to_be_between", {"max_value": 9}, [RowCount(min=0, max=9)]),
        ("table_row_count_to_equal", {"value": 9}, [RowCount(min=9, max=9)]),
        ("table_column_count_to_equal", {"value": 9}, [Columns(min=9, max=9)]),
        ("table_columns_to_match_set", {"column_set": ["a", "b"]}, [Columns(only=("a", "b"))]),
        ("table_columns_to_match_ordered_list", {"column_list": ["a", "b"]}, [Columns(ordered=("a", "b"))]),
    ],
)
def test_great_expectations(kind: str, kwargs: dict[str, Any], rules: list[Any]) -> None:
    found = gx((kind, kwargs))
    assert found.left == ()
    assert list(found.suite.rules) == rules
    assert parse_suite(found.toml) == found.suite
    assert found.suite.at_most == 0


@pytest.mark.parametrize(
    ("kind", "kwargs", "why"),
    [
        ("column_kl_divergence_to_be_less_than", {"column": "a"}, "no such check"),
        ("column_values_to_be_between", {"min_value": 1}, "it has no 'column'"),
        ("column_values_to_match_regex", {"column": "a", "regex": "(?=x)"}, "no regular expression"),
        ("column_values_to_be_in_set", {"column": "a", "value_set": [1, "x"]}, "mixes kinds"),
        ("column_values_to_be_of_type", {"column": "a", "type_": "GEOMETRY"}, "no one kind"),
        ("column_to_exist", {"column": "a", "row_condition": "a.str.len() > 3"}, "no expression here"),
        ("column_mean_to_be_between", {"column": "a"}, "needs a bound"),
    ],
)
def test_what_great_expectations_has_alone_is_left_with_its_reason(kind: str, kwargs: dict[str, Any], why: str) -> None:
    found = gx((kind, kwargs), ("table_row_count_to_equal", {"value": 9}))
    assert why in found.left[0].why
    assert found.suite.rules == (RowCount(min=9, max=9),)
    assert f"# expect_{kind}" in found.toml


def test_conditions_severities_and_notes_come_along_and_old_suites_too() -> None:
    kwargs = {"column": "a", "row_condition": 'b == "x"'}
    found = gx(("column_values_to_not_be_null", kwargs), severity="warning", notes=["known", "gaps"])
    assert found.suite.rules == (NotNull(columns=("a",), severity="warning", when="(b == 'x')", reason="known gaps"),)
    old = {
        "expectation_suite_name": "o",
        "expectations": [{"expectation_type": "expect_column_to_exist", "kwargs": {"column": "a"}}],
    }
    assert great_expectations.import_suite(json.dumps(old)).suite.description == "Great Expectations: o"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"expectations": 3}', '{"expectations": [3]}'])
def test_what_is_no_suite_of_great_expectations(text: str) -> None:
    with pytest.raises(Invalid, match="no suite"):
        great_expectations.import_suite(text)


PANDERA = """
schema_type: dataframe
columns:
  i: {dtype: int64, unique: true, greater_than_or_equal_to: 0, less_than: 10, isin: [1, 2]}
  x:
    dtype: float64
    nullable: true
    required: false
    checks:
      in_range: {min_value: 0, max_value: 1, include_min: true, include_max: false}
  s:
    dtype: str
    checks:
      str_matches: '[a-z]'
      str_length: {min_value: 1, max_value: 3, exact_value: null}
      notin: {value: [z], options: {raise_warning: true, ignore_na: true}}
      my_check: 3
  t: {dtype: 'datetime64[ns]', coerce: true, nullable: true, less_than_or_equal_to: '2020-01-01 00:00:00'}
  w_.*: {dtype: int64, regex: true}
strict: true
ordered: true
unique: [i, s]
checks: {is_wide: 1}
index: [{dtype: int64}]
"""


def test_pandera() -> None:
    found = pandera.import_suite(PANDERA)
    assert list(found.suite.rules) == [
        ColumnExists(column="i", dtype="integer"),
        NotNull(columns=("i",)),
        Unique(columns=("i",), alone=True),
        Range(column="i", min=0),
        Range(column="i", below=10),
        OneOf(column="i", values=(1, 2)),
        Range(column="x", min=0, below=1),
        ColumnExists(column="s", dtype="text"),
        NotNull(columns=("s",)),
        Pattern(column="s", pattern="(?:[a-z])(?s:.*)"),
        Length(column="s", min=1, max=3),
        NoneOf(column="s", values=("z",), severity="warning"),
        ColumnExists(column="t"),
        Range(column="t", max="2020-01-01 00:00:00"),
        Unique(columns=("i", "s"), alone=True),
        Columns(only=("i", "x", "s", "t", "w_.*")),
        Columns(ordered=("i", "x", "s", "t", "w_.*")),
    ]
    assert {each.source for each in found.left} == {"column x", "s: my_check", "column w_.*", "table: is_wide", "index"}
    assert parse_suite(found.toml) == found.suite
    for text in ("", "- 1", "columns: 3", "a: ["):
        with pytest.raises(Invalid, match="schema"):
            pandera.import_suite(text)


TFDV = """
feature { name: "pay" type: BYTES domain: "pay" presence { min_fraction: 0.95 min_count: 1 } shape { dim { size: 1 } }
  drift_comparator { infinity_norm { threshold: 0.01 } } distribution_constraints { min_domain_mass: 0.9 } }
feature { name: "n" type: INT int_domain { min: 1 max: 9 } presence { min_count: 5 } unique_constraints
  { min: 2 max: 9 }
  drift_comparator { jensen_shannon_divergence { threshold: 0.04 } }
  skew_comparator { infinity_norm { threshold: 0.1 } } }
feature { name: "x" type: FLOAT float_domain { max: 1.5 } }
feature { name: "many" type: BYTES string_domain { value: "a" } value_count { min: 0 max: 9 }
  presence { min_fraction: 1.0 } }
feature { name: "old" type: INT lifecycle_stage: DEPRECATED presence { min_fraction: 1.0 } }
feature { name: "b" type: INT bool_domain { } presence { min_fraction: 1.0 } not_in_environment: "SERVING" }
feature { name: "u" type: BYTES url_domain { } }
string_domain { name: "pay" value: "cash" value: "card" }
dataset_constraints { min_examples_count: 10 num_examples_drift_comparator { min_fraction_threshold: 0.5 } }
"""


def test_tfdv() -> None:
    found = tfdv.import_suite(TFDV)
    off: dict[str, Any] = {"psi": 1e9, "ks": 1.0, "missing": 1.0, "new": 1.0}
    assert list(found.suite.rules) == [
        ColumnExists(column="pay", dtype="text"),
        NotNull(columns=("pay",), at_most=0.05),
        OneOf(column="pay", values=("cash", "card"), at_most=0.1),
        Drift(columns=("pay",), linf=0.01, js=1.0, **off),
        ColumnExists(column="n", dtype="integer"),
        RowCount(min=5, when="`n` is not null"),
        Range(column="n", min=1, max=9),
        Measured(column="n", of="distinct", min=2, max=9),
        Drift(columns=("n",), js=0.2, linf=1.0, **off),
        Range(column="x", max=1.5),
        ColumnExists(column="many"),
        NotNull(columns=("many",), at_most=0.0),
        ColumnExists(column="b", dtype="boolean"),
        NotNull(columns=("b",), at_most=0.0),
        RowCount(min=10),
        History(metric="rows", fall=0.5),
    ]
    left = {"n: skew_comparator", "many: string_domain", "feature old", "b: environments", "u: url_domain"}
    assert {each.source for each in found.left} == left
    assert parse_suite(found.toml) == found.suite
    with pytest.raises(Invalid, match="no schema of TFDV"):
        tfdv.import_suite("feature {")


DQDL = """
# a comment
Rules = [
  RowCount between 10 and 20, ColumnCount = 3, ColumnExists "a", IsComplete "a", IsUnique "a", IsPrimaryKey "a" "b",
  Completeness "c" >= 0.9, Completeness "c" > 0.5, ColumnValues "d" in ["x", "y,[z"], ColumnValues "d" not in ["q"],
  ColumnValues "n" between 0 and 9, ColumnValues "n" >= 1 with threshold > 0.9, ColumnValues "d" matches "[a-z]+",
  ColumnValues "n" = 3, ColumnLength "d" <= 5, ColumnDataType "n" = "Integer", Mean "n" > 2.5,
  ColumnCorrelation "n" "m" < 0.5,
  Uniqueness "a" = 1.0, DataFreshness "t" <= 24 hours, CustomSql "select 1" = 1, (IsComplete "a") and (IsUnique "a"),
  Mean "n"
]
"""


def test_dqdl() -> None:
    found = dqdl.import_suite(DQDL)
    assert list(found.suite.rules) == [
        RowCount(min=11, max=19),
        Columns(min=3, max=3),
        ColumnExists(column="a"),
        NotNull(columns=("a",)),
        Unique(columns=("a",), alone=True),
        Unique(columns=("a", "b"), alone=True),
        NotNull(columns=("a", "b")),
        NotNull(columns=("c",), at_most=0.1),
        Measured(column="c", of="null_share", below=0.5),
        OneOf(column="d", values=("x", "y,[z")),
        NoneOf(column="d", values=("q",)),
        Range(column="n", above=0, below=9),
        Range(column="n", min=1, at_most=0.1, when="n is not null"),
        Pattern(column="d", pattern="[a-z]+"),
        OneOf(column="n", values=(3,)),
        Length(column="d", max=5),
        ColumnExists(column="n", dtype="integer"),
        Measured(column="n", of="mean", above=2.5),
        Measured(column="n", of="correlation", other="m", below=0.5),
        Measured(column="a", of="unique_share", min=1, max=1),
        Fresh(column="t", within="24h"),
    ]
    assert [each.source.split()[0] for each in found.left] == ["CustomSql", "(IsComplete", "Mean"]
    assert parse_suite(found.toml) == found.suite
    with pytest.raises(Invalid, match="no list of rules"):
        dqdl.import_suite("IsComplete")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='RulesColumnValues =["a]),(0.5<>not in between and 1', max_size=60))
def test_whatever_stands_in_a_ruleset_is_carried_or_left(text: str) -> None:
    found = dqdl.import_suite(f"Rules = [{text}]")
    assert parse_suite(found.toml) == found.suite


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int64", "integer"),
        ("Int64", "integer"),
        ("StringType", "text"),
        ("datetime64[ns, UTC]", "datetime"),
        ("x", ""),
        ("DECIMAL(10,2)", "number"),
        ("pandas.CategoricalDtype", ""),
        ("bool", "boolean"),
        ("date", "date"),
    ],
)
def test_names_of_types(name: str, kind: str) -> None:
    assert kind_of_name(name) == kind
