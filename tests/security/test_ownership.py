"""Another project's things, named in every place where an id can stand: they are not there, and nothing changes."""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from charkh.bridges.mlflow.routes import ROUTES
from charkh.core.ids import new_id
from security.team import SECRET, Team
from security.test_trace_ownership import MODULES

ABSENT = {"run": "0123456789abcdef0123456789abcdef", "project": "999999999999999999", "logged": "m-" + "0" * 32}


class Case(NamedTuple):
    """A request: method, path, and fields in which `{run}`, `{project}` and `{logged}` stand for ids."""

    method: str
    path: str
    fields: Mapping[str, Any] = MappingProxyType({})

    def filled(self, ids: dict[str, str]) -> tuple[str, dict[str, Any]]:
        """Path and fields about these things."""

        def fill(text: str) -> str:
            return re.sub(r"\{(run|project|logged)\}", lambda found: ids[found[1]], text)

        return fill(self.path), json.loads(fill(json.dumps(dict(self.fields))))


METRIC = {"key": "loss", "value": 1.0, "timestamp": 1, "step": 0}
LINK = {"model_id": "{logged}", "step": 0}
MLFLOW = "/api/2.0/mlflow"
CASES = (
    Case("GET", "/api/runs/run", {"ref": "{run}"}),
    Case("GET", "/api/runs/run", {"ref": "run:{run}"}),
    Case("GET", "/api/runs/history", {"ref": "{run}", "key": "loss"}),
    Case("GET", f"{MLFLOW}/runs/get", {"run_id": "{run}"}),
    Case("GET", f"{MLFLOW}/runs/get", {"run_uuid": "{run}"}),
    Case("POST", f"{MLFLOW}/runs/create", {"experiment_id": "{project}", "start_time": 1}),
    Case("POST", f"{MLFLOW}/runs/update", {"run_id": "{run}", "status": "KILLED", "run_name": "x"}),
    Case("POST", f"{MLFLOW}/runs/update", {"run_uuid": "{run}", "status": "KILLED"}),
    Case("POST", f"{MLFLOW}/runs/delete", {"run_id": "{run}"}),
    Case("POST", f"{MLFLOW}/runs/restore", {"run_id": "{run}"}),
    Case("POST", f"{MLFLOW}/runs/log-metric", {"run_id": "{run}", **METRIC}),
    Case("POST", f"{MLFLOW}/runs/log-metric", {"run_uuid": "{run}", **METRIC}),
    Case("POST", f"{MLFLOW}/runs/log-parameter", {"run_id": "{run}", "key": "p", "value": "v"}),
    Case("POST", f"{MLFLOW}/runs/log-batch", {"run_id": "{run}", "metrics": [METRIC]}),
    Case("POST", f"{MLFLOW}/runs/log-batch", {"run_id": "{run}", "tags": [{"key": "a", "value": "b"}]}),
    Case("POST", f"{MLFLOW}/runs/set-tag", {"run_id": "{run}", "key": "a", "value": "b"}),
    Case("POST", f"{MLFLOW}/runs/delete-tag", {"run_id": "{run}", "key": "note"}),
    Case("POST", f"{MLFLOW}/runs/log-inputs", {"run_id": "{run}", "models": [LINK]}),
    Case("POST", f"{MLFLOW}/runs/outputs", {"run_id": "{run}", "models": [LINK]}),
    Case("POST", f"{MLFLOW}/runs/log-model", {"run_id": "{run}", "model_json": "{}"}),
    Case("GET", f"{MLFLOW}/metrics/get-history", {"run_id": "{run}", "metric_key": "loss"}),
    Case("GET", f"{MLFLOW}/metrics/get-history-bulk", {"run_id": "{run}", "metric_key": "loss"}),
    Case("GET", f"{MLFLOW}/metrics/get-history-bulk-interval", {"run_ids": "{run}", "metric_key": "loss"}),
    Case("GET", f"{MLFLOW}/artifacts/list", {"run_id": "{run}"}),
    Case("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=mine.txt", {"bytes": "x"}),
    Case("GET", "/get-artifact", {"run_uuid": "{run}", "path": "note.txt"}),
    Case("GET", f"{MLFLOW}/experiments/get", {"experiment_id": "{project}"}),
    Case("POST", f"{MLFLOW}/experiments/delete", {"experiment_id": "{project}"}),
    Case("POST", f"{MLFLOW}/experiments/restore", {"experiment_id": "{project}"}),
    Case("POST", f"{MLFLOW}/experiments/update", {"experiment_id": "{project}", "new_name": "mine/taken"}),
    Case("POST", f"{MLFLOW}/experiments/set-experiment-tag", {"experiment_id": "{project}", "key": "a", "value": "b"}),
    Case("POST", f"{MLFLOW}/experiments/delete-experiment-tag", {"experiment_id": "{project}", "key": "a"}),
    Case("POST", f"{MLFLOW}/experiments/search-datasets", {"experiment_ids": ["{project}"]}),
    Case("POST", f"{MLFLOW}/runs/search", {"experiment_ids": ["{project}"]}),
    Case("POST", f"{MLFLOW}/logged-models", {"experiment_id": "{project}", "name": "m"}),
    Case("POST", f"{MLFLOW}/logged-models/search", {"experiment_ids": ["{project}"]}),
    Case("GET", f"{MLFLOW}/logged-models/{{logged}}"),
    Case("PATCH", f"{MLFLOW}/logged-models/{{logged}}", {"status": "LOGGED_MODEL_READY"}),
    Case("PATCH", f"{MLFLOW}/logged-models/{{logged}}/tags", {"tags": [{"key": "a", "value": "b"}]}),
    Case("DELETE", f"{MLFLOW}/logged-models/{{logged}}/tags/a"),
    Case("POST", f"{MLFLOW}/logged-models/{{logged}}/params", {"params": [{"key": "a", "value": "b"}]}),
    Case("GET", f"{MLFLOW}/logged-models/{{logged}}/artifacts/directories"),
    Case("GET", f"{MLFLOW}/logged-models/{{logged}}/artifacts/files", {"artifact_file_path": "MLmodel"}),
    Case("DELETE", f"{MLFLOW}/logged-models/{{logged}}"),
    Case("GET", "/api/2.0/mlflow-artifacts/artifacts/{project}/{run}/artifacts/note.txt"),
    Case("GET", "/api/2.0/mlflow-artifacts/artifacts", {"path": "{project}/{run}/artifacts"}),
    Case("PUT", "/api/2.0/mlflow-artifacts/artifacts/{project}/{run}/artifacts/mine.txt"),
    Case("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{project}/{run}/artifacts/note.txt"),
    Case("POST", "/api/2.0/mlflow-artifacts/mpu/create/{project}/{run}/artifacts/big", {"path": "big", "num_parts": 1}),
    Case("GET", "/api/2.0/mlflow-artifacts/artifacts/{project}/models/{logged}/artifacts/MLmodel"),
    Case("PUT", "/api/2.0/mlflow-artifacts/artifacts/{project}/models/{logged}/artifacts/MLmodel"),
)
NOT_ABOUT_A_PROJECT = ("/registered-models/", "/model-versions/", "/webhooks", "/version", "/health", "/server-info")
ELSEWHERE = {
    "/mlflow/experiments/create": "names nothing that is there",
    "/mlflow/experiments/get-by-name": "asked by name below",
    "/mlflow/experiments/search": "a list, looked at below",
    "/mlflow-artifacts/mpu/complete/{path...}": "needs an upload that was begun",
    "/mlflow-artifacts/mpu/abort/{path...}": "needs an upload that was begun",
    "/mlflow-artifacts/mpu/parts/{upload}/{part}": "needs an upload that was begun",
}

