"""A runtime out of a plain Python class of the workspace's own: `predict`, `save(folder)` and `load(folder)`.

The class is the operator's code, named in the settings. What is judged is the files: they are data where each is text,
arrays of numbers or safetensors. A class that pickles works as well, but its files are code: they need a trust
decision, and are loaded in a process of their own.
"""

import contextlib
import importlib
import platform
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.refs import parse_path
from charkh.ports.runtimes import Predictor, Safety, Signature, Tensors, row_count
from charkh.runtimes.apart import ApartPredictor
from charkh.runtimes.columns import Array, chosen_outputs, columns_of
from charkh.runtimes.plain_files import plain_reasons
from charkh.runtimes.refusal import denied, input_refused, verdict

MARK = "charkh.class"
"""The file that says which class wrote the others, and reads them."""

_LOADER = f"{__name__}:load_own"


class OwnPlace(NamedTuple):
    """Where a class is: `package.module:Class`, looked for in the workspace's folder first."""

    path: str
    folder: Path


def own_class(place: OwnPlace) -> Any:
    """The class itself.

    Raises:
        NotFound: there is no such module or class.
        Exception: what importing it raises.
    """
    if str(place.folder) not in sys.path:
        sys.path.insert(0, str(place.folder))
    module, _, name = place.path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise NotFound(
            f"there is no module {module!r}, which charkh.toml names as a runtime's",
            code="runtime.no_module",
            hint=f"It is looked for in {place.folder}.",
        ) from error
    except AttributeError as error:
        raise NotFound(
            f"the module {module} has no class {name!r}, which charkh.toml names as a runtime's",
            code="runtime.no_class",
            hint='Name it by its import path: class = "package.module:Class".',
        ) from error


class OwnClassRuntime:
    """Saves, judges, loads and asks models of one class (`charkh.ports.runtimes.ModelRuntime` and `ApartRuntime`).

    Args:
        name: of the runtime.
        place: where the class is.

    Raises:
        Invalid: the class has no `predict`, `save` or `load`.
    """

    def __init__(self, name: str, place: OwnPlace) -> None:
        self._name = name
        self._place = place
        self._class = own_class(place)
        missing = [verb for verb in ("predict", "save", "load") if not callable(getattr(self._class, verb, None))]
        if missing:
            raise Invalid(
                f"{place.path} has no {' and no '.join(missing)}",
                code="runtime.no_model_class",
                hint="A model class has predict(inputs), save(folder) and a class method load(folder); a whole runtime "
                "has name, libraries, accepts, save, inspect and load.",
            )

    @property
    def name(self) -> str:
        return self._name

    @property
    def libraries(self) -> Mapping[str, str]:
        """Python, NumPy, and the packages that the class names in `libraries`."""
        found = {"python": platform.python_version(), "numpy": version("numpy")}
        for package in cast("tuple[str, ...]", getattr(self._class, "libraries", ())):
            with contextlib.suppress(PackageNotFoundError):
                found[package] = version(package)
        return found

    def accepts(self, estimator: object) -> bool:
        """Whether it is of the class, by whatever name its module was imported."""
        return any(_is_same(each, self._class) for each in type(estimator).__mro__)

    def save(self, estimator: object) -> Mapping[str, bytes]:
        """What `estimator.save(folder)` wrote, and a file that names the class.

        Raises:
            Invalid: it wrote nothing, or a file under the name of the mark.
        """
        with tempfile.TemporaryDirectory(prefix="charkh-save-") as written:
            folder = Path(written)
            cast(Any, estimator).save(folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        if not files or MARK in files:
            raise Invalid(
                f"{self._place.path}.save wrote {'a file ' + MARK if files else 'no file'}",
                code="model.not_saved",
                hint="Write everything that `load` needs below the folder that it is given.",
            )
        return {**files, MARK: self._place.path.encode()}

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        """`inert` where the class's mark is there and each other file is data; else `code`."""
        if files.get(MARK) != self._place.path.encode():
            return Safety(level="code", reasons=(f"no file {MARK} says that {self._place.path} wrote them",))
        others = {name: plain_reasons(name, data) for name, data in files.items() if name != MARK}
        return verdict(others)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> "OwnPredictor":
        """The model, as the class's `load` gives it.

        Raises:
            Denied: the files are code.
            Unavailable: `load` fails.
        """
        judged = self.inspect(files)
        if judged.runs_code:
            raise denied(judged.reasons)
        folder = Path(tempfile.mkdtemp(prefix="charkh-load-"))
        try:
            for name, data in files.items():
                path = folder / parse_path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            predictor = OwnPredictor(_loaded(self._class, folder, self._place.path), signature)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # It stays as long as the model does: `load` may have mapped its files.
        weakref.finalize(predictor, shutil.rmtree, folder, ignore_errors=True)
        return predictor

    def takes(self, files: Mapping[str, bytes]) -> bool:
        """Whether the class wrote them."""
        return files.get(MARK) == self._place.path.encode()

    def load_apart(self, files: Mapping[str, bytes], signature: Signature) -> Predictor:
        """The model in a process of its own, which imports the class.

        Raises:
            Unavailable: that process cannot load it.
        """
        options = (self._place.path, str(self._place.folder))
        return ApartPredictor(files, signature, loader=_LOADER, options=options)


class OwnPredictor:
    """A model of the class, asked with a dictionary of arrays; it has to bear several threads at once."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._signature = signature

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """See `charkh.ports.runtimes.Predictor`.

        Raises:
            Invalid: the inputs do not fit, the model raised ValueError about them, or gave something else than one row
                for each.
        """
        specs = self._signature.inputs
        columns = columns_of(specs, inputs)
        try:
            answers: Any = self._model.predict({spec.name: each for spec, each in zip(specs, columns, strict=True)})
        except ValueError as error:
            raise input_refused(str(error) or "ValueError") from error
        if not isinstance(answers, Mapping):
            raise _misfit(f"a {type(answers).__name__}")
        given = {str(name): np.asarray(each) for name, each in cast("Mapping[Any, Any]", answers).items()}
        rows = row_count(inputs)
        for name, each in given.items():
            if each.ndim == 0 or len(each) != rows:
                raise _misfit(f"{name!r} with the shape {each.shape} for {rows} rows")
        return {name: given[name] for name in chosen_outputs(self._signature, list(given))}


def load_own(folder: Path, signature: Signature, path: str, home: str) -> Predictor:
    """The model that a folder holds; called in the worker, where its code may run."""
    return OwnPredictor(_loaded(own_class(OwnPlace(path, Path(home))), folder, path), signature)


def _loaded(kind: Any, folder: Path, path: str) -> Any:
    try:
        return kind.load(folder)
    except (OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise Unavailable(
            f"{path}.load failed: {type(error).__name__}: {error}",
            code="model.not_rebuilt",
            hint="The class may have changed since the version was registered: `load` has to read what it wrote then.",
        ) from error


def _misfit(what: str) -> Invalid:
    return Invalid(
        f"the model gave {what}",
        code="model.output_misfit",
        hint="`predict` gives a dictionary of arrays by the output's name, with a row for each that it was asked.",
    )


def _is_same(kind: type, wanted: Any) -> bool:
    if kind is wanted:
        return True
    files = [getattr(sys.modules.get(each.__module__), "__file__", None) for each in (kind, wanted)]
    return kind.__qualname__ == wanted.__qualname__ and files[0] is not None and files[0] == files[1]
