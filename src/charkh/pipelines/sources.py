"""Where code comes from: the project's own modules, whose source is followed, or libraries, known by their version.

A module's source is read once, when its first step is defined, so that an edit while the program runs does
not pass for the code that runs.
"""

import ast
import functools
import importlib
import importlib.metadata
import importlib.util
import site
import sys
import sysconfig
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

OWN = "charkh"
NAMED = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
}
"""Often met, and named otherwise than their distribution: to look all distributions through takes half a second."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class ModuleSource(NamedTuple):
    """The parsed source of one module.

    Attributes:
        tree: the module.
        functions: function and lambda nodes by name (`<lambda>`) and first line, decorators included.
        classes: class nodes by qualified name; several where a branch defines one or the other.
        assigned: the module's own statements that give a name its value.
        imported: by name, the module and the attribute that `from module import attribute` gave it.
        readings: what has been read from a node, by the node's identity.
    """

    tree: ast.Module
    functions: dict[tuple[str, int], list[ast.AST]]
    classes: dict[str, list[ast.AST]]
    assigned: dict[str, list[ast.AST]]
    imported: dict[str, tuple[str, str]]
    readings: dict[int, Any]


_known: "weakref.WeakKeyDictionary[ModuleType, ModuleSource | None]" = weakref.WeakKeyDictionary()


def module_named(name: str) -> ModuleType | None:
    """The loaded module of this name."""
    return sys.modules.get(name)


def is_own_code(name: str) -> bool:
    """Whether the module is the user's own code: neither Python's, nor charkh's, nor installed."""
    top = name.partition(".")[0]
    if top == "__main__":
        return True
    if top == OWN or is_python(name):
        return False
    file = getattr(module_named(name), "__file__", None)
    if file is None:
        # A namespace package holds no code of its own; a module made by hand is somebody's own.
        return getattr(module_named(name), "__spec__", None) is None
    return not _is_installed(Path(file))


def is_python(name: str) -> bool:
    """Whether the module belongs to Python itself."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def own_module(name: str) -> ModuleType | None:
    """The user's own module of this name, imported if need be; None for a library, which is not imported."""
    if module_named(name) is None:
        try:
            spec = importlib.util.find_spec(name.partition(".")[0])
        except (ImportError, ValueError):
            return None
        if spec is None or not spec.origin or spec.origin in {"built-in", "frozen"} or _is_installed(Path(spec.origin)):
            return None
        try:
            importlib.import_module(name)
        except ImportError:
            return None
    return module_named(name) if is_own_code(name) else None


def source_of(name: str) -> ModuleSource | None:
    """The parsed source of a loaded module; None where it has none (a console, a compiled module)."""
    module = module_named(name)
    if module is None:
        return None
    if module not in _known:
        _known[module] = _parse(module)
    return _known[module]


def function_nodes(name: str, code: CodeType) -> list[ast.AST]:
    """The nodes that a code object of module `name` was compiled from; several for lambdas of one line."""
    source = source_of(name)
    return [] if source is None else source.functions.get((code.co_name, code.co_firstlineno), [])


@functools.cache
def library_version(top: str) -> tuple[str, str]:
    """Distribution and version of an installed top-level package; an empty version where nobody knows it."""
    name = NAMED.get(top, top)
    try:
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    for distribution in _distributions().get(top, []):
        return distribution, importlib.metadata.version(distribution)
    return top, ""


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


@functools.cache
def _library_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    named = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple({Path(each).resolve() for each in [*named, *site.getsitepackages(), site.getusersitepackages()]})


@functools.lru_cache(maxsize=4096)
def _is_installed(file: Path) -> bool:
    return any(file.resolve().is_relative_to(folder) for folder in _library_folders())


def _parse(module: ModuleType) -> ModuleSource | None:
    text = _text(module)
    if text is None:
        return None
    tree = ast.parse(text)
    functions, classes = dict[tuple[str, int], list[ast.AST]](), dict[str, list[ast.AST]]()
    for qualname, node in _definitions(tree, ""):
        if isinstance(node, ast.ClassDef):
            classes.setdefault(qualname, []).append(node)
        elif isinstance(node, ast.Lambda):
            functions.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            functions.setdefault((node.name, first), []).append(node)
    assigned, imported = dict[str, list[ast.AST]](), dict[str, tuple[str, str]]()
    for statement in _module_statements(tree):
        for name in _bound_names(statement):
            assigned.setdefault(name, []).append(statement)
        if isinstance(statement, ast.ImportFrom):
            home = absolute_module(module.__name__, statement)
            imported |= {each.asname or each.name: (home, each.name) for each in statement.names}
    return ModuleSource(tree, functions, classes, assigned, imported, {})


def absolute_module(here: str, statement: ast.ImportFrom) -> str:
    """The module that `from … import` in module `here` names."""
    if not statement.level:
        return statement.module or ""
    package = here if hasattr(module_named(here), "__path__") else here.rpartition(".")[0]
    for _ in range(statement.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{statement.module}" if statement.module else package


def _text(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    try:
        return Path(file).read_text(encoding="utf-8") if file and str(file).endswith(".py") else None
    except (OSError, UnicodeDecodeError):
        return None


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            yield f"{prefix}<lambda>", child
            yield from _definitions(child, f"{prefix}<lambda>.<locals>.")
        elif isinstance(child, _SCOPES):
            qualname = prefix + child.name
            yield qualname, child
            yield from _definitions(
                child, f"{qualname}." if isinstance(child, ast.ClassDef) else f"{qualname}.<locals>."
            )
        else:
            yield from _definitions(child, prefix)


def _module_statements(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, those inside `if` and `try` included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and not isinstance(child, _SCOPES):
            yield child
            yield from _module_statements(child)
        elif isinstance(child, ast.ExceptHandler):
            yield from _module_statements(child)


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                yield node.id
