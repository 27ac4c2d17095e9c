"""The model runtimes whose libraries are installed, found by dotted path and loaded at the first use."""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, cast

from charkh.ports.runtimes import ApartRuntime, ModelRuntime, Predictor, Safety, Signature


class RuntimeRow(NamedTuple):
    """One runtime: its name, where its class is, the libraries without which it is not offered, and whether it runs
    trusted code in a process of its own."""

    name: str
    path: str
    needs: tuple[str, ...]
    apart: bool = False


RUNTIMES = (
    # Boosters before scikit-learn: their estimators are scikit-learn's too, which skops cannot write.
    RuntimeRow("xgboost", "charkh.runtimes.xgboost:XgboostRuntime", ("xgboost",)),
    RuntimeRow("lightgbm", "charkh.runtimes.lightgbm:LightgbmRuntime", ("lightgbm",)),
    RuntimeRow("catboost", "charkh.runtimes.catboost:CatboostRuntime", ("catboost",)),
    RuntimeRow("onnx", "charkh.runtimes.onnx:OnnxRuntime", ("onnxruntime",)),
    # It judges without PyTorch; what needs it says how to install the build that fits.
    RuntimeRow("torch", "charkh.runtimes.torch:TorchRuntime", (), apart=True),
    RuntimeRow("sklearn", "charkh.runtimes.sklearn:SklearnRuntime", ("sklearn", "skops")),
    RuntimeRow("pickle", "charkh.runtimes.pickled:PickledRuntime", ("sklearn",), apart=True),
    RuntimeRow("mlflow", "charkh.runtimes.mlflow:MlflowRuntime", (), apart=True),
)

FRAMEWORKS = {"onnx": ("onnx",), "torch": ("torch",)}
"""The package that a runtime's estimators come from, where it is another than the first that the runtime needs."""


def installed_runtimes(
    pythons: Mapping[str, str] | None = None, own: Sequence[ModelRuntime] = ()
) -> tuple[ModelRuntime, ...]:
    """Each runtime whose libraries can be imported; none of them is until it is asked something.

    Args:
        pythons: by name of a runtime, the interpreter in whose environment trusted code runs (`[runtime.NAME] python`).
        own: the workspace's, asked first.
    """
    chosen = pythons or {}
    offered = tuple(
        (ApartAtFirstUse if row.apart else RuntimeAtFirstUse)(row, chosen.get(row.name, ""))
        for row in RUNTIMES
        if all(importlib.util.find_spec(name) for name in row.needs)
    )
    return (*own, *offered)


class RuntimeAtFirstUse:
    """A runtime that is imported when it is needed: a model of one framework does not wait for all the others."""

    def __init__(self, row: RuntimeRow, python: str = "") -> None:
        self._row = row
        self._options = {"python": python} if python else {}
        self._packages = FRAMEWORKS.get(row.name, row.needs[:1])

    @property
    def name(self) -> str:
        return self._row.name

    @property
    def libraries(self) -> Mapping[str, str]:
        return self._runtime.libraries

    def accepts(self, estimator: object) -> bool:
        """Whether it is of the framework, judged without importing it, and the runtime can save it."""
        origins = {each.__module__.partition(".")[0] for each in type(estimator).__mro__}
        return not origins.isdisjoint(self._packages) and self._runtime.accepts(estimator)

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """See `charkh.ports.runtimes.ModelRuntime`."""
        return self._runtime.save(estimator)

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """See `charkh.ports.runtimes.ModelRuntime`."""
        return self._runtime.inspect(files)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """See `charkh.ports.runtimes.ModelRuntime`."""
        return self._runtime.load(files, signature)

    @cached_property
    def _runtime(self) -> ModelRuntime:
        module, _, name = self._row.path.partition(":")
        return cast(ModelRuntime, getattr(importlib.import_module(module), name)(**self._options))


class ApartAtFirstUse(RuntimeAtFirstUse):
    """The same for a runtime that runs trusted code in a process of its own."""

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """See `charkh.ports.runtimes.ApartRuntime`."""
        return cast(ApartRuntime, self._runtime).takes(files)

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """See `charkh.ports.runtimes.ApartRuntime`."""
        return cast(ApartRuntime, self._runtime).load_apart(files, signature)