TOLD_APART = {route.path for module in MODULES for route in module.ROUTES}
"""Routes of traces, evaluation datasets and scorers, which have a table of their own."""


@pytest.fixture(scope="module")
def ids(team: Team) -> dict[str, dict[str, str]]:
    """By project, the ids of its things."""
    found: dict[str, dict[str, str]] = {}
    for project in ("mine", "other"):
        body = {"experiment_id": team.projects[project], "name": SECRET if project == "other" else "plain"}
        made = team.ask("POST", f"{MLFLOW}/logged-models", who="owner", body=body).json()
        logged = made["model"]["info"]["model_id"]
        found[project] = {"run": team.runs[project], "project": team.projects[project], "logged": logged}
    return found


def asked(team: Team, case: Case, about: dict[str, str], who: str) -> tuple[int, bytes]:
    path, fields = case.filled(about)
    if case.method == "GET":
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        answer = team.ask("GET", f"{path}?{query}" if query else path, who=who)
    else:
        answer = team.ask(case.method, path, who=who, body=fields)
    return answer.status, answer.body


def without_ids(body: bytes, *known: dict[str, str]) -> bytes:
    for about in known:
        for value in about.values():
            body = body.replace(value.encode(), b"ID").replace(value[:12].encode(), b"ID")
    return re.sub(rb'"instance":"[^"]*"', b"", body)


