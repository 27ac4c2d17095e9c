"""`POST /v1/traces`: spans over OpenTelemetry's protocol, from MLflow's clients and from anybody's exporter.

OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp) in protobuf and JSON, plain or compressed. A
trace that no client has described yet is described from its spans, so that it can be found.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from charkh.bridges.mlflow.call import Call, Raw, Route, as_fields, as_items
from charkh.bridges.mlflow.envelope import BAD_REQUEST, NOT_IMPLEMENTED, MlflowError, encode_error, invalid
from charkh.bridges.mlflow.experiments import known_experiment, require_active
from charkh.bridges.mlflow.spans import from_otlp, from_otlp_json, refused_span, trace_of
from charkh.bridges.mlflow.trace_shape import SPANS_LOCATION, TRACE_NAME, located_tags, store_tags
from charkh.runs.project import Project
from charkh.runs.trace import Span, State, Trace
from charkh.runs.trace_index import TracesByIds
from charkh.runs.traces import log_spans, log_trace, read_texts

EXPERIMENT = "x-mlflow-experiment-id"
PROTOBUF = "application/x-protobuf"
MAX_INFLATED = 64 * 1024 * 1024
"""Bytes that a compressed body may have in full."""

MAX_PREVIEW = 1000
SPENT = "mlflow.trace.tokenUsage"
_CHAT_USAGE = "mlflow.chat.tokenUsage"
_INPUTS, _OUTPUTS = "mlflow.spanInputs", "mlflow.spanOutputs"
_UNPROCESSABLE = 422


def export(call: Call) -> Raw:
    """Take the spans of any number of traces."""
    experiment = call.headers.get(EXPERIMENT, "")
    if not experiment:
        return _refused(_UNPROCESSABLE, invalid(f"The header {EXPERIMENT} is missing: it names the experiment."))
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = _inflated(call.raw, call.headers.get("content-encoding", "").strip().lower())
    sent = _sent_protobuf(body) if kind == PROTOBUF else _sent_json(body, kind)
    try:
        spans = [from_otlp(each) if kind == PROTOBUF else from_otlp_json(each) for each in sent]
    except MlflowError as error:
        return _refused(_UNPROCESSABLE, error)
    except (AttributeError, TypeError, ValueError, RecursionError):
        return _refused(_UNPROCESSABLE, refused_span())
    project = known_experiment(call, experiment)
    require_active(project)
    by_trace: dict[str, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(trace_of(span), []).append(span)
    take_spans(call, project, by_trace)
    return Raw(b"" if kind == PROTOBUF else b"{}", kind)


def take_spans(call: Call, project: Project, by_trace: Mapping[str, Sequence[Span]]) -> None:
    """Keep spans, and describe the traces that nobody has described.

    Raises:
        MlflowError: a trace is one of a project that the caller does not reach.
    """
    known = {each.id: each for each in call.store.queries.ask(TracesByIds(traces=tuple(by_trace)))}
    for trace, spans in by_trace.items():
        before = known.get(trace)
        if before is not None and before.logged.project != project.id:
            known_experiment(call, before.logged.project)
        # The trace first: whose spans they are is asked of it.
        if before is None or before.logged.inferred or before.logged.state == "in_progress":
            _describe(call, project, trace, spans, before)
        log_spans(call.store, trace, spans)


def _describe(call: Call, project: Project, trace: str, spans: Sequence[Span], before: Trace | None) -> None:
    first = next((span for span in spans if not span.parent), None)
    state: State = "in_progress" if first is None else "error" if first.status == "error" else "ok"
    if before is not None and not before.logged.inferred:
        if first is not None and first.ended_ns:
            _go_on(call, before, state, spans)
        return
    began = min(span.began_ns for span in spans) // 1_000_000
    ends = [span.ended_ns // 1_000_000 for span in spans if span.ended_ns]
    usage: dict[str, int] = {}
    asked = answered = None
    name, tags = "", located_tags(project, trace) | store_tags()
    if before is not None:
        began = min(began, before.logged.began_ms)
        ends += [] if before.ended_ms is None else [before.ended_ms]
        state = before.logged.state if first is None else state
        name = before.logged.name
        usage = _usage(before.logged.metadata.get(SPENT))
        texts = read_texts(call.store, (before,)).get(trace)
        asked, answered = (None, None) if texts is None else (texts.asked, texts.answered)
    if first is not None:
        name = first.name
        asked, answered = _preview(first, _INPUTS) or asked, _preview(first, _OUTPUTS) or answered
    for span in spans:
        for key, count in _usage(span.attributes.get(_CHAT_USAGE)).items():
            usage[key] = usage.get(key, 0) + count
    log_trace(
        call.store,
        trace,
        project=project.id,
        name=name,
        state=state,
        began_ms=began,
        duration_ms=max(ends) - began if ends else None,
        asked=asked,
        answered=answered,
        tags=tags | ({TRACE_NAME: name} if name else {}),
        metadata={SPENT: json.dumps(usage)} if usage else {},
        inferred=True,
    )


def _go_on(call: Call, before: Trace, state: State, spans: Sequence[Span]) -> None:
    """End a trace that a client has begun and its first span ends."""
    logged = before.logged
    texts = read_texts(call.store, (before,)).get(before.id)
    ended = max(span.ended_ns for span in spans) // 1_000_000
    log_trace(
        call.store,
        before.id,
        project=logged.project,
        name=logged.name,
        state=state,
        began_ms=logged.began_ms,
        duration_ms=max(ended - logged.began_ms, logged.duration_ms or 0),
        run=logged.run,
        request=logged.request,
        asked=None if texts is None else texts.asked,
        answered=None if texts is None else texts.answered,
        tags=logged.tags | ({} if texts is None else texts.tags) | {SPANS_LOCATION: store_tags()[SPANS_LOCATION]},
        metadata=logged.metadata | ({} if texts is None else texts.metadata),
    )


def _preview(span: Span, name: str) -> str | None:
    value = span.attributes.get(name)
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:MAX_PREVIEW]


def _usage(value: object) -> dict[str, int]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    fields = as_fields(value) or {}
    return {key: each for key, each in fields.items() if isinstance(each, int) and not isinstance(each, bool)}


def _sent_protobuf(body: bytes) -> list[Any]:
    try:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError as error:
        raise MlflowError(
            NOT_IMPLEMENTED, "Traces in protobuf need another package: pip install 'charkh[mlflow]'"
        ) from error
    request = cast(Any, ExportTraceServiceRequest())
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MlflowError(BAD_REQUEST, "Invalid OpenTelemetry protobuf format") from error
    if not request.resource_spans:
        raise MlflowError(BAD_REQUEST, "Invalid OpenTelemetry protobuf format - no spans found")
    return [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]


def _sent_json(body: bytes, kind: str) -> list[Any]:
    wrong = MlflowError(
        BAD_REQUEST, f"Invalid Content-Type: {kind or 'none'}, or a body of another kind. Expected: {PROTOBUF}"
    )
    if kind != "application/json":
        raise wrong
    try:
        found = as_fields(msgspec.json.decode(body)) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wrong from error
    resources = _objects(found.get("resourceSpans"))
    if not resources:
        raise MlflowError(BAD_REQUEST, "Invalid OpenTelemetry JSON format - no spans found")
    return [
        span
        for each in resources
        for scope in _objects(each.get("scopeSpans"))
        for span in _objects(scope.get("spans"))
    ]


def _objects(value: object) -> Iterable[dict[str, Any]]:
    return [fields for each in as_items(value) if (fields := as_fields(each)) is not None]


def _inflated(raw: bytes, coding: str) -> bytes:
    if coding in {"", "identity"}:
        return raw
    if coding not in {"gzip", "deflate"}:
        raise MlflowError(BAD_REQUEST, f"Content-Encoding {coding[:40]!r} is not one of gzip and deflate.")
    unpacking = zlib.decompressobj(31 if coding == "gzip" else 15)
    try:
        found = unpacking.decompress(raw, MAX_INFLATED)
    except zlib.error as error:
        raise MlflowError(BAD_REQUEST, f"The body is not {coding}: {error}") from error
    if unpacking.unconsumed_tail:
        raise MlflowError(BAD_REQUEST, f"The body has more than {MAX_INFLATED} bytes once it is unpacked.")
    return found


def _refused(status: int, error: MlflowError) -> Raw:
    return Raw(encode_error(error), "application/json", status)


ROUTES = (Route("POST", "/v1/traces", export, "writer", versions=(), body="raw"),)
