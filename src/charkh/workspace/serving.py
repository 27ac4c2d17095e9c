"""What the workspace's endpoints serve: each model behind its recipe, deployed as a fact, swapped with its alias."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
import polars as pl

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Invalid, NotFound
from charkh.core.graph_settings import Graph, models_of
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.endpoints.declared import as_declared
from charkh.endpoints.graphs.compile import Part, compile_graph
from charkh.endpoints.graphs.frames import request_frame
from charkh.endpoints.memory import Memory
from charkh.endpoints.offer import Offer, Split
from charkh.endpoints.servable import Servable
from charkh.models.candidate import model_inputs
from charkh.models.example import MAX_ROWS, example_bytes, example_tensors, input_specs
from charkh.models.find import find as find_model
from charkh.models.load import Form, LoadedModel, load
from charkh.models.model import ModelVersion
from charkh.ports.projections import Position
from charkh.ports.runtimes import Signature, Tensors
from charkh.ports.store import Store
from charkh.recipes.apply import prepare
from charkh.recipes.find import find as find_recipe
from charkh.recipes.find import load as load_recipe
from charkh.recipes.recorded import RecipeVersion
from charkh.recipes.tables import read_tables
from charkh.workspace.governing import rules_of
from charkh.workspace.keeping import Keeping
from charkh.workspace.rollouts import RolloutOf
from charkh.workspace.wanted import Wanted, stopped, wanted
from charkh.workspace.workspace import Workspace

FORMS: Mapping[str, Form] = {"auto": "auto", "never": "original", "require": "compiled"}
"""Which form of a model is loaded, by what the endpoint's settings say."""

Prepare = Callable[[pl.DataFrame], pl.DataFrame]
"""What recipes make of rows."""


class Serving:
    """The servables of a workspace, kept as long as what they serve stays the same.

    Args:
        workspace: whose endpoints are served.
        names: endpoints to serve; all that the settings name by default.
        memory: that other endpoints of this process share; what the settings allow by default.
        resumes: another process served them until now: see `Keeping`.

    Raises:
        NotFound: the settings name no such endpoint.
    """

    def __init__(
        self,
        workspace: Workspace,
        names: Sequence[str] = (),
        memory: Memory | None = None,
        *,
        resumes: bool = False,
    ) -> None:
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
        self._memory = memory or Memory(workspace.settings.serving.memory_bytes)
        self._kept = {
            name: Keeping(workspace, name, partial(_made, workspace, name), self._memory, resumes=resumes)
            for name in self._settings
        }
        self._rollouts = {
            name: RolloutOf(workspace, name, settings.model, settings.rollout)
            for name, settings in self._settings.items()
        }
        self._offered: tuple[str, Offer] | None = None

    def __call__(self) -> list[Servable]:
        """What is to be served now; the same objects where nothing changed. See `offer`."""
        return list(self.offer().servables)

    def offer(self) -> Offer:
        """What is to be served now, and how requests are split where a rollout goes on.

        An endpoint whose new version is refused, cannot be loaded or does not answer its example goes on with the one
        that it has, and the log says so once. One that was stopped, or whose model is distrusted, is offered and
        answers no more.

        Raises:
            NotFound: a model, recipe or example is not there.
            Invalid: a recipe changes the rows of a request.
            Denied: the first version of an endpoint may not be loaded.
            Unavailable: the first version of an endpoint does not answer its example.
        """
        # Asked first: a fact that comes meanwhile is looked at the next time.
        position = self._workspace.store.queries.ask(Position())
        if self._offered is not None and self._offered[0] == position:
            return self._offered[1]
        offer = self._look()
        # Rollouts go on with the clock, and what was refused is tried again.
        settled = not offer.splits and all(kept.is_settled for kept in self._kept.values())
        self._offered = (position, offer) if settled else None
        return offer

    def _look(self) -> Offer:
        servables: list[Servable] = []
        splits: dict[str, Split] = {}
        for name, settings in self._settings.items():
            champion = self._servable(name, settings)
            if champion.away:
                self._rollouts[name].close()
                servables.append(champion)
                continue
            routed = self._rollouts[name](champion, partial(self._candidate, name, settings))
            servables.extend(routed.servables)
            if routed.split is not None:
                splits[name] = routed.split
        return Offer(tuple(servables), splits)

    def close(self) -> None:
        """Write what the rollouts have counted, and load nothing more."""
        for rollout in self._rollouts.values():
            rollout.close()
        self._memory.close()

    def _candidate(self, name: str, settings: EndpointSettings, subject: str) -> Servable:
        store = self._workspace.store
        recipes = tuple(find_recipe(store, ref) for ref in settings.recipes)
        alone = msgspec.structs.replace(settings, model=subject, graph=Graph())
        return self._kept[name].candidate(Wanted(alone, (find_model(store, subject),), recipes))

    def _servable(self, name: str, settings: EndpointSettings) -> Servable:
        kept = self._kept[name]
        why = stopped(self._workspace.store, name)
        if why:
            return kept.stopped(settings, why)
        try:
            what = wanted(self._workspace.store, name, settings)
        except NotFound as error:
            return kept.keep(settings, error)
        return kept.serve(what)


