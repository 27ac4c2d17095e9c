"""Traces of MLflow's clients of version 2: begun and ended in two calls, their spans uploaded as a file."""

import secrets
from typing import Any

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.experiments import active_experiment
from charkh.bridges.mlflow.pages import more
from charkh.bridges.mlflow.run_shape import milliseconds
from charkh.bridges.mlflow.trace_search import search_page
from charkh.bridges.mlflow.trace_shape import (
    MAX_MS,
    SOURCE_RUN,
    STATE_WORDS,
    STATES,
    TRACE_NAME,
    known_trace,
    located_tags,
    read_labels,
    whole_tags,
)
from charkh.bridges.mlflow.traces import BOTH, path_id
from charkh.runs.trace import Trace, TraceTexts
from charkh.runs.traces import find_trace, log_trace, read_texts


def start(call: Call) -> dict[str, Any]:
    """Begin a trace; its id is made here."""
    project = active_experiment(call)
    metadata = read_labels(call.body.get("request_metadata"), "request_metadata")
    tags = read_labels(call.body.get("tags"), "tags")
    identifier = f"tr-{secrets.token_hex(16)}"
    made = log_trace(
        call.store,
        identifier,
        project=project.id,
        name=tags.get(TRACE_NAME, ""),
        state="in_progress",
        began_ms=_moment(call.whole("timestamp_ms", milliseconds(0))),
        run=metadata.get(SOURCE_RUN, ""),
        tags=located_tags(project, identifier) | tags,
        metadata=metadata,
    )
    return {"trace_info": _shape(call, made)}


def end(call: Call) -> dict[str, Any]:
    """End a trace, and add to its labels."""
    trace = known_trace(call, path_id(call))
    logged = trace.logged
    texts = read_texts(call.store, (trace,)).get(trace.id, TraceTexts())
    metadata = logged.metadata | texts.metadata | read_labels(call.body.get("request_metadata"), "request_metadata")
    tags = logged.tags | texts.tags | read_labels(call.body.get("tags"), "tags")
    ended = _moment(call.whole("timestamp_ms", logged.began_ms))
    status = call.body.get("status")
    log_trace(
        call.store,
        trace.id,
        project=logged.project,
        name=tags.get(TRACE_NAME, logged.name),
        state=STATE_WORDS.get(status if isinstance(status, str | int) else None, "unknown"),
        began_ms=logged.began_ms,
        duration_ms=max(ended - logged.began_ms, 0),
        run=metadata.get(SOURCE_RUN, logged.run),
        request=logged.request,
        asked=texts.asked,
        answered=texts.answered,
        tags=tags,
        metadata=metadata,
    )
    return {"trace_info": _shape(call, find_trace(call.store, trace.id))}


def get_info(call: Call) -> dict[str, Any]:
    """A trace without its spans."""
    return {"trace_info": _shape(call, known_trace(call, path_id(call)))}


def search(call: Call) -> dict[str, Any]:
    """The traces of some experiments that meet a filter, page by page."""
    found, token = search_page(call, call.texts("experiment_ids"))
    return {
        "traces": [_shape(call, each) for each in found],
        **more(token),
    }


def _shape(call: Call, trace: Trace) -> dict[str, Any]:
    logged = trace.logged
    texts = read_texts(call.store, (trace,)).get(trace.id, TraceTexts())
    state = STATES[logged.state]
    return {
        "request_id": trace.id,
        "experiment_id": logged.project,
        "timestamp_ms": logged.began_ms,
        "execution_time_ms": logged.duration_ms or 0,
        "status": "TRACE_STATUS_UNSPECIFIED" if logged.state == "unknown" else state,
        "request_metadata": _pairs(logged.metadata | texts.metadata),
        "tags": _pairs(whole_tags(call, trace, texts)),
    }


def _pairs(labels: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(labels.items())]


def _moment(value: int) -> int:
    return min(max(value, 0), MAX_MS)


ROUTES = (
    Route("POST", "/mlflow/traces", start, "writer"),
    Route("GET", "/mlflow/traces", search, "reader", BOTH),
    Route("PATCH", "/mlflow/traces/{trace_id}", end, "writer"),
    Route("GET", "/mlflow/traces/{trace_id}/info", get_info, "reader"),
)
