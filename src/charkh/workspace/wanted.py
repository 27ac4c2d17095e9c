"""What an endpoint is to serve: what its settings say, or what a person deployed or put back; and putting one back."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Conflict, NotFound
from charkh.core.graph_settings import Graph, models_of, recipes_of
from charkh.endpoints.deploy import deploy
from charkh.endpoints.deployment import Deployed, Deployment
from charkh.endpoints.index import CurrentDeployment, DeploymentById, Deployments, StoppedEndpoint
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
        settings: what `charkh.toml` says, with the models, recipes and graph of a deployment that answers instead.
        versions: the model, or every model of the graph.
        recipes: in front of it, and in the graph.
        rolls_back: id of the deployment that it was put back for, or empty.
        instead_of: digest of what the settings say, where it is deployed instead of that.
        current: the deployment that says the same, where it is the current one.
    """

    settings: EndpointSettings
    versions: tuple[ModelVersion, ...]
    recipes: tuple[RecipeVersion, ...]
    rolls_back: str = ""
    instead_of: str = ""
    current: Deployment | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal where the same is served."""
        return (*(each.id for each in self.versions), *(each.id for each in self.recipes), graph_text(self.settings))

    @property
    def digest(self) -> str:
        """Of the identity, as a fact holds it."""
        return digest_of(canonical_json(list(self.identity)))


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
    if current is None:
        return said
    if stands(store, current.made, said):
        return deployed(store, settings, current.made)._replace(current=current)
    return said._replace(current=current) if _says(current.made, said) else said


def said_by_settings(store: Store, settings: EndpointSettings) -> Wanted:
    """What the settings alone say.

    Raises:
        NotFound: a model or recipe is not there.
    """
    return _resolved(store, settings)


def stopped(store: Store, name: str) -> str:
    """Why an endpoint is to answer nothing, and what to do; empty where it was not stopped."""
    found = store.queries.ask(StoppedEndpoint(endpoint=name))
    if found is None:
        return ""
    because = f" ({found.reason})" if found.reason else ""
    return f"it was stopped{because}; `charkh endpoint deploy {name}` lets it answer again"


def stands(store: Store, made: Deployed, said: Wanted) -> bool:
    """Whether a deployment answers instead of what the settings say, because they say still what they said then."""
    if made.instead_of:
        return made.instead_of == said.digest
    taken_back = store.queries.ask(DeploymentById(deployment=made.rolls_back)) if made.rolls_back else None
    return taken_back is not None and _says(taken_back.made, said)


def deployed(store: Store, settings: EndpointSettings, made: Deployed) -> Wanted:
    """What a deployment said; `settings` say the rest.

    Raises:
        NotFound: a model or recipe is not there any more.
    """
    found = _resolved(store, _settings_of(made, settings))
    return found._replace(rolls_back=made.rolls_back, instead_of=made.instead_of)


def graph_text(settings: EndpointSettings) -> str:
    """The graph as canonical JSON; empty where there is none."""
    return msgspec.json.encode(settings.graph, order="deterministic").decode() if settings.graph else ""


def roll_back_endpoint(workspace: Workspace, name: str, *, reason: str = "") -> RolledBack:
    """Let an endpoint answer with what it answered with before; a second call goes one further back.

    Where its settings name an alias, the alias moves back, unless something else was deployed by hand. Otherwise the
    deployment before is deployed again, and stays until the settings name something else.

    Raises:
        NotFound: there is nothing before.
        Conflict: it was stopped, and an alias alone would bring nothing back.
        Denied: what was before is distrusted, or not signed where that is asked for.
    """
    settings = workspace.settings.endpoint.get(name)
    store = workspace.store
    model, _, alias = (settings.model if settings else "").partition("@")
    now = store.queries.ask(CurrentDeployment(endpoint=name))
    said = None if settings is None else _said(store, settings)
    by_hand = now is not None and said is not None and bool(now.made.instead_of) and stands(store, now.made, said)
    if model and alias and not alias.isdigit() and not by_hand:
        if stopped(store, name):
            raise Conflict(
                f"{name} answers nothing: it was stopped",
                code="endpoint.stopped",
                hint=f"`charkh model rollback {model}` moves the alias, `charkh endpoint deploy {name}` begins.",
            )
        return RolledBack(roll_back_by_hand(workspace, model, alias=alias, reason=reason), alias)
    past = _past(store.queries.ask(Deployments(endpoint=name)))
    if len(past) < 2:
        raise NotFound(
            f"nothing answered at {name!r} before",
            code="endpoint.nothing_before",
            hint=f"`charkh endpoint show {name}` shows its deployments.",
        )
    current = now or past[-1]
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
        instead_of="" if said is None or _says(before, said) else said.digest,
    )
    return RolledBack(find_model(store, before.model), deployment=made)


def _said(store: Store, settings: EndpointSettings) -> Wanted | None:
    """What the settings say; None where nobody can tell."""
    try:
        return _resolved(store, settings)
    except NotFound:
        return None


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
    """Whether a deployment serves what the settings say now."""
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
