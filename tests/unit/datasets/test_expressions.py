"""Expressions over tables: the same values as a plain evaluator in Python, row by row."""

import datetime
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.core.expressions import Call, Column, Expression, Literal, parse_expression
from charkh.datasets.expressions import compile_condition, compile_expression, require_columns

MOMENT = datetime.datetime(2013, 1, 31, 5, 15)
FRAME = pl.DataFrame(
    {
        "i": [7, -7, None],
        "x": [2.5, math.nan, None],
        "s": [" 12", "1.5e1", None],
        "t": [MOMENT, MOMENT, None],
        "d": [MOMENT.date(), MOMENT.date(), None],
        "b": [True, False, None],
        "l": [[1], [2], None],
        "small": pl.Series([100, -100, None], dtype=pl.Int8),
        "c": pl.Series(["u", "v", None], dtype=pl.Categorical),
        "n": pl.Series([None, None, None], dtype=pl.Null),
    }
)


def values(text: str) -> list[Any]:
    return FRAME.select(compile_expression(text, FRAME.schema).expr.alias("value"))["value"].to_list()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("i / 2", [3.5, -3.5, None]),
        ("i / 0", [None, None, None]),
        ("i // 2", [3, -4, None]),
        ("i % 2", [1, 1, None]),
        ("i % 0", [None, None, None]),
        ("x", [2.5, None, None]),
        ("x is null", [False, True, True]),
        ("i == null", [None, None, None]),
        ("small + 100", [200, 0, None]),
        ("abs(-i)", [7, 7, None]),
        ("round(x)", [2.0, None, None]),
        ("round(i / 3, 2)", [2.33, -2.33, None]),
        ("sqrt(i)", [math.sqrt(7), None, None]),
        ("log(i)", [math.log(7), None, None]),
        ("floor(i / 2)", [3.0, -4.0, None]),
        ("number(s)", [12.0, 15.0, None]),
        ("integer(s)", [12, None, None]),
        ("integer(x)", [2, None, None]),
        ("integer(b)", [1, 0, None]),
        ("text(i)", ["7", "-7", None]),
        ("text(t)", ["2013-01-31T05:15:00", "2013-01-31T05:15:00", None]),
        ("concat(c, '-', i)", ["u-7", "v--7", None]),
        ("trim(s)", ["12", "1.5e1", None]),
        ("length(s)", [3, 5, None]),
        ("slice(s, 0, 2)", [" 1", "1.", None]),
        ("slice(s, 0 - 1, 2)", [None, None, None]),
        ("upper(c)", ["U", "V", None]),
        ("contains(s, '.')", [False, True, None]),
        ("matches(s, '^[0-9]')", [False, True, None]),
        ("c in ('u', 'w')", [True, False, None]),
        ("i in (7, 2.5)", [True, False, None]),
        ("i not in (7)", [False, True, None]),
        ("b in (true)", [True, False, None]),
        ("hour(t) * 60 + minute(t)", [315, 315, None]),
        ("weekday(d)", [4, 4, None]),
        ("day_of_year(t)", [31, 31, None]),
        ("month(d)", [1, 1, None]),
        ("t - hours(3)", [MOMENT - datetime.timedelta(hours=3)] * 2 + [None]),
        ("d + days(1.5)", [datetime.datetime(2013, 2, 1, 12)] * 2 + [None]),
        ("in_minutes(t - d)", [315.0, 315.0, None]),
        ("t >= d", [True, True, None]),
        ("d < date('2013-02-01')", [True, True, None]),
        ("t == datetime('2013-01-31T05:15')", [True, True, None]),
        ("truncate(t, '1h')", [datetime.datetime(2013, 1, 31, 5)] * 2 + [None]),
        ("format_time(t, '%Y/%m')", ["2013/01", "2013/01", None]),
        ("datetime(2013, 2, 21 + i)", [datetime.datetime(2013, 2, 28), datetime.datetime(2013, 2, 14), None]),
        ("datetime(2013, 2, 22 + i, 5, 15)", [None, datetime.datetime(2013, 2, 15, 5, 15), None]),
        ("datetime(2013, i, 1)", [datetime.datetime(2013, 7, 1), None, None]),
        ("if(b, i, 0)", [7, 0, 0]),
        ("if(b, d, t)", [datetime.datetime(2013, 1, 31), MOMENT, None]),
        ("coalesce(i, x, 0)", [7.0, -7.0, 0.0]),
        ("least(i, x)", [2.5, -7.0, None]),
        ("b and not b or b is null", [False, False, True]),
        ("n + 1", [None, None, None]),
        ("coalesce(n, 'a')", ["a", "a", "a"]),
        ("l is null", [False, False, True]),
    ],
)
def test_what_functions_give(text: str, wanted: list[Any]) -> None:
    found = values(text)
    assert found == wanted
    assert [type(value) for value in found] == [type(value) for value in wanted]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("i > 'x'", "an integer and a text"),
        ("s + 1", "not a text"),
        ("hour(d)", "not a date"),
        ("weekday(s)", "not a text"),
        ("i and b", "not an integer"),
        ("lower(i)", "not an integer"),
        ("if(i, 1, 2)", "not an integer"),
        ("if(b, 1, 'x')", "bring together"),
        ("coalesce(i, s)", "bring together"),
        ("l == l", "nested value"),
        ("concat(l)", "nested value"),
        ("number(t)", "not a time"),
        ("i in ('x')", "bring together"),
        ("matches(s, '(')", "no regular expression"),
        ("matches(s, s)", "written out"),
        ("truncate(t, '1x')", "no unit"),
        ("round(x, 99)", "digits"),
        ("date('tomorrow')", "no date"),
        ("datetime(2013, 1)", "year, month, day"),
        ("nothing", "no column 'nothing'"),
    ],
)
def test_wrong_kinds_are_refused_before_anything_runs(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        compile_expression(text, FRAME.schema)


def test_a_condition_gives_truth() -> None:
    assert FRAME.filter(compile_condition("i > 0", FRAME.schema)).height == 1
    with pytest.raises(Invalid, match="not a truth value"):
        compile_condition("i + 1", FRAME.schema)


def test_a_column_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(Invalid) as error:
        require_columns(["smal"], FRAME.schema)
    assert "'small'" in error.value.hint


Row = dict[str, Any]


def plainly(node: Expression, row: Row) -> Any:
    """The value of a numeric or logical expression, by the rules of docs/formats/recipes.md."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Column):
        return row[node.name]
    arguments = [plainly(argument, row) for argument in node.arguments]
    if node.function == "and":
        return False if False in arguments else None if None in arguments else True
    if node.function == "or":
        return True if True in arguments else None if None in arguments else False
    if node.function == "is null":
        return arguments[0] is None
    if node.function == "if":
        return arguments[1] if arguments[0] else arguments[2]
    if None in arguments:
        return None
    a, b = (*arguments, None)[:2]
    if node.function in {"/", "//", "%"} and b == 0:
        return None
    return {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "//": lambda: a // b,
        "%": lambda: a % b,
        "<": lambda: a < b,
        ">=": lambda: a >= b,
        "==": lambda: a == b,
        "not": lambda: not a,
        "negate": lambda: -a,
        "abs": lambda: abs(a),
    }[node.function]()


numbers = st.recursive(
    st.one_of(st.integers(-9, 9).map(Literal), st.sampled_from(["p", "q"]).map(Column)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "//", "%"]), inner, inner).map(
            lambda three: Call(three[0], three[1:])
        ),
        inner.map(lambda node: Call("abs", (node,))),
    ),
    max_leaves=6,
)
truths = st.recursive(
    st.tuples(st.sampled_from(["<", ">=", "=="]), numbers, numbers).map(lambda three: Call(three[0], three[1:])),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner).map(lambda three: Call(three[0], three[1:])),
        inner.map(lambda node: Call("not", (node,))),
        numbers.map(lambda node: Call("is null", (node,))),
        st.tuples(inner, inner, inner).map(lambda three: Call("if", three)),
    ),
    max_leaves=5,
)
rows = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), st.integers(-20, 20)) for name in ("p", "q")}),
    min_size=1,
    max_size=8,
)


def bracketed(node: Expression) -> str:
    if isinstance(node, Literal):
        return str(node.value)
    if isinstance(node, Column):
        return node.name
    parts = [f"({bracketed(argument)})" for argument in node.arguments]
    if node.function in {"abs", "if"}:
        return f"{node.function}({', '.join(parts)})"
    if node.function == "not":
        return f"not {parts[0]}"
    return f"{parts[0]} {node.function}" if node.function == "is null" else f" {node.function} ".join(parts)


@settings(max_examples=150, deadline=None)
@given(st.one_of(numbers, truths), rows)
def test_a_row_loop_gives_the_same(tree: Expression, records: list[Row]) -> None:
    text = bracketed(tree)
    assert parse_expression(text) == tree
    frame = pl.DataFrame(records, schema={"p": pl.Int64, "q": pl.Int64})
    computed = frame.with_columns(compile_expression(text, frame.schema).expr.alias("value"))["value"].to_list()
    assert computed == [plainly(tree, row) for row in records]


@settings(max_examples=60, deadline=None)
@given(st.one_of(numbers, truths), rows, st.integers(0, 8))
def test_batches_give_the_same_as_the_whole(tree: Expression, records: list[Row], cut: int) -> None:
    frame = pl.DataFrame(records, schema={"p": pl.Int64, "q": pl.Int64})
    compiled = compile_expression(bracketed(tree), frame.schema).expr.alias("value")
    whole = frame.with_columns(compiled)
    assert pl.concat([frame[:cut].with_columns(compiled), frame[cut:].with_columns(compiled)]).equals(whole)
