"""Assessments of traces: what people, judges and code say of an answer, and what should have come out."""

import json
import secrets
import time
from typing import Any, NamedTuple

from charkh.bridges.mlflow.call import Call, Route, as_fields, missing
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.trace_shape import (
    assessment_shape,
    known_trace,
    read_timestamp,
)
from charkh.runs.trace import AssessmentKind, Trace, TraceAssessed
from charkh.runs.traces import assess_trace, drop_assessment, find_trace, read_assessment

MAX_NAME = 250
_KINDS: tuple[AssessmentKind, ...] = ("feedback", "expectation")
_KEPT = ("feedback", "expectation", "rationale", "metadata", "issue")


class Told(NamedTuple):
    """What an assessment says: its kind, what can be searched for, and everything that is kept as it came."""

    kind: AssessmentKind
    value: object
    content: dict[str, Any]


def create(call: Call) -> dict[str, Any]:
    """Assess a trace; one that replaces another makes that one invalid."""
    trace = known_trace(call, call.path_values["trace_id"])
    fields = as_fields(call.body.get("assessment"))
    if fields is None:
        raise missing("assessment")
    made = keep_assessment(call, trace, fields)
    return _answer(call, trace.id, made.assessment)


def get(call: Call) -> dict[str, Any]:
    """An assessment."""
    trace = known_trace(call, call.path_values["trace_id"])
    return {"assessment": assessment_shape(call, trace, _of(trace, call.path_values["assessment_id"]))}


def update(call: Call) -> dict[str, Any]:
    """Change what a mask names: the name, the value, the rationale or the metadata."""
    trace = known_trace(call, call.path_values["trace_id"])
    before = _of(trace, call.path_values["assessment_id"])
    fields = as_fields(call.body.get("assessment"))
    if fields is None:
        raise missing("assessment")
    held = read_assessment(call.store, before)
    changed = dict(held)
    name = before.name
    for path in _mask(call.body.get("update_mask")):
        if path == "assessment_name":
            name = _name(fields)
        elif path in {"feedback", "expectation"}:
            if before.kind != path:
                raise invalid(f"Cannot update {path} value on a {before.kind.capitalize()} assessment.")
            changed[path] = fields.get(path)
        elif path == "rationale":
            changed[path] = fields.get(path)
        elif path == "metadata":
            changed[path] = (as_fields(held.get(path)) or {}) | (as_fields(fields.get(path)) or {})
    told = _told(changed)
    assess_trace(
        call.store,
        trace.id,
        before.assessment,
        told.content,
        name=name,
        kind=told.kind,
        value=told.value,
        source_type=before.source_type,
        source=before.source,
        span=before.span,
        overrides=before.overrides,
        created_ms=before.created_ms,
        updated_ms=_now(),
    )
    return _answer(call, trace.id, before.assessment)


def delete(call: Call) -> None:
    """Take an assessment away; one that is not there is gone already."""
    trace = known_trace(call, call.path_values["trace_id"])
    if any(each.assessment == call.path_values["assessment_id"] for each in trace.assessments):
        drop_assessment(call.store, trace.id, call.path_values["assessment_id"])


def keep_assessment(call: Call, trace: Trace, fields: dict[str, Any]) -> TraceAssessed:
    """Record a new assessment of a trace.

    Raises:
        MlflowError: it says nothing, or replaces one that is not there.
    """
    told = _told(fields)
    overrides = _text(fields, "overrides")
    if overrides:
        _of(trace, overrides)
    source = as_fields(fields.get("source")) or {}
    now = _now()
    identifier = _text(fields, "assessment_id")
    return assess_trace(
        call.store,
        trace.id,
        identifier or f"a-{secrets.token_hex(16)}",
        told.content,
        name=_name(fields),
        kind=told.kind,
        value=told.value,
        source_type=_text(source, "source_type") or "SOURCE_TYPE_UNSPECIFIED",
        source=_text(source, "source_id"),
        span=_text(fields, "span_id"),
        overrides=overrides,
        created_ms=read_timestamp(fields.get("create_time"), "create_time") or now,
        updated_ms=read_timestamp(fields.get("last_update_time"), "last_update_time") or now,
    )


def _told(fields: dict[str, Any]) -> Told:
    kinds: list[AssessmentKind] = [kind for kind in _KINDS if as_fields(fields.get(kind)) is not None]
    content = {name: fields[name] for name in _KEPT if fields.get(name) is not None}
    if len(kinds) != 1 and "issue" not in content:
        raise invalid("An assessment has either a feedback or an expectation.")
    kind: AssessmentKind = kinds[0] if kinds else "other"
    held = as_fields(content.get(kind)) or {}
    value = held.get("value")
    serialized = as_fields(held.get("serialized_value"))
    if serialized is not None:
        value = _loaded(_text(serialized, "value"))
    elif kind == "expectation" and isinstance(value, dict | list):
        # What is more than a scalar is read by clients from its serialized form alone.
        content[kind] = {
            "serialized_value": {"serialization_format": "JSON_FORMAT", "value": json.dumps(value)},
        }
    return Told(kind, value, content)


def _of(trace: Trace, identifier: str) -> TraceAssessed:
    for each in trace.assessments:
        if each.assessment == identifier:
            return each
    raise MlflowError(MISSING, f"Assessment with ID '{identifier[:256]}' not found for trace '{trace.id}'")


def _answer(call: Call, trace: str, assessment: str) -> dict[str, Any]:
    found = find_trace(call.store, trace)
    return {"assessment": assessment_shape(call, found, _of(found, assessment))}


def _mask(value: object) -> list[str]:
    """The names of a mask, which protobuf's JSON spells in camel case with commas between them."""
    if isinstance(value, str):
        return ["".join(f"_{each.lower()}" if each.isupper() else each for each in part) for part in value.split(",")]
    paths: Any = (as_fields(value) or {}).get("paths")
    if not isinstance(paths, list):
        raise missing("update_mask")
    return [str(each) for each in paths]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _name(fields: dict[str, Any]) -> str:
    name = _text(fields, "assessment_name")
    if not name:
        raise missing("assessment.assessment_name")
    if len(name) > MAX_NAME:
        raise invalid(f"Assessment name exceeds the maximum length of {MAX_NAME} characters.")
    return name


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _now() -> int:
    return int(time.time() * 1000)


_PATH = "/mlflow/traces/{trace_id}/assessments"
ROUTES = (
    Route("POST", _PATH, create, "writer", ("3.0",)),
    Route("GET", f"{_PATH}/{{assessment_id}}", get, "reader", ("3.0",)),
    Route("PATCH", f"{_PATH}/{{assessment_id}}", update, "writer", ("3.0",)),
    Route("DELETE", f"{_PATH}/{{assessment_id}}", delete, "writer", ("3.0",)),
)
