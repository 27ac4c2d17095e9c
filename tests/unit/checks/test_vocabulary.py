"""Every check beyond the plainest: which rows fail, what is found in tables and groups, in memory and streaming."""

import datetime
import math
from typing import Any

import polars as pl
import pytest

from charkh.checks.context import Context
from charkh.checks.document import parse_suite
from charkh.checks.gate import gate
from charkh.checks.result import REASONS, ROW, CheckResult
from charkh.checks.run import run

MOMENT = datetime.datetime(2013, 6, 1)
FRAME = pl.DataFrame(
    {
        "i": [1, 5, -2, None, 5, 100],
        "x": [0.5, math.nan, 2.0, None, 1.0, 0.0],
        "s": ["12", "a1", "3", None, "{}", "2013-01-01"],
        "g": ["p", "p", "q", "q", "q", None],
        "t": [datetime.date(2013, 5, day) for day in (3, 1, 2, 4, 6, 5)],
    }
)
AIRPORTS = pl.DataFrame({"code": ["p", "z"], "n": [1, 5]}, schema={"code": pl.String, "n": pl.Int32})


def checked(*rules: str, frame: pl.DataFrame = FRAME, head: str = "at_most = 1.0") -> CheckResult:
    suite = parse_suite(head + "".join(f"\n[[rule]]\n{rule}" for rule in rules))
    context = Context(tables={"airports": AIRPORTS})
    result = run(suite, frame, moment=MOMENT, context=context)
    streamed = run(suite, frame.lazy(), moment=MOMENT, context=context)
    assert streamed.outcomes == result.outcomes
    assert streamed.bad.equals(result.bad)
    assert streamed.good.equals(result.good)
    assert streamed.facts == result.facts
    return result


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ('check = "none_of"\ncolumn = "i"\nvalues = [5, 7]', [1, 4]),
        ('check = "one_of"\ncolumn = "t"\nvalues = [2013-05-01, 2013-05-02]', [0, 3, 4, 5]),
        ('check = "range"\ncolumn = "i"\nabove = 1\nbelow = 100', [0, 2, 5]),
        ('check = "range"\ncolumn = "t"\nabove = 2013-05-02\nmax = 2013-05-05', [1, 2, 4]),
        ('check = "range"\ncolumn = "i"\nmin = 0\nwhen = "g == \'p\'"', []),
        ('check = "range"\ncolumn = "i"\nmin = 0\nwhen = "g != \'p\'"', [2]),
        ('check = "not_null"\ncolumns = "i"\nwhen = "x is not null"', []),
        ('check = "pattern"\ncolumn = "s"\npattern = "1"\nanywhere = true', [2, 4]),
        ('check = "pattern"\ncolumn = "s"\npattern = "1"\nanywhere = true\nabsent = true', [0, 1, 5]),
        ('check = "pattern"\ncolumn = "s"\npattern = "[0-9]+"\nabsent = true', [0, 2]),
        ('check = "parses"\ncolumn = "s"\nkind = "integer"', [1, 4, 5]),
        ('check = "parses"\ncolumn = "s"\nkind = "date"\nformat = "%Y-%m-%d"', [0, 1, 2, 4]),
        ('check = "parses"\ncolumn = "s"\nkind = "json"', [1, 5]),
        ('check = "foreign"\ncolumns = "g"\nto = "airports"\nto_columns = "code"', [2, 3, 4]),
        ('check = "foreign"\ncolumns = ["g", "i"]\nto = "airports"\nto_columns = ["code", "n"]', [1, 2, 4]),
        ('check = "outliers"\ncolumn = "i"\ndeviations = 10', [5]),
        ('check = "outliers"\ncolumn = "i"\ndeviations = 20\nwhen = "i < 50"', []),
        ('check = "unique"\ncolumns = "i"\nby = "g"', []),
        ('check = "unique"\ncolumns = "i"\nwhen = "g == \'q\'"', []),
        ('check = "increasing"\ncolumn = "i"\ndecreasing = true', [1, 4, 5]),
        ('check = "increasing"\ncolumn = "t"', [1, 2, 5]),
        ('check = "increasing"\ncolumn = "t"\norder = "t"', []),
        ('check = "increasing"\ncolumn = "i"\norder = "t"', [0, 2, 4]),
        ('check = "increasing"\ncolumn = "t"\nby = "g"', [1]),
        ('check = "condition"\nthat = "i < x"\nwhen = "x is not null"', [0, 4, 5]),
    ],
)
def test_which_rows_fail(rule: str, bad: list[int]) -> None:
    result = checked(rule)
    assert result.outcomes[0].status in {"passed", "set_aside"}, result.outcomes[0].message
    assert result.bad[ROW].to_list() == bad
    assert all(reasons == [result.outcomes[0].id] for reasons in result.bad[REASONS].to_list())


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        ('check = "columns"\nmin = 5\nmax = 5', ""),
        ('check = "columns"\nmin = 6', "5 columns, fewer than 6"),
        ('check = "columns"\nmax = 4', "more than 4"),
        ('check = "columns"\nonly = ["i", "x", "s", "g"]', "not listed: t"),
        ('check = "columns"\nonly = ["i", "x", "s", "g", "t", "u"]', "lacks the columns u"),
        ('check = "columns"\nordered = ["x", "i", "s", "g", "t"]', "column 1 is 'i', not 'x'"),
        ('check = "columns"\nordered = ["i", "x", "s", "g"]', "5 columns, not 4"),
        ('check = "rows"\nmin = 2\nmax = 2\nwhen = "g == \'p\'"', ""),
        ('check = "rows"\nmin = 2\nby = "g"', "in 1 of 3 groups: g=missing: the table has 1 rows"),
        ('check = "statistic"\ncolumn = "i"\nof = "mean"\nmin = 21.8\nmax = 21.8', ""),
        ('check = "statistic"\ncolumn = "i"\nof = "mean"\nabove = 21.8', "mean of 'i' is 21.8, not above 21.8"),
        ('check = "statistic"\ncolumn = "i"\nof = "median"\nbelow = 5', "not below 5"),
        ('check = "statistic"\ncolumn = "i"\nof = "sum"\nmax = 108', "is 109, more than 108"),
        ('check = "statistic"\ncolumn = "x"\nof = "null_share"\nmax = 0.3', "0.333333, more than 0.3"),
        ('check = "statistic"\ncolumn = "x"\nof = "zero_share"\nmin = 0.25', ""),
        ('check = "statistic"\ncolumn = "x"\nof = "variance"\nmin = 0\nmax = 0.75', ""),
        ('check = "statistic"\ncolumn = "i"\nof = "quantile"\nquantile = 0.25\nmax = 0', "0.25 quantile of 'i' is 1"),
        ('check = "statistic"\ncolumn = "i"\nof = "distinct"\nmin = 4\nmax = 4', ""),
        ('check = "statistic"\ncolumn = "i"\nof = "distinct_share"\nmin = 0.8\nmax = 0.8', ""),
        ('check = "statistic"\ncolumn = "i"\nof = "unique_share"\nmin = 0.6\nmax = 0.6', ""),
        ('check = "statistic"\ncolumn = "g"\nof = "top_share"\nmin = 0.6\nmax = 0.6', ""),
        ('check = "statistic"\ncolumn = "i"\nof = "correlation"\nother = "x"\nmax = 0', ""),
        ('check = "statistic"\ncolumn = "i"\nof = "max"\nmax = 5\nby = "g"', "in 1 of 3 groups: g=missing"),
        ('check = "statistic"\ncolumn = "i"\nof = "mean"\nmax = 5\nwhen = "i < 50"', ""),
        ('check = "statistic"\ncolumn = "s"\nof = "mean"\nmax = 5', "holds String, not numbers"),
        ('check = "statistic"\ncolumn = "i"\nof = "mean"\nmax = 5\nwhen = "i > 1000"', "no values"),
        ('check = "includes"\ncolumn = "g"\nvalues = ["p", "q"]', ""),
        ('check = "includes"\ncolumn = "g"\nvalues = ["p", "r", "z"]', "lacks r, z"),
        ('check = "includes"\ncolumn = "g"\nvalues = ["q"]\nmost_common = true', ""),
        ('check = "includes"\ncolumn = "g"\nvalues = ["p"]\nmost_common = true', "most common"),
        ('check = "fresh"\ncolumn = "t"\nwithin = "25d"\nby = "g"', "in 2 of 3 groups"),
        ('check = "foreign"\ncolumns = "g"\nto = "nowhere"', "nowhere: not here"),
        ('check = "foreign"\ncolumns = "g"\nto = "airports"', "no column 'g'"),
        ('check = "parses"\ncolumn = "i"\nkind = "json"', "holds Int64"),
        ('check = "outliers"\ncolumn = "s"', "holds String"),
    ],
)
def test_what_concerns_the_table_is_a_finding(rule: str, finding: str) -> None:
    result = checked(rule)
    outcome = result.outcomes[0]
    assert outcome.status == ("failed" if finding else "passed"), outcome.message
    assert finding in outcome.message
    assert result.ok == (not finding)


