"""Load the pipelines that a workspace's own file or module defines."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from charkh.core.errors import Invalid, NotFound
from charkh.pipelines.pipeline import Pipeline

Pipelines = dict[str, "Pipeline[..., Any]"]


def load_pipelines(source: str, folder: Path) -> Pipelines:
    """The pipelines of a file (`flows/train.py`) or a module (`flows.train`), by name.

    The file's folder (the workspace, for a module) is put on the import path, so that it finds its neighbours. A
    process keeps the code that it has loaded: an edit counts from the next process on.

    Args:
        source: as the settings say.
        folder: the workspace, to which a file is relative.

    Raises:
        NotFound: there is no such file or module.
        Invalid: two pipelines have one name.
        Exception: what importing it raises.
    """
    module = _file(folder / source) if source.endswith(".py") else _module(source, folder)
    found: Pipelines = {}
    for value in list(vars(module).values()):
        if isinstance(value, Pipeline):
            pipeline = cast("Pipeline[..., Any]", value)
            if found.setdefault(pipeline.name, pipeline) is not pipeline:
                raise Invalid(
                    f"{source} has two pipelines named {pipeline.name!r}",
                    code="pipeline.named_twice",
                    hint='Name one of them: @charkh.pipeline(name="…").',
                )
    return found


def find_pipeline(pipelines: Pipelines, name: str) -> "Pipeline[..., Any]":
    """The pipeline of this name.

    Raises:
        NotFound: there is none.
    """
    if name not in pipelines:
        known = ", ".join(sorted(pipelines)) or "none yet"
        raise NotFound(
            f"there is no pipeline {name!r}",
            code="pipeline.not_found",
            hint=f"Known: {known}. The setting `pipelines` in charkh.toml names the file that defines them.",
        )
    return pipelines[name]


def _module(name: str, folder: Path) -> ModuleType:
    _see(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise NotFound(
            f"there is no module {name!r}", code="pipeline.no_module", hint=f"It is looked for in {folder}."
        ) from error


def _file(path: Path) -> ModuleType:
    file = path.resolve()
    if not file.is_file():
        raise NotFound(
            f"there is no file {file}",
            code="pipeline.no_file",
            hint='Name the file that defines the pipelines in charkh.toml: pipelines = "flows.py".',
        )
    for loaded in list(sys.modules.values()):
        if getattr(loaded, "__file__", None) == str(file) and loaded.__name__ != "__main__":
            return loaded
    _see(file.parent)
    name = _free_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _free_name(file: Path) -> str:
    """The file's own name; where another module has it already, the first one with a number that is free."""
    name, number = file.stem, 1
    while name in sys.modules or _is_elsewhere(name, file):
        number += 1
        name = f"{file.stem}_{number}"
    return name


def _is_elsewhere(name: str, file: Path) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin != str(file)


def _see(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
