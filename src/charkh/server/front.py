"""The one door of the port: by its path a request goes to the API or to the endpoints, under a name that is ours."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import msgspec

from charkh.bridges.mlflow.routes import is_mlflow
from charkh.core.errors import CharkhError
from charkh.server.policy import READING, Doorkeeper
from charkh.server.problems import MEDIA_TYPE, Problem
from charkh.server.traffic import Headers, Traffic, oversized
from charkh.users.gatekeeper import Gatekeeper

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

ASSISTANTS = "/mcp"
INFERENCE = ("/v2/", "/predict/", "/feedback/", "/truth/", "/v1/models/", "/api/v1.0/", "/api/v0.1/", "/seldon/")
METRICS = "/metrics"
_log = logging.getLogger("charkh.server")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
)
"""What every answer of the API says to a browser, unless the handler says it otherwise."""
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class Asgi(Protocol):
    """An ASGI application."""

    def __call__(self, scope: Any, receive: Any, send: Any, /) -> Awaitable[None]: ...


class Front:
    """An ASGI application in front of the API and of the endpoints.

    Args:
        control: the API.
        inference: the endpoints; they have a door of their own.
        doorkeeper: knows the names of this server.
        mlflow: MLflow's protocol, where it is spoken; it asks for the token itself.
        traffic: counts what comes in; without one, nothing is bounded by its number.
        assistants: answer at `/mcp`, where they are served; they ask for the token themselves.
    """

    def __init__(
        self,
        control: Asgi,
        inference: Asgi,
        doorkeeper: Doorkeeper,
        mlflow: Asgi | None = None,
        traffic: Traffic | None = None,
        assistants: Asgi | None = None,
    ) -> None:
        self._control = control
        self._inference = inference
        self._doorkeeper = doorkeeper
        self._mlflow = mlflow
        self._traffic = traffic
        self._assistants = assistants
        self._said = (*HEADERS, STRICT_TRANSPORT) if doorkeeper.secure else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is not for this server."""
        if scope["type"] != "http":
            return
        path, headers = str(scope["path"]), scope["headers"]
        application = self._control
        if path in {"/v2", "/v1/models", METRICS} or path.startswith(INFERENCE):
            application = self._inference
        elif self._mlflow is not None and is_mlflow(path):
            application = self._mlflow
        elif self._assistants is not None and path == ASSISTANTS:
            application = self._assistants
        answered = _Answered(send, () if application is self._inference else self._said)
        refusal = self._refusal(scope, path, headers, asks_its_own=application is self._inference)
        if refusal is not None:
            await _refuse(answered, refusal)
            return
        gatekeeper = self._doorkeeper.gatekeeper
        if gatekeeper.vouching is not None:
            await _prepare(gatekeeper, headers)
        traffic = self._traffic
        if traffic is None:
            await application(scope, receive, answered)
            return
        address = str((scope.get("client") or ("",))[0])
        authorization = next((value for name, value in headers if name.lower() == b"authorization"), b"")
        wait = traffic.wait(address, authorization)
        if wait:
            await _refuse(answered, _too_many(), [(b"retry-after", str(math.ceil(wait)).encode())])
            return
        await application(scope, receive, answered)
        guessed = bool(authorization) or b"token=" in scope.get("query_string", b"")
        traffic.answered(address, authorization, answered.status, guessed=guessed)
        if answered.status in {401, 403}:
            what = f"{scope['method']} {path}"
            shown = authorization.decode("latin-1")
            await asyncio.to_thread(traffic.refused, address, shown, what, answered.status)

    def _refusal(self, scope: Scope, path: str, headers: Headers, *, asks_its_own: bool) -> Problem | None:
        """What is said to a request that comes in at no route; None for one that may go on."""
        status = oversized(path, scope.get("query_string", b""), headers)
        if status:
            return Problem(
                type="urn:charkh:server.too_long", title="the head of the request is too long", status=status
            )
        if scope["method"] not in METHODS:
            return Problem(type="about:blank", title="there is no such method", status=405)
        if asks_its_own:
            return None
        named = [value for name, value in headers if name.lower() == b"host"]
        if len(named) != 1 or not self._doorkeeper.knows_host(named[0].decode("latin-1")):
            return Problem(type="about:blank", title="this server is not addressed by that name", status=403)
        if scope["method"] not in READING and _is_foreign(headers, named[0]):
            return Problem(type="about:blank", title="a page of another site may not do this", status=403)
        return None


async def _prepare(gatekeeper: Gatekeeper, headers: Headers) -> None:
    """Ask the provider for the keys of a token that no key is known for, before a door has to judge it."""
    shown = next((value.decode("latin-1") for name, value in headers if name.lower() == b"authorization"), "")
    if shown and gatekeeper.must_prepare(shown):
        try:
            await asyncio.to_thread(gatekeeper.prepare, shown)
        except CharkhError as error:
            # Nobody is vouched for, then: the door says so.
            _log.warning("the OpenID provider cannot be asked: %s", error)


class _Answered:
    """Sends an answer on, with what every one of them says, and remembers its status."""

    def __init__(self, send: Send, said: Headers) -> None:
        self._send = send
        self._said = said
        self.status = 0

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            if self._said:
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message = {**message, "headers": given + [pair for pair in self._said if pair[0] not in names]}
        await self._send(message)


def _is_foreign(headers: Headers, host: bytes) -> bool:
    """Whether a browser says that a page of another origin sent this."""
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"sec-fetch-site" and value not in {b"same-origin", b"none"}:
            return True
        if lowered == b"origin" and value.partition(b"://")[2].lower() != host.lower():
            return True
    return False


def _too_many() -> Problem:
    return Problem(type="urn:charkh:throttled", title="too much was asked in too short a time", status=429)


async def _refuse(send: Send, problem: Problem, more: list[tuple[bytes, bytes]] | None = None) -> None:
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode()), *(more or ())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
