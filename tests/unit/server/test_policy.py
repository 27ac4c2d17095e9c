"""Every route against every kind of caller: what comes in, and what does not."""

import pytest
from litestar import Litestar, WebSocket, get, websocket
from litestar.routes import HTTPRoute

from charkh.core.errors import Bug
from charkh.server.application import api
from charkh.server.policy import Doorkeeper, Policy, host_names, require_policies
from charkh.users.gatekeeper import Gatekeeper
from charkh.workspace.workspace import Workspace
from unit.server.conftest import TOKEN, Ask

OPEN = {"/", "/api/health", "/sign-in", "/sign-in/back"}


def routes(app: Litestar) -> list[tuple[str, str, Policy]]:
    """(method, path, policy) of every route but the framework's OPTIONS."""
    return sorted(
        (
            (method, route.path, handler.opt["policy"])
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            for method in handler.http_methods
            if method != "OPTIONS"
        ),
        key=lambda each: each[:2],
    )


def known(path: str) -> set[int]:
    """What a caller gets who comes in without parameters: an answer, or 400 for the one that is missing."""
    if path.startswith("/sign-in"):
        return {404}  # no provider is configured
    return {200, 204, 400} if "{" not in path else {400, 404}


@pytest.fixture(scope="module")
def listed(workspace: Workspace, doorkeeper: Doorkeeper) -> list[tuple[str, str, Policy]]:
    return routes(api(workspace, doorkeeper))


def test_what_changes_something_is_a_write_and_the_rest_is_none(listed: list[tuple[str, str, Policy]]) -> None:
    assert len(listed) > 30
    assert {path for _, path, policy in listed if policy is Policy.OPEN} == OPEN
    changing = {Policy.WRITE, Policy.EXCHANGE}
    assert {method for method, _, policy in listed if policy in changing} == {"POST"}
    assert all(policy in {*changing, Policy.ADMIN} for method, _, policy in listed if method != "GET")
    assert {path for _, path, policy in listed if policy is Policy.ADMIN} >= {"/api/users", "/api/users/token"}
    exchanged = {path for _, path, policy in listed if policy is Policy.EXCHANGE}
    assert exchanged >= {f"/api/exchange/{name}" for name in ("object", "delete", "parts", "facts")}
    assert all(path.startswith(("/api/exchange/", "/api/queries", "/api/commands")) for path in exchanged)
    assert any(path == "/api/schema/openapi.json" for _, path, _ in listed)


def test_nobody_comes_in_without_the_token(listed: list[tuple[str, str, Policy]], ask: Ask) -> None:
    for method, path, policy in listed:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer "}):
            status = ask(method, path, headers=headers).status_code
            expected = {200} if path == "/api/health" else known(path) if path.startswith("/sign-in") else {401}
            assert status in expected, f"{method} {path} ({policy}) {headers}"


def test_the_token_comes_in_everywhere(listed: list[tuple[str, str, Policy]], ask: Ask) -> None:
    for method, path, _ in listed:
        for bearer in ("Bearer", "bearer"):
            status = ask(method, path, headers={"Authorization": f"{bearer} {TOKEN}"}).status_code
            assert status in known(path), f"{method} {path}: {status}"


def test_a_browser_comes_in_by_its_cookie(
    listed: list[tuple[str, str, Policy]], ask: Ask, doorkeeper: Doorkeeper, session: str
) -> None:
    cookie = {"Cookie": f"{doorkeeper.cookie}={session}"}
    for method, path, policy in listed:
        if path == "/api/sign-out":
            continue
        for site in ("same-origin", "same-site", "cross-site", "none", ""):
            headers = {**cookie, **({"Sec-Fetch-Site": site} if site else {})}
            status = ask(method, path, headers=headers).status_code
            foreign = method != "GET" and site in {"same-site", "cross-site"}
            refused = foreign or (policy in {Policy.WRITE, Policy.ADMIN} and method != "GET" and site != "same-origin")
            expected = {403} if foreign else {401} if policy is Policy.EXCHANGE else {403} if refused else known(path)
            assert status in expected, f"{method} {path} from {site}: {status}"


