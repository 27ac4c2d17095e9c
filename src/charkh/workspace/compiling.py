"""Compile the workspace's models: at registration, where the extra is installed, and when somebody asks for it."""

import importlib
import importlib.util
import logging
from typing import NamedTuple, cast

from charkh.core.errors import CharkhError, Invalid, Unavailable
from charkh.models.compile import Convert, compile_model
from charkh.models.compiled import ModelCompiled
from charkh.models.find import find
from charkh.models.model import ModelVersion
from charkh.workspace.governing import rules_of
from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh")


class Converter(NamedTuple):
    """How one runtime's models are converted: where the function is, and the libraries that it needs."""

    path: str
    needs: tuple[str, ...]


CONVERTERS = {
    "sklearn": Converter("charkh.runtimes.compiled_sklearn:compile_sklearn", ("onnx", "onnxruntime", "skl2onnx")),
}


def compile_now(workspace: Workspace, ref: str) -> ModelCompiled:
    """Compile a version, whatever was tried before.

    Raises:
        NotFound: there is no such version, or it keeps no example.
        Denied: it may not be loaded.
        Invalid: models of its runtime have no compiled form.
        Unavailable: the libraries for it are not installed.
    """
    version = find(workspace.store, ref)
    converter = CONVERTERS.get(version.made.runtime)
    if converter is None:
        raise Invalid(
            f"{version.ref} is a model of {version.made.runtime}, which has no compiled form",
            code="model.not_compiled",
            hint=f"Compiled are models of: {', '.join(sorted(CONVERTERS))}.",
        )
    if not _is_installed(converter):
        raise Unavailable(
            f"compiling {version.ref} needs {', '.join(converter.needs)}",
            code="model.no_compiler",
            hint="pip install 'charkh[onnx]'",
        )
    return compile_model(
        workspace.store,
        version.id,
        runtimes=workspace.runtimes,
        convert=_function(converter),
        rules=rules_of(workspace),
    )


def compile_registered(workspace: Workspace, version: ModelVersion) -> ModelCompiled | None:
    """Compile a version that was just made; it stays registered whatever comes out.

    None where there is nothing to compile with, it keeps no example, or it failed, which the log says.
    """
    converter = CONVERTERS.get(version.made.runtime)
    able = converter is not None and _is_installed(converter)
    if not able or version.made.example is None or version.made.safety.runs_code:
        return None
    try:
        return compile_now(workspace, version.id)
    except CharkhError as error:
        _log.warning("%s is not compiled: %s", version.ref, error.message)
        return None


def _is_installed(converter: Converter) -> bool:
    return all(importlib.util.find_spec(name) for name in converter.needs)


def _function(converter: Converter) -> Convert:
    module, _, name = converter.path.partition(":")
    return cast(Convert, getattr(importlib.import_module(module), name))
