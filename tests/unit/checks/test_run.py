"""Running a suite: every rule, the parting of rows, tolerance, and what cannot be checked."""

import datetime
import math
import re
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.document import parse_suite
from charkh.checks.gate import gate
from charkh.checks.result import REASONS, ROW, CheckResult
from charkh.checks.row_rules import Condition, Increasing, Length, NotNull, OneOf, Pattern, Range, Unique
from charkh.checks.run import run
from charkh.checks.suite import CheckSuite, Rule, rule_ids
from charkh.checks.table_rules import ColumnExists
from charkh.core.errors import GateRefused, Invalid

MOMENT = datetime.datetime(2013, 6, 1, 12)
FRAME = pl.DataFrame(
    {
        "i": [1, 5, -2, None, 5],
        "x": [0.5, math.nan, 2.0, None, 1.0],
        "s": ["abc", "ab", "Abc", None, "abc"],
        "t": [datetime.datetime(2013, 5, day) for day in (1, 3, 2, 4, 5)],
        "d": [datetime.date(2013, 5, day) for day in (1, 2, 3, 4, 5)],
        "b": [True, False, True, None, True],
        "l": [[1], [2], None, [3], [4]],
    }
)


def checked(*rules: str, frame: pl.DataFrame = FRAME, head: str = "at_most = 1.0", moment: Any = MOMENT) -> CheckResult:
    text = head + "".join(f"\n[[rule]]\n{rule}" for rule in rules)
    return run(parse_suite(text), frame, moment=moment)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ('check = "not_null"\ncolumns = ["i"]', [3]),
        ('check = "not_null"\ncolumns = ["x"]', [1, 3]),
        ('check = "not_null"\ncolumns = ["i", "x"]', [1, 3]),
        ('check = "not_null"\ncolumns = ["l"]', [2]),
        ('check = "unique"\ncolumns = ["i"]', [4]),
        ('check = "unique"\ncolumns = ["i", "s"]', []),
        ('check = "range"\ncolumn = "i"\nmin = 0\nmax = 4', [1, 2, 4]),
        ('check = "range"\ncolumn = "x"\nmin = 0.5', [1]),
        ('check = "range"\ncolumn = "i"\nmax = 1.5', [1, 4]),
        ('check = "range"\ncolumn = "t"\nmin = 2013-05-02', [0]),
        ('check = "range"\ncolumn = "t"\nmax = "2013-05-03T12:00:00"', [3, 4]),
        ('check = "range"\ncolumn = "d"\nmin = 2013-05-02\nmax = 2013-05-04', [0, 4]),
        ('check = "one_of"\ncolumn = "s"\nvalues = ["abc", "Abc"]', [1]),
        ('check = "one_of"\ncolumn = "i"\nvalues = [1, 5]', [2]),
        ('check = "one_of"\ncolumn = "x"\nvalues = [1, 2, 0.5]', [1]),
        ('check = "one_of"\ncolumn = "b"\nvalues = [true]', [1]),
        ('check = "pattern"\ncolumn = "s"\npattern = "[a-c]+"', [2]),
        ('check = "pattern"\ncolumn = "s"\npattern = "ab|abc"', [2]),
        ('check = "length"\ncolumn = "s"\nmin = 3', [1]),
        ('check = "length"\ncolumn = "s"\nmax = 2', [0, 2, 4]),
        ('check = "condition"\nthat = "i > x"', [2]),
        ('check = "condition"\nthat = "i is not null or s is null"', []),
        ('check = "condition"\nthat = "false"', [0, 1, 2, 3, 4]),
        ('check = "increasing"\ncolumn = "t"', [2]),
        ('check = "increasing"\ncolumn = "i"', [2]),
        ('check = "increasing"\ncolumn = "i"\nstrict = true', [2, 4]),
    ],
)
def test_which_rows_fail(rule: str, bad: list[int]) -> None:
    result = checked(rule)
    assert result.bad[ROW].to_list() == bad
    assert result.outcomes[0].failed == len(bad)
    assert result.outcomes[0].status == ("set_aside" if bad else "passed")
    assert bool(result.outcomes[0].examples) == (bool(bad) and "false" not in rule)
    assert result.good.height == 5 - len(bad)


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        ('check = "rows"\nmin = 6', "fewer than 6"),
        ('check = "rows"\nmax = 4', "more than 4"),
        ('check = "rows"', ""),
        ('check = "column"\ncolumn = "i"', ""),
        ('check = "column"\ncolumn = "i"\ndtype = "number"', ""),
        ('check = "column"\ncolumn = "i"\ndtype = "integer"', ""),
        ('check = "column"\ncolumn = "i"\ndtype = "Int64"', ""),
        ('check = "column"\ncolumn = "t"\ndtype = "datetime"', ""),
        ('check = "column"\ncolumn = "t"\ndtype = "Datetime"', ""),
        ('check = "column"\ncolumn = "l"\ndtype = "List"', ""),
        ('check = "column"\ncolumn = "b"\ndtype = "boolean"', ""),
        ('check = "column"\ncolumn = "x"\ndtype = "integer"', "holds Float64, not integer"),
        ('check = "column"\ncolumn = "s"\ndtype = "number"', "holds String, not number"),
        ('check = "fresh"\ncolumn = "t"\nwithin = "28d"', ""),
        ('check = "fresh"\ncolumn = "t"\nwithin = "27d"', "2013-05-05 00:00, older than 27d"),
        ('check = "fresh"\ncolumn = "d"\nwithin = "27d"', ""),
        ('check = "fresh"\ncolumn = "i"\nwithin = "27d"', "not dates or times"),
        ('check = "range"\ncolumn = "s"\nmin = 1', "holds String"),
        ('check = "range"\ncolumn = "i"\nmin = "a"', "compared with 'a'"),
        ('check = "range"\ncolumn = "t"\nmin = "soon"', "compared with 'soon'"),
        ('check = "range"\ncolumn = "t"\nmin = 3', "compared with 3"),
        ('check = "pattern"\ncolumn = "i"\npattern = "a"', "holds Int64"),
        ('check = "one_of"\ncolumn = "i"\nvalues = ["a"]', "such as 'a'"),
        ('check = "increasing"\ncolumn = "s"', "holds String"),
        ('check = "condition"\nthat = "i + 1"', "not a truth value"),
        ('check = "condition"\nthat = "i > s"', "bring together"),
    ],
)
def test_what_concerns_the_table_is_a_finding(rule: str, finding: str) -> None:
    result = checked(rule)
    outcome = result.outcomes[0]
    assert outcome.status == ("failed" if finding else "passed")
    assert finding in outcome.message
    assert result.ok == (not finding)
    assert result.good.equals(FRAME)


