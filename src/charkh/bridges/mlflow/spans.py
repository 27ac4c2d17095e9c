"""Spans on MLflow's wire and in its files, and as they are kept here.

Three forms come in: OpenTelemetry's protobuf and JSON (https://opentelemetry.io/docs/specs/otlp/), and the
`traces.json` that MLflow's clients before 3.4 upload. Two go out: the protobuf's JSON with MLflow's spelling (snake
case, integers as numbers), and `traces.json`.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from charkh.bridges.mlflow.call import as_fields, as_items
from charkh.bridges.mlflow.envelope import MlflowError, invalid
from charkh.runs.trace import Span, SpanEvent, SpanStatus

REQUEST_ID = "mlflow.traceRequestId"
"""The attribute by which MLflow's own spans name their trace."""

MAX_DEPTH = 64
_STATUSES: Mapping[object, SpanStatus] = {
    1: "ok",
    2: "error",
    "STATUS_CODE_OK": "ok",
    "STATUS_CODE_ERROR": "error",
    "OK": "ok",
    "ERROR": "error",
}
_CODES: Mapping[SpanStatus, str] = {
    "unset": "STATUS_CODE_UNSET",
    "ok": "STATUS_CODE_OK",
    "error": "STATUS_CODE_ERROR",
}
_MOST = 1 << 63


def trace_of(span: Span) -> str:
    """The id of the trace that a span belongs to."""
    named = span.attributes.get(REQUEST_ID)
    return named if isinstance(named, str) and 0 < len(named) <= 256 else f"tr-{span.otel}"


def from_otlp(span: Any) -> Span:
    """A span of OpenTelemetry's protobuf.

    Raises:
        MlflowError: it has no id.
    """
    return _identified(
        Span(
            otel=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            began_ns=min(span.start_time_unix_nano, _MOST - 1),
            ended_ns=min(span.end_time_unix_nano, _MOST - 1),
            status=_STATUSES.get(span.status.code, "unset"),
            message=span.status.message,
            attributes=_attributes(span.attributes),
            events=tuple(
                SpanEvent(each.name, min(each.time_unix_nano, _MOST - 1), _attributes(each.attributes))
                for each in span.events
            ),
        )
    )


def from_otlp_json(fields: Mapping[str, Any]) -> Span:
    """A span of OpenTelemetry's JSON: ids are hex digits, 64-bit integers may be texts.

    Raises:
        MlflowError: it is none.
    """
    status = as_fields(fields.get("status")) or {}
    return _identified(
        Span(
            otel=_hex(fields.get("traceId"), 16),
            id=_hex(fields.get("spanId"), 8),
            parent=_hex(fields.get("parentSpanId") or "", 8),
            name=_text(fields.get("name")),
            began_ns=_whole(fields.get("startTimeUnixNano")),
            ended_ns=_whole(fields.get("endTimeUnixNano")),
            status=_STATUSES.get(_plain(status.get("code")), "unset"),
            message=_text(status.get("message")),
            attributes=_json_attributes(fields.get("attributes"), 0),
            events=tuple(
                SpanEvent(
                    _text(each.get("name")),
                    _whole(each.get("timeUnixNano")),
                    _json_attributes(each.get("attributes"), 0),
                )
                for each in _objects(fields.get("events"))
            ),
        )
    )


def from_file(fields: Mapping[str, Any]) -> Span:
    """A span of `traces.json`, as clients from 2.14 on write it.

    Raises:
        MlflowError: it is none.
    """
    if "context" in fields:
        context = as_fields(fields.get("context")) or {}
        named, parent = (context.get("trace_id"), context.get("span_id")), fields.get("parent_id")
        began, ended = fields.get("start_time"), fields.get("end_time")
        status = {"code": fields.get("status_code"), "message": fields.get("status_message")}
    else:
        named, parent = (fields.get("trace_id"), fields.get("span_id")), fields.get("parent_span_id")
        began, ended = fields.get("start_time_unix_nano"), fields.get("end_time_unix_nano")
        status = as_fields(fields.get("status")) or {}
    attributes = as_fields(fields.get("attributes")) or {}
    return _identified(
        Span(
            otel=_hex(named[0], 16),
            id=_hex(named[1], 8),
            parent=_hex(parent or "", 8),
            name=_text(fields.get("name")),
            began_ns=_whole(began),
            ended_ns=_whole(ended),
            status=_STATUSES.get(_plain(status.get("code")), "unset"),
            message=_text(status.get("message")),
            attributes={key: _loaded(value) for key, value in attributes.items()},
            events=tuple(
                SpanEvent(
                    _text(each.get("name")),
                    _whole(each.get("time_unix_nano") or each.get("timestamp")),
                    as_fields(each.get("attributes")) or {},
                )
                for each in _objects(fields.get("events"))
            ),
        )
    )


