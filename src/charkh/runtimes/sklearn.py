"""The scikit-learn runtime: estimators and pipelines as skops files; it never unpickles.

Files are judged without scikit-learn and skops, whose imports take seconds: what serves a compiled form never waits
for them.
"""

import functools
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.ports.runtimes import Safety, Signature
from charkh.runtimes.skops_file import canonical, is_archive, judge_archive
from charkh.runtimes.skops_verdicts import judge

if TYPE_CHECKING:
    from charkh.runtimes.sklearn_predictor import SklearnPredictor

FILE = "model.skops"
_LIBRARIES = ("scikit-learn", "skops", "numpy", "polars")
_CONVERT = (
    "Where you trust the file, load it yourself and register the estimator, so that charkh saves it as skops: "
    "`charkh.register(name, estimator, example=rows)`; or export it to ONNX."
)


class SklearnRuntime:
    """Saves, judges, loads and asks scikit-learn estimators (`charkh.ports.runtimes.ModelRuntime`)."""

    @property
    def name(self) -> str:
        return "sklearn"

    @property
    def libraries(self) -> Mapping[str, str]:
        return _installed()

    def accepts(self, estimator: object) -> bool:
        """Whether it is a scikit-learn estimator that predicts."""
        from sklearn.base import BaseEstimator

        return isinstance(estimator, BaseEstimator) and hasattr(estimator, "predict")

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """One skops file; equal estimators give equal bytes.

        Raises:
            Denied: the estimator holds a type that could not be loaded again without running code.
            Invalid: skops cannot write it.
        """
        import skops.io
        from skops.io.exceptions import UnsupportedTypeException

        try:
            data = skops.io.dumps(estimator)
        except (UnsupportedTypeException, TypeError, ValueError, AttributeError) as error:
            raise Invalid(
                f"{type(estimator).__name__} cannot be saved as skops: {error}",
                code="model.not_saved",
                hint="Leave out what cannot be written, such as a lambda, an open file or a local class.",
            ) from error
        files = {FILE: canonical(data)}
        self._refuse_code(files)
        return files

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`listed` for exactly one skops file of listed types; anything else is `code`, with its reasons."""
        if not files:
            return Safety(level="code", reasons=("there is no file to judge",))
        if len(files) > 1:
            models = [name for name, data in files.items() if is_archive(data) and not judge_archive(data).reasons]
            others = [name for name in files if name not in models[:1]]
            return Safety(level="code", reasons=tuple(f"{name}: it is not the one skops file" for name in others))
        name, data = next(iter(files.items()))
        reasons = judge(data).reasons
        if not reasons:
            return Safety(level="listed")
        return Safety(level="code", reasons=tuple(f"{name}: {reason}" for reason in reasons))

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "SklearnPredictor":
        """The estimator, its trees verified.

        Raises:
            Denied: the files could run code, or their trees would be read out of bounds.
            Invalid: the signature does not fit the estimator.
            Unavailable: the installed scikit-learn cannot rebuild it.
        """
        from charkh.runtimes.sklearn_predictor import SklearnPredictor
        from charkh.runtimes.sklearn_trees import tree_reasons

        self._refuse_code(files)
        estimator = _rebuild(next(iter(files.values())))
        if not self.accepts(estimator):
            raise Denied(
                f"the file holds {type(estimator).__name__}, which does not predict",
                code="model.not_a_model",
                hint=_CONVERT,
            )
        reasons = tree_reasons(estimator)
        if reasons:
            raise Denied(
                f"asking this model would read outside its arrays: {'; '.join(reasons)}",
                code="model.unsound",
                hint="The file was damaged or forged; train the model again and register that.",
                facts={"reasons": list(reasons)},
            )
        return SklearnPredictor(estimator, signature)

    def _refuse_code(self, files: Mapping[str, bytes]) -> None:
        verdict = self.inspect(files)
        if verdict.runs_code:
            raise _denied(verdict.reasons)


@functools.cache
def _installed() -> Mapping[str, str]:
    """Read once: asking the metadata of four packages takes longer than saving a small model."""
    return {"python": platform.python_version(), **{library: version(library) for library in _LIBRARIES}}


def _rebuild(data: bytes) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(data, trusted=list(judge(data).names))
    except UntrustedTypesFoundException as error:
        raise _denied((str(error),)) from error
    except (AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Unavailable(
            f"scikit-learn {version('scikit-learn')} cannot rebuild this model: {error}",
            code="model.not_rebuilt",
            hint="Install the library versions that are recorded with the model version, or train it again.",
        ) from error


def _denied(reasons: tuple[str, ...]) -> Denied:
    return Denied(
        f"loading this model could run code: {'; '.join(reasons)}",
        code="model.code",
        hint=_CONVERT,
        facts={"reasons": list(reasons)},
    )
