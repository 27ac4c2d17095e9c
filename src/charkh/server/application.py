"""The API of `charkh up` as one application: routes, policies, and errors as problem details."""

import importlib.metadata
from collections.abc import Sequence

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

from charkh.core.errors import CharkhError
from charkh.server.policy import Doorkeeper, Policy, require_policies
from charkh.server.refusals import answer_bug, answer_depth, answer_error, answer_refusal
from charkh.server.routes import ROUTES
from charkh.workspace.workspace import Workspace

MAX_BODY = 1 << 20
SCHEMA = "/api/schema"


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
            RecursionError: answer_depth,
            Exception: answer_bug,
        },
        state=State({"workspace": workspace, "doorkeeper": doorkeeper, "vouching": doorkeeper.gatekeeper.vouching}),
        openapi_config=_schema(),
        request_max_body_size=MAX_BODY,
        logging_config=None,
        debug=False,
    )
    require_policies(app)
    return app


def _schema() -> OpenAPIConfig:
    """`/api/schema/openapi.json`, for whoever has the token; no page that would load scripts from elsewhere."""
    return OpenAPIConfig(
        title="charkh",
        version=importlib.metadata.version("charkh"),
        use_handler_docstrings=True,
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"token": []}],
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router(SCHEMA, route_handlers=[], opt={"policy": Policy.READ}),
    )
