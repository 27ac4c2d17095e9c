"""Find the step call that made a registered model, and make it again: with another seed, or on other draws of rows."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from charkh.core.errors import CharkhError, Invalid, NotFound
from charkh.core.lock import Lock
from charkh.core.params import Params, with_values
from charkh.core.redact import redact
from charkh.core.stability_settings import RetrainTest
from charkh.evaluations.stability.subject import Ask, NoOccasion, Training, Unanswered
from charkh.lineage.index import EdgesFrom
from charkh.models.candidate import Candidate
from charkh.models.model import ModelVersion
from charkh.pipelines.key import bound
from charkh.pipelines.load import find_pipeline
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.plan import Unknown
from charkh.pipelines.retrace import Maker, Reached, Retraced, retrace
from charkh.pipelines.step import Step, StepOptions
from charkh.ports.store import Store
from charkh.runs.active import current
from charkh.runs.find import by_id
from charkh.runs.run import LargeValue, Run
from charkh.runs.start import start
from charkh.studies.index import StudyById
from charkh.workspace import training as verbs
from charkh.workspace.ambient import use
from charkh.workspace.locking import pinned
from charkh.workspace.model_rows import asking
from charkh.workspace.pinning import pins_of_subjects
from charkh.workspace.pipelines import codecs_of, pipelines_of
from charkh.workspace.resampling import resample
from charkh.workspace.reseeding import reseed, seeded
from charkh.workspace.workspace import Workspace

TAG = "retrained"
"""Tag of the runs that train a version again: what that is, as `delay@3`."""


def remaking(workspace: Workspace, version: ModelVersion, test: RetrainTest) -> Training:
    """The training of a version by the step that made it, with the rows that it had.

    The pipeline's body is executed up to where it registers the model, on the dataset versions that the first run
    used; what its steps gave is reused. From there on only the step that made the model is called.

    Raises:
        NoOccasion: no pipeline made it, or none that can be executed here, or its own body trains and no step.
        Invalid: the test names a pipeline or a seed that there is not.
    """
    runs = _runs_of(workspace.store, version)
    of_pipeline = next((run for run in runs if "pipeline" in run.tags), None)
    name = test.pipeline or (of_pipeline.tags["pipeline"] if of_pipeline is not None else "")
    if not name:
        raise NoOccasion("no pipeline made it")
    pipeline = _pipeline(workspace, name, asked=bool(test.pipeline))
    pins = _pins(workspace.store, runs)
    around = current()
    run = start(
        workspace.store,
        name=f"retrace {name}",
        group=_group(version),
        parent=around.id if around is not None else "",
        tags={TAG: version.ref},
        folder=workspace.folder,
    )
    try:
        with run, use(workspace), pinned(pins):
            found = _retraced(workspace, pipeline, version, of_pipeline)
    except Exception as error:  # what a pipeline's own code raises is why it cannot be executed again
        raise NoOccasion(f"the pipeline {name} raised {_code(error)} before it registered the model") from error
    if found is None:
        raise NoOccasion(f"the pipeline {name} registers no {version.made.name}")
    if found.maker is None or found.maker.name == f"{verbs.__name__}:tune":
        raise NoOccasion(f"the pipeline {name} trains in its own body, not in a step")
    if test.seed:
        reseed(found.maker.arguments(), 0, test.seed)
    return _training(workspace, version, test, name, found.value, found.maker, run.id)


def _training(
    workspace: Workspace,
    version: ModelVersion,
    test: RetrainTest,
    pipeline: str,
    reference: Candidate,
    maker: Maker,
    parent: str,
) -> Training:
    def train(seed: int, sampled: bool) -> Ask:
        arguments = maker.arguments()
        if sampled:
            drawn = resample(arguments, np.random.default_rng(seed))
            if drawn is None:
                raise NoOccasion("the step takes no rows that could be drawn")
            arguments = drawn
        else:
            arguments = reseed(arguments, seed, test.seed).arguments
        run = start(
            workspace.store,
            name=f"{maker.name} again",
            group=_group(version),
            parent=parent,
            params={"seed": seed, "sample": sampled},
            tags={TAG: version.ref},
        )
        try:
            with run, use(workspace), seeded(seed):
                made = maker.make(arguments)
        except Exception as error:
            raise Unanswered(f"the training raised {_code(error)}", redact(str(error))[:1000]) from error
        if not isinstance(made, Candidate):
            raise Unanswered("the training gave no model")
        return asking(made.predictor, made.parts.signature)

    held = reseed(maker.arguments(), 0, test.seed).names
    notes = [] if held else ["the step takes no seed: only the generators that libraries share had another"]
    if maker.news:
        notes.append(f"the step was executed anew: {maker.news}")
    return Training(
        how=f"the step {maker.name} of the pipeline {pipeline}",
        reference=asking(reference.predictor, reference.parts.signature),
        train=train,
        note="; ".join(notes),
    )


def _pipeline(workspace: Workspace, name: str, *, asked: bool) -> "Pipeline[..., Any]":
    """The pipeline of this name.

    Raises:
        NotFound: it is asked for, and there is none.
        NoOccasion: there is none any more, or the file that defines it cannot be loaded.
    """
    try:
        return find_pipeline(pipelines_of(workspace), name)
    except NotFound as error:
        if asked:
            raise
        raise NoOccasion(f"it was made by the pipeline {name}, which is not there ({error.code})") from error
    except Exception as error:  # importing the workspace's own file may raise anything
        raise NoOccasion(f"the file of the pipeline {name} raised {_code(error)}") from error


def _code(error: Exception) -> str:
    return error.code if isinstance(error, CharkhError) else type(error).__name__


def _group(version: ModelVersion) -> str:
    return f"{version.ref} again"


def _retraced(
    workspace: Workspace, pipeline: "Pipeline[..., Any]", version: ModelVersion, run: Run | None
) -> Retraced | None:
    """What the pipeline would register, and the step call that made it."""

    def effect(step: "Step[..., Any]", arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        what = step.name.removeprefix(f"{verbs.__name__}:")
        told = bound(step, arguments, named).arguments
        if what == "register":
            if told["name"] == version.made.name:
                raise Reached(told["candidate"])
            return Unknown(what)
        if what == "log_model":
            return ""
        if what == "tune":
            chosen = _chosen(workspace.store, version)
            if chosen is not None:
                return _as_step(told["train"])(told["data"], with_values(told["space"], chosen))
        return step.function(*arguments, **named)

    return retrace(
        workspace.store,
        pipeline,
        _params(pipeline.default, run),
        effect=effect,
        folder=workspace.folder,
        ignore=[workspace.store_folder],
        codecs=codecs_of(workspace),
    )


def _as_step(train: Any) -> "Step[..., Any]":
    return cast("Step[..., Any]", train) if isinstance(train, Step) else Step(train, StepOptions(cache=False))


def _runs_of(store: Store, version: ModelVersion) -> list[Run]:
    """The run that made a version, and those that it is a part of, from the inside out."""
    found: list[Run] = []
    identifier = version.made.run
    while identifier and identifier not in {run.id for run in found}:
        try:
            found.append(by_id(store, identifier))
        except NotFound:
            break
        identifier = found[-1].started.parent
    return found


def _pins(store: Store, runs: list[Run]) -> Lock:
    """What names meant when the version was made.

    Raises:
        NoOccasion: a version of that time has been deleted.
    """
    used = [edge.target for run in runs for edge in store.queries.ask(EdgesFrom(subject=run.subject))]
    try:
        alone, _ = pins_of_subjects(store, used)
    except NotFound as error:
        raise NoOccasion(f"what it was made from is gone ({error.code})") from error
    return Lock().having(alone)


def _chosen(store: Store, version: ModelVersion) -> Mapping[str, Any] | None:
    """What a search chose, where a trial of one made the version."""
    subject = f"run:{version.made.run}"
    for edge in store.queries.ask(EdgesFrom(subject=subject)) if version.made.run else ():
        if edge.relation == "trial_of":
            study = store.queries.ask(StudyById(study=edge.target.partition(":")[2]))
            trials = study.trials if study is not None else ()
            return next((trial.params for trial in trials if trial.run == version.made.run), None)
    return None


def _params(default: Params | type[Params] | None, run: Run | None) -> Params | None:
    """The params that the pipeline was run with, where its class still takes them; else what it has by default."""
    if default is None or run is None:
        return None
    plain = {name: value for name, value in run.params.items() if not isinstance(value, LargeValue)}
    try:
        return with_values(default, plain)
    except Invalid:
        return None
