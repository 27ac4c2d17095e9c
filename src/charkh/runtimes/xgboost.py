"""The XGBoost runtime: boosters as the JSON that XGBoost documents, its trees verified before XGBoost reads them.

The layout is https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html.
"""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import msgspec
import numpy as np
import xgboost

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Safety, Signature, Tensors
from charkh.runtimes.columns import PREDICT, PREDICT_PROBA, Array, chosen_outputs, matrix_of, numeric_inputs
from charkh.runtimes.refusal import denied, foreign_reasons, input_refused, not_rebuilt, verdict

FILE = "model.xgboost.json"
_KIND = "charkh_kind"
_LABELS = "charkh_labels"
_Model: Any = xgboost.XGBModel
_Booster: Any = xgboost.Booster


class XgboostRuntime:
    """Saves, judges, loads and asks XGBoost's boosters and estimators (`charkh.ports.runtimes.ModelRuntime`)."""

    @property
    def name(self) -> str:
        return "xgboost"

    @property
    def libraries(self) -> Mapping[str, str]:
        return {"python": platform.python_version(), "xgboost": _version(), "numpy": version("numpy")}

    def accepts(self, estimator: object) -> bool:
        """Whether it is a booster, or an estimator of XGBoost's."""
        return isinstance(estimator, _Booster | _Model)

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """One JSON file.

        Raises:
            Invalid: it is not fitted yet.
        """
        model: Any = estimator
        if isinstance(estimator, _Model):
            try:
                booster = model.get_booster().copy()
            except (xgboost.core.XGBoostError, AttributeError, ValueError) as error:
                raise _not_saved(estimator, error) from error
            classifies = hasattr(model, "predict_proba")
            booster.set_attr(**{_KIND: "classifier" if classifies else "regressor"})
            if classifies:
                booster.set_attr(**{_LABELS: str(int(model.n_classes_))})
        else:
            booster = model
        return {FILE: bytes(booster.save_raw("json"))}

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`inert` for exactly one JSON file of XGBoost's whose trees stay inside themselves; else `code`."""
        if len(files) > 1:
            return verdict(dict.fromkeys(list(files)[1:], ("it is not the one model file",)))
        return verdict({name: _reasons(data) for name, data in files.items()})

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "XgboostPredictor":
        """The booster.

        Raises:
            Denied: the files are something else, or their trees would be read out of bounds.
            Invalid: the signature does not fit.
            Unavailable: the installed XGBoost cannot read it.
        """
        judged = self.inspect(files)
        if judged.runs_code:
            raise denied(judged.reasons)
        booster: Any = _Booster()
        try:
            booster.load_model(bytearray(next(iter(files.values()))))
            booster.set_param({"nthread": 1})
        except xgboost.core.XGBoostError as error:
            raise not_rebuilt(f"XGBoost {_version()} cannot read this model: {str(error).splitlines()[0]}") from error
        return XgboostPredictor(booster, signature)


class XgboostPredictor:
    """A loaded booster; threads share it, and each prediction uses one thread of the processor's."""

    def __init__(self, booster: Any, signature: Signature) -> None:
        self._booster = booster
        self._specs = numeric_inputs(signature, booster.feature_names or (), "XGBoost")
        self._classifies = booster.attr(_KIND) == "classifier"
        self._outputs = chosen_outputs(signature, [PREDICT, PREDICT_PROBA] if self._classifies else [PREDICT])
        best = booster.attr("best_iteration")
        self._rounds = (0, int(best) + 1) if best is not None else (0, 0)

    @property
    def width(self) -> int:
        """Columns that it takes; 0 where it does not say."""
        return int(self._booster.num_features())

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        matrix = matrix_of(self._specs, inputs, np.float32)
        try:
            answer: Array = np.asarray(
                self._booster.inplace_predict(matrix, iteration_range=self._rounds, validate_features=False)
            )
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise input_refused(str(error).splitlines()[0]) from error
        if not self._classifies:
            return {PREDICT: answer}
        probability = np.column_stack([1 - answer, answer]) if answer.ndim == 1 else answer
        answers = {PREDICT_PROBA: probability, PREDICT: probability.argmax(axis=1).astype(np.int64)}
        return {name: answers[name] for name in self._outputs}


def _reasons(data: bytes) -> tuple[str, ...]:
    try:
        document: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        return foreign_reasons(data, "XGBoost JSON", str(error))
    if not isinstance(document, dict) or not isinstance(cast(Any, document).get("learner"), dict):
        return foreign_reasons(data, "XGBoost JSON", "it has no learner")
    return tuple(_tree_reasons(cast(Any, document)["learner"]))


def _tree_reasons(learner: Any) -> list[str]:
    """What in the trees would make XGBoost read outside its arrays."""
    booster: Any = learner.get("gradient_booster", {})
    booster = booster.get("gbtree", booster)  # a `dart` booster holds a `gbtree`
    trees = cast(Any, booster.get("model", {}).get("trees", []) if hasattr(booster, "get") else None)
    if not isinstance(trees, list):
        return ["its trees are no list"]
    features = int(learner.get("learner_model_param", {}).get("num_feature", "0"))
    for place, tree in enumerate(cast(list[Any], trees)):
        try:
            count = int(tree["tree_param"]["num_nodes"])
            children = [*tree["left_children"], *tree["right_children"]]
            sound = len(children) == 2 * count and all(-1 <= child < count for child in children)
            sound = sound and len(tree["split_indices"]) == count == len(tree["split_conditions"])
            sound = sound and all(0 <= index < max(features, 1) for index in tree["split_indices"])
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            return [f"tree {place} points outside itself"]
    return []


def _not_saved(estimator: object, error: Exception) -> Invalid:
    return Invalid(
        f"{type(estimator).__name__} cannot be saved: {str(error).splitlines()[0]}",
        code="model.not_saved",
        hint="Fit it first.",
    )


def _version() -> str:
    try:
        return version("xgboost")
    except PackageNotFoundError:
        return version("xgboost-cpu")
