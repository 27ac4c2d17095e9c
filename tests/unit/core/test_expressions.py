"""The expression grammar: what it reads, what it refuses, and that writing and reading give the same tree."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.core.expressions import (
    COMPARISONS,
    MAX_TEXT,
    Call,
    Column,
    Expression,
    Literal,
    columns_of,
    parse_expression,
)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("arr_delay > 15", Call(">", (Column("arr_delay"), Literal(15)))),
        ("1 + 2 * 3", Call("+", (Literal(1), Call("*", (Literal(2), Literal(3)))))),
        ("(1 + 2) * 3", Call("*", (Call("+", (Literal(1), Literal(2))), Literal(3)))),
        ("a - b - c", Call("-", (Call("-", (Column("a"), Column("b"))), Column("c")))),
        ("a or b and not c", Call("or", (Column("a"), Call("and", (Column("b"), Call("not", (Column("c"),))))))),
        ("`odd name` is not null", Call("is not null", (Column("odd name"),))),
        ("origin not in ('EWR', -2)", Call("not in", (Column("origin"), Literal("EWR"), Literal(-2)))),
        (r"'it\'s \\ \n'", Literal("it's \\ \n")),
        ("--5", Literal(5)),
        ("-x", Call("negate", (Column("x"),))),
        ("1.5e3", Literal(1500.0)),
        ("true", Literal(True)),
        ("کرایه >= .5", Call(">=", (Column("کرایه"), Literal(0.5)))),
        ("if(a is null, 'u', 'k')", Call("if", (Call("is null", (Column("a"),)), Literal("u"), Literal("k")))),
    ],
)
def test_what_it_reads(text: str, tree: Expression) -> None:
    assert parse_expression(text) == tree


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the end"),
        ("1 +", "the end"),
        ("a = 3", "= 3"),
        ("a == b == c", "'=='"),
        ("huor(t)", "huor"),
        ("hour(t, 1)", "takes 1 arguments"),
        ("if(a)", "takes 3"),
        ("a in ()", "list of values"),
        ("a in (b)", "list of values"),
        ("a in (null)", "list of values"),
        ("__import__('os')", "__import__"),
        ("a.b", "'.b'"),
        ("a[0]", "[0]"),
        ("lambda: 1", ": 1"),
        ("'open", "'open"),
        ("1e999", "too large"),
        ("9223372036854775808", "too large"),
        ("(" * 70 + "1" + ")" * 70, "nested"),
        ("-" * 1000 + "x", "signs"),
        ("not " * 500 + "x", "signs"),
        ("1 " * MAX_TEXT, "longer"),
        ("and", "'and'"),
    ],
)
def test_what_it_refuses(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        parse_expression(text)


def test_a_function_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(Invalid) as error:
        parse_expression("weekdya(t)")
    assert "'weekday'" in error.value.hint


def test_the_columns_are_those_it_mentions() -> None:
    tree = parse_expression("concat(b, a) == 'b' and if(c > 1, a, `d e`) in ('x', 'y')")
    assert columns_of(tree) == ("b", "a", "c", "d e")


def written(node: Expression) -> str:
    """Every tree as text, with more brackets than it needs."""
    if isinstance(node, Literal):
        if node.value is None or isinstance(node.value, bool):
            return str(node.value).lower().replace("none", "null")
        if isinstance(node.value, str):
            return "'" + node.value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return repr(node.value)
    if isinstance(node, Column):
        return "`" + node.name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    parts = [f"({written(argument)})" for argument in node.arguments]
    if node.function in {"is null", "is not null"}:
        return f"{parts[0]} {node.function}"
    if node.function in {"in", "not in"}:
        return f"{parts[0]} {node.function} ({', '.join(written(item) for item in node.arguments[1:])})"
    if node.function in {"not", "negate"}:
        return f"{'not ' if node.function == 'not' else '-'}{parts[0]}"
    if len(node.arguments) == 2 and not node.function[0].isalpha():
        return f"{parts[0]}{node.function}{parts[1]}"
    if node.function in {"and", "or"}:
        return f"{parts[0]} {node.function} {parts[1]}"
    return f"{node.function}( {', '.join(parts)} )"


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
)
leaves = st.one_of(values.map(Literal), st.text(min_size=1, max_size=10).map(Column))


def calls(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    known = values.filter(lambda value: value is not None).map(Literal)
    two = st.sampled_from(["+", "-", "*", "/", "//", "%", "and", "or", "contains", *COMPARISONS])
    one = st.sampled_from(["not", "is null", "is not null", "hour", "abs", "lower"])
    return st.one_of(
        st.tuples(two, inner, inner).map(lambda parts: Call(parts[0], parts[1:])),
        st.tuples(one, inner).map(lambda parts: Call(parts[0], parts[1:])),
        inner.filter(lambda node: not isinstance(node, Literal)).map(lambda node: Call("negate", (node,))),
        st.tuples(inner, st.lists(known, min_size=1, max_size=3)).map(lambda parts: Call("in", (parts[0], *parts[1]))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: Call("concat", tuple(parts))),
    )


@settings(max_examples=200)
@given(st.recursive(leaves, calls, max_leaves=12))
def test_what_is_written_is_read_back(tree: Expression) -> None:
    assert parse_expression(written(tree)) == tree


@settings(max_examples=200)
@given(st.text(alphabet="ab1. '`\\()+-*/<>=!,notandiul", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert parse_expression(text) is not None
    except Invalid as error:
        assert error.hint
