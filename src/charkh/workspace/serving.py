"""What the workspace's endpoints serve: each model behind its recipe, deployed as a fact, swapped with its alias."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import polars as pl

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Denied, Invalid, NotFound
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.endpoints.deploy import deploy
from charkh.endpoints.log import PredictionLog
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

    def __call__(self) -> list[Servable]:
        """What is to be served now; the same objects where nothing changed.

        An endpoint whose new version is refused goes on with the one that it has, and the log says so once.

        Raises:
            NotFound: a model, recipe or example is not there.
            Invalid: a recipe changes the rows of a request.
            Denied: the first version of an endpoint may not be loaded.
        """
        return [self._servable(name, settings) for name, settings in self._settings.items()]

    def _servable(self, name: str, settings: EndpointSettings) -> Servable:
        store = self._workspace.store
        version = find_model(store, settings.model)
        recipes = [find_recipe(store, ref) for ref in settings.recipes]
        identity = (version.id, *(recipe.id for recipe in recipes))
        known = self._served.get(name)
        if known is not None and known[0] == identity:
            self._refused.pop(name, None)
            return known[1]
        try:
            made = make_servable(self._workspace, name, settings, version, recipes)
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
    version: ModelVersion,
    recipes: Sequence[RecipeVersion],
) -> Servable:
    """Load a model, put its recipes in front, and deploy all of it at an endpoint."""
    store = workspace.store
    predictor = load(store, version.id, runtimes=workspace.runtimes, rules=rules_of(workspace)).predictor
    signature, predict = version.made.signature, predictor.predict
    subjects = [recipe.subject for recipe in recipes]
    if recipes:
        prepared = preparing(store, subjects)
        signature = Signature(
            inputs=request_signature(workspace, name, settings).inputs, outputs=version.made.signature.outputs
        )
        predict = _behind(prepared, version.made.signature, predictor.predict)
    deployment = deploy(
        store,
        name,
        version.subject,
        signature=signature,
        recipe_subjects=subjects,
        capture=settings.capture,
    )
    number = str(version.made.number)
    log = PredictionLog(
        store.journal,
        endpoint=name,
        deployment=deployment.id,
        model=version.subject,
        version=number,
        capture=settings.capture,
    )
    return Servable(
        name=name,
        version=number,
        subject=version.subject,
        signature=signature,
        predict=predict,
        log=log,
        platform=version.made.runtime,
    )


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


def request_frame(inputs: Tensors) -> pl.DataFrame:
    """A request's tensors as a table; missing numbers and texts are null."""
    return pl.DataFrame([_series(name, tensor) for name, tensor in inputs.items()])


def _behind(
    prepared: Prepare, signature: Signature, predict: Callable[[Tensors], Tensors]
) -> Callable[[Tensors], Tensors]:
    return lambda inputs: predict(model_inputs(prepared(request_frame(inputs)), signature))


def _series(name: str, tensor: Any) -> pl.Series:
    if tensor.dtype == object:
        cells = cast(list[Any], tensor.tolist())
        return pl.Series(name, [cell.decode() if isinstance(cell, bytes) else cell for cell in cells], pl.String)
    series = pl.Series(name, tensor)
    return series.fill_nan(None) if series.dtype.is_float() else series
