"""The search grammar: what it reads, and where it says that it cannot."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.runs.query import (
    NEWEST_FIRST,
    All,
    Any_,
    Comparison,
    Field,
    Not,
    Order,
    matches,
    sorting_key,
)
from charkh.runs.query_parser import parse_condition, parse_order

RATE = Field("params", "opt.rate")
AUC = Field("metrics", "auc")
NOW = 1e9


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", None),
        ("  ", None),
        ("params.opt.rate >= 0.1", Comparison(RATE, ">=", (0.1,))),
        ("param.opt.rate=-3", Comparison(RATE, "==", (-3,))),
        ("metrics.auc <> 1e-3", Comparison(AUC, "!=", (0.001,))),
        ("metric.`my metric` < .5", Comparison(Field("metrics", "my metric"), "<", (0.5,))),
        ("metrics.loss/train > 1", Comparison(Field("metrics", "loss/train"), ">", (1,))),
        ("metrics.loss[val] > 1", Comparison(Field("metrics", "loss[val]"), ">", (1,))),
        ("max(metrics.auc) > 0.8", Comparison(Field("high", "auc"), ">", (0.8,))),
        ("MIN(metrics.auc) > 0.8", Comparison(Field("low", "auc"), ">", (0.8,))),
        ("last(metrics.auc) > 0.8", Comparison(AUC, ">", (0.8,))),
        ('tags.stage = "it\'s"', Comparison(Field("tags", "stage"), "==", ("it's",))),
        (r"name ~ 'a\'b'", Comparison(Field("run", "name"), "~", ("a'b",))),
        ("params.opt.rate is null", Comparison(RATE, "is null")),
        ("params.opt.rate IS NOT NULL", Comparison(RATE, "is not null")),
        ("status in ('finished', 'failed')", Comparison(Field("run", "status"), "in", ("finished", "failed"))),
        ("params.opt.rate not in (1, 'a', true)", Comparison(RATE, "not in", (1, "a", True))),
        ("started >= '1970-01-02'", Comparison(Field("run", "created"), ">=", (86400.0,))),
        ("user = 'ann'", Comparison(Field("run", "user"), "==", ("ann",))),
        ("first(metrics.auc) > 1", Comparison(Field("first", "auc"), ">", (1,))),
        ("count(metrics.auc) >= 10", Comparison(Field("count", "auc"), ">=", (10,))),
        ("best(metrics.`my auc`) >= 1", Comparison(Field("best", "my auc"), ">=", (1,))),
        ("text(params.opt.rate) = '0.1'", Comparison(Field("told", "opt.rate"), "==", ("0.1",))),
        ("text ~ 'forest'", Comparison(Field("text", ""), "~", ("forest",))),
        ("data in ('flights@3', 'weather')", Comparison(Field("data", ""), "in", ("flights@3", "weather"))),
        ("not artifact = 'model.pkl'", Not(Comparison(Field("artifact", ""), "==", ("model.pkl",)))),
        ("project ~ 'a/*' ", Comparison(Field("run", "project"), "~", ("a/*",))),
        ("name LIKE 'a%'", Comparison(Field("run", "name"), "like", ("a%",))),
        ("tags.x ilike '_b'", Comparison(Field("tags", "x"), "ilike", ("_b",))),
        ("dirty = true", Comparison(Field("run", "dirty"), "==", (True,))),
        ("duration > 2h", Comparison(Field("run", "duration"), ">", (7200.0,))),
        ("created > -1d", Comparison(Field("run", "created"), ">", (NOW - 86400,))),
        ("created > '-90m'", Comparison(Field("run", "created"), ">", (NOW - 5400,))),
        ("created >= today", Comparison(Field("run", "created"), ">=", (86400 * 11574.0,))),
        ("created < yesterday", Comparison(Field("run", "created"), "<", (86400 * 11573.0,))),
        ("ended <= now", Comparison(Field("run", "ended"), "<=", (NOW,))),
        (
            "created = '1970-01-02'",
            All(
                (
                    Comparison(Field("run", "created"), ">=", (86400.0,)),
                    Comparison(Field("run", "created"), "<", (172800.0,)),
                )
            ),
        ),
        ("not not metrics.auc > 1", Comparison(AUC, ">", (1,))),
        (
            "not (metrics.auc > 1 or metrics.auc < 0) and duration > 60",
            All(
                (
                    Not(Any_((Comparison(AUC, ">", (1,)), Comparison(AUC, "<", (0,))))),
                    Comparison(Field("run", "duration"), ">", (60,)),
                )
            ),
        ),
    ],
)
def test_it_reads(text: str, condition: Any) -> None:
    assert parse_condition(text, now=NOW) == condition


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("metrics.auc >> 3", 13, "a value was expected"),
        ("auc > 3", 0, "did you mean metrics.auc, params.auc or tags.auc?"),
        ("nmae = 'x'", 0, "tags.nmae or name?"),
        ("artifact != 'x'", 9, "write e.g. not artifact = "),
        ("text > 'x'", 5, "a run has several of text"),
        ("created > 'soon'", 10, "such as '2026-01-31', -7d or today"),
        ("created > '2026-99-99'", 10, "is a time"),
        ("params.x > -7d", 11, "is no time"),
        ("status = failed", 9, "a text stands in quotes: write 'failed'"),
        ("duration > -7d", 11, "a value was expected"),
        ("dirty = 1", 8, "is true or false"),
        ("best(params.x) > 1", 5, "takes metrics.NAME"),
        ("text(metrics.x) = '1'", 5, "takes params.NAME"),
        ("name like 3", 10, "looks for a text"),
        ("params. > 3", 0, "a field was expected"),
        ("params.x", 8, "a comparison was expected"),
        ("params.x > 1 params.y > 2", 13, "'and', 'or' or the end"),
        ("(params.x > 1", 13, "')' was expected"),
        ("params.x > 1 and", 16, "a field was expected"),
        ("params.x # 1", 9, "not of the grammar"),
        ("params.x > 'open", 11, "not of the grammar"),
        ("metrics.auc = 'high'", 14, "is a number"),
        ("duration > true", 11, "is a number"),
        ("status = 3", 9, "is a text"),
        ("created > 'soon'", 10, "is a time"),
        ("max(params.x) > 1", 4, "takes metrics.NAME"),
        ("params.x in 3", 12, "'(' was expected"),
        ("params.x ~ 3", 11, "looks for a text"),
        ("params.x is 3", 12, "'null' was expected"),
        ("((((" * 20 + "params.x > 1", 50, "nested"),
    ],
)
def test_it_points_at_the_place(text: str, place: int, says: str) -> None:
    with pytest.raises(Invalid, match="cannot read the search") as caught:
        parse_condition(text)
    assert says in caught.value.message
    assert caught.value.facts["place"] == place
    lines = caught.value.message.split("\n")
    assert lines[-1].index("^") == place + 2


def test_an_endless_search_is_refused() -> None:
    with pytest.raises(Invalid, match="longer than"):
        parse_condition("params.x > 1 and " * 1000)


FIELD_WORDS = ["params.a", "metrics.b", "name", "null", "'x'", "3"]
WORDS = [*FIELD_WORDS, "=", ">", "~", "(", ")", ",", "and", "or", "not", "in", "is"]


@given(st.text(max_size=40) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        parse_condition(text)
    except Invalid as error:
        assert error.code == "run.bad_search"


def test_orders() -> None:
    assert parse_order("") == NEWEST_FIRST
    assert parse_order("metrics.auc desc, created") == (
        Order(AUC, descending=True),
        Order(Field("run", "created")),
    )
    assert parse_order("max(metrics.auc) DESC, name asc") == (
        Order(Field("high", "auc"), descending=True),
        Order(Field("run", "name")),
    )
    with pytest.raises(Invalid, match="a field was expected"):
        parse_order("auc")
    with pytest.raises(Invalid, match="the end was expected"):
        parse_order("name up")


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("params.x > 1", 2, True),
        ("params.x > 1", "2", False),
        ("params.x > 1", True, False),
        ("params.x > 'a'", "b", True),
        ("params.x == 1", True, False),
        ("params.x == true", True, True),
        ("params.x == true", "true", False),
        ("params.x != 1", "one", True),
        ("params.x != 1", math.nan, False),
        ("params.x < 1", math.nan, False),
        ("params.x != 1", None, False),
        ("not params.x = 1", None, True),
        ("params.x ~ 'OR'", "forest", True),
        ("params.x ~ 'or'", 3, False),
        ("params.x not in (1)", math.nan, False),
        ("params.x in (1, 'a')", "a", True),
        ("params.x not in (1, 'a')", [1], True),
        ("params.x is null", None, True),
        ("params.x is not null", False, True),
    ],
)
def test_a_condition_is_met(text: str, value: Any, met: bool) -> None:
    assert matches(parse_condition(text), lambda _field: value) is met


def test_missing_values_come_last_whichever_way_the_order_goes() -> None:
    values = [None, 2, "b", math.nan, 1, "a"]
    for text, expected in (("params.x", [1, 2, "a", "b"]), ("params.x desc", [2, 1, "b", "a"])):
        order = parse_order(text)
        ordered = sorted(values, key=lambda value: sorting_key(order, lambda _field: value))
        assert ordered[:4] == expected
