"""Another project's traces, evaluation datasets and scorers: they are not there, and nothing changes."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from charkh.bridges.mlflow import (
    evaluation_datasets,
    otel,
    scorers,
    spans_file,
    trace_assessments,
    trace_search,
    traces,
    traces_v2,
)
from charkh.runs.evaluation_datasets import make_evaluation_dataset, merge_records
from charkh.runs.scorer import register_scorer
from charkh.runs.trace import Span
from charkh.runs.traces import assess_trace, log_spans, log_trace
from security.team import SECRET, Answer, Team

MODULES = (otel, spans_file, trace_search, trace_assessments, traces, traces_v2, evaluation_datasets, scorers)
TRACES = {"mine": f"tr-{'1' * 32}", "other": f"tr-{'2' * 32}"}
V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"


class Things(NamedTuple):
    """What one project has."""

    project: str
    trace: str
    assessment: str
    dataset: str
    run: str


@pytest.fixture(scope="module")
def things(team: Team) -> dict[str, Things]:
    store = team.workspace.store
    found: dict[str, Things] = {}
    for who, text in (("mine", "nothing special"), ("other", SECRET)):
        project, trace = team.projects[who], TRACES[who]
        span = Span(otel=trace[3:], id="a" * 16, name=text, began_ns=1, ended_ns=2, attributes={"note": text})
        log_spans(store, trace, [span])
        log_trace(store, trace, project=project, name=text, state="ok", began_ms=1, tags={"note": text}, asked=text)
        value = {"feedback": {"value": text}}
        assess_trace(
            store, trace, f"a-{who}", value, name=text, kind="feedback", value=text, created_ms=1, updated_ms=1
        )
        dataset = make_evaluation_dataset(store, text, tags={"note": text}, projects=[project]).id
        merge_records(store, dataset, [{"inputs": {"q": text}}])
        register_scorer(store, project, "judge", text)
        found[who] = Things(project, trace, f"a-{who}", dataset, team.runs[who])
    return found


def asked(them: Things, mine: Things) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Requests about somebody's things: method, path and fields."""
    project, trace = {"experiment_id": them.project}, f"{V3}/traces/{them.trace}"
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": project}
    here = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": mine.project}}
    info = {"request_time": "2025-01-01T00:00:00Z", "state": "OK"}
    judged = {"assessment": {"assessment_name": "x", "feedback": {"value": 1}}}
    dataset = f"{V3}/datasets/{them.dataset}"
    named = {**project, "name": "judge"}
    yield "POST", f"{V3}/traces", {"trace": {"trace_info": {"trace_id": "tr-new", "trace_location": place, **info}}}
    yield "POST", f"{V3}/traces", {"trace": {"trace_info": {"trace_id": them.trace, "trace_location": here, **info}}}
    yield "GET", trace, {}
    yield "GET", f"{V3}/traces/get", {"trace_id": them.trace}
    yield "GET", f"{V3}/traces/batchGet", {"trace_ids": them.trace}
    yield "POST", f"{V3}/traces/batchGet", {"trace_ids": [them.trace]}
    yield "GET", f"{V3}/traces/batchGetInfos", {"trace_ids": them.trace}
    yield "POST", f"{V3}/traces/batchGetInfos", {"trace_ids": [them.trace]}
    yield "POST", f"{V3}/traces/search", {"locations": [place]}
    yield "POST", f"{V3}/traces/search", {"locations": [place], "filter": "trace.text LIKE '%'"}
    both = {"experiment_ids": [them.project], "filter_string1": "status = 'OK'", "filter_string2": "status = 'OK'"}
    yield "POST", f"{V3}/traces/calculate-filter-correlation", both
    yield "POST", f"{V3}/traces/delete-traces", {**project, "max_timestamp_millis": 1 << 41}
    yield "POST", f"{V3}/traces/delete-traces", {"experiment_id": mine.project, "request_ids": [them.trace]}
    yield "POST", f"{V3}/traces/link-to-run", {"trace_ids": [them.trace], "run_id": mine.run}
    yield "POST", f"{V3}/traces/link-to-run", {"trace_ids": [mine.trace], "run_id": them.run}
    yield (
        "POST",
        f"{V3}/traces/link-prompts",
        {"trace_id": them.trace, "prompt_versions": [{"name": "p", "version": "1"}]},
    )
    yield "PATCH", f"{trace}/tags", {"key": "a", "value": "b"}
    yield "DELETE", f"{trace}/tags", {"key": "note"}
    yield "POST", f"{trace}/assessments", judged
    yield "GET", f"{trace}/assessments/{them.assessment}", {}
    yield "PATCH", f"{trace}/assessments/{them.assessment}", {**judged, "update_mask": "feedback"}
    yield "DELETE", f"{trace}/assessments/{them.assessment}", {}
    yield "GET", f"{V2}/get-trace-artifact", {"request_id": them.trace}
    yield "POST", f"{V2}/traces", {**project, "timestamp_ms": 1}
    yield "GET", f"{V2}/traces", {"experiment_ids": them.project}
    yield "PATCH", f"{V2}/traces/{them.trace}", {"timestamp_ms": 2, "status": "OK"}
    yield "GET", f"{V2}/traces/{them.trace}/info", {}
    yield "POST", f"{V3}/datasets/create", {"name": "new", "experiment_ids": [them.project]}
    yield "POST", f"{V3}/datasets/search", {"experiment_ids": [them.project]}
    yield "GET", f"{V3}/datasets/search", {"experiment_ids": them.project}
    yield "GET", dataset, {}
    yield "PATCH", f"{dataset}/tags", {"tags": '{"a": "b"}'}
    yield "DELETE", f"{dataset}/tags/note", {}
    yield "POST", f"{dataset}/records", {"records": '[{"inputs": {"q": "new"}}]'}
    yield "GET", f"{dataset}/records", {}
    yield "DELETE", f"{dataset}/records", {"dataset_record_ids": ["dr-1"]}
    yield "GET", f"{dataset}/experiment-ids", {}
    yield "POST", f"{dataset}/add-experiments", {"experiment_ids": [mine.project]}
    yield "POST", f"{V3}/datasets/{mine.dataset}/add-experiments", {"experiment_ids": [them.project]}
    yield "POST", f"{dataset}/remove-experiments", {"experiment_ids": [them.project]}
    yield "DELETE", dataset, {}
    yield "POST", f"{V3}/scorers/register", {**named, "serialized_scorer": "{}"}
    yield "GET", f"{V3}/scorers/list", project
    yield "GET", f"{V3}/scorers/versions", named
    yield "GET", f"{V3}/scorers/get", named
    yield "DELETE", f"{V3}/scorers/delete", named
    yield "POST", "/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [otlp("3")]}]}], "at": them.project}
    yield (
        "POST",
        "/v1/traces",
        {"resourceSpans": [{"scopeSpans": [{"spans": [otlp(them.trace[3])]}]}], "at": mine.project},
    )


