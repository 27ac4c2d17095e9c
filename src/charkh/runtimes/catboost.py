"""The CatBoost runtime: models as CatBoost's binary file, which holds numbers and no code."""

import platform
import struct
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import catboost
import numpy as np

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Safety, Signature, Tensors
from charkh.runtimes.columns import PREDICT, PREDICT_PROBA, Array, chosen_outputs, matrix_of, numeric_inputs
from charkh.runtimes.refusal import denied, foreign_reasons, input_refused, not_rebuilt, verdict

FILE = "model.cbm"
_MAGIC = b"CBM1"
_HEAD = struct.Struct("<4sI")
_Model: Any = catboost.CatBoost
_Error = cast(type[Exception], catboost.CatBoostError)


class CatboostRuntime:
    """Saves, judges, loads and asks CatBoost's models (`charkh.ports.runtimes.ModelRuntime`)."""

    @property
    def name(self) -> str:
        return "catboost"

    @property
    def libraries(self) -> Mapping[str, str]:
        return {"python": platform.python_version(), "catboost": version("catboost"), "numpy": version("numpy")}

    def accepts(self, estimator: object) -> bool:
        """Whether it is a model of CatBoost's."""
        return isinstance(estimator, _Model)

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """One binary file.

        Raises:
            Invalid: it is not fitted yet, or takes categories or texts, whose tables cannot be judged.
        """
        model: Any = estimator
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            try:
                model.save_model(str(path))
            except _Error as error:
                raise _not_saved(f"it cannot be saved: {error}", "Fit it first.") from error
            data = path.read_bytes()
        if _reasons(data):
            raise _not_saved(
                "it takes categories or texts", "Encode them first, or wrap model and encoder in a pipeline."
            )
        return {FILE: data}

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`inert` for exactly one file that is a model's core and nothing behind it; else `code`."""
        if len(files) > 1:
            return verdict(dict.fromkeys(list(files)[1:], ("it is not the one model file",)))
        return verdict({name: _reasons(data) for name, data in files.items()})

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "CatboostPredictor":
        """The model.

        Raises:
            Denied: the files are something else.
            Invalid: the signature does not fit.
            Unavailable: the installed CatBoost cannot read it.
        """
        judged = self.inspect(files)
        if judged.runs_code:
            raise denied(judged.reasons)
        model: Any = _Model()
        try:
            model.load_model(blob=next(iter(files.values())))
        except _Error as error:
            raise not_rebuilt(f"CatBoost {version('catboost')} cannot read this model: {error}") from error
        return CatboostPredictor(model, signature)


class CatboostPredictor:
    """A loaded model; threads share it, and each prediction uses one thread of the processor's."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        names: list[str] = [str(name) for name in model.feature_names_ or ()]
        self._specs = numeric_inputs(signature, names, "this CatBoost model")
        self._labels: Array = _plain(np.asarray(model.classes_))
        able = [PREDICT, PREDICT_PROBA] if len(self._labels) else [PREDICT]
        self._outputs = chosen_outputs(signature, able)

    @property
    def width(self) -> int:
        """Columns that it takes; 0 where it does not say."""
        return len(self._model.feature_names_)

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        matrix = matrix_of(self._specs, inputs, np.float32)
        kind = "Probability" if len(self._labels) else "RawFormulaVal"
        try:
            answer: Array = np.asarray(self._model.predict(matrix, prediction_type=kind, thread_count=1))
        except _Error as error:
            raise input_refused(str(error)) from error
        if not len(self._labels):
            return {PREDICT: answer}
        answers = {PREDICT_PROBA: answer, PREDICT: self._labels[answer.argmax(axis=1)]}
        return {name: answers[name] for name in self._outputs}


def _plain(labels: Array) -> Array:
    return labels.astype(object) if labels.dtype.kind in "US" else labels


def _reasons(data: bytes) -> tuple[str, ...]:
    if len(data) < _HEAD.size:
        return foreign_reasons(data, "CatBoost", "it is too short")
    magic, core = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        return foreign_reasons(data, "CatBoost", "it begins otherwise")
    if len(data) != _HEAD.size + core:
        return foreign_reasons(data, "CatBoost", "something stands behind the model's core, or a part of it is missing")
    return ()


def _not_saved(why: str, hint: str) -> Invalid:
    return Invalid(f"the CatBoost model is not kept: {why}", code="model.not_saved", hint=hint)