def wire_shape(span: Span) -> dict[str, Any]:
    """A span as MLflow's clients read it from a trace."""
    shape: dict[str, Any] = {
        "trace_id": _base64(span.otel),
        "span_id": _base64(span.id),
        "name": span.name,
        "start_time_unix_nano": span.began_ns,
        "end_time_unix_nano": span.ended_ns,
        "attributes": _pairs(span.attributes),
        "status": {"code": _CODES[span.status], "message": span.message},
    }
    if span.parent:
        shape["parent_span_id"] = _base64(span.parent)
    if span.events:
        shape["events"] = [
            {"time_unix_nano": each.at_ns, "name": each.name, "attributes": _pairs(each.attributes)}
            for each in span.events
        ]
    return shape


def file_shape(span: Span) -> dict[str, Any]:
    """A span as it stands in `traces.json`: attributes are JSON inside of JSON."""
    return {
        "trace_id": _base64(span.otel),
        "span_id": _base64(span.id),
        "parent_span_id": _base64(span.parent) if span.parent else None,
        "name": span.name,
        "start_time_unix_nano": span.began_ns,
        "end_time_unix_nano": span.ended_ns or None,
        "events": [
            {"name": each.name, "time_unix_nano": each.at_ns, "attributes": each.attributes} for each in span.events
        ],
        "status": {"code": _CODES[span.status], "message": span.message},
        "attributes": _dumped(span),
    }


def old_file_shape(span: Span) -> dict[str, Any]:
    """A span as it stands in the `traces.json` of clients before 3.0, which read no other; later ones read both."""
    return {
        "name": span.name,
        "context": {"trace_id": span.otel, "span_id": span.id},
        "parent_id": span.parent or None,
        "start_time": span.began_ns,
        "end_time": span.ended_ns or None,
        "status_code": span.status.upper(),
        "status_message": span.message,
        "attributes": _dumped(span),
        "events": [{"name": each.name, "timestamp": each.at_ns, "attributes": each.attributes} for each in span.events],
    }


def _dumped(span: Span) -> dict[str, str]:
    attributes = {REQUEST_ID: trace_of(span)} | span.attributes
    return {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()}


def refused_span() -> MlflowError:
    """What MLflow's server says of a span that it cannot read."""
    return invalid("Cannot convert OpenTelemetry span to MLflow span")


def _identified(span: Span) -> Span:
    if len(span.otel) != 32 or len(span.id) != 16 or len(span.parent) not in {0, 16}:
        raise refused_span()
    return span


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: _value(each.value) for each in value.kvlist_value.values}
    plain = getattr(value, kind)
    return base64.b64encode(plain).decode() if isinstance(plain, bytes) else plain


def _json_attributes(pairs: object, depth: int) -> dict[str, Any]:
    return {_text(each.get("key")): _json_value(each.get("value"), depth + 1) for each in _objects(pairs)}


def _json_value(value: object, depth: int) -> Any:
    fields = as_fields(value)
    if depth > MAX_DEPTH:
        raise refused_span()
    if not fields:
        return None
    (kind, held), *_ = fields.items()
    if kind == "arrayValue":
        return [_json_value(each, depth + 1) for each in as_items((as_fields(held) or {}).get("values"))]
    if kind == "kvlistValue":
        return _json_attributes((as_fields(held) or {}).get("values"), depth)
    return _whole(held) if kind == "intValue" else held


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int) and -_MOST <= value < _MOST:
        return {"int_value": value}
    if isinstance(value, float):
        return {"double_value": value}
    if isinstance(value, list | tuple):
        return {"array_value": {"values": [_any_value(each) for each in cast(list[object], value)]}}
    if isinstance(value, dict):
        return {"kvlist_value": {"values": _pairs(cast(dict[str, Any], value))}}
    return {"string_value": str(value)}


def _hex(value: object, size: int) -> str:
    """An id as hex digits: as it came, or in base64."""
    if not isinstance(value, str):
        raise refused_span()
    text = value.removeprefix("tr-").removeprefix("0x").lower()
    if not text:
        return ""
    try:
        if len(text) == 2 * size:
            return bytes.fromhex(text).hex()
        return base64.b64decode(value, validate=True).hex()
    except (ValueError, binascii.Error) as error:
        raise refused_span() from error


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def _whole(value: object) -> int:
    if value is None or value == "":
        return 0
    try:
        found = int(cast(Any, value))
    except (ValueError, TypeError, OverflowError) as error:
        raise refused_span() from error
    if not -_MOST <= found < _MOST:
        raise refused_span()
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _plain(value: object) -> object:
    return value if isinstance(value, str | int) else None


def _objects(value: object) -> list[dict[str, Any]]:
    return [fields for each in as_items(value) if (fields := as_fields(each)) is not None]


def _loaded(value: object) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
