"""Switch the recording of training libraries on and off.

A library is touched when it is imported, and not before: switching on loads none.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from charkh.bridges.autolog.recording import Options, quietly
from charkh.core.errors import NotFound

Undo = Callable[[], None]
Enable = Callable[[Options], Undo]

LIBRARIES = {
    "sklearn": "charkh.bridges.autolog.sklearn",
    "xgboost": "charkh.bridges.autolog.xgboost",
    "lightgbm": "charkh.bridges.autolog.lightgbm",
    "catboost": "charkh.bridges.autolog.catboost",
    "statsmodels": "charkh.bridges.autolog.statsmodels",
    "optuna": "charkh.bridges.autolog.optuna",
    "keras": "charkh.bridges.autolog.keras",
    "torch": "charkh.bridges.autolog.torch",
    "lightning": "charkh.bridges.autolog.lightning",
    "pytorch_lightning": "charkh.bridges.autolog.pytorch_lightning",
    "transformers": "charkh.bridges.autolog.transformers",
}
"""By the name under which a library is imported, the module that knows its callbacks."""

TRIGGERS = {"statsmodels": "statsmodels.base.model", "lightning": "lightning.pytorch", "keras": "keras.models"}
"""Where it is another module of the library whose import says that it is there to be used."""

_enabled: dict[str, Undo] = {}


def autolog(*libraries: str, models: bool = False) -> None:
    """Record what training libraries do: params, metrics of each round, importances, and how long it took.

    It goes to the run around the call of `fit` or `train`; without one, to a run of its own that ends with it. What
    goes wrong while recording is reported once and never reaches the training.

    Args:
        libraries: names as they are imported, such as `xgboost`; all that are known by default.
        models: also keep the trained model, in the safe format of its runtime, among the run's artifacts.

    Raises:
        NotFound: a library is not known.
    """
    for name in libraries:
        if name not in LIBRARIES:
            raise NotFound(
                f"charkh records no library called {name!r}",
                code="autolog.no_library",
                hint=f"It knows: {', '.join(LIBRARIES)}.",
            )
    options = Options(models=models)
    for name in libraries or tuple(LIBRARIES):
        switch_off(name)
        if _trigger(name) in sys.modules:
            _enable(name, options)
        else:
            _waiting.wait_for(_trigger(name), name, options)


def switch_off(*libraries: str) -> None:
    """Leave libraries as they were; all of them by default."""
    for name in libraries or tuple(LIBRARIES):
        _waiting.forget(name)
        undo = _enabled.pop(name, None)
        if undo is not None:
            undo()


def _trigger(name: str) -> str:
    return TRIGGERS.get(name, name)


def _enable(name: str, options: Options) -> None:
    def enable() -> None:
        module = importlib.import_module(LIBRARIES[name])
        found: Enable = module.enable
        _enabled[name] = found(options)

    quietly(f"recording of {name}", enable)


class _AfterImport(MetaPathFinder):
    """Calls back when a module has been imported by somebody."""

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[str, Options]] = {}
        self._finding: set[str] = set()

    def wait_for(self, module: str, name: str, options: Options) -> None:
        self._wanted[module] = (name, options)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self, name: str) -> None:
        self._wanted.pop(_trigger(name), None)
        if not self._wanted and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """The module's own specification, with a loader that calls back; None for what nobody waits for."""
        if fullname not in self._wanted or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = find_spec(fullname)
        finally:
            self._finding.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, lambda: self._imported(fullname))
        return spec

    def _imported(self, module: str) -> None:
        wanted = self._wanted.pop(module, None)
        if wanted is not None:
            _enable(*wanted)


class _Then(Loader):
    """A loader that does something more when the module has been executed."""

    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the module's own loader, and then what was wanted."""
        self._loader.exec_module(module)
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._then()


_waiting = _AfterImport()