def test_a_missing_column_is_one_finding_however_many_rules_need_it() -> None:
    result = checked(
        'check = "not_null"\ncolumns = ["ii"]',
        'check = "range"\ncolumn = "ii"\nmin = 0\nseverity = "warning"',
        'check = "condition"\nthat = "x > 0"',
    )
    first, *rest = result.outcomes
    assert (first.id, first.status, first.severity) == ("missing(ii)", "failed", "error")
    assert "did you mean 'i'?" not in first.message or "ii" in first.message
    assert [outcome.status for outcome in rest] == ["skipped", "skipped", "set_aside"] or rest[2].status == "passed"
    assert not result.ok
    with pytest.raises(GateRefused, match=re.escape("missing(ii)")):
        gate(result)


def test_a_missing_column_that_only_warnings_need_is_a_warning() -> None:
    result = checked('check = "range"\ncolumn = "no"\nmin = 0\nseverity = "warning"')
    assert result.outcomes[0].status == "warned"
    assert result.ok
    assert result.facts["checks.warnings"] == 1


def test_bad_rows_carry_their_reasons_and_their_place() -> None:
    result = checked(
        'id = "known"\ncheck = "not_null"\ncolumns = ["i"]',
        'check = "range"\ncolumn = "i"\nmin = 0',
        'id = "small"\ncheck = "range"\ncolumn = "x"\nmax = 1',
        'id = "short"\ncheck = "length"\ncolumn = "s"\nmin = 3\nseverity = "warning"',
    )
    assert result.bad.columns == [*FRAME.columns, REASONS, ROW]
    assert result.bad[ROW].to_list() == [1, 2, 3]
    assert result.bad[REASONS].to_list() == [["small"], ["range(i)", "small"], ["known"]]
    assert result.bad.schema[REASONS] == pl.List(pl.String)
    assert result.outcomes[3].status == "warned"
    clean = checked('check = "not_null"\ncolumns = ["t"]')
    assert clean.bad.schema == result.bad.schema
    assert clean.bad.height == 0
    assert clean.good.equals(FRAME)