def _made(workspace: Workspace, name: str, what: Wanted) -> tuple[Servable, bytes]:
    settings = what.settings
    recipes = what.recipes[: len(settings.recipes)]
    made = bare_servable(workspace, name, settings, what.versions, recipes)
    return made, _example(workspace, settings, what.versions, made.signature)


def _example(
    workspace: Workspace, settings: EndpointSettings, versions: Sequence[ModelVersion], signature: Signature
) -> bytes:
    """The body of an example request; empty where none was given."""
    if settings.example and (settings.recipes or settings.graph):
        return example_bytes(example_tensors(_raw_rows(workspace, settings).head(MAX_ROWS)), signature.inputs)
    example = versions[0].made.example
    if example is None or versions[0].made.signature.inputs != signature.inputs:
        return b""
    return b"".join(workspace.store.vault.read(example))


def bare_servable(
    workspace: Workspace,
    name: str,
    settings: EndpointSettings,
    versions: Sequence[ModelVersion],
    recipes: Sequence[RecipeVersion],
) -> Servable:
    """A model or graph behind its recipes, without a deployment and so without a log.

    Args:
        workspace: whose endpoint it is.
        name: of the endpoint.
        settings: what `charkh.toml` says about it.
        versions: the model, or every model of the graph.
        recipes: that prepare every request.
    """
    rules, runtimes = rules_of(workspace), workspace.runtimes
    form = FORMS[settings.compiled]
    loaded = [load(workspace.store, each.id, runtimes=runtimes, rules=rules, form=form) for each in versions]
    parts = [Part(each.predictor.predict, each.version.made.signature) for each in loaded]
    first = versions[0]
    whole, platform = parts[0], loaded[0].platform
    if settings.graph:
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
        predict=as_declared(predict, signature.outputs),
        platform=platform,
        waits=any(_may_wait(workspace, each) for each in loaded),
    )


def _may_wait(workspace: Workspace, loaded: LoadedModel) -> bool:
    """Whether a model's code is not charkh's (a class, files that are code), so that nobody knows how long it takes."""
    made = loaded.version.made
    own = workspace.settings.runtime.get(made.runtime)
    return made.safety.runs_code or (own is not None and bool(own.class_))


def _graph(workspace: Workspace, name: str, settings: EndpointSettings, parts: Sequence[Part]) -> Part:
    def prepare(refs: Sequence[str]) -> Callable[[Tensors], Tensors]:
        prepared = preparing(workspace.store, [find_recipe(workspace.store, ref).subject for ref in refs])
        return lambda inputs: example_tensors(prepared(request_frame(inputs)))

    # Behind recipes of the endpoint a graph is given prepared columns, whose types its models say.
    raw = request_signature(workspace, name, settings) if settings.example and not settings.recipes else None
    models = dict(zip(models_of(settings.graph), parts, strict=True))
    try:
        return compile_graph(settings.graph, models, prepare, raw)
    except Invalid as error:
        # Of several graphs in one file, only the endpoint's name says which.
        raise Invalid(f"endpoint {name!r}: {error.message}", code=error.code, hint=error.hint) from error


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
    rows = _raw_rows(workspace, settings)
    nullable = [column for column, count in rows.null_count().row(0, named=True).items() if count]
    return Signature(inputs=input_specs(example_tensors(rows), nullable), outputs=())


def _raw_rows(workspace: Workspace, settings: EndpointSettings) -> pl.DataFrame:
    rows = read_table(workspace.store, find_dataset(workspace.store, settings.example))
    # A request is JSON, which has no times: they come as text, and a recipe reads them.
    return rows.with_columns(_as_text(series) for series in rows.select(pl.selectors.temporal()))


def _as_text(times: pl.Series) -> pl.Series:
    """Times as programs write them into JSON: ISO 8601, in UTC with a `Z` where the zone is known."""
    if not isinstance(times.dtype, pl.Datetime):
        return times.cast(pl.String)
    if times.dtype.time_zone is None:
        return times.dt.strftime(_ISO)
    return times.dt.convert_time_zone("UTC").dt.strftime(f"{_ISO}Z")


_ISO = "%Y-%m-%dT%H:%M:%S%.f"


def _behind(
    prepared: Prepare, signature: Signature, predict: Callable[[Tensors], Tensors]
) -> Callable[[Tensors], Tensors]:
    return lambda inputs: predict(model_inputs(prepared(request_frame(inputs)), signature))