def test_who_signs_out_is_out_whatever_was_kept_of_the_cookie(ask: Ask, doorkeeper: Doorkeeper, session: str) -> None:
    headers = {"Cookie": f"{doorkeeper.cookie}={session}", "Sec-Fetch-Site": "same-origin"}
    assert ask("GET", "/api/models", headers=headers).status_code == 200
    answer = ask("POST", "/api/sign-out", headers=headers)
    assert answer.status_code == 204
    assert f"{doorkeeper.cookie}=" in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert ask("GET", "/api/models", headers=headers).status_code == 401


def test_no_other_cookie_comes_in(ask: Ask, doorkeeper: Doorkeeper, session: str) -> None:
    for cookie in (
        f"{doorkeeper.cookie}={TOKEN}",
        f"{doorkeeper.cookie}=",
        f"other={session}",
        f"{doorkeeper.cookie}=\xe9",
    ):
        answer = ask("GET", "/api/models", headers=[("Cookie", cookie.encode("latin-1"))])
        assert answer.status_code == 401


def test_the_cookie_is_no_bearer(ask: Ask, doorkeeper: Doorkeeper, session: str, workspace: Workspace) -> None:
    assert ask("GET", "/api/models", token=session).status_code == 401
    assert TOKEN not in session
    other = Doorkeeper(Gatekeeper(workspace.store, "another"), ())
    assert other.cookie != doorkeeper.cookie, "two workspaces on this machine keep two cookies"


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "127.0.0.1.evil.test",
        "127.0.0.1.evil.test:7461",
        "localhost.",
        "localhost.evil.test",
        "0.0.0.0",
        "2130706433",
        "[::]",
        "",
        "127.0.0.1:7461:1",
        "127.0.0.1:x",
        "user@127.0.0.1",
    ],
)
def test_another_name_reaches_no_route(host: str, listed: list[tuple[str, str, Policy]], ask: Ask) -> None:
    for method, path, _ in [*listed, ("GET", "/api/nothing", None), ("OPTIONS", "/api/models", None)]:
        answer = ask(method, path, token=TOKEN, headers={"Host": host})
        assert answer.status_code == 403, f"{method} {path}"
        assert answer.headers["content-type"] == "application/problem+json"
    assert ask("GET", "/v2/models", token=TOKEN, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7461", "localhost:80", "LOCALHOST", "[::1]:7461", "[::1]"])
def test_names_of_this_machine_are_ours(host: str, ask: Ask) -> None:
    assert ask("GET", "/api/models", token=TOKEN, headers={"Host": host}).status_code == 200


def test_a_name_that_is_given_twice_is_refused(ask: Ask) -> None:
    twice = [("Host", "127.0.0.1:7461"), ("Host", "evil.test"), ("Authorization", f"Bearer {TOKEN}")]
    assert ask("GET", "/api/models", headers=twice).status_code == 403


def test_a_server_under_a_name_is_addressed_by_it() -> None:
    assert host_names("models.example.org") >= {"models.example.org", "localhost"}
    assert host_names("127.0.0.1") == host_names("localhost")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b'{"name":"delay"}', 415),
        ("application/x-www-form-urlencoded", b"name=delay", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("", b'{"name":"delay"}', 415),
        ("text/plain", b"", 415),
        ("application/json", b'{"name":"delay","nmae":1}', 400),
        ("application/json; charset=utf-8", b'{"name":"nothing"}', 404),
    ],
)
def test_a_write_takes_json_and_nothing_that_a_form_can_send(kind: str, body: bytes, status: int, ask: Ask) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert ask("POST", "/api/models/rollback", token=TOKEN, headers=headers, content=body).status_code == status


def test_options_tell_nothing_to_strangers_and_allow_no_other_origin(ask: Ask) -> None:
    assert ask("OPTIONS", "/api/models/alias").status_code == 401
    answer = ask("OPTIONS", "/api/models/alias", token=TOKEN, headers={"Origin": "https://evil.test"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_route_without_a_policy_keeps_the_server_from_starting(workspace: Workspace, doorkeeper: Doorkeeper) -> None:
    @get("/api/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "secret"

    with pytest.raises(Bug, match="GET /api/forgotten has no policy"):
        api(workspace, doorkeeper, [forgotten])


def test_a_websocket_has_no_policy_and_is_refused() -> None:
    @websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()

    with pytest.raises(Bug, match="no HTTP route"):
        require_policies(Litestar([live], openapi_config=None, logging_config=None))
