"""One port for the API and the endpoints: by the path, and with the headers that a browser needs to be told."""

import asyncio
from typing import Any

import pytest

from charkh.server.front import HEADERS, Front
from charkh.server.policy import Doorkeeper
from unit.server.conftest import TOKEN, Ask

ROWS = [{"hour": 23.0, "wind": 5.0}, {"hour": 1.0, "wind": 5.0}]


def dispatched(path: str, doorkeeper: Doorkeeper, kind: str = "http") -> list[str]:
    seen: list[str] = []

    def side(name: str) -> Any:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            seen.append(name)

        return application

    async def nothing(*_given: Any) -> None:
        return None

    front = Front(side("api"), side("endpoints"), doorkeeper)
    scope = {"type": kind, "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}
    asyncio.run(front(scope, nothing, nothing))
    return seen


@pytest.mark.parametrize(
    ("path", "side"),
    [
        ("/", "api"),
        ("/api/models", "api"),
        ("/v2", "endpoints"),
        ("/v2/", "endpoints"),
        ("/v2/health/live", "endpoints"),
        ("/v2/models/delay/infer", "endpoints"),
        ("/predict/delay", "endpoints"),
        ("/v2x", "api"),
        ("/predict", "api"),
        ("/api/../v2/models", "api"),
        ("//v2/models", "api"),
    ],
)
def test_the_path_says_who_answers(path: str, side: str, doorkeeper: Doorkeeper) -> None:
    assert dispatched(path, doorkeeper) == [side]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_only_http_is_answered(kind: str, doorkeeper: Doorkeeper) -> None:
    assert dispatched("/", doorkeeper, kind) == []


def test_both_sides_answer_on_one_port_under_one_token(ask: Ask) -> None:
    assert ask("GET", "/api/models", token=TOKEN).json()[0]["name"] == "delay"
    assert ask("GET", "/v2/models", token=TOKEN).json() == {"models": ["delay"]}
    assert ask("GET", "/v2/models").status_code == 401
    answer = ask("POST", "/predict/delay", token=TOKEN, json=ROWS).json()
    assert [each["predict"] for each in answer["predictions"]] == [1, 0]
    origins = ask("GET", "/api/trace", token=TOKEN, params={"what": answer["predictions"][0]["prediction_id"]}).json()
    assert origins["prediction"]["inputs"] == ROWS[0]
    assert [source["dataset"] for source in origins["sources"]] == ["flights@1"]


def test_every_answer_tells_the_browser_what_it_may_not_do(ask: Ask) -> None:
    expected = {name.decode() for name, _ in HEADERS}
    for path, more in (
        ("/", {}),
        ("/", {"token": TOKEN}),
        ("/api/health", {}),
        ("/api/models", {}),
        ("/api/models", {"token": TOKEN}),
        ("/nothing", {}),
        ("/api/models", {"headers": {"Host": "evil.test"}}),
    ):
        answer = ask("GET", path, **more)
        assert set(answer.headers) >= expected, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        policies = answer.headers.get_list("content-security-policy")
        assert len(policies) == 1
        assert policies[0].startswith("default-src 'none'")
        assert "script" not in policies[0]
