"""The native model inside an `MLmodel` folder, where its flavour keeps it as data that a runtime here reads."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from charkh.core.errors import CharkhError
from charkh.core.mlmodel import FILE, flavours_in, read_mlmodel
from charkh.ports.runtimes import ModelRuntime
from charkh.runtimes.ubjson import decode as decode_ubjson

PYFUNC = "python_function"
_CLASSES = {
    "xgboost": "charkh.runtimes.xgboost:XgboostRuntime",
    "lightgbm": "charkh.runtimes.lightgbm:LightgbmRuntime",
    "catboost": "charkh.runtimes.catboost:CatboostRuntime",
    "onnx": "charkh.runtimes.onnx:OnnxRuntime",
    "sklearn": "charkh.runtimes.sklearn:SklearnRuntime",
}

Fields = dict[str, Any]


class Native(NamedTuple):
    """A model inside a folder.

    Attributes:
        runtime: name of the runtime that reads it.
        files: that this runtime is given.
        answer: which of its outputs MLflow's own answer is.
    """

    runtime: str
    files: Mapping[str, bytes]
    answer: str

    def reader(self) -> ModelRuntime:
        """The runtime.

        Raises:
            ImportError: its library is not installed.
        """
        module, _, name = _CLASSES[self.runtime].partition(":")
        return cast(ModelRuntime, getattr(importlib.import_module(module), name)())


def native_of(files: Mapping[str, bytes]) -> Native | str:
    """The model inside a folder, or why it can only be loaded by code that it brings."""
    fields = read_mlmodel(files.get(FILE, b""))
    flavours = flavours_in(fields)
    if not flavours:
        return "there is no MLmodel file that says its flavours (reading one needs `pip install 'charkh[mlflow]'`)"
    general = flavours.get(PYFUNC, {})
    if general.get("code"):
        return "it brings code of its own"
    for name, read in _READERS.items():
        flavour = flavours.get(name)
        if flavour is None:
            continue
        if general and general.get("loader_module") != f"mlflow.{name}":
            return f"it is loaded by {str(general.get('loader_module'))[:100]}, not by the flavour {name}"
        if flavour.get("code"):
            return "it brings code of its own"
        try:
            return read(flavour, general, files)
        except (CharkhError, KeyError, TypeError, AttributeError, msgspec.DecodeError) as error:
            return f"the flavour {name} is not as MLflow writes it: {error}"
    others = ", ".join(sorted(each for each in flavours if each != PYFUNC)) or PYFUNC
    return f"the flavour {others} is loaded by the code of its library"


def _xgboost(flavour: Fields, general: Fields, files: Mapping[str, bytes]) -> Native | str:
    data = files[flavour["data"]]
    document: Any = decode_ubjson(data) if data[:2] in {b"{L", b"{i", b"{U"} else msgspec.json.decode(data)
    learner = document["learner"]
    kind = str(flavour.get("model_class", "")).rpartition(".")[2]
    if kind.endswith("Classifier"):
        classes = max(2, int(learner["learner_model_param"].get("num_class", "0")))
        learner.setdefault("attributes", {}).update(charkh_kind="classifier", charkh_labels=str(classes))
    del general
    return Native("xgboost", {"model.xgboost.json": msgspec.json.encode(document)}, "predict")


def _lightgbm(flavour: Fields, general: Fields, files: Mapping[str, bytes]) -> Native | str:
    del general
    if flavour.get("model_class", "lightgbm.basic.Booster") != "lightgbm.basic.Booster":
        return "the flavour lightgbm keeps estimators as pickles; a Booster is kept as text"
    return Native("lightgbm", {"model.lightgbm.txt": files[flavour["data"]]}, "predict")


def _catboost(flavour: Fields, general: Fields, files: Mapping[str, bytes]) -> Native | str:
    del general
    if flavour.get("save_format", "cbm") != "cbm":
        return f"the flavour catboost keeps it as {str(flavour.get('save_format'))[:40]}, and not as cbm"
    return Native("catboost", {"model.cbm": files[flavour["data"]]}, "predict")


def _onnx(flavour: Fields, general: Fields, files: Mapping[str, bytes]) -> Native | str:
    del general
    return Native("onnx", {"model.onnx": files[flavour["data"]]}, "")


def _sklearn(flavour: Fields, general: Fields, files: Mapping[str, bytes]) -> Native | str:
    form = str(flavour.get("serialization_format", "pickle"))
    if form != "skops":
        return f"the flavour sklearn keeps it as {form[:40]}, which is code"
    answer = str(general.get("predict_fn") or "predict")
    if answer not in {"predict", "predict_proba"}:
        return f"it is asked by {answer[:40]}, which is not served here"
    return Native("sklearn", {"model.skops": files[flavour["pickled_model"]]}, answer)


_READERS: Mapping[str, Callable[[Fields, Fields, Mapping[str, bytes]], Native | str]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "onnx": _onnx,
    "sklearn": _sklearn,
}
