"""Whose trace a request belongs to, by W3C Trace Context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.endpoints.tracing import Tracer, parse_parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-09", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f" 00-{TRACE}-{SPAN}-01", None),
        ("", None),
    ],
)
def test_a_parent_is_read_as_the_recommendation_has_it(header: str, found: tuple[str, str, bool] | None) -> None:
    assert parse_parent(header) == found


@given(st.text())
def test_whatever_a_client_sends_begins_a_trace_or_none(header: str) -> None:
    trace = Tracer(1.0).begin(header)
    assert trace is not None
    assert parse_parent(trace.header) == (trace.trace, trace.span, True)


def test_the_caller_decides_where_it_says_something_and_the_share_where_not() -> None:
    never, always = Tracer(0.0), Tracer(1.0)
    assert never.begin("") is None
    assert never.begin("garbage") is None
    assert always.begin(f"00-{TRACE}-{SPAN}-00") is None
    joined = never.begin(f"00-{TRACE}-{SPAN}-01")
    assert joined is not None
    assert (joined.trace, joined.parent) == (TRACE, SPAN)
    assert joined.span != SPAN


def test_spans_that_nobody_takes_are_let_go_and_counted() -> None:
    tracer = Tracer(1.0, most=3)
    for number in range(4):
        trace = tracer.begin("")
        assert trace is not None
        tracer.end(trace, f"request {number}")
    assert tracer.dropped == 1
    assert [span.name for span in tracer.take(2)] == ["request 1", "request 2"]
    assert [span.name for span in tracer.take(9)] == ["request 3"]


def test_the_models_own_time_lies_within_the_request() -> None:
    tracer = Tracer(1.0)
    trace = tracer.begin("")
    assert trace is not None
    tracer.end(trace, "infer", compute=3600.0, error="the model failed")
    inner, outer = tracer.take(9)
    assert (inner.parent, inner.inner) == (outer.span, True)
    assert outer.began <= inner.began <= inner.ended <= outer.ended
    assert outer.error == "the model failed"