def otlp(digit: str) -> dict[str, Any]:
    return {"traceId": digit * 32, "spanId": "c" * 16, "name": "x", "startTimeUnixNano": 1, "endTimeUnixNano": 2}


def ask(team: Team, method: str, path: str, fields: dict[str, Any]) -> Answer:
    headers = {"x-mlflow-experiment-id": str(fields["at"])} if "at" in fields else {}
    if method != "GET":
        return team.ask(method, path, who="mine", body=fields, headers=headers)
    return team.ask(method, f"{path}?{'&'.join(f'{key}={value}' for key, value in fields.items())}", who="mine")


def test_anothers_things_are_not_there(team: Team, things: dict[str, Things]) -> None:
    wrong: list[str] = []
    for method, path, fields in asked(things["other"], things["mine"]):
        before = team.facts()
        answer = ask(team, method, path, fields)
        if SECRET.encode() in answer.body or answer.status >= 500 or team.facts() != before:
            wrong.append(f"{method} {path} {fields}: {answer.status} {answer.body[:200]!r}")
    assert wrong == [], "\n".join(wrong)


def test_ones_own_things_can_be_had(team: Team, things: dict[str, Things]) -> None:
    wrong: list[str] = []
    for method, path, fields in asked(things["mine"], things["mine"]):
        if "delete" in path or method == "DELETE":
            continue
        answer = ask(team, method, path, fields)
        if answer.status != 200:
            wrong.append(f"{method} {path} {fields}: {answer.status} {answer.body[:200]!r}")
    assert wrong == [], "\n".join(wrong)


def test_every_route_is_tried(things: dict[str, Things]) -> None:
    said = {(method, re.sub(r"^/api/[23]\.0", "", path)) for method, path, _ in asked(things["other"], things["mine"])}
    for module in MODULES:
        for route in module.ROUTES:
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", route.path))
            assert any(method == route.method and pattern.fullmatch(path) for method, path in said), route
