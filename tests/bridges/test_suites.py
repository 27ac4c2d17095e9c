"""Carried over suites agree with the tools that they come from, row by row, on the same data."""

import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.peers import peer_program

from charkh.checks.importing import great_expectations, pandera
from charkh.checks.result import REASONS, ROW
from charkh.checks.run import run

ROWS = 300
FRAME = pl.DataFrame(
    {
        "i": [None if place % 41 == 0 else (place * 7919) % 101 - 3 for place in range(ROWS)],
        "k": [place if place % 50 else 0 for place in range(ROWS)],
        "x": [None if place % 13 == 0 else ((place * 31) % 17) / 4 for place in range(ROWS)],
        "y": [((place * 37) % 19) / 4 for place in range(ROWS)],
        "s": [None if place % 29 == 0 else f"{'ab' * (place % 4)}{place % 9}" for place in range(ROWS)],
        "g": ["pqr"[place % 3] for place in range(ROWS)],
        "n": list(range(ROWS)),
    }
)

GREAT_EXPECTATIONS = """
import json, logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import great_expectations
import pandas
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
suite_path, data_path, out = sys.argv[1:4]
context = great_expectations.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": pandas.read_parquet(data_path)})
expectations = [ExpectationConfiguration(**each) for each in json.load(open(suite_path))["expectations"]]
suite = context.suites.add(ExpectationSuite(name="s", expectations=expectations))
validated = batch.validate(suite, result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False})
found = []
for each in validated.results:
    found.append([each.expectation_config.meta["place"], bool(each.success), each.result.get("unexpected_index_list")])
json.dump(found, open(out, "w"))
"""
PANDERA = """
import json, sys
import pandas
import pandera.pandas
from pandera.io.pandas_io import from_yaml, to_yaml
Check, Column = pandera.pandas.Check, pandera.pandas.Column
schema = pandera.pandas.DataFrameSchema({
    "i": Column("Int64", [Check.ge(0), Check.lt(90), Check.notin([7, 8])], nullable=True),
    "k": Column(int, Check.in_range(0, 250, include_max=False), unique=True),
    "x": Column(float, Check.isin([0.0, 0.25, 0.5, 1.0]), nullable=False),
    "s": Column(str, [Check.str_matches("ab"), Check.str_length(2, 5), Check.str_endswith("3")], nullable=True),
    "g": Column(str, [Check.str_contains("[pq]"), Check.eq("p"), Check.ne("r")]),
}, unique=["i", "g"])
data_path, schema_path, out = sys.argv[1:4]
text = to_yaml(schema)
open(schema_path, "w").write(text)
frame = pandas.read_parquet(data_path)
frame["i"] = frame["i"].astype("Int64")
try:
    schema.validate(frame, lazy=True)
    cases = []
except pandera.errors.SchemaErrors as error:
    cases = [
        [str(row.column), str(row.check), int(row["index"])]
        for _, row in error.failure_cases.iterrows()
        if row["index"] is not None
    ]
json.dump(cases, open(out, "w"))
"""


def column(kind: str, name: str, **kwargs: Any) -> tuple[str, dict[str, Any]]:
    return f"expect_column_{kind}", {"column": name, **kwargs}


EXPECTATIONS: list[tuple[str, dict[str, Any]]] = [
    column("values_to_not_be_null", "i"),
    column("values_to_not_be_null", "i", mostly=0.95),
    column("values_to_be_null", "x"),
    column("values_to_be_unique", "k"),
    column("values_to_be_between", "i", min_value=0, max_value=90, strict_max=True),
    column("values_to_be_between", "x", min_value=0.5, max_value=3, strict_min=True, mostly=0.7),
    column("values_to_be_between", "x", min_value=0.5, max_value=3, strict_min=True, mostly=0.9),
    column("values_to_be_in_set", "g", value_set=["p", "q"]),
    column("values_to_not_be_in_set", "i", value_set=[1, 2, 3]),
    column("values_to_match_regex", "s", regex="^ab"),
    column("values_to_match_regex", "s", regex="a|3"),
    column("values_to_not_match_regex", "s", regex="[0-3]$"),
    column("values_to_match_regex_list", "s", regex_list=["abab", "5"]),
    column("value_lengths_to_be_between", "s", min_value=2, max_value=5),
    column("value_lengths_to_equal", "s", value=3),
    column("values_to_be_increasing", "n", strictly=True),
    column("mean_to_be_between", "x", min_value=1.5, max_value=2.5),
    column("median_to_be_between", "x", min_value=3),
    column("stdev_to_be_between", "x", max_value=1.0),
    column("sum_to_be_between", "n", min_value=0, max_value=44850),
    column("min_to_be_between", "i", min_value=0),
    column("max_to_be_between", "i", max_value=97),
    column("unique_value_count_to_be_between", "g", min_value=3, max_value=3),
    column("proportion_of_unique_values_to_be_between", "g", max_value=0.01),
    column("quantile_values_to_be_between", "n", quantile_ranges={"quantiles": [0.5], "value_ranges": [[140, 160]]}),
    column("most_common_value_to_be_in_set", "k", value_set=[0]),
    column("distinct_values_to_equal_set", "g", value_set=["p", "q", "r"]),
    column("distinct_values_to_contain_set", "g", value_set=["p", "z"]),
    column("distinct_values_to_be_in_set", "g", value_set=["p", "q"]),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "y", "column_B": "x", "or_equal": True}),
    ("expect_column_pair_values_to_be_equal", {"column_A": "y", "column_B": "x"}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["g", "y"]}),
    ("expect_multicolumn_sum_to_equal", {"column_list": ["y", "n"], "sum_total": 40}),
    ("expect_table_row_count_to_be_between", {"min_value": 300, "max_value": 300}),
    ("expect_table_row_count_to_equal", {"value": 299}),
    ("expect_table_column_count_to_equal", {"value": 7}),
    ("expect_table_columns_to_match_set", {"column_set": list("ikxysg")}),
    ("expect_table_columns_to_match_ordered_list", {"column_list": list("ikxysgn")}),
    ("expect_column_to_exist", {"column": "i"}),
]


