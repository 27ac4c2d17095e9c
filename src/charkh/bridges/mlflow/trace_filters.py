"""MLflow's filter of traces: attributes, tags, metadata, spans and assessments, and how one trace meets it.

Times bound what is read at all; labels, assessments and the index of spans are in the catalog; what spans hold is
read from the vault, for a bounded number of traces. `RLIKE` is matched by an engine without backtracking.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from charkh.bridges.mlflow.call import as_fields, as_items
from charkh.bridges.mlflow.clauses import COMPARE, NULLS, Clause, matches, parse_clauses
from charkh.bridges.mlflow.envelope import invalid
from charkh.bridges.mlflow.trace_shape import LINKED_PROMPTS, SOURCE_RUN, STATES, TRACE_NAME
from charkh.ports.store import Store
from charkh.runs.trace import Span, SpansLogged, Trace
from charkh.runs.trace_index import SpansOf
from charkh.runs.traces import read_spans

MAX_READ = 5000
"""Traces whose spans are read for one answer."""

READ_AT_ONCE = 100

ENTITIES: Mapping[str, str] = {
    **dict.fromkeys(("", "attribute", "attributes", "trace"), "attribute"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
    **{each: each for each in ("span", "feedback", "expectation")},
}
ATTRIBUTES: Mapping[str, str] = {
    "timestamp": "timestamp_ms",
    "execution_time": "execution_time_ms",
    "end_time": "end_time_ms",
    "trace_id": "request_id",
    "state": "status",
}
"""Other words for attributes."""

NUMBERS = ("timestamp_ms", "execution_time_ms", "end_time_ms")
TEXTS = ("request_id", "status", "client_request_id", "name", "run_id", "text", "prompt")
_NUMBER_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_TEXT_OPERATORS = ("=", "!=", "LIKE", "ILIKE", "RLIKE")
_LISTED = (*_TEXT_OPERATORS, "IN", "NOT IN")
_SPAN_WORDS = ("name", "type", "status")


class TraceFilter(NamedTuple):
    """A filter that was judged.

    Attributes:
        clauses: entities and keys have one spelling.
        since_ms, until_ms: a trace that meets it began in this time.
        run: a trace that meets it belongs to this run; any where it is empty.
    """

    clauses: tuple[Clause, ...]
    since_ms: int | None = None
    until_ms: int | None = None
    run: str = ""

    def budget(self) -> "Budget":
        """What may be read for one answer."""
        return Budget()


class Budget:
    """Counts the traces whose spans were read for one answer."""

    def __init__(self) -> None:
        self.left = MAX_READ

    def spend(self, count: int) -> None:
        """Count some more.

        Raises:
            MlflowError: there are too many.
        """
        self.left -= count
        if self.left < 0:
            raise invalid(
                f"The spans of more than {MAX_READ} traces would have to be read: narrow them down by timestamp_ms,"
                " status or a tag."
            )


def parse_filter(text: str) -> TraceFilter:
    """A filter as its words mean it.

    Raises:
        MlflowError: it does not follow the grammar.
    """
    clauses = tuple(map(_judged, parse_clauses(text, operators=("RLIKE",))))
    lower = [_bound(each, 1) for each in clauses if _is_time(each) and each.operator in {"=", ">", ">="}]
    upper = [_bound(each, -1) for each in clauses if _is_time(each) and each.operator in {"=", "<", "<="}]
    runs = [each for each in clauses if each.entity == "attribute" and each.key == "run_id" and each.operator == "="]
    run = str(runs[0].value) if runs else ""
    return TraceFilter(
        clauses=clauses,
        since_ms=max(lower, default=None),
        until_ms=min(upper, default=None),
        run=run,
    )


def meeting(store: Store, wanted: TraceFilter, traces: Sequence[Trace], budget: Budget) -> Iterator[Trace]:
    """Those of these traces that meet a filter; what costs the least is asked first."""
    plain = [each for each in wanted.clauses if each.entity != "span" and each.key != "text"]
    indexed = [each for each in wanted.clauses if each.entity == "span" and each.key in _SPAN_WORDS]
    read = [each for each in wanted.clauses if each not in plain and each not in indexed]
    found = [trace for trace in traces if all(_meets(trace, each) for each in plain)]
    if found and indexed:
        batches = store.queries.ask(SpansOf(traces=tuple(each.id for each in found)))
        found = [trace for trace in found if _rows_meet(batches.get(trace.id, ()), indexed)]
    if not read:
        yield from found
        return
    for start in range(0, len(found), READ_AT_ONCE):
        some = found[start : start + READ_AT_ONCE]
        budget.spend(len(some))
        spans = read_spans(store, tuple(each.id for each in some))
        yield from (trace for trace in some if all(_spans_meet(spans[trace.id], each) for each in read))


def _judged(clause: Clause) -> Clause:
    entity = ENTITIES.get(clause.entity)
    if entity is None:
        raise invalid(f"Invalid entity type '{clause.entity}'. Valid values are {sorted(filter(None, ENTITIES))}")
    key = ATTRIBUTES.get(clause.key, clause.key) if entity == "attribute" else clause.key
    if entity == "attribute":
        _judge_attribute(clause, key)
    elif entity == "span":
        _judge_span(clause)
    else:
        listed = entity in {"feedback", "expectation"}
        _require(clause, (*(_LISTED if listed else _TEXT_OPERATORS), *NULLS), f"{entity}.{key}")
        if clause.operator not in NULLS and not _is_text(clause):
            raise invalid(
                f"Expected a quoted string value for {entity} (e.g. 'my-value'). Got value {_shown(clause.value)}"
            )
    return clause._replace(entity=entity, key=key)


def _judge_attribute(clause: Clause, key: str) -> None:
    if key in NUMBERS:
        _require(clause, _NUMBER_OPERATORS, key)
        if not isinstance(clause.value, float) or not math.isfinite(clause.value):
            raise invalid(f"Expected a number for {key}. Got value {_shown(clause.value)}")
        return
    if key not in TEXTS:
        raise invalid(f"Invalid attribute key '{clause.key}' specified. Valid keys are '{sorted((*NUMBERS, *TEXTS))}'")
    _require(clause, ("LIKE", "ILIKE") if key == "text" else _LISTED, key)
    if not _is_text(clause):
        raise invalid(
            "Expected a quoted string value or a list of quoted string values for attributes. Got value"
            f" {_shown(clause.value)}"
        )


def _judge_span(clause: Clause) -> None:
    key = clause.key
    if key == "content":
        _require(clause, ("LIKE", "ILIKE"), "span.content")
    elif key in _SPAN_WORDS or (key.startswith("attributes.") and key != "attributes."):
        _require(clause, _LISTED, f"span.{key}")
    elif key == "attributes.":
        raise invalid("Span attribute name cannot be empty after 'attributes.'")
    else:
        raise invalid(
            f"Invalid span attribute '{key}'. Supported attributes: name, status, type, attributes.<attribute_name>."
        )
    if not _is_text(clause):
        raise invalid(f"Expected a quoted string value for span (e.g. 'my-value'). Got value {_shown(clause.value)}")


def _require(clause: Clause, allowed: Sequence[str], what: str) -> None:
    if clause.operator not in allowed:
        raise invalid(f"Invalid comparator '{clause.operator}' for {what}: it is not one of {sorted(allowed)}")


def _is_text(clause: Clause) -> bool:
    return isinstance(clause.value, tuple) == (clause.operator in {"IN", "NOT IN"}) and not isinstance(
        clause.value, float
    )


def _is_time(clause: Clause) -> bool:
    return clause.entity == "attribute" and clause.key == "timestamp_ms"


def _bound(clause: Clause, direction: int) -> int:
    value = clause.value if isinstance(clause.value, float) else 0.0
    value = min(max(value, -(2.0**62)), 2.0**62)
    return math.ceil(value) if direction > 0 else math.floor(value)


def _meets(trace: Trace, clause: Clause) -> bool:
    if clause.entity == "tag":
        return _holds(clause, trace.tags.get(clause.key))
    if clause.entity == "metadata":
        return _holds(clause, trace.logged.metadata.get(clause.key))
    if clause.entity in {"feedback", "expectation"}:
        said = [each.value for each in trace.assessments if each.kind == clause.entity and each.name == clause.key]
        if clause.operator in NULLS:
            return bool(said) == (clause.operator == "IS NOT NULL")
        return any(_value_meets(clause, each) for each in said)
    return _attribute_meets(trace, clause)


def _attribute_meets(trace: Trace, clause: Clause) -> bool:
    logged, key = trace.logged, clause.key
    if key == "run_id":
        runs = trace.runs or tuple(filter(None, (logged.metadata.get(SOURCE_RUN),)))
        return any(_holds(clause, each) for each in runs)
    if key == "prompt":
        return any(_holds(clause, each) for each in _prompts(trace))
    values: dict[str, Callable[[], str | float | None]] = {
        "timestamp_ms": lambda: float(logged.began_ms),
        "execution_time_ms": lambda: None if logged.duration_ms is None else float(logged.duration_ms),
        "end_time_ms": lambda: None if trace.ended_ms is None else float(trace.ended_ms),
        "request_id": lambda: trace.id,
        "status": lambda: STATES[logged.state],
        "client_request_id": lambda: logged.request or None,
        "name": lambda: trace.tags.get(TRACE_NAME) or logged.name or None,
    }
    return _holds(clause, values[key]())


def _prompts(trace: Trace) -> list[str]:
    """The versions of prompts that a trace says it used, as `name/version`."""
    try:
        told: Any = json.loads(trace.tags.get(LINKED_PROMPTS, "[]"))
    except (ValueError, RecursionError):
        return []
    fields = [as_fields(each) or {} for each in as_items(told)]
    return [f"{each.get('name')}/{each.get('version')}" for each in fields]


def _holds(clause: Clause, held: str | float | None) -> bool:
    if clause.operator != "RLIKE":
        return matches(clause, held)
    return held is not None and _found(str(clause.value), str(held))


def _value_meets(clause: Clause, value: str) -> bool:
    """Whether the JSON of a value, or the text in it, meets a clause."""
    plain = _plain(value)
    if clause.operator in {"!=", "NOT IN"}:
        return all(_holds(clause, each) for each in {value, plain})
    return any(_holds(clause, each) for each in {value, plain})


def _plain(value: str) -> str:
    try:
        found: Any = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, str) else value


def _rows_meet(batches: Sequence[SpansLogged], clauses: Sequence[Clause]) -> bool:
    rows = [row for batch in batches for row in batch.spans]
    words = {
        "name": [row.name for row in rows],
        "type": [row.type for row in rows],
        "status": [row.status.upper() for row in rows],
    }
    return all(any(_holds(clause, each) for each in words[clause.key]) for clause in clauses)


def _spans_meet(spans: Sequence[Span], clause: Clause) -> bool:
    if clause.key in {"content", "text"}:
        return any(COMPARE[clause.operator](_content(span), clause.value) for span in spans)
    name = clause.key.removeprefix("attributes.")
    held = [span.attributes[name] for span in spans if name in span.attributes]
    return any(_value_meets(clause, json.dumps(each, ensure_ascii=False)) for each in held)


def _content(span: Span) -> str:
    return msgspec.json.encode(span).decode()


def _found(pattern: str, text: str) -> bool:
    """Whether a regular expression is found in a text, in a time that grows with both lengths alone.

    Rust's engine, which Polars has: no backtracking, and a bound on the size of what a pattern compiles to.

    Raises:
        MlflowError: it is no such expression.
    """
    import polars  # here, because few filters need it

    try:
        return bool(polars.Series([text]).str.contains(pattern, strict=True)[0])
    except polars.exceptions.ComputeError as error:
        raise invalid(f"The regular expression {pattern[:200]!r} cannot be used: {str(error)[:200]}") from error


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
