"""The routes of the API: each gives what the room's verb gives, and moves what it may move."""

from typing import Any

import pytest

from charkh.workspace.workspace import Workspace
from unit.server.conftest import TOKEN, Ask
from workspaces import HOSTILE


@pytest.fixture
def read(ask: Ask) -> Any:
    """The JSON of a GET that must succeed."""

    def answered(path: str, **params: Any) -> Any:
        answer = ask("GET", path, token=TOKEN, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return answered


def test_lists_of_every_noun(read: Any) -> None:
    assert read("/api/health") == {"status": "ok"}
    assert [each["name"] for each in read("/api/datasets")] == ["flights"]
    assert read("/api/datasets", prefix="x") == []
    assert [each["made"]["number"] for each in read("/api/datasets/versions", name="flights")] == [1]
    assert read("/api/datasets/version", ref="flights@1")["made"]["rows"] == 300
    assert [each["name"] for each in read("/api/models")] == ["delay"]
    assert "champion" in read("/api/models/versions", name="delay")[0]["aliases"]
    assert read("/api/models/version", ref="delay@champion")["made"]["number"] == 1
    assert [each["moved"]["reason"] for each in read("/api/models/history", name="delay", alias="champion")] == [
        HOSTILE
    ]
    assert [each["made"]["rows"] for each in read("/api/evaluations", model="delay")] == [300]
    assert [each["name"] for each in read("/api/monitors")] == ["delay"]
    assert len(read("/api/monitors/history", name="delay")) == 1
    assert [each["made"]["condition"] for each in read("/api/monitors/alerts")] == ["psi > 0.2"]
    assert [each["decided"]["outcome"] for each in read("/api/loops")] == ["refused"]
    assert [each["decided"]["outcome"] for each in read("/api/loops/history", name="delay")] == ["refused"]
    for nothing in ("recipes", "checks", "cards", "studies", "pipelines/executions", "endpoints"):
        assert isinstance(read(f"/api/{nothing}"), list)


def test_runs_are_searched_and_their_points_read(read: Any, ask: Ask) -> None:
    (found,) = read("/api/runs", where="params.rate > 0.05 and metrics.auc > 0.7")
    assert read("/api/runs", where="params.rate > 5") == []
    identifier = found["started"]["run"]
    assert read("/api/runs/run", ref=f"run:{identifier}")["params"]["note"] == HOSTILE
    points = read("/api/runs/history", ref=identifier, key="auc")
    assert [(point[0], point[2]) for point in points] == [(0, 0.7), (1, 0.72), (2, 0.74)]
    assert ask("GET", "/api/runs?where=metrics.auc+%3E", token=TOKEN).status_code == 400
    assert ask("GET", f"/api/pipelines/execution?run={identifier}", token=TOKEN).status_code == 404


def test_lineage_over_the_api(read: Any, ask: Ask) -> None:
    origins = read("/api/trace", what="delay@champion")
    nouns = {node["subject"].partition(":")[0] for node in origins["trace"]["nodes"]}
    assert nouns == {"model", "run", "dataset"}
    touched = read("/api/lineage/impact", what="flights@1")
    assert any(node["subject"].startswith("model:") for node in touched["nodes"])
    assert any(fact["name"] == "auc" for fact in read("/api/lineage/why", what="delay@1")["facts"])
    assert ask("GET", "/api/trace?what=nonsense", token=TOKEN).status_code == 400
    assert ask("GET", "/api/trace?what=run:ffff", token=TOKEN).status_code == 404
    assert ask("GET", "/api/cards/text?what=delay@1", token=TOKEN).status_code == 404
    assert ask("GET", "/api/studies/study?study=study:ffff", token=TOKEN).status_code == 404


def test_an_alias_is_moved_and_rolled_back(ask: Ask, workspace: Workspace) -> None:
    def post(path: str, **body: Any) -> Any:
        return ask("POST", path, token=TOKEN, json=body)

    moved = post("/api/models/alias", ref="delay@1", alias="shadow", reason="to look at it")
    assert (moved.status_code, moved.json()["aliases"]) == (200, ["champion", "shadow"])
    conflict = post("/api/models/alias", ref="delay@1", alias="champion", expect="ab" * 16)
    assert conflict.status_code in {200, 409}
    assert post("/api/models/alias", ref="delay@9", alias="champion").status_code == 404
    assert post("/api/models/alias", ref="delay@1", alias="not an alias!").status_code == 400
    assert post("/api/models/alias", ref="delay@1").status_code == 400
    assert post("/api/models/alias", ref="delay@1", alias="shadow", sudo=True).status_code == 400
    assert post("/api/models/rollback", name="delay", alias="shadow").status_code == 404, "there is no earlier holder"
    assert ask("POST", "/api/loops/turn?name=nothing", token=TOKEN).status_code == 404
    assert ask("POST", "/api/monitors/collect?name=nothing", token=TOKEN).status_code == 404


def test_the_schema_names_every_route(read: Any) -> None:
    schema = read("/api/schema/openapi.json")
    assert schema["openapi"].startswith("3.")
    assert {"/api/models", "/api/runs", "/api/trace"} <= set(schema["paths"])
    ours = {path: verbs for path, verbs in schema["paths"].items() if not path.startswith("/api/schema")}
    assert all(verb["description"] for verbs in ours.values() for verb in verbs.values())
    assert schema["security"] == [{"token": []}]
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
