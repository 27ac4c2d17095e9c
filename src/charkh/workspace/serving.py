"""What the workspace's endpoints serve: each model behind its recipe, deployed as a fact, swapped with its alias."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import polars as pl

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Denied, Invalid, NotFound
from charkh.core.graph_settings import models_of, recipes_of
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.endpoints.deploy import deploy
from charkh.endpoints.graphs.compile import Part, compile_graph
from charkh.endpoints.graphs.frames import request_frame
from charkh.endpoints.offer import Offer, Split
from charkh.endpoints.servable import Servable
from charkh.models.candidate import model_inputs
from charkh.models.example import example_tensors, input_specs
from charkh.models.find import find as find_model
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.ports.runtimes import Signature, Tensors
from charkh.ports.store import Store
from charkh.recipes.apply import prepare
from charkh.recipes.find import find as find_recipe
from charkh.recipes.find import load as load_recipe
from charkh.recipes.recorded import RecipeVersion
from charkh.recipes.tables import read_tables
from charkh.workspace.governing import rules_of
from charkh.workspace.rollouts import RolloutOf, log_of
from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh")
Prepare = Callable[[pl.DataFrame], pl.DataFrame]
"""What recipes make of rows."""


class Serving:
    """The servables of a workspace, kept as long as what they serve stays the same.

    Args:
        workspace: whose endpoints are served.
        names: endpoints to serve; all that the settings name by default.

    Raises:
        NotFound: the settings name no such endpoint.
    """

    def __init__(self, workspace: Workspace, names: Sequence[str] = ()) -> None:
        known = workspace.settings.endpoint
        for name in names:
            if name not in known:
                raise NotFound(
                    f"charkh.toml has no endpoint {name!r}",
                    code="endpoint.not_configured",
                    hint=f"Write [endpoint.{name}] with a model; known: {', '.join(sorted(known)) or 'none'}.",
                )
        self._workspace = workspace
        self._settings = {name: known[name] for name in names or sorted(known)}
        self._served: dict[str, tuple[tuple[str, ...], Servable]] = {}
        self._refused: dict[str, str] = {}
        self._rollouts = {
            name: RolloutOf(workspace, name, settings.model, settings.rollout)
            for name, settings in self._settings.items()
        }

    def __call__(self) -> list[Servable]:
        """What is to be served now; the same objects where nothing changed. See `offer`."""
        return list(self.offer().servables)

    def offer(self) -> Offer:
        """What is to be served now, and how requests are split where a rollout goes on.

        An endpoint whose new version is refused goes on with the one that it has, and the log says so once.

        Raises:
            NotFound: a model, recipe or example is not there.
            Invalid: a recipe changes the rows of a request.
            Denied: the first version of an endpoint may not be loaded.
        """
        servables: list[Servable] = []
        splits: dict[str, Split] = {}
        for name, settings in self._settings.items():
            routed = self._rollouts[name](self._servable(name, settings), partial(self._candidate, name, settings))
            servables.extend(routed.servables)
            if routed.split is not None:
                splits[name] = routed.split
        return Offer(tuple(servables), splits)

    def close(self) -> None:
        """Write what the rollouts have counted."""
        for rollout in self._rollouts.values():
            rollout.close()

    def _candidate(self, name: str, settings: EndpointSettings, subject: str) -> Servable:
        store = self._workspace.store
        recipes = [find_recipe(store, ref) for ref in settings.recipes]
        return bare_servable(self._workspace, name, settings, [find_model(store, subject)], recipes, alone=True)

    def _servable(self, name: str, settings: EndpointSettings) -> Servable:
        store = self._workspace.store
        refs = models_of(settings.graph) if settings.graph else (settings.model,)
        versions = [find_model(store, ref) for ref in refs]
        recipes = [find_recipe(store, ref) for ref in (*settings.recipes, *recipes_of(settings.graph))]
        identity = (*(version.id for version in versions), *(recipe.id for recipe in recipes))
        known = self._served.get(name)
        if known is not None and known[0] == identity:
            self._refused.pop(name, None)
            return known[1]
        try:
            made = make_servable(self._workspace, name, settings, versions, recipes)
        except Denied as error:
            if known is None:
                raise
            if self._refused.get(name) != error.message:
                _log.warning("endpoint %s goes on with version %s: %s", name, known[1].version, error.message)
            self._refused[name] = error.message
            return known[1]
        self._served[name] = (identity, made)
        self._refused.pop(name, None)
        return made


def make_servable(
    workspace: Workspace,
    name: str,
    settings: EndpointSettings,
    versions: Sequence[ModelVersion],
    recipes: Sequence[RecipeVersion],
) -> Servable:
    """Load the models, put the recipes in front, and deploy all of it at an endpoint.

    Args:
        workspace: whose endpoint it is.
        name: of the endpoint.
        settings: what `charkh.toml` says about it.
        versions: the model, or every model of the graph.
        recipes: in front of it, and in the graph.
    """
    store = workspace.store
    made = bare_servable(workspace, name, settings, versions, recipes[: len(settings.recipes)])
    deployment = deploy(
        store,
        name,
        made.subject,
        signature=made.signature,
        recipe_subjects=[recipe.subject for recipe in recipes],
        capture=settings.capture,
        models=[version.subject for version in versions] if settings.graph else (),
        graph=msgspec.json.encode(settings.graph, order="deterministic").decode() if settings.graph else "",
    )
    return dataclasses.replace(made, log=log_of(store, deployment, made.version))


def bare_servable(
    workspace: Workspace,
    name: str,
    settings: EndpointSettings,
    versions: Sequence[ModelVersion],
    recipes: Sequence[RecipeVersion],
    *,
    alone: bool = False,
) -> Servable:
    """A model or graph behind its recipes, without a deployment and so without a log.

    Args:
        workspace: whose endpoint it is.
        name: of the endpoint.
        settings: what `charkh.toml` says about it.
        versions: the model, or every model of the graph.
        recipes: that prepare every request.
        alone: serve the one version although the endpoint has a graph.
    """
    rules, runtimes = rules_of(workspace), workspace.runtimes
    parts = [
        Part(
            load(workspace.store, version.id, runtimes=runtimes, rules=rules).predictor.predict, version.made.signature
        )
        for version in versions
    ]
    first = versions[0]
    whole, platform = parts[0], first.made.runtime
    if settings.graph and not alone:
        whole, platform = _graph(workspace, name, settings, parts), "charkh_graph"
    signature, predict = whole.signature, whole.predict
    if recipes:
        prepared = preparing(workspace.store, [recipe.subject for recipe in recipes])
        raw = request_signature(workspace, name, settings)
        predict = _behind(prepared, whole.signature, whole.predict)
        signature = Signature(inputs=raw.inputs, outputs=whole.signature.outputs)
    return Servable(
        name=name,
        version=str(first.made.number),
        subject=first.subject,
        signature=signature,
        predict=predict,
        platform=platform,
    )


def _graph(workspace: Workspace, name: str, settings: EndpointSettings, parts: Sequence[Part]) -> Part:
    def prepare(refs: Sequence[str]) -> Callable[[Tensors], Tensors]:
        prepared = preparing(workspace.store, [find_recipe(workspace.store, ref).subject for ref in refs])
        return lambda inputs: example_tensors(prepared(request_frame(inputs)))

    # Behind recipes of the endpoint a graph is given prepared columns, whose types its models say.
    raw = request_signature(workspace, name, settings) if settings.example and not settings.recipes else None
    return compile_graph(settings.graph, dict(zip(models_of(settings.graph), parts, strict=True)), prepare, raw)


def preparing(store: Store, subjects: Sequence[str]) -> Prepare:
    """What recorded recipes make of live rows, one after another; their lookup tables are read once.

    Args:
        store: where they are.
        subjects: `recipe:ID`, in order.

    Raises:
        NotFound: one is not there.
        Invalid: one removes or moves rows of a request.
    """
    steps = [load_recipe(store, find_recipe(store, subject)) for subject in subjects]
    ready = [prepare(recipe, tables=read_tables(store, recipe), live=True) for recipe in steps]

    def prepared(frame: pl.DataFrame) -> pl.DataFrame:
        for each in ready:
            frame = each(frame)
        return frame

    return prepared


def request_signature(workspace: Workspace, name: str, settings: EndpointSettings) -> Signature:
    """What a raw request holds, read from the dataset that the settings name as its example.

    Raises:
        Invalid: the settings name none, or it has no rows.
    """
    if not settings.example:
        raise Invalid(
            f"endpoint {name!r} has recipes and no example of a request",
            code="endpoint.no_example",
            hint=f'Write example = "DATASET" into [endpoint.{name}]: a dataset whose rows look like a request.',
        )
    rows = read_table(workspace.store, find_dataset(workspace.store, settings.example))
    # A request is JSON, which has no times: they come as text, and a recipe reads them.
    rows = rows.with_columns(pl.selectors.temporal().cast(pl.String))
    nullable = [column for column, count in rows.null_count().row(0, named=True).items() if count]
    return Signature(inputs=input_specs(example_tensors(rows), nullable), outputs=())


def _behind(
    prepared: Prepare, signature: Signature, predict: Callable[[Tensors], Tensors]
) -> Callable[[Tensors], Tensors]:
    return lambda inputs: predict(model_inputs(prepared(request_frame(inputs)), signature))
