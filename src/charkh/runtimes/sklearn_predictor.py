"""From named tensors to what a scikit-learn estimator was trained on, and back to named tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.runtimes import Signature, Tensors, TensorSpec
from charkh.runtimes.columns import PREDICT, PREDICT_PROBA, columns_of, stack
from charkh.runtimes.refusal import input_refused
from charkh.runtimes.sklearn_trees import parts_of

Array = npt.NDArray[Any]

_ARGMAX = (
    CalibratedClassifierCV,
    DecisionTreeClassifier,
    ExtraTreesClassifier,
    GaussianNB,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
"""Classifiers whose label is the class of the greatest probability, so that one pass gives both outputs."""

_TIE = 1e-9


class SklearnPredictor:
    """A loaded estimator.

    It owns the estimator and changes it once, before the first prediction: `n_jobs` becomes 1, because
    requests already run side by side and the order of a parallel sum changes its last digit; and where
    no part selects columns by name the feature names go, so that a plain matrix is taken as it is.
    Afterwards nothing is written, so threads share it.
    """

    def __init__(self, estimator: BaseEstimator, signature: Signature) -> None:
        self._estimator: Any = estimator
        self._inputs = {spec.name: spec for spec in signature.inputs}
        self._order = _input_order(estimator, signature)
        self._outputs = _output_names(estimator, signature)
        self._shape = _choose_shape(estimator, [self._inputs[name] for name in self._order])
        for part in parts_of(estimator):
            state = getattr(part, "__dict__", {})
            if "n_jobs" in state:
                state["n_jobs"] = 1
            if self._shape is not _frame:
                state.pop("feature_names_in_", None)

    @property
    def estimator(self) -> Any:
        """As it is asked; not to be changed."""
        return self._estimator

    @property
    def order(self) -> list[str]:
        """The inputs that the estimator takes, in its order."""
        return self._order

    @property
    def by_name(self) -> bool:
        """Whether it takes its columns by name."""
        return self._shape is _frame

    @property
    def width(self) -> int:
        """Columns that it takes; 0 where it does not say."""
        return int(getattr(self._estimator, "n_features_in_", 0))

    def shaped(self, inputs: Tensors) -> object:
        """The rows as the estimator takes them: a frame, a matrix or texts."""
        return self._shape(self._order, self._columns(inputs))

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        columns = self._columns(inputs)
        try:
            return self._ask(self._shape(self._order, columns))
        except (ValueError, TypeError, KeyError, pl.exceptions.PolarsError) as error:
            raise input_refused(str(error)) from error
        except ImportError as error:
            raise Unavailable(
                f"the model needs a library that is not installed: {error}",
                code="model.library_missing",
                hint="Install it, or train the model without `set_output`.",
            ) from error

    def _columns(self, inputs: Tensors) -> list[Array]:
        return columns_of([self._inputs[name] for name in self._order], inputs)

    def _ask(self, rows: object) -> dict[str, Array]:
        answers: dict[str, Array] = {}
        if PREDICT_PROBA in self._outputs:
            answers[PREDICT_PROBA] = np.asarray(self._estimator.predict_proba(rows))
        if PREDICT in self._outputs:
            labels = self._labels_of(answers.get(PREDICT_PROBA))
            answers[PREDICT] = _plain(self._estimator.predict(rows) if labels is None else labels)
        return {name: answers[name] for name in self._outputs}

    def _labels_of(self, probability: Array | None) -> Array | None:
        """The classes of greatest probability, where that is what `predict` would say; None where it must be asked."""
        if probability is None or probability.shape[1] < 2 or not predicts_by_probability(self._estimator):
            return None
        top = np.partition(probability, -2, axis=1)[:, -2:]
        if not (top[:, 1] - top[:, 0] > _TIE).all():
            return None
        return np.asarray(self._estimator.classes_)[probability.argmax(axis=1)]


def predicts_by_probability(estimator: object) -> bool:
    """Whether the label is known to be the class of the greatest probability."""
    return type(_last(estimator)) in _ARGMAX


def _input_order(estimator: object, signature: Signature) -> list[str]:
    names = [spec.name for spec in signature.inputs]
    trained: Sequence[str] | None = getattr(estimator, "feature_names_in_", None)
    if trained is None or (_is_matrix(signature.inputs) and not _selects_by_name(estimator)):
        # Whoever has the files alone knows the number of columns, and their order is the one of the training.
        return names
    missing = [name for name in trained if name not in names]
    if missing:
        raise Invalid(
            f"the estimator was trained on {missing[0]!r}, which the signature does not name",
            code="model.signature_misfit",
            hint="Give an example with every column that the estimator was trained on.",
        )
    return [str(name) for name in trained]


def _output_names(estimator: object, signature: Signature) -> list[str]:
    able = [PREDICT]
    if hasattr(estimator, PREDICT_PROBA):
        able.append(PREDICT_PROBA)
    wanted = [spec.name for spec in signature.outputs] or able
    unknown = [name for name in wanted if name not in able]
    if unknown:
        raise Invalid(
            f"the estimator gives no output {unknown[0]!r}",
            code="model.signature_misfit",
            hint=f"It gives {' and '.join(able)}.",
        )
    return wanted


def _choose_shape(estimator: object, specs: Sequence[TensorSpec]) -> Callable[[Sequence[str], Sequence[Array]], object]:
    """What the estimator takes: a text column, one matrix as it came, a matrix of columns, or a frame of names."""
    texts = any(spec.datatype == "BYTES" for spec in specs)
    if len(specs) == 1 and texts and isinstance(_first(estimator), CountVectorizer | HashingVectorizer):
        return _text
    if _is_matrix(specs):
        return _matrix_as_is
    if hasattr(estimator, "feature_names_in_") and (_selects_by_name(estimator) or texts):
        return _frame
    if texts:
        return _objects
    return _singles if all(spec.datatype == "FP32" for spec in specs) else _doubles


def _is_matrix(specs: Sequence[TensorSpec]) -> bool:
    return len(specs) == 1 and len(specs[0].shape) == 2


def _selects_by_name(estimator: object) -> bool:
    parts = parts_of(estimator)
    return any(isinstance(part, ColumnTransformer) or hasattr(part, "_sklearn_output_config") for part in parts)


def _text(_names: Sequence[str], columns: Sequence[Array]) -> object:
    return _series("text", columns[0]).to_list()


def _matrix_as_is(_names: Sequence[str], columns: Sequence[Array]) -> object:
    return columns[0]


def _objects(names: Sequence[str], columns: Sequence[Array]) -> object:
    parts = [
        column if column.dtype != object else _series(name, column).to_numpy()
        for name, column in zip(names, columns, strict=True)
    ]
    return np.column_stack([part.astype(object) for part in parts])


def _doubles(_names: Sequence[str], columns: Sequence[Array]) -> object:
    return stack(columns, np.float64)


def _singles(_names: Sequence[str], columns: Sequence[Array]) -> object:
    return stack(columns, np.float32)


def _frame(names: Sequence[str], columns: Sequence[Array]) -> object:
    return pl.DataFrame([_series(name, column) for name, column in zip(names, columns, strict=True)])


def _series(name: str, column: Array) -> pl.Series:
    if column.dtype != object:
        return pl.Series(name, column)
    values = column.tolist()
    if values and isinstance(values[0], bytes):
        return pl.Series(name, values, dtype=pl.Binary).cast(pl.String)
    return pl.Series(name, values, dtype=pl.String)


def _plain(values: object) -> Array:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "US" else array


def _first(estimator: Any) -> object:
    return _first(estimator.steps[0][1]) if isinstance(estimator, Pipeline) else estimator


def _last(estimator: Any) -> object:
    return _last(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator
