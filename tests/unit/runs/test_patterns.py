"""Patterns: what SQLite says of them, and no pattern that takes for ever."""

import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.runs.patterns import as_glob, as_like, fits, pattern_of

ALPHABET = st.text("aAbB%_*?[]\\^-éÉ", max_size=8)
DATABASE = sqlite3.connect(":memory:", check_same_thread=False)


@given(st.sampled_from(["~", "like", "ilike"]), ALPHABET, ALPHABET)
def test_sqlite_says_the_same(operator: str, wanted: str, text: str) -> None:
    pattern = pattern_of(operator, wanted)
    if operator == "like":
        (said,) = DATABASE.execute("select ? glob ?", [text, as_glob(pattern)]).fetchone()
    else:
        (said,) = DATABASE.execute("select ? like ? escape '\\'", [text, as_like(pattern)]).fetchone()
    assert fits(operator, wanted, text) == bool(said)


@pytest.mark.parametrize(
    ("operator", "wanted", "text", "answer"),
    [
        ("~", "For", "a forest", True),
        ("~", "for*", "a forest", False),
        ("~", "*for??t", "a FOREST", True),
        ("~", "", "x", True),
        ("like", "a%t", "a forest", True),
        ("like", "A%t", "a forest", False),
        ("like", "a forest", "a forest", True),
        ("like", "forest", "a forest", False),
        ("ilike", "A FOR_ST", "a forest", True),
    ],
)
def test_what_fits(operator: str, wanted: str, text: str, answer: bool) -> None:
    assert fits(operator, wanted, text) is answer


def test_no_pattern_takes_for_ever() -> None:
    begin = time.process_time()
    assert not fits("like", "%a" * 200 + "b", "a" * 4000)
    assert time.process_time() - begin < 10, "steps are bounded by the product of the lengths"
