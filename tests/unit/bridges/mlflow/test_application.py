"""The door of MLflow's protocol: routes, tokens, bodies, and what a caller learns of a bug."""

from typing import Any

import pytest
from tests.unit.bridges.mlflow.conftest import Client

from charkh.bridges.mlflow import probes
from charkh.bridges.mlflow.call import Route
from charkh.bridges.mlflow.routes import ROUTES, RouteTable, is_mlflow, paths_of


def test_no_two_routes_answer_one_call() -> None:
    calls = [(route.method, path) for route in ROUTES for path in paths_of(route)]
    assert len(calls) == len(set(calls))
    assert all(is_mlflow(path) for _, path in calls)


def test_only_probes_and_parts_ask_nobody_for_a_token() -> None:
    opened = {route.path for route in ROUTES if route.role == "open"}
    assert opened == {"/version", "/health", "/mlflow/server-info", "/mlflow-artifacts/mpu/parts/{upload}/{part}"}


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_a_route_is_under_both_prefixes_and_below_any_root(shared: Client, prefix: str) -> None:
    path = f"{prefix}/2.0/mlflow/experiments/get"
    for root in ("", "/_ns/abc"):
        answer = shared.ask("GET", path, None, {"experiment_id": "0"}, root=root)
        assert answer.json()["experiment"]["name"] == "Default"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/2.0/mlflow/nothing"),
        ("GET", "/api/4.0/mlflow/experiments/get"),
        ("PUT", "/api/2.0/mlflow/experiments/get"),
        ("GET", "/api/3.0/mlflow/gateway/endpoints"),
    ],
)
def test_what_is_not_there_is_404_without_a_body(shared: Client, method: str, path: str) -> None:
    answer = shared.ask(method, path)
    assert (answer.status, answer.body) == (404, b"")


def test_without_a_token_nothing_is_answered_but_probes(shared: Client) -> None:
    assert shared.ask("GET", "/version", token="").body == probes.API_LEVEL.encode()
    assert shared.ask("GET", "/health", token="").body == b"OK"
    assert shared.ask("GET", "/api/3.0/mlflow/server-info", token="").json()["artifact_serving_enabled"] is True
    for token in ("", "wrong"):
        answer = shared.ask("GET", "/api/2.0/mlflow/experiments/get", None, {"experiment_id": "0"}, token=token)
        assert (answer.status, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_body_that_is_no_object_is_refused(shared: Client) -> None:
    for body in (b"[]", b"{", b"\xff", b"1"):
        answer = shared.ask("POST", "/api/2.0/mlflow/runs/search", body)
        assert (answer.status, answer.json()["error_code"]) == (400, "BAD_REQUEST")


def test_a_body_that_is_too_long_is_refused(client: Client) -> None:
    client.application._table = RouteTable([Route("POST", "/health", probes.health, "open", versions=(), limit=10)])  # pyright: ignore[reportPrivateUsage]
    assert client.ask("POST", "/health", b"x" * 11).status == 400
    assert client.ask("POST", "/health", b"{}").status == 200


def test_a_bug_is_told_by_a_number_that_is_in_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_call: Any) -> None:
        raise ZeroDivisionError("secret detail")

    client.application._table = RouteTable([Route("GET", "/health", fail, "open", versions=())])  # pyright: ignore[reportPrivateUsage]
    answer = client.ask("GET", "/health")
    assert (answer.status, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.json()["message"]
    assert answer.json()["message"].rpartition(" ")[2].rstrip(".") in caplog.text


def test_a_table_finds_values_of_a_path() -> None:
    def no_answer(_call: Any) -> None: ...

    one = Route("GET", "/things/{id}/tags/{key}", no_answer, "reader", versions=("3.0",))
    rest = Route("PUT", "/files/{path...}", no_answer, "writer")
    table = RouteTable([one, rest])
    found = table.find("GET", "/api/3.0/things/m-1/tags/a.b")
    assert found is not None
    assert (found.route.path, dict(found.values)) == (one.path, {"id": "m-1", "key": "a.b"})
    found = table.find("PUT", "/api/2.0/files/a/b c")
    assert found is not None
    assert dict(found.values) == {"path": "a/b c"}
    assert table.find("GET", "/api/2.0/things/m-1/tags/a") is None
    assert table.find("GET", "/api/3.0/things/m-1/tags/") is None
