"""The one door of the port: by its path a request goes to the API or to the endpoints, under a name that is ours."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

import msgspec

from charkh.bridges.mlflow.routes import is_mlflow
from charkh.server.policy import Doorkeeper
from charkh.server.problems import MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

INFERENCE = ("/v2/", "/predict/")

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
)
"""What every answer of the API says to a browser, unless the handler says it otherwise."""


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
    """

    def __init__(self, control: Asgi, inference: Asgi, doorkeeper: Doorkeeper, mlflow: Asgi | None = None) -> None:
        self._control = control
        self._inference = inference
        self._doorkeeper = doorkeeper
        self._mlflow = mlflow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is not for this server."""
        if scope["type"] != "http":
            return
        path = str(scope["path"])
        if path == "/v2" or path.startswith(INFERENCE):
            await self._inference(scope, receive, send)
            return
        guarded = _with_headers(send)
        if not self._is_addressed(scope["headers"]):
            await _refuse(guarded)
            return
        if self._mlflow is not None and is_mlflow(path):
            await self._mlflow(scope, receive, guarded)
            return
        await self._control(scope, receive, guarded)

    def _is_addressed(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the request names this server, exactly once."""
        named = [value for name, value in headers if name.lower() == b"host"]
        return len(named) == 1 and self._doorkeeper.knows_host(named[0].decode("latin-1"))


def _with_headers(send: Send) -> Send:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            said = {name.lower() for name, _ in given}
            message = {**message, "headers": given + [pair for pair in HEADERS if pair[0] not in said]}
        await send(message)

    return sent


async def _refuse(send: Send) -> None:
    problem = Problem(type="about:blank", title="this server is not addressed by that name", status=403)
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
