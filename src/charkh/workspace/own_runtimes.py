"""Runtimes of the workspace's own code (`[runtime.NAME] class`), imported when a model of theirs is at hand."""

import importlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from charkh.core.errors import Denied
from charkh.ports.runtimes import ApartRuntime, ModelRuntime, Predictor, Safety, Signature

if TYPE_CHECKING:
    from charkh.runtimes.own_class import OwnPlace

_PORT = ("accepts", "save", "inspect", "load")


def own_runtime(name: str, path: str, folder: Path) -> "OwnRuntime":
    """The runtime that the settings call `name`.

    Args:
        name: of the runtime, recorded with each version.
        path: `package.module:Class`.
        folder: the workspace, where the module is looked for.
    """
    return OwnRuntime(name, path, folder)


class OwnRuntime:
    """A class of the workspace's as a runtime: a whole one as it is, or a model class (`charkh.runtimes.own_class`)."""

    def __init__(self, name: str, path: str, folder: Path) -> None:
        self._name = name
        self._path = path
        self._folder = folder

    @property
    def name(self) -> str:
        return self._name

    @property
    def libraries(self) -> Mapping[str, str]:
        return self._runtime.libraries

    def accepts(self, estimator: object) -> bool:
        """Whether the runtime can save it; a model class is not imported for what bears another name."""
        named = {each.__name__ for each in type(estimator).__mro__}
        return (self._path.rpartition(":")[2] in named or self._is_whole) and self._runtime.accepts(estimator)

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """See `charkh.ports.runtimes.ModelRuntime`."""
        return self._runtime.save(estimator)

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """See `charkh.ports.runtimes.ModelRuntime`."""
        return self._runtime.inspect(files)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """See `charkh.ports.runtimes.ModelRuntime`."""
        return self._runtime.load(files, signature)

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """See `charkh.ports.runtimes.ApartRuntime`; false where the class has no process of its own."""
        return isinstance(self._runtime, ApartRuntime) and self._runtime.takes(files)

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """See `charkh.ports.runtimes.ApartRuntime`.

        Raises:
            Denied: the class has no process of its own for what brings code.
        """
        if isinstance(self._runtime, ApartRuntime):
            return self._runtime.load_apart(files, signature)
        raise Denied(
            f"the runtime {self._name!r} runs no code apart",
            code="model.not_apart",
            hint=f"Give {self._path} the methods takes and load_apart of charkh.ports.runtimes.ApartRuntime, or save "
            "data alone.",
        )

    @property
    def _is_whole(self) -> bool:
        return all(callable(getattr(self._class, verb, None)) for verb in _PORT)

    @cached_property
    def _class(self) -> Any:
        return self._module.own_class(self._place)

    @cached_property
    def _runtime(self) -> ModelRuntime:
        made = self._class() if self._is_whole else self._module.OwnClassRuntime(self._name, self._place)
        return cast(ModelRuntime, made)

    @property
    def _place(self) -> "OwnPlace":
        return self._module.OwnPlace(self._path, self._folder)

    @property
    def _module(self) -> Any:
        return importlib.import_module("charkh.runtimes.own_class")
