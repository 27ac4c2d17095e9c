"""How a registered model is trained again: by the step that made it, or as a clone on the dataset that it came from."""

from collections.abc import Callable, Mapping

import polars as pl

from charkh.core.errors import CharkhError
from charkh.core.redact import redact
from charkh.core.stability_settings import RetrainTest, StabilitySettings
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById
from charkh.datasets.read import read_table
from charkh.evaluations.stability.subject import Ask, NoOccasion, Training, Unanswered
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.recipes.find import find as find_recipe
from charkh.workspace.governing import rules_of
from charkh.workspace.model_rows import asking, columns_of, tensors_of
from charkh.workspace.remaking import remaking
from charkh.workspace.reseeding import seeded
from charkh.workspace.serving import preparing
from charkh.workspace.workspace import Workspace


def training_of(
    workspace: Workspace, version: ModelVersion, settings: StabilitySettings
) -> Callable[[RetrainTest], Training]:
    """What finds out, for a test, how a version is trained again.

    Args:
        workspace: whose pipelines and datasets are used.
        version: that is trained again.
        settings: of the suite: its recipes prepare the rows of a clone, and its target is what that learns.
    """

    def training(test: RetrainTest) -> Training:
        ways: Mapping[str, Callable[[], Training]] = {
            "pipeline": lambda: remaking(workspace, version, test),
            "clone": lambda: _cloning(workspace, version, settings),
        }
        reasons: list[str] = []
        for name, way in ways.items():
            if test.by not in {"", name}:
                continue
            try:
                found = way()
            except NoOccasion as error:
                reasons.append(str(error))
                continue
            return Training(found.how, found.reference, found.train, "; ".join(filter(None, (*reasons, found.note))))
        raise NoOccasion("; ".join(reasons))

    return training


def trained_on(workspace: Workspace, version: ModelVersion) -> DatasetVersion | None:
    """A table that a version was trained on; None where it names none."""
    for identifier in version.made.datasets:
        dataset = workspace.store.queries.ask(DatasetById(version=identifier))
        if dataset is not None and dataset.made.kind == "table":
            return dataset
    return None


def _cloning(workspace: Workspace, version: ModelVersion, settings: StabilitySettings) -> Training:
    """A clone of the registered estimator, fitted to the whole dataset that the version names.

    Raises:
        NoOccasion: it is no scikit-learn estimator, or its dataset or target is not known.
    """
    if version.made.runtime != "sklearn":
        raise NoOccasion(f"only estimators of scikit-learn are cloned, and this is a model of {version.made.runtime}")
    # Here, because what tries other models does not wait for scikit-learn.
    from charkh.runtimes.sklearn_again import fit_again, seeds_of
    from charkh.runtimes.sklearn_predictor import SklearnPredictor

    predictor = load(workspace.store, version.id, runtimes=workspace.runtimes, rules=rules_of(workspace)).predictor
    if not isinstance(predictor, SklearnPredictor):
        raise NoOccasion("the registered files hold no estimator that is loaded here")
    ref, inputs, target = _learned(workspace, version, settings)
    signature = version.made.signature

    def fitted(seed: int | None, rows: pl.DataFrame, truth: pl.Series) -> Ask:
        # Parts without a seed of their own draw from the generators that all share.
        with seeded(seed or 0):
            again = fit_again(predictor, signature, tensors_of(rows, signature), truth.to_numpy(), seed=seed)
        return asking(again, signature)

    def train(seed: int, sampled: bool) -> Ask:
        places = pl.Series(range(target.len()), dtype=pl.UInt32)
        drawn = places.sample(target.len(), with_replacement=True, seed=seed) if sampled else places
        try:
            return fitted(None if sampled else seed, inputs[drawn], target[drawn])
        except CharkhError as error:
            raise Unanswered(f"the training raised {error.code}", redact(error.message)[:1000]) from error

    try:
        reference = fitted(None, inputs, target)
    except CharkhError as error:
        raise NoOccasion(f"a clone cannot be fitted to {ref} ({error.code})") from error
    note = "" if seeds_of(predictor.estimator) else "the estimator has no random_state"
    return Training(f"a clone of the registered estimator on all of {ref}", reference, train, note)


def _learned(
    workspace: Workspace, version: ModelVersion, settings: StabilitySettings
) -> tuple[str, pl.DataFrame, pl.Series]:
    """What a clone learns from: the dataset's reference, the inputs of the model, and the target, where it is known."""
    dataset = trained_on(workspace, version)
    if dataset is None:
        raise NoOccasion("the version does not say which dataset it was trained on")
    if not settings.target:
        raise NoOccasion("a clone has to learn something: name the suite's target")
    frame = read_table(workspace.store, dataset, cache=workspace.table_cache)
    recipes = [find_recipe(workspace.store, ref).subject for ref in settings.recipes]
    prepared = preparing(workspace.store, recipes)(frame) if recipes else frame
    whole = pl.DataFrame(
        [*prepared.get_columns(), *(frame[name] for name in frame.columns if name not in prepared.columns)]
    )
    if settings.target not in whole.columns:
        raise NoOccasion(f"{dataset.ref} has no column {settings.target!r}")
    known = whole.filter(pl.col(settings.target).is_not_null())
    if known.is_empty():
        raise NoOccasion(f"no row of {dataset.ref} has a {settings.target}")
    try:
        inputs = columns_of(known, version.made.signature, leave=settings.target)
    except CharkhError as error:
        raise NoOccasion(f"{dataset.ref} has not the model's inputs ({error.code})") from error
    return dataset.ref, inputs, known[settings.target]
