"""The runtime for `MLmodel` folders: by the native runtime where the flavour is data, by MLflow apart where it is code.

A folder of a safe flavour (skops, XGBoost's JSON or UBJSON, LightGBM's text, CatBoost's binary, ONNX) is loaded without
MLflow. Any other runs code; where its digest is trusted, a process of its own loads it with `mlflow.pyfunc.load_model`,
by the Python that `[runtime.mlflow] python` names.
"""

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from charkh.core.errors import Invalid, Unavailable
from charkh.core.mlmodel import FILE
from charkh.ports.runtimes import Predictor, Safety, Signature, Tensors
from charkh.runtimes.columns import Array
from charkh.runtimes.mlflow_apart import MlflowApart
from charkh.runtimes.mlflow_native import Native, native_of
from charkh.runtimes.refusal import denied

_NUMPY = {"FP64": "f8", "FP32": "f4", "INT64": "i8", "INT32": "i4", "BOOL": "?"}


class MlflowRuntime:
    """Judges, loads and asks folders of MLflow's (`charkh.ports.runtimes.ModelRuntime` and `ApartRuntime`).

    Args:
        python: an interpreter whose environment has MLflow and what the models need; that of this process by default.
    """

    def __init__(self, python: str = "") -> None:
        self._python = python

    @property
    def name(self) -> str:
        return "mlflow"

    @property
    def libraries(self) -> Mapping[str, str]:
        return {"python": platform.python_version()}

    def accepts(self, _estimator: object) -> bool:
        """False: an estimator is saved by the runtime of its framework."""
        return False

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """Refused: `charkh export model --format mlflow` writes such a folder of a version."""
        raise Invalid(
            f"{type(estimator).__name__} is saved by the runtime of its framework",
            code="model.not_saved",
            hint="Register it without `runtime=`; `charkh export model NAME --format mlflow` writes an MLmodel folder.",
        )

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """What the native runtime says of the model inside; `code` where there is none that is data."""
        native = native_of(files)
        if isinstance(native, str):
            return Safety(level="code", reasons=(native,))
        try:
            return native.reader().inspect(native.files)
        except ImportError as error:
            return Safety(level="code", reasons=(f"nothing here reads it as data: {error.name} is not installed",))

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """The model inside, by its native runtime.

        Raises:
            Denied: it is code.
            Invalid: the signature does not fit.
            Unavailable: the native library cannot read it.
        """
        native = native_of(files)
        if isinstance(native, str):
            raise denied((native,))
        _require_inputs(signature)
        try:
            reader = native.reader()
        except ImportError as error:
            raise Unavailable(
                f"the model inside needs {error.name}, which is not installed",
                code="model.no_runtime",
                hint=f"pip install {native.runtime}",
            ) from error
        outputs = signature.outputs if not native.answer else ()
        inner = reader.load(native.files, Signature(inputs=signature.inputs, outputs=outputs))
        return FolderPredictor(inner, native, signature)

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """Whether it is a folder of MLflow's."""
        return FILE in files

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """The model in a process of its own, by MLflow.

        Raises:
            Unavailable: that process cannot load it.
            Invalid: it has no signature.
        """
        _require_inputs(signature)
        return MlflowApart(files, signature, python=self._python)


class FolderPredictor:
    """The native predictor under the names of the folder's own signature."""

    def __init__(self, inner: Predictor, native: Native, signature: Signature) -> None:
        self._inner = inner
        self._answer = native.answer
        self._outputs = signature.outputs

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        answers: Mapping[str, Any] = self._inner.predict(inputs)
        if not self._answer:
            return dict(answers)
        answer: Array = np.asarray(answers[self._answer])
        if not self._outputs:
            return {self._answer: answer}
        if len(self._outputs) == 1:
            return {self._outputs[0].name: _as_said(answer, self._outputs[0].datatype)}
        columns = answer.reshape(len(answer), -1)
        if columns.shape[1] != len(self._outputs):
            raise Invalid(
                f"the model gives {columns.shape[1]} columns, and its signature names {len(self._outputs)}",
                code="model.signature_misfit",
                hint="Register it with the signature that MLflow infers from its answers.",
            )
        return {spec.name: _as_said(columns[:, place], spec.datatype) for place, spec in enumerate(self._outputs)}


def _as_said(answer: Array, datatype: str) -> Array:
    wanted = _NUMPY.get(datatype)
    return answer.astype(wanted) if wanted is not None and answer.dtype.kind in "fiub" else answer


def _require_inputs(signature: Signature) -> None:
    if not signature.inputs:
        raise Invalid(
            "the model has no signature, so that nobody knows what it takes",
            code="model.no_signature",
            hint="Log it with an input example or `signature=`, and register it again.",
        )
