"""Runs and projects over HTTP: found, read, compared, grouped, thrown away and taken back."""

import math
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from charkh.runs.start import start
from charkh.workspace.workspace import Workspace
from unit.server.conftest import TOKEN

Ask = Callable[..., httpx.Response]
Read = Callable[..., Any]


@pytest.fixture
def read(ask: Ask) -> Read:
    def get(path: str, status: int = 200, **query: Any) -> Any:
        answer = ask("GET", path, token=TOKEN, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    return get


@pytest.fixture
def write(ask: Ask) -> Read:
    def post(path: str, status: int = 200, **body: Any) -> Any:
        answer = ask("POST", path, token=TOKEN, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    return post


@pytest.fixture(scope="module")
def runs(workspace: Workspace) -> list[str]:
    ids: list[str] = []
    for model, seed in [("forest", 1), ("forest", 2), ("boost", 1), ("boost", 2)]:
        with start(workspace.store, name=f"{model} {seed}", group="http", params={"model": model, "seed": seed}) as run:
            for step in range(1000):
                value = 50.0 if step == 500 and model == "boost" else math.sin(step / 100)
                run.log({"curve/a": value}, step=step)
            run.log({"score": 0.5 + seed / 100 + (model == "boost") / 10})
            run.add_artifact("out/<b>é.html", b"<script>alert(1)</script>")
            ids.append(run.id)
    return ids


def test_runs_are_found_page_by_page(read: Read, runs: list[str]) -> None:
    whole = [run["started"]["run"] for run in read("/api/runs", where="group = 'http'", order="created")]
    assert whole == runs
    part = read("/api/runs", where="group = 'http'", order="created", limit=2, offset=1)
    assert [run["started"]["run"] for run in part] == runs[1:3]
    first = read("/api/runs/page", where="group = 'http'", order="created", limit=3)
    rest = read("/api/runs/page", where="group = 'http'", order="created", limit=3, token=first["next"])
    assert [run["started"]["run"] for page in (first, rest) for run in page["runs"]] == runs
    assert rest["next"] == ""
    assert read("/api/runs/page", where="metrics.scroe > 1")["hints"] == [
        "no run has a metric 'scroe': did you mean score?"
    ]
    assert read("/api/runs", 400, where="name ~")["type"] == "urn:charkh:run.bad_search"
    assert read("/api/runs/page", 400, token="x")["type"] == "urn:charkh:run.bad_token"


def test_a_run_is_read(read: Read, runs: list[str]) -> None:
    assert read(f"/api/runs/{runs[0]}")["name"] == "forest 1"
    assert read(f"/api/runs/{runs[0]}/params") == {"params": {"model": "forest", "seed": 1}, "conflicts": []}
    assert {each[0] for each in read(f"/api/runs/{runs[0]}/metrics")} == {"curve/a", "score"}
    assert len(read(f"/api/runs/{runs[2]}/metrics/curve/a")) == 1000
    few = read(f"/api/runs/{runs[2]}/metrics/curve/a", points=50)
    assert len(few) <= 50
    assert [few[0][0], few[-1][0]] == [0, 999]
    assert 50.0 in {point[2] for point in few}, "a spike of one point is not lost"
    assert len(read(f"/api/runs/{runs[2]}/metrics/score", points=50)) == 1, "exact when small"
    read(f"/api/runs/{runs[0]}/metrics/none", 404)
    read("/api/runs/ffffffff", 404)


def test_a_file_is_downloaded_and_never_shown(ask: Ask, read: Read, runs: list[str]) -> None:
    (listed,) = read(f"/api/runs/{runs[0]}/artifacts")
    answer = ask("GET", f"/api/runs/{runs[0]}/artifacts/out/%3Cb%3E%C3%A9.html", token=TOKEN)
    assert answer.status_code == 200
    assert answer.content == b"<script>alert(1)</script>"
    assert listed["file"][1] == len(answer.content) == int(answer.headers["content-length"])
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%3Cb%3E%C3%A9.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"].startswith("application/octet-stream")
    for path in ("out", "../../charkh.toml", "out/%2e%2e/x", "/etc/passwd"):
        assert ask("GET", f"/api/runs/{runs[0]}/artifacts/{path}", token=TOKEN).status_code in {400, 404, 405}


def test_runs_are_compared_and_grouped(read: Read, runs: list[str]) -> None:
    found = read("/api/runs/compare", runs=",".join(runs[1:3]))
    differing = {row["name"]: row for row in found["params"] + found["metrics"] if row["differs"]}
    assert differing["model"]["values"] == ["forest", "boost"]
    assert differing["score"]["deltas"] == [0.0, pytest.approx(0.09)]
    read("/api/runs/compare", 400, runs="")
    groups = read("/api/runs/groups", where="group = 'http'", metric="score")
    assert [each["config"]["params.model"] for each in groups] == ["boost", "forest"]
    assert groups[0]["statistics"][0]["n"] == 2
    assert groups[0]["statistics"][0]["mean"] == pytest.approx(0.615)


def test_runs_are_changed_thrown_away_and_taken_back(read: Read, write: Read, workspace: Workspace) -> None:
    started = start(workspace.store, group="changed")
    started.end()
    run = f"/api/runs/{started.id}"
    assert write(f"{run}/tags", tags={"stage": "draft", "x": None})["tags"] == {"stage": "draft"}
    assert write(f"{run}/name", name="the first")["name"] == "the first"
    assert write(f"{run}/delete", reason="a test")["deleted"] is not None
    read(run, 404)
    assert [each["name"] for each in read("/api/runs", where="group = 'changed'", deleted=True)] == ["the first"]
    assert write(f"{run}/restore")["deleted"] is None
    write(f"{run}/restore", 404)
    write(f"{run}/tags", 400, tags={}, more=1)


def test_projects(read: Read, write: Read) -> None:
    made = write("/api/projects", 201, name="http/project", tags={"team": "red"})
    assert made["tags"] == {"team": "red"}
    write("/api/projects", 409, name="http/project")
    assert write(f"/api/projects/{made['id']}/name", name="http/other")["name"] == "http/other"
    assert write(f"/api/projects/{made['id']}/tags", tags={"team": None})["tags"] == {}
    assert {"http/other", "Default"} <= {each["project"]["name"] for each in read("/api/projects")}
    assert write(f"/api/projects/{made['id']}/delete")["deleted"] is not None
    assert [each["project"]["id"] for each in read("/api/projects", deleted=True)] == [made["id"]]
    assert write(f"/api/projects/{made['id']}/restore")["deleted"] is None
    assert read(f"/api/projects/{made['id']}")["name"] == "http/other"
    write("/api/projects/0/delete", 409)