@pytest.mark.parametrize(
    ("rule", "status", "words"),
    [
        ('check = "range"\ncolumn = "i"\nmin = 0\nseverity = "critical"', "failed", "more than 0.00%"),
        ('check = "range"\ncolumn = "i"\nmin = 0\nat_most_rows = 1', "set_aside", "1 of 6 rows"),
        ('check = "range"\ncolumn = "i"\nmin = 2\nat_most_rows = 1', "failed", "more than 1 rows"),
        ('check = "range"\ncolumn = "i"\nmin = 2\nat_most_rows = 1\nseverity = "warning"', "warned", "more than 1"),
        ('check = "range"\ncolumn = "i"\nmin = 0\nat_most = 0.2\nby = "g"', "failed", "too many in g=q (33.33%)"),
        ('check = "range"\ncolumn = "i"\nmin = 0\nat_most = 0.4\nby = "g"', "set_aside", "1 of 6 rows"),
        ('check = "range"\ncolumn = "i"\nmin = 0\nat_most = 0.4\nwhen = "i < 1"', "failed", "1 of 1 rows"),
    ],
)
def test_how_much_may_fail(rule: str, status: str, words: str) -> None:
    outcome = checked(rule).outcomes[0]
    assert (outcome.status, words in outcome.message) == (status, True), outcome.message


