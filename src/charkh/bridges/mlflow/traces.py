"""Traces of MLflow's clients of version 3: begin, get, tag, link and delete."""

import json
from collections.abc import Sequence
from typing import Any

from charkh.bridges.mlflow.call import Call, Route, as_fields, as_items, missing
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.experiments import experiment_of, require_active
from charkh.bridges.mlflow.run_shape import milliseconds
from charkh.bridges.mlflow.runs import run_id
from charkh.bridges.mlflow.service import no_run
from charkh.bridges.mlflow.spans import wire_shape
from charkh.bridges.mlflow.trace_assessments import keep_assessment
from charkh.bridges.mlflow.trace_shape import (
    LINKED_PROMPTS,
    MAX_LABEL_KEY,
    SIZE_STATS,
    SOURCE_RUN,
    STATE_WORDS,
    TRACE_NAME,
    experiment_in,
    info_shapes,
    known_trace,
    known_traces,
    located_tags,
    no_trace,
    read_duration,
    read_labels,
    read_timestamp,
    store_tags,
    whole_tags,
)
from charkh.runs.trace import Span, Trace, TraceTexts
from charkh.runs.trace_index import TracesByIds, TracesIn
from charkh.runs.traces import (
    delete_traces,
    find_trace,
    link_traces,
    log_trace,
    read_spans,
    read_texts,
    scan_traces,
    tag_trace,
)

MAX_LINKED = 100
MAX_AT_ONCE = 1000
MAX_DELETED = 100_000
MAX_ID = 256
V3 = ("3.0",)
BOTH = ("2.0", "3.0")


def start(call: Call) -> dict[str, Any]:
    """Describe a trace; clients do this at its end, and its spans may be here already."""
    told = as_fields((as_fields(call.body.get("trace")) or {}).get("trace_info"))
    if told is None:
        raise missing("trace")
    project = experiment_in(call, told.get("trace_location"))
    require_active(project)
    identifier = _told(told, "trace_id")
    if not 0 < len(identifier) <= MAX_ID:
        raise missing("trace.trace_info.trace_id")
    before = call.store.queries.ask(TracesByIds(traces=(identifier,)))
    if before:
        known_trace(call, identifier)
    metadata = read_labels(told.get("trace_metadata"), "trace_metadata")
    tags = (before[0].logged.tags if before else {}) | read_labels(told.get("tags"), "tags")
    log_trace(
        call.store,
        identifier,
        project=project.id,
        name=tags.get(TRACE_NAME, ""),
        state=STATE_WORDS.get(_word(told.get("state")), "unknown"),
        began_ms=read_timestamp(told.get("request_time"), "request_time"),
        duration_ms=read_duration(told.get("execution_duration"), "execution_duration"),
        run=metadata.get(SOURCE_RUN, ""),
        request=_told(told, "client_request_id"),
        asked=_told(told, "request_preview") or _told(told, "request") or None,
        answered=_told(told, "response_preview") or _told(told, "response") or None,
        tags=located_tags(project, identifier) | tags | store_tags(),
        metadata=metadata,
    )
    for each in told.get("assessments") or ():
        keep_assessment(call, find_trace(call.store, identifier), as_fields(each) or {})
    return {"trace": {"trace_info": info_shapes(call, (find_trace(call.store, identifier),))[0]}}


def get_info(call: Call) -> dict[str, Any]:
    """A trace without its spans."""
    trace = known_trace(call, path_id(call))
    return {"trace": {"trace_info": info_shapes(call, (trace,))[0]}}


def get(call: Call) -> dict[str, Any]:
    """A trace with its spans; one whose spans are not all here yet only where a part will do."""
    identifier = call.text("trace_id")
    try:
        trace = known_trace(call, identifier)
    except MlflowError as error:
        if error.code == MISSING:
            raise MlflowError(MISSING, f"Trace with ID {identifier[:MAX_ID]} is not found.") from error
        raise
    spans = read_spans(call.store, (trace.id,))[trace.id]
    if not call.truth("allow_partial") and not _is_whole(trace, spans):
        raise MlflowError(MISSING, f"Trace with ID {trace.id} is not fully exported yet, please try again later.")
    return {"trace": _with_spans(call, (trace,), {trace.id: spans})[0]}


def get_batch(call: Call) -> dict[str, Any]:
    """Traces with their spans, those that are whole."""
    found = known_traces(call, _ids(call))
    spans = read_spans(call.store, tuple(each.id for each in found))
    return {"traces": _with_spans(call, [each for each in found if _is_whole(each, spans[each.id])], spans)}


def get_infos(call: Call) -> dict[str, Any]:
    """Traces without their spans."""
    found = known_traces(call, _ids(call))
    wanted = call.texts("experiment_ids")
    return {"trace_infos": info_shapes(call, [each for each in found if not wanted or each.logged.project in wanted])}


def set_tag(call: Call) -> None:
    """Set a tag of a trace."""
    trace, key = known_trace(call, path_id(call)), call.text("key")
    if len(key) > MAX_LABEL_KEY:
        raise invalid(f"Trace tag key '{key[:80]}…' had length {len(key)}, which exceeded limit of {MAX_LABEL_KEY}")
    tag_trace(call.store, trace.id, {key: call.text("value", "")})


