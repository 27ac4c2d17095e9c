"""Search traces: pages in the order of time are read as far as they reach, other orders sort what meets the filter."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from charkh.bridges.mlflow.call import Call, Route, as_fields, missing
from charkh.bridges.mlflow.clauses import parse_order
from charkh.bridges.mlflow.envelope import invalid, number
from charkh.bridges.mlflow.experiments import results, visible_experiments
from charkh.bridges.mlflow.pages import fields_of, more, page, start_of, token_of
from charkh.bridges.mlflow.trace_filters import ATTRIBUTES, ENTITIES, TraceFilter, meeting, parse_filter
from charkh.bridges.mlflow.trace_shape import STATES, info_shapes
from charkh.runs.trace import Trace
from charkh.runs.trace_index import TracesIn
from charkh.runs.traces import PAGE, scan_traces

MAX_RESULTS = 500
DEFAULT_RESULTS = 100
MAX_SORTED = 100_000
"""Traces that are looked at for one answer; more than these are to be narrowed down by time."""

ORDERS = ("experiment_id", "timestamp_ms", "execution_time_ms", "end_time_ms", "status", "request_id", "name", "run_id")


def search(call: Call) -> dict[str, Any]:
    """The traces of some experiments that meet a filter, page by page."""
    if not call.items("locations"):
        raise missing("locations")
    ids: list[str] = []
    for location in call.items("locations"):
        place = as_fields(location.get("mlflow_experiment")) or {}
        if isinstance(place.get("experiment_id"), str):
            ids.append(str(place["experiment_id"]))
    found, token = search_page(call, ids)
    return {"traces": info_shapes(call, found), **more(token)}


def search_page(call: Call, experiments: Sequence[str]) -> tuple[Sequence[Trace], str]:
    """A page of what a call's filter, order and token ask for, and the token of the next page.

    Raises:
        MlflowError: they cannot be read, or reach too far.
    """
    if not experiments:
        raise missing("experiment_ids")
    size = results(call, DEFAULT_RESULTS, MAX_RESULTS)
    wanted = parse_filter(call.text("filter", ""))
    keys = [_order(text) for text in call.texts("order_by")]
    token = call.text("page_token", "")
    projects = _projects(call, experiments)
    if not keys or keys[0][0] == "timestamp_ms":
        return _in_time(call, projects, wanted, bool(keys) and keys[0][1], token, size)
    found = list(_looked_at(call, projects, wanted, rising=False, after=None))
    for key, rising in reversed([*keys, ("request_id", True)]):
        found.sort(key=lambda trace, key=key: _sort_value(trace, key), reverse=not rising)
    return page(found, token, size)


def correlate(call: Call) -> dict[str, Any]:
    """How often two filters meet the same traces, as normalized pointwise mutual information (Bouma, 2009)."""
    experiments = call.texts("experiment_ids")
    if not experiments:
        raise missing("experiment_ids")
    base = call.text("base_filter", "")
    first, second = (parse_filter(call.text(name)) for name in ("filter_string1", "filter_string2"))
    ids = [
        {trace.id for trace in _looked_at(call, _projects(call, experiments), wanted, rising=False, after=None)}
        for wanted in (parse_filter(base), first, second)
    ]
    among, one, other = ids[0], ids[0] & ids[1], ids[0] & ids[2]
    both = len(one & other)
    counts = (both, len(one) - both, len(other) - both, len(among) - len(one) - len(other) + both)
    defined = bool(one and other)
    plain = -1.0 if defined and not both else _npmi(counts, 0.0)
    return {
        "npmi": number(plain if defined else math.nan),
        "npmi_smoothed": number(_npmi(counts, 0.5) if defined else math.nan),
        "filter1_count": len(one),
        "filter2_count": len(other),
        "joint_count": both,
        "total_count": len(among),
    }


def _npmi(counts: tuple[int, int, int, int], smoothing: float) -> float:
    both, only_one, only_other, neither = (each + smoothing for each in counts)
    total = both + only_one + only_other + neither
    if both <= 0:
        return math.nan
    if not any(counts[1:]):
        return 1.0
    shared = math.log(both / total)
    found = (shared - math.log((both + only_one) / total) - math.log((both + only_other) / total)) / -shared
    return min(max(found, -1.0), 1.0)


def _in_time(
    call: Call, projects: tuple[str, ...], wanted: TraceFilter, rising: bool, token: str, size: int
) -> tuple[Sequence[Trace], str]:
    after = None
    if token:
        place = fields_of(token).get("after")
        match place:
            case [int(moment), str(identifier)]:
                after = (moment, identifier)
            case _:
                raise invalid(f"Invalid page token, parsed value={fields_of(token)}")
    found: list[Trace] = []
    for trace in _looked_at(call, projects, wanted, rising=rising, after=after):
        if len(found) == size:
            last = found[-1]
            return found, token_of(start_of(token) + size, after=[last.logged.began_ms, last.id])
        found.append(trace)
    return found, ""


def _looked_at(
    call: Call, projects: tuple[str, ...], wanted: TraceFilter, *, rising: bool, after: tuple[int, str] | None
) -> Iterator[Trace]:
    """The traces that meet a filter, in the order of time."""
    if not projects:
        return
    query = TracesIn(
        projects=projects,
        limit=MAX_SORTED + 1,
        rising=rising,
        after=after,
        since_ms=wanted.since_ms,
        until_ms=wanted.until_ms,
        run=wanted.run,
    )
    budget = wanted.budget()
    some: list[Trace] = []
    for count, trace in enumerate(scan_traces(call.store, query)):
        if count >= MAX_SORTED:
            raise invalid(
                f"More than {MAX_SORTED} traces would have to be looked at: narrow them down by timestamp_ms."
            )
        some.append(trace)
        if len(some) == PAGE:
            yield from meeting(call.store, wanted, some, budget)
            some = []
    yield from meeting(call.store, wanted, some, budget)


def _projects(call: Call, experiments: Sequence[str]) -> tuple[str, ...]:
    visible = {each.id for each in visible_experiments(call, deleted=None)}
    return tuple(sorted(visible & set(experiments)))


def _order(text: str) -> tuple[str, bool]:
    name, rising = parse_order(text)
    entity, dot, key = name.rpartition(".")
    key = ATTRIBUTES.get(key.strip('`"'), key.strip('`"'))
    if (dot and ENTITIES.get(entity) != "attribute") or key not in ORDERS:
        raise invalid(f"Invalid order_by clause '{text}': traces are ordered by one of {sorted(ORDERS)}")
    return key, rising


def _sort_value(trace: Trace, key: str) -> tuple[bool, str | int]:
    logged = trace.logged
    values: dict[str, str | int | None] = {
        "experiment_id": logged.project,
        "timestamp_ms": logged.began_ms,
        "execution_time_ms": logged.duration_ms,
        "end_time_ms": trace.ended_ms,
        "status": STATES[logged.state],
        "request_id": trace.id,
        "name": logged.name,
        "run_id": logged.run,
    }
    value = values[key]
    return (False, 0) if value is None else (True, value)


ROUTES = (
    Route("POST", "/mlflow/traces/search", search, "reader", ("3.0",)),
    Route("POST", "/mlflow/traces/calculate-filter-correlation", correlate, "reader", ("2.0", "3.0")),
)
