"""The one application of `charkh up`: the API and the overview, and the endpoints beside them on the same port."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from charkh.core.errors import CharkhError
from charkh.endpoints.application import Application
from charkh.server.policy import Doorkeeper, require_policies
from charkh.server.problems import answer_bug, answer_error, answer_refusal
from charkh.server.routes import ROUTES
from charkh.workspace.workspace import Workspace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

INFERENCE = ("/v2/", "/predict/")
MAX_BODY = 1 << 20


def api(workspace: Workspace, doorkeeper: Doorkeeper, routes: Sequence[ControllerRouterHandler] = ROUTES) -> Litestar:
    """The API and the overview page of a workspace.

    Raises:
        Bug: a route has no policy.
    """
    app = Litestar(
        route_handlers=list(routes),
        guards=[doorkeeper.guard],
        exception_handlers={
            CharkhError: answer_error,
            HTTPException: answer_refusal,
            Exception: answer_bug,
        },
        state=State({"workspace": workspace, "doorkeeper": doorkeeper}),
        openapi_config=None,
        request_max_body_size=MAX_BODY,
        debug=False,
    )
    require_policies(app)
    return app


class Front:
    """Sends each request to the API or to the endpoints, by its path.

    Args:
        control: the API.
        inference: the endpoints, or None where none are configured.
    """

    def __init__(self, control: Litestar, inference: Application | None) -> None:
        self._control = control
        self._inference = inference

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        path = str(scope.get("path", ""))
        if self._inference is not None and scope["type"] == "http" and (path == "/v2" or path.startswith(INFERENCE)):
            await self._inference(scope, receive, send)
            return
        await self._control(scope, receive, send)  # pyright: ignore[reportArgumentType]