def named(case: Case) -> str:
    return f"{case.method} {case.path} {json.dumps(dict(case.fields))}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_is_anothers_is_as_if_it_were_not_there(case: Case, team: Team, ids: dict[str, dict[str, str]]) -> None:
    before = team.facts()
    status, body = asked(team, case, ids["other"], "mine")
    absent_status, absent_body = asked(team, case, ABSENT, "mine")
    assert SECRET.encode() not in body
    assert status < 500
    assert status == absent_status, f"{body!r} beside {absent_body!r}"
    assert without_ids(body, ids["other"]) == without_ids(absent_body, ABSENT)
    assert team.facts() == before, "nothing was recorded"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_who_may_read_a_project_changes_nothing_in_it(case: Case, team: Team, ids: dict[str, dict[str, str]]) -> None:
    before = team.facts()
    status, _ = asked(team, case, ids["mine"], "looker")
    assert status < 500
    writes = case.method != "GET" and not case.path.endswith(("/search", "/search-datasets"))
    if writes:
        assert status in {400, 403, 404}
    assert team.facts() == before


def test_what_is_ones_own_can_be_had(team: Team, ids: dict[str, dict[str, str]]) -> None:
    refused: list[str] = []
    for case in CASES:
        if case.method == "DELETE" or case.path.endswith("/delete"):
            continue
        status, body = asked(team, case, ids["mine"], "mine")
        absent = b"No such artifact" in body or b"No Experiment" in body  # nothing was kept there, or is deleted
        if status in {401, 403} or (status == 404 and not absent) or status >= 500:
            refused.append(f"{named(case)}: {status} {body[:200]!r}")
    assert refused == [], "\n".join(refused)


def test_lists_leave_out_what_is_anothers(team: Team) -> None:
    for target in (
        "/api/runs",
        "/api/runs?where=params.note%20~%20%27only%27",
        f"{MLFLOW}/experiments/search?max_results=1000",
        f"{MLFLOW}/registered-models/search",
        f"{MLFLOW}/model-versions/search",
        f"{MLFLOW}/experiments/get-by-name?experiment_name=other/{SECRET}",
        "/api/models",
        "/api/datasets",
    ):
        answer = team.ask("GET", target, who="mine")
        assert answer.status in {200, 404}, f"{target}: {answer.body!r}"
        assert SECRET.encode() not in answer.body.replace(f"other/{SECRET}".encode(), b""), target
        everything = team.ask("GET", target, who="reader")
        assert everything.status == 200, f"{target}: {everything.body!r}"
    both = {"experiment_ids": [team.projects["mine"], team.projects["other"]]}
    found = team.ask("POST", f"{MLFLOW}/runs/search", who="mine", body=both).json()["runs"]
    assert {run["info"]["run_id"] for run in found} >= {team.runs["mine"]}
    assert team.runs["other"] not in {run["info"]["run_id"] for run in found}


