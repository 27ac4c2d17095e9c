"""A trace as MLflow's clients of version 3 read it, and what they write of one."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from charkh.bridges.mlflow.call import Call, as_fields, as_items, bad
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.experiments import known_experiment
from charkh.bridges.mlflow.run_shape import artifact_root, below
from charkh.runs.project import Project
from charkh.runs.trace import State, Trace, TraceAssessed, TraceTexts
from charkh.runs.trace_index import TracesByIds
from charkh.runs.traces import read_assessment, read_texts

TRACE_NAME = "mlflow.traceName"
SPANS_LOCATION = "mlflow.trace.spansLocation"
ARTIFACT_LOCATION = "mlflow.artifactLocation"
SOURCE_RUN = "mlflow.sourceRun"
LINKED_PROMPTS = "mlflow.linkedPrompts"
SIZE_STATS = "mlflow.trace.sizeStats"
MAX_MS = 253_402_300_799_999
"""The last millisecond that a timestamp can say, at the end of the year 9999."""

STATES: Mapping[State, str] = {
    "unknown": "STATE_UNSPECIFIED",
    "ok": "OK",
    "error": "ERROR",
    "in_progress": "IN_PROGRESS",
}
STATE_WORDS: Mapping[object, State] = {
    **{word: state for state, word in STATES.items()},
    "TRACE_STATUS_UNSPECIFIED": "unknown",
    **{0: "unknown", 1: "ok", 2: "error", 3: "in_progress"},
}
_DURATION = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?s")


def known_traces(call: Call, traces: Sequence[str]) -> tuple[Trace, ...]:
    """Those of these traces that are there and that the caller may see."""
    found = call.store.queries.ask(TracesByIds(traces=tuple(traces)))
    names = {each.id: each.name for each in call.service.projects().values()}
    return tuple(each for each in found if call.may_see(names.get(each.logged.project, "")))


def known_trace(call: Call, trace: str) -> Trace:
    """The trace with this id.

    Raises:
        MlflowError: there is none, or the caller may not do this to it.
    """
    found = call.store.queries.ask(TracesByIds(traces=(trace,)))
    if not found:
        raise no_trace(trace)
    project = call.service.projects().get(found[0].logged.project)
    call.permit("" if project is None else project.name, no_trace(trace))
    return found[0]


def no_trace(trace: str) -> MlflowError:
    """What MLflow's server says of a trace that is not there."""
    return MlflowError(MISSING, f"Trace with ID '{trace[:256]}' not found.")


def located_tags(project: Project, trace: str) -> dict[str, str]:
    """The tag that tells old clients where to upload spans."""
    place = f"traces/{trace}/artifacts"
    return {ARTIFACT_LOCATION: below(artifact_root(project.id, project.location), place)}


def store_tags() -> dict[str, str]:
    """The tag that tells clients that spans are kept with the trace, so that they upload nothing else."""
    return {SPANS_LOCATION: "TRACKING_STORE"}


def info_shapes(call: Call, traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """What MLflow calls the infos of traces."""
    texts = read_texts(call.store, traces)
    return [_info_shape(call, each, texts.get(each.id, TraceTexts())) for each in traces]


def whole_tags(call: Call, trace: Trace, texts: TraceTexts) -> dict[str, str]:
    """A trace's tags, long ones whole."""
    tags = dict(trace.tags)
    for name, value in texts.tags.items():
        if name not in trace.long_tags and tags.get(name) == trace.logged.tags.get(name):
            tags[name] = value
    for name, file in trace.long_tags.items():
        if name in tags:
            tags[name] = b"".join(call.store.vault.read(file)).decode("utf-8", "replace")
    return tags


def _info_shape(call: Call, trace: Trace, texts: TraceTexts) -> dict[str, Any]:
    logged = trace.logged
    shape: dict[str, Any] = {
        "trace_id": trace.id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": logged.project},
        },
        "request_time": timestamp(logged.began_ms),
        "state": STATES[logged.state],
        "trace_metadata": logged.metadata | texts.metadata,
        "tags": whole_tags(call, trace, texts),
    }
    if logged.request:
        shape["client_request_id"] = logged.request
    if texts.asked is not None:
        shape["request_preview"] = texts.asked
    if texts.answered is not None:
        shape["response_preview"] = texts.answered
    if logged.duration_ms is not None:
        shape["execution_duration"] = f"{logged.duration_ms / 1000:.3f}s"
    if trace.assessments:
        shape["assessments"] = [assessment_shape(call, trace, each) for each in trace.assessments]
    return shape


def assessment_shape(call: Call, trace: Trace, body: TraceAssessed) -> dict[str, Any]:
    """An assessment as MLflow's clients read it."""
    shape = read_assessment(call.store, body) | {
        "assessment_id": body.assessment,
        "assessment_name": body.name,
        "trace_id": body.trace,
        "source": {"source_type": body.source_type, "source_id": body.source},
        "create_time": timestamp(body.created_ms),
        "last_update_time": timestamp(body.updated_ms),
        "valid": trace.is_valid(body),
    }
    if body.span:
        shape["span_id"] = body.span
    if body.overrides:
        shape["overrides"] = body.overrides
    return shape


def timestamp(milliseconds: int) -> str:
    """A moment as protobuf's JSON says it (RFC 3339)."""
    kept = min(max(milliseconds, 0), MAX_MS)
    moment = datetime.fromtimestamp(kept // 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.{kept % 1000:03d}Z"


def read_timestamp(value: object, name: str) -> int:
    """Milliseconds since the epoch of a moment as protobuf's JSON says it; 0 where nothing was said.

    Raises:
        MlflowError: it is none.
    """
    if value is None:
        return 0
    if not isinstance(value, str) or len(value) > 64:
        raise bad(name, value)
    try:
        moment = datetime.fromisoformat(value)
        found = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise bad(name, value) from error
    if not 0 <= found <= MAX_MS:
        raise bad(name, value)
    return found


def read_duration(value: object, name: str) -> int | None:
    """Milliseconds of a duration as protobuf's JSON says it, such as `1.5s`; None where nothing was said.

    Raises:
        MlflowError: it is none.
    """
    if value is None:
        return None
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise bad(name, value)
    return min(int(match[1]) * 1000 + int((match[2] or "0")[:3].ljust(3, "0")), MAX_MS)


def read_labels(value: object, name: str) -> dict[str, str]:
    """Labels as an object of texts, or as a list of keys and values.

    Raises:
        MlflowError: they are neither.
    """
    if value is None:
        return {}
    if isinstance(value, list):
        pairs = [as_fields(each) or {} for each in as_items(cast(object, value))]
        fields: dict[str, Any] = {str(each.get("key", "")): each.get("value", "") for each in pairs}
    else:
        fields = as_fields(value) or {}
    if not all(key and isinstance(each, str) for key, each in fields.items()):
        raise bad(name, fields)
    if any(len(key) > MAX_LABEL_KEY for key in fields):
        raise invalid(f"A key of '{name}' has more than {MAX_LABEL_KEY} characters.")
    return fields


MAX_LABEL_KEY = 250


def experiment_in(call: Call, location: object) -> Project:
    """The experiment that a trace's location names.

    Raises:
        MlflowError: it names none, or the caller may not write there.
    """
    place = as_fields((as_fields(location) or {}).get("mlflow_experiment")) or {}
    identifier = place.get("experiment_id")
    if not isinstance(identifier, str):
        raise invalid("A trace lies in an experiment: 'trace_location.mlflow_experiment.experiment_id' is missing.")
    return known_experiment(call, identifier)
