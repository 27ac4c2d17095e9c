"""The runtime for pickled estimators: never loaded here, only in a process of its own where they are trusted."""

import functools
import importlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.runtimes import Predictor, Safety, Signature
from charkh.runtimes.apart import ApartPredictor
from charkh.runtimes.pickles import pickle_reasons
from charkh.runtimes.refusal import denied

SUFFIXES = (".pkl", ".pickle", ".joblib", ".cloudpickle")
_LIBRARIES = ("scikit-learn", "numpy", "cloudpickle", "joblib")
_LOADER = f"{__name__}:load_pickled"


class PickledRuntime:
    """Judges pickled estimators, and asks them apart (`charkh.ports.runtimes.ModelRuntime` and `ApartRuntime`)."""

    @property
    def name(self) -> str:
        return "pickle"

    @property
    def libraries(self) -> Mapping[str, str]:
        return _installed()

    def accepts(self, estimator: object) -> bool:
        """False: nothing is pickled here that has another form."""
        del estimator
        return False

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """Refused: a pickle is taken as it comes, and never made."""
        raise Invalid(
            f"{type(estimator).__name__} is not pickled here",
            code="model.not_saved",
            hint="Save it in a safe format; a pickle that is there already is registered by its bytes.",
        )

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`code`, always, with what each file would do."""
        reasons = tuple(
            f"{name}: {reason}"
            for name, data in files.items()
            for reason in pickle_reasons(data) or ("what is unknown counts as code",)
        )
        return Safety(level="code", reasons=reasons or ("there is no file to judge",))

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """Refused: see `load_apart`."""
        del signature
        raise denied(self.inspect(files).reasons)

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """Whether exactly one of them is a pickle by its name."""
        return len([name for name in files if name.endswith(SUFFIXES)]) == 1

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """The estimator in a process of its own.

        Raises:
            Unavailable: that process cannot load it.
        """
        return ApartPredictor(files, signature, loader=_LOADER)


def load_pickled(folder: Path, signature: Signature) -> Predictor:
    """The estimator that a folder holds; called in the worker, where its code may run.

    Raises:
        Unavailable: it cannot be built, or does not predict.
    """
    path = next(each for each in sorted(folder.rglob("*")) if each.name.endswith(SUFFIXES))
    estimator = _unpickle(path)
    if not callable(getattr(estimator, "predict", None)):
        raise Unavailable(
            f"the file holds {type(estimator).__name__}, which does not predict", code="model.not_a_model"
        )
    # Here, so that what is no model is told without waiting for scikit-learn.
    from charkh.runtimes.sklearn_predictor import SklearnPredictor

    return SklearnPredictor(estimator, signature)


def _unpickle(path: Path) -> Any:
    # joblib reads plain pickles, too, and the compressed ones that are usual; without it there are plain ones alone.
    try:
        return importlib.import_module("joblib").load(path)
    except ModuleNotFoundError as error:
        if error.name != "joblib":
            raise
    import pickle

    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 (behind a trust decision, in a process of its own)


@functools.cache
def _installed() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
