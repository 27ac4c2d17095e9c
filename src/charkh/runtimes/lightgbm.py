"""The LightGBM runtime: boosters as LightGBM's own text, its trees verified before LightGBM reads them."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import lightgbm
import msgspec
import numpy as np

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Safety, Signature, Tensors
from charkh.runtimes.columns import PREDICT, PREDICT_PROBA, Array, chosen_outputs, matrix_of, numeric_inputs
from charkh.runtimes.refusal import denied, foreign_reasons, input_refused, not_rebuilt, verdict

FILE = "model.lightgbm.txt"
LABELS = "labels.json"
_END = b"end of trees"
_Model: Any = lightgbm.LGBMModel
_Booster: Any = lightgbm.Booster
_decode_labels = msgspec.json.Decoder(list[int | str]).decode


class LightgbmRuntime:
    """Saves, judges, loads and asks LightGBM's boosters and estimators (`charkh.ports.runtimes.ModelRuntime`)."""

    @property
    def name(self) -> str:
        return "lightgbm"

    @property
    def libraries(self) -> Mapping[str, str]:
        return {"python": platform.python_version(), "lightgbm": version("lightgbm"), "numpy": version("numpy")}

    def accepts(self, estimator: object) -> bool:
        """Whether it is a booster, or an estimator of LightGBM's."""
        return isinstance(estimator, _Booster | _Model)

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """The booster's text, and beside it the labels of a classifier.

        Raises:
            Invalid: it is not fitted yet, or its labels are neither whole numbers nor texts.
        """
        model: Any = estimator
        if not isinstance(estimator, _Model):
            return {FILE: model.model_to_string().encode()}
        try:
            booster = model.booster_
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise Invalid(
                f"{type(estimator).__name__} cannot be saved: {error}", code="model.not_saved", hint="Fit it first."
            ) from error
        files = {FILE: booster.model_to_string(num_iteration=booster.best_iteration).encode()}
        if hasattr(model, "classes_"):
            files[LABELS] = _labels(model.classes_)
        return files

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`inert` for a LightGBM text whose trees stay inside themselves, with labels or without; else `code`."""
        found: dict[str, tuple[str, ...]] = {}
        texts = 0
        for name, data in files.items():
            if name == LABELS and len(files) == 2:
                found[name] = _label_reasons(data)
            else:
                texts += 1
                found[name] = _reasons(data) if texts == 1 else ("it is not the one model file",)
        return verdict(found)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "LightgbmPredictor":
        """The booster.

        Raises:
            Denied: the files are something else, or their trees would be read out of bounds.
            Invalid: the signature does not fit.
            Unavailable: the installed LightGBM cannot read it.
        """
        judged = self.inspect(files)
        if judged.runs_code:
            raise denied(judged.reasons)
        labels = _decode_labels(files[LABELS]) if LABELS in files else None
        text = next(data for name, data in files.items() if name != LABELS).decode()
        try:
            booster: Any = _Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise not_rebuilt(f"LightGBM {version('lightgbm')} cannot read this model: {error}") from error
        return LightgbmPredictor(booster, labels, signature)


class LightgbmPredictor:
    """A loaded booster; threads share it, and each prediction uses one thread of the processor's."""

    def __init__(self, booster: Any, labels: list[int | str] | None, signature: Signature) -> None:
        self._booster = booster
        self._specs = numeric_inputs(signature, booster.feature_name(), "LightGBM")
        self._labels: Array | None = None
        if labels is not None:
            whole = all(isinstance(label, int) for label in labels)
            self._labels = np.array(labels, np.int64 if whole else object)
        self._outputs = chosen_outputs(signature, [PREDICT] if labels is None else [PREDICT, PREDICT_PROBA])

    @property
    def width(self) -> int:
        """Columns that it takes; 0 where it does not say."""
        return int(self._booster.num_feature())

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`."""
        matrix = matrix_of(self._specs, inputs, np.float64)
        try:
            answer: Array = np.asarray(self._booster.predict(matrix, num_threads=1))
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise input_refused(str(error)) from error
        if self._labels is None:
            return {PREDICT: answer}
        probability = np.column_stack([1 - answer, answer]) if answer.ndim == 1 else answer
        answers = {PREDICT_PROBA: probability, PREDICT: self._labels[probability.argmax(axis=1)]}
        return {name: answers[name] for name in self._outputs}


def _labels(classes: Any) -> bytes:
    plain: list[Any] = np.asarray(classes).tolist()
    if not all(isinstance(label, int | str) for label in plain):
        raise Invalid(
            "the classifier's labels are neither whole numbers nor texts",
            code="model.not_saved",
            hint="Train it on labels such as 0 and 1, or 'late' and 'on time'.",
        )
    return msgspec.json.encode(plain)


def _label_reasons(data: bytes) -> tuple[str, ...]:
    try:
        _decode_labels(data)
    except msgspec.DecodeError as error:
        return foreign_reasons(data, "JSON list of labels", str(error))
    return ()


def _reasons(data: bytes) -> tuple[str, ...]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return foreign_reasons(data, "LightGBM text", str(error))
    whole = text.startswith("tree\n") and text.endswith("\n") and "\npandas_categorical:" in text
    if not whole or _END not in data or text[text.rindex("\npandas_categorical:") + 1 :].count("\n") != 1:
        return foreign_reasons(data, "LightGBM text", "its beginning or end is missing")
    for place, tree in enumerate(_trees(text)):
        if not _is_sound(tree):
            return (f"tree {place} points outside itself",)
    return ()


def _trees(text: str) -> Iterator[Mapping[str, str]]:
    """The trees' own lines, `name=value`."""
    for section in text.partition("\nend of trees")[0].split("\nTree=")[1:]:
        yield dict(line.split("=", 1) for line in section.splitlines()[1:] if "=" in line)


def _is_sound(tree: Mapping[str, str]) -> bool:
    """Whether every child is an inner node, or the complement of a leaf, that is there."""
    try:
        leaves = int(tree["num_leaves"])
        if len(tree["leaf_value"].split()) != leaves or leaves < 1:
            return False
        if leaves == 1:
            return True
        lists = [[int(child) for child in tree[side].split()] for side in ("left_child", "right_child")]
        features = [int(feature) for feature in tree["split_feature"].split()]
    except (KeyError, ValueError):
        return False
    inner = leaves - 1
    whole = all(len(children) == inner for children in lists) and len(features) == inner
    return whole and all(-leaves <= child < inner for children in lists for child in children)
