"""Every route and every kind of caller: nobody comes in where its role does not reach, and nothing fails."""

import pytest

from charkh.bridges.mlflow.routes import ROUTES
from security.team import Team, Way, basic

RANKS = {"open": 0, "reader": 1, "writer": 2, "admin": 3}
CALLERS = {"": -1, "wrong": -1, "nobody": 0, "reader": 1, "writer": 2, "admin": 3, "owner": 3}
OPEN = {"/", "/api/health", "/version", "/health", "/sign-in", "/sign-in/back"}


def expected(way: Way, who: str) -> str:
    if way.role == "open":
        return "in"
    if CALLERS[who] < 0:
        return "unknown"
    return "in" if CALLERS[who] >= RANKS[way.role] else "denied"


def test_every_route_has_a_role_and_few_are_open(team: Team) -> None:
    assert len(team.ways) > 200
    assert all(way.role in RANKS for way in team.ways)
    open_ones = {way.path for way in team.ways if way.role == "open"}
    rest = {
        path for path in open_ones - OPEN if not path.endswith(("/mlflow/server-info",)) and "/mpu/parts/" not in path
    }
    assert rest == set()
    assert all(isinstance(route.role, str) for route in ROUTES)


@pytest.mark.parametrize("who", CALLERS)
def test_a_caller_comes_in_where_its_role_reaches(who: str, team: Team) -> None:
    failures: list[str] = []
    for way in team.ways:
        if way.path == "/api/sign-out" or (way.role == "open" and way.path == "/"):
            continue
        body: object = None if way.method in {"GET", "HEAD"} else {}
        answer = team.ask(way.method, way.path, who=who, body=body)
        outcome = {401: "unknown", 403: "denied"}.get(answer.status, "in")
        if outcome != expected(way, who) or (answer.status >= 500 and answer.status != 501):
            failures.append(
                f"{way.method} {way.path} as {who or 'nobody at all'}: {answer.status} {answer.body[:120]!r}"
            )
    assert failures == []


def test_a_role_over_a_project_opens_nothing_that_is_about_the_whole(team: Team) -> None:
    failures: list[str] = []
    for way in team.ways:
        if way.scoped or way.role == "open":
            continue
        answer = team.ask(way.method, way.path, who="mine", body=None if way.method == "GET" else {})
        if answer.status != 403:
            failures.append(f"{way.method} {way.path}: {answer.status}")
    assert failures == []


def test_a_name_and_a_token_are_as_good_as_a_bearer(team: Team) -> None:
    for path in ("/api/runs", "/api/2.0/mlflow/experiments/search?max_results=5"):
        good = team.ask("GET", path, headers={"Authorization": basic("reader", team.tokens["reader"])})
        assert good.status == 200, good.body
        for name, token in (("writer", team.tokens["reader"]), ("reader", ""), ("", team.tokens["owner"] + "x")):
            assert team.ask("GET", path, headers={"Authorization": basic(name, token)}).status == 401


def test_strangers_learn_nothing_from_what_is_wrong_with_their_token(team: Team) -> None:
    real = team.tokens["reader"]
    wrong = ["", "Bearer", f"Bearer {real[:-1]}", f"Bearer {real}x", f"Bearer {real.upper()}", f"bearer\t{real}", real]
    answers = {team.ask("GET", "/api/runs", headers={"Authorization": header}).body for header in wrong}
    assert len(answers) == 1


def test_methods_that_are_none_and_routes_that_are_none_fail_quietly(team: Team) -> None:
    for method in ("TRACE", "CONNECT", "__INIT__", "get", "X" * 1000, "PROPFIND"):
        for path in ("/", "/api/runs", "/api/2.0/mlflow/runs/get"):
            assert team.ask(method, path, who="owner").status in {404, 405}
    for path in ("/api/nothing", "/api/2.0/mlflow/nothing", "/ajax-api/9.0/mlflow/runs/get", "/v1/traces/x"):
        assert team.ask("GET", path).status in {401, 404}
