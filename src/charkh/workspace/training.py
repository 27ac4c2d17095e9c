"""Models in the SDK: make, tune, evaluate, register and load them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import polars as pl

from charkh.cards.make import make_card
from charkh.cards.wording import Wording, wording_from
from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Fact
from charkh.core.ids import new_id
from charkh.core.params import Params
from charkh.datasets.split import Part, Split
from charkh.datasets.table import Table
from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.score import Rival
from charkh.evaluations.score import evaluate as record_evaluation
from charkh.models.candidate import Candidate, make_candidate, model_inputs
from charkh.models.candidate_log import log_candidate
from charkh.models.example import example_frame
from charkh.models.find import find as find_model
from charkh.models.load import load as load_model
from charkh.models.model import ModelVersion
from charkh.models.register import register as register_version
from charkh.pipelines.key import content_key
from charkh.pipelines.step import effect
from charkh.ports.runtimes import Tensors
from charkh.ports.store import Store
from charkh.runs.active import current
from charkh.studies.study import Study
from charkh.studies.tune import tune as run_study
from charkh.workspace.ambient import existing_workspace, workspace
from charkh.workspace.compiling import compile_registered
from charkh.workspace.documenting import model_wording
from charkh.workspace.expecting import MODEL, expect
from charkh.workspace.governing import rules_of
from charkh.workspace.locking import locked_ref
from charkh.workspace.pipelines import codecs_of

PROBABILITY = "predict_proba"
PREDICTION = "predict"
D = TypeVar("D")
P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Predictions beside their truth, not written down yet: `register` records them about the version it makes.

    Attributes:
        truth: of each row.
        scores: of each row.
        on: subject of the dataset version that the truth comes from.
        blocks: what rows share, such as their day; None where they are independent.
        slices: columns whose every value is scored on its own.
        champion: what it is compared with on the same rows, or None where there is none.
        metrics: names; empty for the usual ones of the task.
    """

    truth: pl.Series
    scores: pl.Series
    on: str
    blocks: pl.Series | None = None
    slices: Mapping[str, pl.Series] = field(default_factory=dict[str, pl.Series])
    champion: Rival | None = None
    metrics: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<charkh report of {len(self.truth):,} rows of {self.on}>"


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered version, what was found about it, and the truth that it was judged on."""

    version: ModelVersion
    evaluations: tuple[Evaluation, ...] = ()

    def __repr__(self) -> str:
        return f"<charkh model {self.version.ref}, registered>"

    @property
    def judged_on(self) -> str:
        """Subject of the dataset version of the first evaluation; empty where there is none."""
        return self.evaluations[0].made.on if self.evaluations else ""


class LoadedModel:
    """A registered model, ready to be asked.

    Attributes:
        version: what it is.
    """

    def __init__(self, version: ModelVersion, predict: Callable[[Tensors], Tensors]) -> None:
        self.version = version
        self._predict = predict

    def __repr__(self) -> str:
        takes = ", ".join(spec.name for spec in self.version.made.signature.inputs)
        return f"<charkh model {self.version.ref}, takes {takes}>"

    def predict(self, rows: object) -> Tensors:
        """The outputs for rows that have at least the model's input columns.

        Args:
            rows: a Polars or pandas frame, a dictionary of columns, or the matrix of a model that takes one.

        Raises:
            Invalid: a column is missing or does not fit the signature.
        """
        return self._predict(model_inputs(example_frame(rows), self.version.made.signature))


def model(
    estimator: object,
    *,
    example: object,
    data: Split | Table | None = None,
    nullable: Collection[str] | None = None,
    metrics: Mapping[str, Fact] | None = None,
) -> Candidate:
    """A trained model as a value: saved, judged for safety, and signed by what the saved files answer.

    Args:
        estimator: a fitted model.
        example: a few rows as it takes them: a Polars or pandas frame, a dictionary of columns, or a matrix.
        data: what it was trained on; its origins are recorded, and inputs with gaps in it may be missing.
        nullable: inputs that may be missing, in place of what `data` says.
        metrics: numbers about it, published when it is registered.

    Raises:
        NotFound: no installed runtime accepts it.
        Invalid: the example has no rows, or a column that no model can be sent.
        Denied: the saved files would run code.
    """
    active = current()
    rows = example_frame(example)
    seen = data.train.X if isinstance(data, Split) else data.frame if isinstance(data, Table) else rows
    gaps = [name for name in rows.columns if name in seen.columns and seen[name].null_count()]
    return make_candidate(
        estimator,
        example=rows,
        runtimes=workspace().runtimes,
        nullable=gaps if nullable is None else nullable,
        metrics=metrics,
        run=active.id if active is not None else "",
        origins=data.origins if data is not None else (),
    )


@effect
def tune(
    train: Callable[[D, P], Candidate],
    data: D,
    *,
    space: P | type[P],
    maximize: str = "",
    minimize: str = "",
    trials: int = 20,
    name: str = "",
    seed: int = 0,
) -> Candidate:
    """Search for the params with which `train` does best, and return what it made with them.

    Each trial is a run inside the current one; what `train` logs under the metric's name is its value. The same
    search of the same data by the same code goes on where it stopped; data of a type that no step could take makes
    a new study each time.

    Args:
        train: takes the data and params; a step, so that no trial is ever trained twice.
        data: handed to every trial.
        space: params whose `search(…)` fields are varied; the others stay as they are.
        maximize: name of the metric, greater is better.
        minimize: name of the metric, less is better.
        trials: how many.
        name: of the study; the name of `train` by default.
        seed: of the sampler.

    Raises:
        Invalid: not exactly one metric is named, nothing is searched, or no trial logged the metric.
    """
    if bool(maximize) == bool(minimize):
        raise Invalid("a search has one metric", code="study.metric", hint='Say maximize="auc" or minimize="loss".')
    expect(space, "__charkh_fields__", "tune", "charkh.Params as its space", "Define a class of them.")
    study: Study[Candidate] = run_study(
        workspace().store,
        lambda params: train(data, params),
        space,
        name=name or getattr(train, "__name__", "search"),
        metric=maximize or minimize,
        direction="maximize" if maximize else "minimize",
        trials=trials,
        seed=seed,
        key=_content_of(train, data),
    )
    return study.best


@effect
def evaluate(
    candidate: Candidate,
    part: Part,
    *,
    on: str = "",
    slices: Sequence[str] = (),
    blocks: str = "",
    against: str = "",
    metrics: Sequence[str] = (),
) -> Report:
    """What a model says about rows whose truth is known, beside what the champion says about the same rows.

    Args:
        candidate: the model.
        part: the rows, unseen by it.
        on: subject of the dataset version that they come from; the candidate's own data by default.
        slices: columns whose every value is scored on its own.
        blocks: column whose equal values share what made them, such as the day.
        against: reference of the champion, such as `delay@champion`; nobody where that alias is not held yet.
        metrics: names; the usual ones of the task by default.

    Raises:
        Invalid: a column is missing, or it is not known which dataset version the rows come from.
    """
    expect(candidate, "parts", "evaluate", "a charkh.Model", MODEL)
    expect(part, "y", "evaluate", "a part of a charkh.Split as its rows", "Give data.test of charkh.split(…).")
    source = on or next((origin for origin in candidate.parts.origins if origin.startswith("dataset:")), "")
    if not source:
        raise Invalid(
            "it is not known which dataset version the rows come from",
            code="evaluation.on_nothing",
            hint="Make the model with data=…, or say on='dataset:ID'.",
        )
    frame = part.frame
    champion = _champion(against)
    return Report(
        truth=part.y,
        scores=scores_of(candidate.predict(frame)),
        on=source,
        blocks=frame[blocks] if blocks else None,
        slices={name: frame[name] for name in slices},
        champion=None if champion is None else Rival(champion.version.subject, scores_of(champion.predict(frame))),
        metrics=tuple(metrics),
    )


@effect
def log_model(name: str, candidate: Candidate) -> str:
    """Log a model as a candidate of the current run, without a registered name yet; the id of the logged model.

    It is kept with its files, signature, example and library versions. `charkh model candidates` lists it, and
    `charkh model register NAME ID` makes a version of it.

    Args:
        name: for people, such as `epoch-3`; it need not be the only one of its name.
        candidate: the model.
    """
    expect(candidate, "parts", "log_model", "a charkh.Model", MODEL)
    active = current()
    project = active.project if active is not None else ""
    return log_candidate(workspace().store, name, candidate, project=project)


@effect
def register(name: str, candidate: Candidate, *reports: Report, description: str = "") -> Registered:
    """Make a version of a model, record what was found about it, and write its card.

    What people have to say in the card stands in `cards/NAME.md` of the workspace.

    Args:
        name: of the model; the number is decided.
        candidate: the model.
        reports: from `evaluate`; recorded as evaluations of the version.
        description: what a person should know about it.
    """
    expect(candidate, "parts", "register", "a charkh.Model", MODEL)
    for report in reports:
        expect(report, "truth", "register", "reports beside the model", "Give what charkh.evaluate(…) answers.")
    store = workspace().store
    parts, active = candidate.parts, current()
    origins = [origin.partition(":") for origin in parts.origins]
    version = register_version(
        store,
        name,
        candidate.files,
        runtimes=workspace().runtimes,
        runtime=parts.runtime,
        example=candidate.example,
        signature=parts.signature,
        run=parts.run or (active.id if active is not None else ""),
        datasets=[identifier for noun, _, identifier in origins if noun == "dataset"],
        metrics=parts.metrics,
        description=description,
    )
    evaluations = tuple(
        record_evaluation(
            store,
            about=version.subject,
            truth=report.truth,
            scores=report.scores,
            on=report.on,
            blocks=report.blocks,
            slices=report.slices,
            champion=report.champion,
            metrics=report.metrics,
            model=name,
            run=active.id if active is not None else "",
        )
        for report in reports
    )
    compile_registered(workspace(), version)
    make_card(store, version.subject, wording=_wording(store, version))
    return Registered(version, evaluations)


def load(ref: str) -> LoadedModel:
    """A registered model by reference, such as `delay@champion`; a name alone is what `charkh.lock` pins, or else the
    newest.

    Raises:
        NotFound: there is no such version, or the pinned one is not known here.
        Denied: loading it would run code that nobody trusts, or the registry's policy refuses it.
    """
    opened = existing_workspace()
    loaded = load_model(
        opened.store, locked_ref(opened, "model", ref), runtimes=opened.runtimes, rules=rules_of(opened)
    )
    return LoadedModel(loaded.version, loaded.predictor.predict)


def scores_of(outputs: Tensors) -> pl.Series:
    """One score a row: the probability of the second of two classes, or the predicted number.

    Raises:
        Invalid: the model gives neither.
    """
    probability = outputs.get(PROBABILITY)
    if probability is not None and probability.ndim == 2 and probability.shape[1] == 2:
        return pl.Series("score", probability[:, 1])
    if probability is None and PREDICTION in outputs:
        return pl.Series("score", outputs[PREDICTION])
    raise Invalid(
        "the model gives no single score a row",
        code="evaluation.no_score",
        hint="Evaluate a classifier of two classes, or a regressor.",
    )


def _wording(store: Store, version: ModelVersion) -> Wording:
    """What the workspace's own file says about the model, and what the registry knows of it."""
    path = workspace().folder / "cards" / f"{version.made.name}.md"
    said = wording_from(path.read_text(encoding="utf-8"), "model") if path.is_file() else Wording()
    return model_wording(store, version, said)


def _content_of(train: object, data: object) -> str:
    """What a study is a study of: other data or other code is another study."""
    try:
        return content_key(train, data, codecs=codecs_of(workspace()), folder=workspace().folder)
    except Invalid:
        return new_id()


def _champion(ref: str) -> LoadedModel | None:
    if not ref:
        return None
    try:
        find_model(workspace().store, ref)
    except NotFound:
        return None
    return load(ref)