def test_a_critical_rule_sets_its_rows_aside_too() -> None:
    result = checked('check = "range"\ncolumn = "i"\nmin = 0\nseverity = "critical"\nat_most = 0.5')
    assert result.ok
    assert result.bad[ROW].to_list() == [2]
    assert gate(result).good_rows == 5


def test_a_column_that_only_a_condition_or_a_group_needs_is_missed_too() -> None:
    outcomes = checked('check = "rows"\nby = "h"', 'check = "not_null"\ncolumns = "i"\nwhen = "y > 0"').outcomes
    assert [outcome.id for outcome in outcomes] == ["missing(h)", "missing(y)", "rows()", "not_null(i)"]


def test_a_file_larger_than_a_batch_is_read_once_and_streaming(tmp_path: Any) -> None:
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"i": range(200_000)}).with_columns(g=pl.col("i") % 7)
    frame.write_parquet(path, row_group_size=10_000)
    suite = parse_suite(
        'at_most = 1.0\n[[rule]]\ncheck = "range"\ncolumn = "i"\nmax = 199000\n'
        '[[rule]]\ncheck = "statistic"\ncolumn = "i"\nof = "mean"\nmax = 1e6\nby = "g"'
    )
    result = run(suite, pl.scan_parquet(path))
    assert (result.rows, result.bad.height, result.good_rows) == (200_000, 999, 199_001)
    assert result.bad[ROW].to_list() == list(range(199_001, 200_000))
    assert result.passing.select(pl.len()).collect().item() == 199_001
