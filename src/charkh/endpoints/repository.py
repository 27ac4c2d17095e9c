"""Load and unload models at run time, in every process of the server, by the names that the settings serve."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from charkh.core.errors import Invalid
from charkh.endpoints.inference_server import InferenceServer
from charkh.endpoints.route import Reply
from charkh.endpoints.servable import Servable

_OVERRIDES = ("config", "file:")
"""Parameters by which Triton takes a model or its settings from the client: here a model is what was registered."""


def offered(application: InferenceServer) -> Sequence[Servable]:
    """Everything that the settings serve, unloaded or not."""
    return application.offered


async def load(application: InferenceServer, name: str, body: Mapping[str, Any]) -> Reply:
    """Answer `POST /v2/repository/models/NAME/load`.

    Raises:
        Invalid: the client wants another model or configuration than the registered one.
    """
    parameters: object = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise Invalid("`parameters` is no object", code="endpoint.bad_request", hint="Send an object, or nothing.")
    for each in cast(dict[str, Any], parameters):
        if each.startswith(_OVERRIDES):
            raise Invalid(
                f"the parameter {each[:40]!r} would serve something else than the registered model",
                code="endpoint.override",
                hint="Register the model, and move the alias that the endpoint follows.",
            )
    return await _put(application, name, unloaded=False)


async def unload(application: InferenceServer, name: str, _body: Mapping[str, Any]) -> Reply:
    """Answer `POST /v2/repository/models/NAME/unload`; requests under way finish."""
    return await _put(application, name, unloaded=True)


async def _put(application: InferenceServer, name: str, *, unloaded: bool) -> Reply:
    application.unloaded.put(name, unloaded=unloaded)
    application.reroute()
    application.unloaded.heed()
    await application.unloaded.heeded()
    return Reply(200, b"{}")
