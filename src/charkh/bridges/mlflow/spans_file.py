"""`traces.json`: the file in which MLflow's clients before 3.4 upload the spans of a trace, and all of them load it."""

import json
from pathlib import Path
from typing import Any

import msgspec

from charkh.bridges.mlflow.call import Call, Raw, Route, Streamed, as_fields, as_items
from charkh.bridges.mlflow.envelope import BAD_REQUEST, MISSING, MlflowError, invalid
from charkh.bridges.mlflow.spans import file_shape, from_file, old_file_shape
from charkh.bridges.mlflow.trace_shape import known_trace
from charkh.runs.traces import log_spans, read_spans

NAME = "traces.json"
MAX_FILE = 64 * 1024 * 1024
_HEADERS = (("content-disposition", f"attachment; filename={NAME}"), ("x-content-type-options", "nosniff"))


def get(call: Call) -> Raw:
    """The file of a trace, as MLflow's pages ask for it."""
    identifier = call.text("request_id", "") or call.text("trace_id", "")
    if not identifier:
        raise MlflowError(BAD_REQUEST, 'Request must include the "request_id" query parameter.')
    trace = known_trace(call, identifier)
    spans = read_spans(call.store, (trace.id,))[trace.id]
    content = json.dumps({"spans": [file_shape(each) for each in spans]}).encode()
    return Raw(content, "application/octet-stream", headers=_HEADERS)


def download_spans(call: Call, trace: str, path: str) -> Streamed:
    """The file of a trace below its artifact location, where only clients of its first form look for it.

    Raises:
        MlflowError: it is another file, or there are no spans.
    """
    spans = read_spans(call.store, (trace,))[trace] if path == NAME else ()
    if not spans:
        raise MlflowError(MISSING, f"No such artifact: '{path}'")
    first = spans[0].attributes
    fields = {
        "spans": [old_file_shape(each) for each in spans],
        "request": _text_of(first.get("mlflow.spanInputs")),
        "response": _text_of(first.get("mlflow.spanOutputs")),
    }
    content = json.dumps(fields).encode()
    return Streamed(pieces=iter((content,)), length=len(content), headers=_HEADERS[:1])


def take_spans_file(call: Call, trace: str, path: str, source: Path) -> None:
    """Keep the spans that an uploaded file holds.

    Raises:
        MlflowError: it is another file, too large, or holds no spans.
    """
    if path != NAME:
        raise invalid(f"Of a trace's files only {NAME} is carried.")
    if source.stat().st_size > MAX_FILE:
        raise invalid(f"{NAME} has more than {MAX_FILE} bytes.")
    try:
        found: Any = msgspec.json.decode(source.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{NAME} holds no JSON: {error}") from error
    listed = [as_fields(each) for each in as_items((as_fields(found) or {}).get("spans"))]
    spans = [from_file(each) for each in listed if each is not None]
    if spans:
        log_spans(call.store, trace, spans)


def _text_of(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


ROUTES = (Route("GET", "/mlflow/get-trace-artifact", get, "reader", ("2.0", "3.0")),)