def delete_tag(call: Call) -> None:
    """Remove a tag of a trace."""
    trace, key = known_trace(call, path_id(call)), call.text("key")
    if key not in trace.tags:
        raise MlflowError(MISSING, f"No trace tag with key '{key}' for trace with ID '{trace.id}'")
    tag_trace(call.store, trace.id, {key: None})


def link_run(call: Call) -> None:
    """Let traces belong to a run."""
    ids, run = call.texts("trace_ids"), run_id(call)
    if not ids:
        raise missing("trace_ids")
    if len(ids) > MAX_LINKED:
        raise invalid(
            f"Cannot link more than {MAX_LINKED} traces to a run in a single request. Provided {len(ids)} traces."
        )
    state = call.service.state(run)
    call.permit(state.project, no_run(state.id))
    link_traces(call.store, [each.id for each in known_traces(call, ids)], state.id)


def link_prompts(call: Call) -> None:
    """Say which versions of prompts a trace used; what was said before stays."""
    trace = known_trace(call, call.text("trace_id"))
    texts = read_texts(call.store, (trace,)).get(trace.id, TraceTexts())
    try:
        held: Any = json.loads(whole_tags(call, trace, texts).get(LINKED_PROMPTS, "[]"))
    except (ValueError, RecursionError):
        held = []
    prompts = as_items(held)
    for each in call.items("prompt_versions"):
        prompt = {"name": str(each.get("name", "")), "version": str(each.get("version", ""))}
        if prompt not in prompts:
            prompts.append(prompt)
    tag_trace(call.store, trace.id, {LINKED_PROMPTS: json.dumps(prompts)})


def delete(call: Call) -> dict[str, Any]:
    """Delete traces of an experiment for good: those that are named, or the oldest up to a moment."""
    project = experiment_of(call)
    ids = call.texts("request_ids") or call.texts("trace_ids")
    until, most = call.body.get("max_timestamp_millis"), call.body.get("max_traces")
    if until is None and not ids:
        raise invalid("Either `max_timestamp_millis` or `trace_ids` must be specified.")
    if until is not None and ids:
        raise invalid("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
    if ids and most is not None:
        raise invalid("`max_traces` can't be specified if `trace_ids` is specified.")
    limit = call.whole("max_traces", MAX_DELETED)
    if limit <= 0:
        raise invalid(f"`max_traces` must be a positive integer, received {limit}.")
    if ids:
        found = [each.id for each in known_traces(call, ids) if each.logged.project == project.id]
    else:
        query = TracesIn(
            projects=(project.id,),
            limit=min(limit, MAX_DELETED),
            rising=True,
            until_ms=call.whole("max_timestamp_millis", milliseconds(0)),
        )
        found = [each.id for each in scan_traces(call.store, query)]
    delete_traces(call.store, found)
    return {"traces_deleted": len(found)}


def path_id(call: Call) -> str:
    """The trace that the path names.

    Raises:
        MlflowError: none can be called so.
    """
    identifier = call.path_values["trace_id"]
    if len(identifier) > MAX_ID:
        raise no_trace(identifier)
    return identifier


def _ids(call: Call) -> tuple[str, ...]:
    ids = call.texts("trace_ids")
    if not ids:
        raise missing("trace_ids")
    if len(ids) > MAX_AT_ONCE:
        raise invalid(f"A request can ask for at most {MAX_AT_ONCE} traces. Got {len(ids)}.")
    return ids


def _with_spans(call: Call, traces: Sequence[Trace], spans: dict[str, tuple[Span, ...]]) -> list[dict[str, Any]]:
    infos = info_shapes(call, traces)
    return [
        {"trace_info": info, "spans": [wire_shape(each) for each in spans[trace.id]]}
        for trace, info in zip(traces, infos, strict=True)
    ]


def _is_whole(trace: Trace, spans: Sequence[Span]) -> bool:
    """Whether as many spans are here as the client says that there are."""
    try:
        told = as_fields(json.loads(trace.logged.metadata.get(SIZE_STATS, "{}"))) or {}
    except (ValueError, RecursionError):
        return True
    count = told.get("num_spans", 0)
    return not isinstance(count, int) or len(spans) >= count


def _told(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _word(value: object) -> object:
    return value if isinstance(value, str | int) else None


ROUTES = (
    Route("GET", "/mlflow/traces/get", get, "reader", V3),
    Route("GET", "/mlflow/traces/batchGet", get_batch, "reader", V3),
    Route("POST", "/mlflow/traces/batchGet", get_batch, "reader", V3),
    Route("POST", "/mlflow/traces/batchGetInfos", get_infos, "reader", V3),
    Route("GET", "/mlflow/traces/batchGetInfos", get_infos, "reader", V3),
    Route("POST", "/mlflow/traces/delete-traces", delete, "writer", BOTH),
    Route("POST", "/mlflow/traces/link-to-run", link_run, "writer", BOTH),
    Route("POST", "/mlflow/traces/link-prompts", link_prompts, "writer", BOTH),
    Route("PATCH", "/mlflow/traces/{trace_id}/tags", set_tag, "writer", BOTH),
    Route("DELETE", "/mlflow/traces/{trace_id}/tags", delete_tag, "writer", BOTH),
    Route("POST", "/mlflow/traces", start, "writer", V3),
    Route("GET", "/mlflow/traces/{trace_id}", get_info, "reader", V3),
)