@pytest.mark.parametrize(
    ("head", "extra", "status", "ok"),
    [
        ("", "", "failed", False),
        ("at_most = 0.2", "", "set_aside", True),
        ("at_most = 0.19", "", "failed", False),
        ("at_most = 0.0", "\nat_most = 0.2", "set_aside", True),
        ("at_most = 1.0", "\nat_most = 0.1", "failed", False),
        ("at_most = 1.0", '\nseverity = "warning"', "warned", True),
        ("at_most = 0.0", '\nseverity = "warning"\nat_most = 0.5', "set_aside", True),
    ],
)
def test_a_share_of_rows_may_fail(head: str, extra: str, status: str, ok: bool) -> None:
    result = checked('check = "not_null"\ncolumns = ["i"]' + extra, head=head)
    assert (result.outcomes[0].status, result.ok) == (status, ok)
    if ok:
        assert gate(result) is result
    else:
        with pytest.raises(GateRefused, match=r"flights@3 .*not_null\(i\): 1 of 5 rows \(20.00%\), more than") as error:
            gate(result, "flights@3")
        assert error.value.facts["rules"] == ["not_null(i)"]


def test_a_table_of_which_nothing_is_left_is_refused() -> None:
    result = checked('check = "condition"\nthat = "false"')
    assert not result.ok
    with pytest.raises(GateRefused, match="all 5 rows are set aside"):
        gate(result)


def test_an_empty_table_is_checked() -> None:
    rules = [
        'check = "not_null"\ncolumns = ["i"]',
        'check = "unique"\ncolumns = ["i", "s"]',
        'check = "condition"\nthat = "true"',
        'check = "fresh"\ncolumn = "t"\nwithin = "1d"\nseverity = "warning"',
    ]
    result = checked(*rules, frame=FRAME.clear())
    assert result.ok
    assert result.bad.height == result.good.height == 0
    assert "no value" in result.outcomes[3].message
    assert not checked('check = "rows"', frame=FRAME.clear()).ok


def test_columns_of_a_check_are_not_written_twice() -> None:
    with pytest.raises(Invalid, match="_reasons"):
        run(CheckSuite(), FRAME.with_columns(pl.lit(1).alias(REASONS)))


def test_a_column_without_any_value_passes_every_row_rule_but_one() -> None:
    frame = pl.DataFrame({"z": [None, None]})
    rules: tuple[Rule, ...] = (
        Range(column="z", min=0),
        OneOf(column="z", values=("a",)),
        Pattern(column="z", pattern="a"),
        Length(column="z", min=1),
        Increasing(column="z"),
        Unique(columns=("z",)),
        Condition(that="z > 0"),
        NotNull(columns=("z",)),
    )
    result = run(CheckSuite(rules=rules, at_most=1.0), frame)
    assert [outcome.failed for outcome in result.outcomes] == [0] * 7 + [2]


