"""What an endpoint is to serve: what its settings say, or a deployment that was put back; and putting one back."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import NotFound
from charkh.core.graph_settings import Graph, models_of, recipes_of
from charkh.endpoints.deploy import deploy
from charkh.endpoints.deployment import Deployed, Deployment
from charkh.endpoints.index import CurrentDeployment, DeploymentById, Deployments
from charkh.models.find import find as find_model
from charkh.models.model import ModelVersion
from charkh.models.trust import refuse_distrusted
from charkh.ports.store import Store
from charkh.recipes.find import find as find_recipe
from charkh.recipes.recorded import RecipeVersion
from charkh.workspace.promoting import roll_back_by_hand
from charkh.workspace.workspace import Workspace


class Wanted(NamedTuple):
    """What an endpoint is to serve.

    Attributes:
        settings: what `charkh.toml` says, with the models, recipes and graph of a deployment that was put back.
        versions: the model, or every model of the graph.
        recipes: in front of it, and in the graph.
        rolls_back: id of the deployment that it was put back for, or empty.
    """

    settings: EndpointSettings
    versions: tuple[ModelVersion, ...]
    recipes: tuple[RecipeVersion, ...]
    rolls_back: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal where the same is served."""
        return (*(each.id for each in self.versions), *(each.id for each in self.recipes), graph_text(self.settings))


class RolledBack(NamedTuple):
    """What answers at an endpoint again.

    Attributes:
        version: the model.
        alias: that was moved back, or empty.
        deployment: that was put back, or None where an alias was moved.
    """

    version: ModelVersion
    alias: str = ""
    deployment: Deployment | None = None


def wanted(store: Store, name: str, settings: EndpointSettings) -> Wanted:
    """What an endpoint is to serve now.

    Raises:
        NotFound: a model or recipe is not there.
    """
    said = _resolved(store, settings)
    current = store.queries.ask(CurrentDeployment(endpoint=name))
    if current is None or not current.made.rolls_back:
        return said
    taken_back = store.queries.ask(DeploymentById(deployment=current.made.rolls_back))
    if taken_back is None or not _says(taken_back.made, said):
        return said
    return deployed(store, settings, current.made)


def deployed(store: Store, settings: EndpointSettings, made: Deployed) -> Wanted:
    """What a deployment said; `settings` say the rest.

    Raises:
        NotFound: a model or recipe is not there any more.
    """
    return _resolved(store, _settings_of(made, settings))._replace(rolls_back=made.rolls_back)


def graph_text(settings: EndpointSettings) -> str:
    """The graph as canonical JSON; empty where there is none."""
    return msgspec.json.encode(settings.graph, order="deterministic").decode() if settings.graph else ""


def roll_back_endpoint(workspace: Workspace, name: str, *, reason: str = "") -> RolledBack:
    """Let an endpoint answer with what it answered with before; a second call goes one further back.

    Where its settings name an alias, the alias moves back; else the deployment before is deployed again, and stays
    until the settings name something else.

    Raises:
        NotFound: there is nothing before.
        Denied: what was before is distrusted, or not signed where that is asked for.
    """
    settings = workspace.settings.endpoint.get(name)
    model, _, alias = (settings.model if settings else "").partition("@")
    if model and alias and not alias.isdigit():
        return RolledBack(roll_back_by_hand(workspace, model, alias=alias, reason=reason), alias)
    store = workspace.store
    past = _past(store.queries.ask(Deployments(endpoint=name)))
    if len(past) < 2:
        raise NotFound(
            f"nothing answered at {name!r} before",
            code="endpoint.nothing_before",
            hint=f"`charkh endpoint show {name}` shows its deployments.",
        )
    current = store.queries.ask(CurrentDeployment(endpoint=name)) or past[-1]
    before = past[-2].made
    for subject in (before.model, *before.models):
        refuse_distrusted(store, find_model(store, subject))
    made = deploy(
        store,
        name,
        before.model,
        signature=before.signature,
        recipe_subjects=before.recipes,
        capture=before.capture,
        reason=reason,
        models=before.models,
        graph=before.graph,
        rolls_back=current.made.rolls_back or current.id,
    )
    return RolledBack(find_model(store, before.model), deployment=made)


def _past(newest_first: Sequence[Deployment]) -> list[Deployment]:
    """What answered, oldest first, without what was taken back."""
    past: list[Deployment] = []
    for each in reversed(newest_first):
        if each.made.rollout:
            continue
        if each.made.rolls_back:
            while past and _content(past[-1].made) != _content(each.made):
                past.pop()
        if not past or _content(past[-1].made) != _content(each.made):
            past.append(each)
    return past


def _content(made: Deployed) -> tuple[object, ...]:
    return (made.model, made.models, made.recipes, made.graph)


def _says(made: Deployed, said: Wanted) -> bool:
    """Whether a deployment was what the settings say now."""
    subjects = tuple(each.subject for each in said.versions)
    models = made.models or (made.model,)
    recipes = tuple(each.subject for each in said.recipes)
    return (models, made.recipes, made.graph) == (subjects, recipes, graph_text(said.settings))


def _settings_of(made: Deployed, settings: EndpointSettings) -> EndpointSettings:
    graph = msgspec.json.decode(made.graph, type=Graph) if made.graph else Graph()
    within = recipes_of(graph)
    return msgspec.structs.replace(
        settings,
        model="" if graph else made.model,
        graph=graph,
        recipes=made.recipes[: len(made.recipes) - len(within)],
        capture=made.capture,
    )


def _resolved(store: Store, settings: EndpointSettings) -> Wanted:
    refs = models_of(settings.graph) if settings.graph else (settings.model,)
    return Wanted(
        settings,
        tuple(find_model(store, ref) for ref in refs),
        tuple(find_recipe(store, ref) for ref in (*settings.recipes, *recipes_of(settings.graph))),
    )
