"""Deploy at an endpoint by hand: every server follows, until the settings say something else than now."""

import msgspec

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import NotFound
from charkh.endpoints.deploy import deploy
from charkh.endpoints.deployment import Deployment
from charkh.endpoints.index import Deployments
from charkh.models.model import ModelVersion
from charkh.ports.runtimes import Signature
from charkh.workspace.wanted import Wanted, graph_text, said_by_settings
from charkh.workspace.workspace import Workspace


def deploy_by_hand(
    workspace: Workspace, name: str, settings: EndpointSettings, *, reason: str = ""
) -> tuple[Deployment, ModelVersion]:
    """Let an endpoint answer with what `settings` say, which may be something else than its own.

    Returns:
        The deployment, and its model: the first one of a graph.

    Raises:
        NotFound: a model or recipe is not there.
        Invalid: there are recipes and no example of a request.
    """
    asked = said_by_settings(workspace.store, settings)
    made = deploy(
        workspace.store,
        name,
        asked.versions[0].subject,
        signature=_signature(workspace, name, asked),
        recipe_subjects=[each.subject for each in asked.recipes],
        capture=settings.capture,
        reason=reason,
        models=[each.subject for each in asked.versions] if settings.graph else (),
        graph=graph_text(settings),
        instead_of=_instead_of(workspace, name, asked),
    )
    return made, asked.versions[0]


def _instead_of(workspace: Workspace, name: str, asked: Wanted) -> str:
    """The digest of what the settings of the workspace say, where it is not what is asked for."""
    own = workspace.settings.endpoint.get(name)
    if own is None:
        return ""
    try:
        said = said_by_settings(workspace.store, own)
    except NotFound:
        return ""  # what they mean is not there yet: then it is something new
    same = said.identity == asked.identity and own.capture == asked.settings.capture
    return "" if same else said.digest


def _signature(workspace: Workspace, name: str, asked: Wanted) -> Signature:
    """Of the raw request: what the model takes, or what is known where recipes or a graph stand in front."""
    settings = asked.settings
    if settings.graph:
        return _of_graph(workspace, name, asked)
    signature = asked.versions[0].made.signature
    if not asked.recipes:
        return signature
    # Recipes load Polars: only where there are some.
    from charkh.workspace.serving import request_signature

    raw = request_signature(workspace, name, settings)
    return msgspec.structs.replace(raw, outputs=signature.outputs)


def _of_graph(workspace: Workspace, name: str, asked: Wanted) -> Signature:
    """As it was deployed before; a new one is loaded, for only then is it known."""
    text = graph_text(asked.settings)
    content = ([each.subject for each in asked.versions], [each.subject for each in asked.recipes], text)
    for each in workspace.store.queries.ask(Deployments(endpoint=name)):
        if (list(each.made.models), list(each.made.recipes), each.made.graph) == content:
            return each.made.signature
    from charkh.workspace.serving import bare_servable

    recipes = asked.recipes[: len(asked.settings.recipes)]
    return bare_servable(workspace, name, asked.settings, asked.versions, recipes).signature