def test_ids_are_looked_at_wherever_they_stand(team: Team) -> None:
    """Row 26 of the advisories: both spellings, twice, nested, and in the query beside the body."""
    before = team.facts()
    mine, other = team.runs["mine"], team.runs["other"]
    twice = f'{{"run_id":"{mine}","run_id":"{other}","key":"a","value":"b"}}'.encode()
    back = f'{{"run_id":"{other}","run_id":"{mine}","run_uuid":"{other}","key":"a","value":"b"}}'.encode()
    headers = {"content-type": "application/json"}
    for raw in (twice, f'{{"runId":"{other}","key":"a","value":"b"}}'.encode()):
        answer = team.ask("POST", f"{MLFLOW}/runs/set-tag", who="mine", raw=raw, headers=headers)
        assert answer.status in {400, 404}, answer.body
    assert team.facts() == before
    answer = team.ask("POST", f"{MLFLOW}/runs/set-tag", who="mine", raw=back, headers=headers)
    assert answer.status in {200, 400, 404}
    run = team.ask("GET", f"/api/runs/run?ref={other}", who="owner").json()
    assert set(run["tags"]) == {"note"}
    link = {"run_id": mine, "models": [{"model_id": "m-" + "0" * 32, "step": 0}]}
    assert team.ask("POST", f"{MLFLOW}/runs/outputs", who="mine", body=link).status in {400, 404}
    child = {
        "experiment_id": team.projects["mine"],
        "start_time": 1,
        "tags": [{"key": "mlflow.parentRunId", "value": other}],
    }
    made = team.ask("POST", f"{MLFLOW}/runs/create", who="mine", body=child)
    assert SECRET.encode() not in made.body


def test_another_principals_upload_is_not_there(team: Team) -> None:
    target = f"{team.projects['other']}/{team.runs['other']}/artifacts/big.bin"
    body = {"path": "big.bin", "num_parts": 1}
    begun = team.ask("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{target}", who="owner", body=body)
    assert begun.status == 200, begun.body
    upload = begun.json()["upload_id"]
    before = team.facts()
    for verb in ("complete", "abort"):
        more: dict[str, Any] = {"path": "big.bin", "upload_id": upload, "parts": []}
        answer = team.ask("POST", f"/api/2.0/mlflow-artifacts/mpu/{verb}/{target}", who="mine", body=more)
        assert answer.status in {403, 404}, f"{verb}: {answer.body!r}"
    for guess in (new_id(), "0", "..", "%2e%2e"):
        answer = team.ask("PUT", f"/api/2.0/mlflow-artifacts/mpu/parts/{guess}/1", raw=b"x")
        assert answer.status in {400, 401, 403, 404}, answer.body
    assert team.facts() == before


def _untold() -> Iterator[str]:
    said = {(case.method, re.sub(r"^/(api|ajax-api)/2\.0|\?.*", "", case.path)) for case in CASES}
    for route in ROUTES:
        if (
            route.path in ELSEWHERE
            or route.path in TOLD_APART
            or any(part in route.path for part in NOT_ABOUT_A_PROJECT)
        ):
            continue
        pattern = re.compile(re.sub(r"\{\w+\.\.\.\}", ".*", re.sub(r"\{\w+\}", "[^/]+", route.path)))
        if not any(method == route.method and pattern.fullmatch(path) for method, path in said):
            yield f"{route.method} {route.path}"


def test_every_route_about_a_project_is_tried() -> None:
    assert list(_untold()) == []
