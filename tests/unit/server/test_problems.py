"""Errors over HTTP: problem details with a short id, and nothing of the inside."""

import json
import logging
from typing import Any

import pytest
from litestar import get, post
from litestar.params import FromPath, JSONBody

from charkh.core.errors import Corrupt, GateRefused, NotFound, error_classes
from charkh.server.application import api
from charkh.server.policy import Doorkeeper, Policy
from charkh.server.problems import STATUSES, status_of
from charkh.workspace.workspace import Workspace
from unit.server.conftest import TOKEN, Ask, request


@get("/fail/{what:str}", opt={"policy": Policy.READ}, sync_to_thread=False)
def fail(what: FromPath[str]) -> None:
    """Fail in the way that is asked for."""
    if what == "bug":
        raise ZeroDivisionError("/home/ann/secret-path")
    if what == "surrogate":
        raise NotFound("\udcff", code="x.y")
    kinds = {kind.__name__: kind for kind in error_classes()}
    raise kinds[what](f"{what} happened", code="some.code", hint="do this", facts={"count": 3, "path": object})


@post("/echo", opt={"policy": Policy.WRITE}, sync_to_thread=False)
def echo(data: JSONBody[dict[str, int]]) -> dict[str, int]:
    """Give back."""
    return data


@pytest.fixture
def failing(workspace: Workspace, doorkeeper: Doorkeeper) -> Any:
    return api(workspace, doorkeeper, [fail, echo])


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_class_has_its_status(kind: Any, failing: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "charkh.server"):
        answer = request(failing, "GET", f"/fail/{kind.__name__}", token=TOKEN)
    assert answer.status_code == STATUSES[kind]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:charkh:some.code"
    assert (problem["title"], problem["detail"]) == (f"{kind.__name__} happened", "do this")
    assert problem["facts"]["count"] == 3
    assert problem["instance"] in caplog.text, "the log has the same id"


def test_a_subclass_of_an_error_has_its_parents_status() -> None:
    class Stale(Corrupt):
        pass

    assert status_of(Stale("x")) == STATUSES[Corrupt]
    assert status_of(GateRefused("x")) == 422


def test_a_bug_tells_its_id_and_nothing_else(failing: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "charkh.server"):
        answer = request(failing, "GET", "/fail/bug", token=TOKEN)
    assert answer.status_code == 500
    problem = answer.json()
    assert problem["type"] == "urn:charkh:bug"
    assert problem["instance"] in problem["detail"]
    assert "secret-path" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert problem["instance"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_what_the_framework_refuses_has_the_same_form(failing: Any, ask: Ask) -> None:
    missing = request(failing, "GET", "/nothing", token=TOKEN)
    assert (missing.status_code, missing.json()) == (
        404,
        {"type": "about:blank", "title": "Not Found", "status": 404},
    )
    wrong = request(failing, "DELETE", "/echo", token=TOKEN)
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert "POST" in wrong.headers["allow"]
    denied = request(failing, "GET", "/fail/bug")
    assert (denied.status_code, denied.headers["www-authenticate"]) == (401, 'Bearer realm="charkh"')
    parameter = ask("GET", "/api/runs?limit=many", token=TOKEN)
    assert parameter.status_code == 400
    assert parameter.json()["facts"]["problems"][0]["key"] == "limit"
    absent = ask("GET", "/api/models/versions", token=TOKEN)
    assert absent.status_code == 400
    assert "name" in absent.text


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a":"b"}', b"\xff\xfe", b"null", b"[" * 5000])
def test_a_body_that_cannot_be_read_is_the_callers_mistake(body: bytes, failing: Any) -> None:
    headers = {"Content-Type": "application/json"}
    answer = request(failing, "POST", "/echo", token=TOKEN, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_long_is_refused(failing: Any) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"a" * (2 << 20): 1}).encode()
    assert request(failing, "POST", "/echo", token=TOKEN, content=body, headers=headers).status_code == 413
