"""The model runtimes whose libraries are installed, found by dotted path."""

import importlib
import importlib.util
from typing import NamedTuple, cast

from charkh.ports.runtimes import ModelRuntime


class RuntimeRow(NamedTuple):
    """One runtime: where its class is, and the libraries without which it is not offered."""

    path: str
    needs: tuple[str, ...]


RUNTIMES = (RuntimeRow("charkh.runtimes.sklearn:SklearnRuntime", ("sklearn", "skops")),)


def installed_runtimes() -> tuple[ModelRuntime, ...]:
    """An instance of each runtime whose libraries can be imported."""
    return tuple(_made(row.path) for row in RUNTIMES if all(importlib.util.find_spec(name) for name in row.needs))


def _made(path: str) -> ModelRuntime:
    module, _, name = path.partition(":")
    return cast(ModelRuntime, getattr(importlib.import_module(module), name)())