def test_rules_are_called_by_what_they_look_at() -> None:
    rules: tuple[Rule, ...] = (
        Range(column="a", min=0),
        Range(column="a", max=9),
        Unique(columns=("a", "b")),
        ColumnExists(column="a", id="the column"),
    )
    assert rule_ids(rules) == ("range(a)", "range(a)#2", "unique(a,b)", "the column")


Row = dict[str, Any]
SUITE = CheckSuite(
    at_most=1.0,
    rules=(
        NotNull(id="known", columns=("i", "x")),
        Unique(id="key", columns=("i", "s")),
        Range(id="range", column="x", min=-1, max=2),
        OneOf(id="listed", column="s", values=("a", "b")),
        Pattern(id="shape", column="s", pattern="[ab]?"),
        Length(id="length", column="s", min=1),
        Condition(id="order", that="i <= x or s == 'b'"),
        Increasing(id="rising", column="i"),
        Range(id="aside", column="i", max=1, severity="warning"),
    ),
)


def naive_reasons(rows: list[Row], place: int) -> list[str]:
    """The rules that a row fails, by a plain loop over the rows before it."""
    row, earlier = rows[place], rows[:place]
    i, x, s = row["i"], row["x"], row["s"]
    number = x is not None and not math.isnan(x)
    order = None
    smaller = None if i is None or not number else i <= x
    named = None if s is None else s == "b"
    if True in (smaller, named):
        order = True
    elif None not in (smaller, named):
        order = False
    fails = {
        "known": i is None or not number,
        "key": i is not None and s is not None and any((r["i"], r["s"]) == (i, s) for r in earlier),
        "range": x is not None and (math.isnan(x) or not -1 <= x <= 2),
        "listed": s is not None and s not in {"a", "b"},
        "shape": s is not None and re.fullmatch("[ab]?", s) is None,
        "length": s is not None and len(s) < 1,
        "order": order is False,
        "rising": i is not None and any(r["i"] is not None and r["i"] > i for r in earlier),
    }
    return [name for name, failed in fails.items() if failed]


rows = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.one_of(st.none(), st.integers(-2, 3)),
            "x": st.one_of(st.none(), st.floats(-3, 3, width=16), st.just(math.nan)),
            "s": st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", "c\n"])),
        }
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_a_plain_loop_gives_the_same_reasons(records: list[Row]) -> None:
    frame = pl.DataFrame(records, schema={"i": pl.Int64, "x": pl.Float64, "s": pl.String})
    result = run(SUITE, frame)
    wanted = {place: naive_reasons(records, place) for place in range(len(records))}
    assert dict(zip(result.bad[ROW], result.bad[REASONS].to_list(), strict=True)) == {
        place: reasons for place, reasons in wanted.items() if reasons
    }
    streamed = run(SUITE, frame.lazy())
    assert streamed.outcomes == result.outcomes
    assert streamed.bad.equals(result.bad)
    assert streamed.good.equals(result.good)
    counts = {outcome.id: outcome.failed for outcome in result.outcomes if outcome.severity == "error"}
    assert counts == {name: sum(name in reasons for reasons in wanted.values()) for name in counts}


@settings(max_examples=100, deadline=None)
@given(rows, st.lists(st.sampled_from(SUITE.rules), unique=True))
def test_good_and_bad_are_all_rows_in_their_order(records: list[Row], rules: list[Rule]) -> None:
    frame = pl.DataFrame(records, schema={"i": pl.Int64, "x": pl.Float64, "s": pl.String})
    result = run(CheckSuite(rules=tuple(rules)), frame)
    places = result.bad[ROW].to_list()
    assert places == sorted(places)
    assert frame[places].equals(result.bad.drop(REASONS, ROW))
    assert frame[[place for place in range(frame.height) if place not in places]].equals(result.good)
    assert all(result.bad[REASONS].list.len() > 0)