def asked(name: str, code: str, *arguments: Path) -> None:
    """Run a script in a peer's environment."""
    result = subprocess.run([peer_program(name, "python"), "-c", code, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.needs("peer:great-expectations")
def test_great_expectations_finds_the_same_rows(tmp_path: Path) -> None:
    suite, data, out = tmp_path / "suite.json", tmp_path / "data.parquet", tmp_path / "out.json"
    listed = [{"type": kind, "kwargs": kwargs, "meta": {"place": n}} for n, (kind, kwargs) in enumerate(EXPECTATIONS)]
    suite.write_text(json.dumps({"name": "s", "expectations": listed}))
    FRAME.write_parquet(data)
    asked("great-expectations", GREAT_EXPECTATIONS, suite, data, out)
    # They come in an order of their own.
    theirs = {place: (success, unexpected) for place, success, unexpected in json.loads(out.read_text())}
    assert len(theirs) == len(EXPECTATIONS)
    imported = great_expectations.import_suite(suite.read_text())
    assert imported.left == ()
    result = run(imported.suite, FRAME)
    outcomes = {outcome.id: outcome for outcome in result.outcomes}
    rows: dict[str, list[int]] = {}
    for place, reasons in zip(result.bad[ROW], result.bad[REASONS].to_list(), strict=True):
        for name in reasons:
            rows.setdefault(name, []).append(place)
    compared = 0
    for number, ((kind, kwargs), ours) in enumerate(zip(EXPECTATIONS, imported.carried, strict=True)):
        success, unexpected = theirs[number]
        found = [outcomes[name] for name in ours.rules]
        assert all(outcome.status in {"passed", "set_aside"} for outcome in found) == success, (kind, kwargs, found)
        if isinstance(unexpected, list) and len(ours.rules) == 1:
            assert rows.get(ours.rules[0], []) == sorted(unexpected), (kind, kwargs)
            compared += 1
    assert compared > 15


@pytest.mark.needs("peer:pandera")
def test_pandera_finds_the_same_rows(tmp_path: Path) -> None:
    data, schema, out = tmp_path / "data.parquet", tmp_path / "schema.yaml", tmp_path / "out.json"
    frame = FRAME.select("i", "k", "x", "s", "g")
    frame.write_parquet(data)
    asked("pandera", PANDERA, data, schema, out)
    imported = pandera.import_suite(schema.read_text())
    assert imported.left == ()
    result = run(imported.suite, frame)
    ours = {place for place, reasons in zip(result.bad[ROW], result.bad[REASONS].to_list(), strict=True) if reasons}
    cases = json.loads(out.read_text())
    assert ours == {place for _, _, place in cases}
    by_column: dict[str, set[int]] = {}
    for name, check, place in cases:
        if check == "multiple_fields_uniqueness":
            continue
        by_column.setdefault(name, set()).add(place)
    outcomes = {outcome.id: outcome for outcome in result.outcomes}
    for name in "ikxsg":
        mine: set[int] = set()
        for place, reasons in zip(result.bad[ROW], result.bad[REASONS].to_list(), strict=True):
            if any(outcomes[reason].columns == (name,) for reason in reasons):
                mine.add(place)
        assert mine == by_column.get(name, set()), name
