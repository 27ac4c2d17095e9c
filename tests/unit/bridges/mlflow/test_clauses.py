"""The clauses of a filter: what is read, what is refused, and that reading any text ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.bridges.mlflow.clauses import Clause, like_match, matches, parse_clauses, parse_order
from charkh.bridges.mlflow.envelope import MlflowError


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("name = 'a'", [Clause("", "name", "=", "a")]),
        (
            "name LIKE 'a%' and tags.`my key` != 'x'",
            [Clause("", "name", "LIKE", "a%"), Clause("tags", "my key", "!=", "x")],
        ),
        ("tag.\"a.b\" ilike 'X'", [Clause("tag", "a.b", "ILIKE", "X")]),
        ("version_number >= 3", [Clause("", "version_number", ">=", 3.0)]),
        ("metrics.loss < -1.5e-3", [Clause("metrics", "loss", "<", -0.0015)]),
        ("run_id IN ('a', 'b')", [Clause("", "run_id", "IN", ("a", "b"))]),
        ("run_id NOT IN ('a')", [Clause("", "run_id", "NOT IN", ("a",))]),
        ("name = 'it''s'", [Clause("", "name", "=", "it's")]),
        ("tags.mlflow.prompt.is_prompt = 'true'", [Clause("tags", "mlflow.prompt.is_prompt", "=", "true")]),
        ("params.lr='0.1'AND name='x'", [Clause("params", "lr", "=", "0.1"), Clause("", "name", "=", "x")]),
    ],
)
def test_a_filter_is_read(text: str, clauses: list[Clause]) -> None:
    assert list(parse_clauses(text)) == clauses


@pytest.mark.parametrize(
    "text",
    ["name", "name =", "= 'a'", "name ~ 'a'", "name = 'a' OR name = 'b'", "name = 'a", "(name = 'a')", "name IN ()",
     "name IN ('a'", "name IN (1)", "name IN 'a'", "NOT name = 'a'", "name = 'a' AND", "name = 'a'; DROP", "name = b",
     "x" * 70_000, " AND ".join(["a = 'b'"] * 300)],
)  # fmt: skip
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(MlflowError) as caught:
        parse_clauses(text)
    assert caught.value.status == 400


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="name'\"`=<>!() ,.AND IN LIKE%_0123-", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        clauses = parse_clauses(text)
    except MlflowError:
        return
    assert all(isinstance(matches(clause, "x"), bool) and isinstance(matches(clause, 1.0), bool) for clause in clauses)


@settings(max_examples=300, deadline=None)
@given(st.text("ab_%", max_size=12), st.text("ab_%", max_size=6))
def test_like_is_sqls(text: str, pattern: str) -> None:
    assert like_match(text, pattern) == _slowly(text, pattern)


def _slowly(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(_slowly(text[place:], pattern[1:]) for place in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and _slowly(text[1:], pattern[1:])


def test_a_hostile_pattern_ends() -> None:
    assert not like_match("a" * 100_000, "%a" * 5_000 + "%b")
    with pytest.raises(MlflowError):
        like_match("a" * 100_000, "%a_" * 5_000 + "b")


def test_what_a_thing_lacks_matches_nothing() -> None:
    for operator in ("=", "!=", "LIKE", "NOT IN"):
        assert not matches(Clause("tags", "a", operator, ("x",) if operator == "NOT IN" else "x"), None)


def test_an_order_is_read() -> None:
    assert parse_order("name") == ("name", True)
    assert parse_order("version_number DESC") == ("version_number", False)
    for text in ("", "name UP", "name DESC x", "'name'"):
        with pytest.raises(MlflowError):
            parse_order(text)
