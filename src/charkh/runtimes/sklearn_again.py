"""Train a registered scikit-learn estimator anew: a clone of it, with another seed, on given rows."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn import base

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Signature, Tensors
from charkh.runtimes.sklearn_predictor import SklearnPredictor

Array = npt.NDArray[Any]
SEED = "random_state"
_base: Any = base


def fit_again(
    predictor: SklearnPredictor, signature: Signature, inputs: Tensors, target: Array, *, seed: int | None = None
) -> SklearnPredictor:
    """A clone of the estimator, fitted to these rows as it was fitted to its own.

    Args:
        predictor: holds the registered estimator, which stays as it is.
        signature: of the model.
        inputs: the rows as the model takes them.
        target: what it is to predict, a row each: its classes, or numbers.
        seed: in place of every `random_state` of the estimator and its parts; as registered without it.

    Raises:
        Invalid: it is neither classifier nor regressor, the target is none of its own, or it cannot be fitted.
    """
    estimator: Any = predictor.estimator
    fresh: Any = _base.clone(estimator)
    if seed is not None:
        fresh.set_params(**dict.fromkeys(seeds_of(estimator), seed))
    truth = _target(estimator, target)
    try:
        fresh.fit(predictor.shaped(inputs), truth)
    except (ValueError, TypeError) as error:
        raise Invalid(
            f"a clone of {type(estimator).__name__} cannot be fitted: {error}",
            code="stability.not_fitted",
            hint="Name the recipes that made the training's rows, and the target, in the suite.",
        ) from error
    return SklearnPredictor(fresh, signature)


def seeds_of(estimator: Any) -> tuple[str, ...]:
    """The params of an estimator and of its parts that hold a seed."""
    return tuple(name for name in estimator.get_params(deep=True) if name.rpartition("__")[2] == SEED)


def _target(estimator: Any, target: Array) -> Array:
    """The target in the type that the estimator learned."""
    if _base.is_regressor(estimator):
        return target.astype(np.float64)
    if not _base.is_classifier(estimator):
        raise _refused(f"{type(estimator).__name__} is neither a classifier nor a regressor")
    if isinstance(estimator.classes_, list):
        raise _refused(f"{type(estimator).__name__} predicts several things at once")
    classes = cast(Array, estimator.classes_)
    kind = str if classes.dtype.kind in "US" else classes.dtype
    try:
        told = target.astype(kind)
        alike = bool((told == target).all()) and bool(np.isin(told, classes).all())
    except (ValueError, TypeError):
        told, alike = target, False
    if not alike:
        raise _refused("the target has other values than the classes that the model learned")
    return told


def _refused(why: str) -> Invalid:
    return Invalid(why, code="stability.not_fitted", hint="Name as its target what the model was trained to predict.")
