"""Traces, evaluation datasets and scorers: what is kept of them, and that the catalog is a function of the events."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import NotFound
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs.evaluation_dataset import PROJECTION as EVALUATION
from charkh.runs.evaluation_dataset import EvaluationDatasets, RecordsOf
from charkh.runs.evaluation_datasets import (
    change_evaluation_dataset,
    delete_evaluation_dataset,
    find_evaluation_dataset,
    make_evaluation_dataset,
    merge_records,
    read_records,
    remove_records,
)
from charkh.runs.json_values import kept_value
from charkh.runs.scorer import PROJECTION as SCORERS
from charkh.runs.scorer import ScorersIn, find_scorer, register_scorer, remove_scorer
from charkh.runs.trace import Span, SpanEvent
from charkh.runs.trace_index import PROJECTION, SpansOf, TracesByIds, TracesIn
from charkh.runs.traces import (
    assess_trace,
    decode_spans,
    delete_traces,
    drop_assessment,
    find_trace,
    in_order,
    link_traces,
    log_spans,
    log_trace,
    read_spans,
    read_texts,
    scan_traces,
    tag_trace,
)
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

NOUNS = (PROJECTION, EVALUATION, SCORERS, LINEAGE)
TRACE = f"tr-{'1' * 32}"
OTHER = f"tr-{'2' * 32}"


def span(number: int, parent: int = 0, **more: object) -> Span:
    fields = {"began_ns": number * 1000, "ended_ns": number * 1000 + 500, "name": f"span {number}", **more}
    return Span(otel="1" * 32, id=f"{number:016x}", parent=f"{parent:016x}" if parent else "", **fields)  # type: ignore[arg-type]


def told(store: Store) -> None:
    """Traces with everything that can be said of them, contradictions included."""
    for number, trace in enumerate((TRACE, OTHER, "tr-gone")):
        log_trace(store, trace, project="7", name="from spans", began_ms=900, inferred=True)
        log_trace(
            store,
            trace,
            project="7",
            name=f"trace {number}",
            state="ok",
            began_ms=1000 + number,
            duration_ms=5,
            run="r1" if number else "",
            asked="what is it?",
            tags={"a": "1", "long": "x" * 900},
            metadata={"m": "y" * 900},
        )
        log_trace(store, trace, project="7", name="from spans again", began_ms=800, inferred=True)
        log_spans(store, trace, [span(1), span(2, 1)])
        log_spans(store, trace, [span(2, 1, name="again")])
        tag_trace(store, trace, {"a": None, "b": "2", "c": "z" * 3000})
        tag_trace(store, trace, {"b": "3"})
    first = {"name": "good", "kind": "feedback", "created_ms": 1, "updated_ms": 1}
    assess_trace(store, TRACE, "a-1", {"feedback": {"value": True}}, value=True, **first)  # type: ignore[arg-type]
    assess_trace(store, TRACE, "a-2", {"feedback": {"value": "no"}}, value="no", overrides="a-1", **first)  # type: ignore[arg-type]
    assess_trace(store, TRACE, "a-3", {"feedback": {}}, **first)  # type: ignore[arg-type]
    drop_assessment(store, TRACE, "a-3")
    link_traces(store, [TRACE, OTHER], "r2")
    delete_traces(store, ["tr-gone"])


def test_the_catalog_does_not_depend_on_the_order_of_events() -> None:
    store = memory_store(*NOUNS)
    told(store)
    one = make_evaluation_dataset(store, "one", tags={"a": "1"}, projects=["7"])
    change_evaluation_dataset(store, one.id, tags={"a": None, "b": "2"}, projects={"7": False, "8": True})
    merge_records(store, one.id, [{"inputs": {"q": number}} for number in range(3)])
    remove_records(store, one.id, [str(read_records(store, one.id)[0]["dataset_record_id"])])
    delete_evaluation_dataset(store, make_evaluation_dataset(store, "two").id)
    for _ in range(2):
        register_scorer(store, "7", "judge", "{}")
    remove_scorer(store, "7", "judge", 1)
    queries = [
        TracesByIds(traces=(TRACE, OTHER, "tr-gone")),
        TracesIn(projects=("7",), limit=10),
        SpansOf(traces=(TRACE,)),
        EvaluationDatasets(),
        RecordsOf(dataset=one.id),
        ScorersIn(project="7"),
    ]
    assert_order_free(NOUNS, payloads_of(store), queries)


def test_what_a_client_says_goes_before_what_spans_say() -> None:
    store = memory_store(*NOUNS)
    told(store)
    found = find_trace(store, TRACE)
    assert (found.logged.name, found.logged.began_ms, found.ended_ms) == ("trace 0", 1000, 1005)
    assert (found.tags["b"], "a" in found.tags, found.runs) == ("3", False, ("r2",))
    assert find_trace(store, OTHER).runs == ("r1", "r2")
    assert len(found.tags["c"]) == 500 and found.long_tags["c"].size == 3000
    texts = read_texts(store, [found])[TRACE]
    assert (texts.asked, texts.answered, texts.metadata) == ("what is it?", None, {"m": "y" * 900})
    assert [(each.name, each.parent) for each in read_spans(store, [TRACE])[TRACE]] == [
        ("span 1", ""),
        ("again", f"{1:016x}"),
    ]
    by_id = {each.assessment: found.is_valid(each) for each in found.assessments}
    assert by_id == {"a-1": False, "a-2": True}
    with pytest.raises(NotFound, match="no trace"):
        find_trace(store, "tr-gone")


def test_a_scan_reads_every_trace_once_in_both_directions() -> None:
    store = memory_store(*NOUNS)
    for number in range(12):
        log_trace(store, f"tr-{number:02}", project="7" if number % 2 else "8", began_ms=number // 3)
    for rising in (False, True):
        query = TracesIn(projects=("7", "8"), limit=100, rising=rising)
        everything = [each.id for each in scan_traces(store, query)]
        assert sorted(everything) == [f"tr-{number:02}" for number in range(12)]
        pages: list[str] = []
        after = None
        while page := store.queries.ask(TracesIn(projects=("7", "8"), limit=5, rising=rising, after=after)):
            pages += [each.id for each in page]
            after = (page[-1].logged.began_ms, page[-1].id)
        assert pages == everything
    assert len(list(scan_traces(store, TracesIn(projects=("7",), limit=100, since_ms=1, until_ms=2)))) == 3


def test_credentials_do_not_enter_the_store() -> None:
    store = memory_store(*NOUNS)
    secret = "sk-" + "a" * 40
    log_trace(store, TRACE, project="7", asked=f"use {secret}", tags={"t": secret}, metadata={"m": secret})
    log_spans(store, TRACE, [span(1, attributes={"input": {"key": secret}}, message=secret)])
    tag_trace(store, TRACE, {"u": secret * 50})
    found = find_trace(store, TRACE)
    texts = read_texts(store, [found])[TRACE]
    spans = read_spans(store, [TRACE])[TRACE]
    assert secret not in f"{found}{texts}{spans}" and b"".join(payloads_of(store)).find(secret.encode()) < 0


def test_records_with_the_same_inputs_are_one_record() -> None:
    store = memory_store(*NOUNS)
    made = make_evaluation_dataset(store, "questions", projects=["7"])
    first = merge_records(store, made.id, [{"inputs": {"a": 1, "b": 2}, "tags": {"x": "1"}}, {"inputs": {"a": 2}}])
    second = merge_records(store, made.id, [{"inputs": {"b": 2, "a": 1}, "expectations": {"e": 1}, "tags": {"y": "2"}}])
    assert (first, second) == ((2, 0), (0, 1))
    merged = next(each for each in read_records(store, made.id) if each["inputs"] == {"a": 1, "b": 2})
    assert (merged["tags"], merged["expectations"]) == ({"x": "1", "y": "2"}, {"e": 1})
    assert find_evaluation_dataset(store, made.id).records == 2
    assert remove_records(store, made.id, [str(merged["dataset_record_id"]), "other"]) == 1
    assert [each["inputs"] for each in read_records(store, made.id)] == [{"a": 2}]
    delete_evaluation_dataset(store, made.id)
    with pytest.raises(NotFound):
        find_evaluation_dataset(store, made.id)


def test_a_scorers_number_is_never_given_again() -> None:
    store = memory_store(*NOUNS)
    assert [register_scorer(store, "7", "judge", text).number for text in ("a", "b")] == [1, 2]
    remove_scorer(store, "7", "judge", 2)
    assert find_scorer(store, "7", "judge").number == 1
    assert register_scorer(store, "7", "judge", "c").number == 3
    remove_scorer(store, "7", "judge")
    with pytest.raises(NotFound):
        find_scorer(store, "7", "judge")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_that_was_kept_is_read_again(value: object) -> None:
    kept = kept_value(value)
    assert msgspec.json.decode(msgspec.json.encode(kept)) == kept == kept_value(kept)


def test_values_that_json_cannot_say_are_texts() -> None:
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    shown = str(kept_value({"a": math.nan, "b": [-math.inf, 1 << 70], "c": deep}))
    assert shown.startswith("{'a': 'NaN', 'b': ['-Infinity', '1180591620717411303424'], 'c': [[") and "…" in shown


def test_spans_that_were_erased_show_as_nothing() -> None:
    made = span(1, events=(SpanEvent("seen", 5, {"a": 1}),))
    assert decode_spans(msgspec.json.encode([made])) == (made,)
    assert decode_spans(b"\0 erased") == ()


def test_the_first_span_comes_first() -> None:
    late_root = span(9)
    assert [each.id for each in in_order([span(2, 9), late_root, span(1, 9)])] == [
        late_root.id,
        span(1).id,
        span(2).id,
    ]
