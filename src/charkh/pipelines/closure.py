"""What a function means: the digests of its own code and of everything of the same project that it refers to.

Followed, transitively: functions, classes, steps, modules, and the values of global names. Libraries are not
followed: they count by distribution and version. Annotations are not followed either, because a type that is
only named in one changes nothing (docs/formats/step-cache.md says what is seen and what is not).
"""

import ast
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, cast

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.params import Params
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.references import chains, imports_in, without_our_decorators
from charkh.pipelines.sources import (
    function_nodes,
    is_own_code,
    is_python,
    library_version,
    module_named,
    own_module,
    source_of,
)
from charkh.pipelines.step import Step, module_name
from charkh.pipelines.syntax import syntax_digest

Digester = Callable[[object], str]
"""Digest of a value; raises `Invalid` for a value that has none."""


class Closure(NamedTuple):
    """What a function means.

    Attributes:
        code: digests by `module:qualname` of functions and classes, and by `module.NAME` of global values.
        libraries: versions by distribution.
    """

    code: dict[str, str]
    libraries: dict[str, str]


class _Reading(NamedTuple):
    """What one node says: its digest, the dotted names it refers to, and the imports inside it."""

    digest: str
    chains: tuple[tuple[str, ...], ...]
    imports: Mapping[str, tuple[str, str]]


def closure_of(things: Sequence[object], digester: Digester) -> Closure:
    """The closure of several functions or classes together.

    Args:
        things: functions, steps or classes.
        digester: of global values.
    """
    collector = _Collector(digester)
    for thing in things:
        collector.visit(thing, getattr(thing, "__name__", "?"), str(getattr(thing, "__module__", "")))
    return Closure(dict(sorted(collector.code.items())), dict(sorted(collector.libraries.items())))


class _Collector:
    def __init__(self, digester: Digester) -> None:
        self.code = dict[str, str]()
        self.libraries = dict[str, str]()
        self._digester = digester
        self._seen = dict[int, object]()

    def visit(self, thing: Any, label: str, home: str) -> None:
        """Add what `label` means where it stands in module `home`."""
        if isinstance(thing, bool | int | float | str | bytes | None):
            self._add_value(thing, label, home)
            return
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Step | Pipeline):
            self._visit_step(cast("Step[..., Any] | Pipeline[..., Any]", thing), label, home)
        elif isinstance(thing, FunctionType):
            self._visit_function(thing)
        elif isinstance(thing, MethodType):
            self.visit(thing.__func__, label, home)
            self.visit(cast(object, type(thing.__self__)), label, home)
        elif isinstance(thing, functools.partial):
            whole = cast("functools.partial[Any]", thing)
            for part in (whole.func, list(whole.args), dict(whole.keywords)):
                self.visit(part, label, home)
        elif isinstance(thing, type):
            self._visit_class(cast("type[Any]", thing))
        elif isinstance(thing, ModuleType):
            self._visit_module(thing)
        elif callable(getattr(thing, "__wrapped__", None)):
            self.visit(thing.__wrapped__, label, home)
        elif callable(thing) and not is_own_code(str(getattr(thing, "__module__", "") or "builtins")):
            self._add_library(str(getattr(thing, "__module__", "") or "builtins"))
        else:
            self._add_value(thing, label, home)

    def _visit_step(self, thing: "Step[..., Any] | Pipeline[..., Any]", label: str, home: str) -> None:
        self.visit(thing.function, label, home)
        if isinstance(thing, Step) and thing.options.version:
            self.code[f"{thing.name} (version)"] = thing.options.version

    def _visit_function(self, function: FunctionType) -> None:
        module = function.__module__ or ""
        if not is_own_code(module):
            self._add_library(module)
            return
        name = f"{module_name(function)}:{function.__qualname__}"
        nodes = function_nodes(module, function.__code__)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        hidden = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
        scope = _Scope(module, function.__globals__, {n: c for n, c in cells.items() if _is_filled(c)}, hidden)
        if nodes:
            readings = [self._read(node, module, function.__globals__) for node in nodes]
            self.code[name] = _joined([reading.digest for reading in readings])
        else:
            readings = [_Reading("", tuple((each,) for each in _names_of(function.__code__)), {})]
            self.code[name] = digest_of(canonical_json(_code_form(function.__code__)))
            for position, default in enumerate(function.__defaults__ or ()):
                self.visit(default, f"{function.__qualname__}.default{position}", module)
        for reading in readings:
            self._follow(reading, scope)
        for free, cell in cells.items():
            if _is_filled(cell):
                self.visit(cell.cell_contents, f"{function.__qualname__}.{free}", module)

    def _visit_class(self, cls: type[Any]) -> None:
        module = cls.__module__
        if not is_own_code(module):
            self._add_library(module)
            return
        name = f"{module_name(cls)}:{cls.__qualname__}"
        source = source_of(module)
        nodes = [] if source is None else source.classes.get(cls.__qualname__, [])
        if not nodes and source is not None:
            nodes = source.assigned.get(cls.__name__, [])
        scope = _Scope(module, vars(module_named(module) or ModuleType(module)), {}, set())
        readings = [self._read(node, module, scope.variables) for node in nodes]
        self.code[name] = _joined([reading.digest for reading in readings])
        for reading in readings:
            self._follow(reading, scope)
        if not nodes:
            for member, value in vars(cls).items():
                if isinstance(value, FunctionType):
                    self.visit(value, member, module)
            for parent in cls.__bases__:
                self.visit(parent, parent.__name__, module)

    def _visit_module(self, module: ModuleType) -> None:
        source = source_of(module.__name__) if is_own_code(module.__name__) else None
        if source is None:
            self._add_library(module.__name__)
            return
        reading = self._read(source.tree, module.__name__, vars(module))
        self.code[module.__name__] = reading.digest
        self._follow(reading, _Scope(module.__name__, vars(module), {}, set()))

    def _follow(self, reading: _Reading, scope: "_Scope") -> None:
        for chain in reading.chains:
            imported = reading.imports.get(chain[0])
            if imported is not None:
                self._follow_import(imported, chain)
            elif chain[0] in scope.cells:
                self._descend(scope.cells[chain[0]].cell_contents, chain, scope.module)
            elif chain[0] in scope.variables and chain[0] not in scope.hidden:
                self._descend(scope.variables[chain[0]], chain, scope.module)
        for home, _attribute in reading.imports.values():
            if own_module(home) is None:
                self._add_library(home)

    def _follow_import(self, imported: tuple[str, str], chain: tuple[str, ...]) -> None:
        home, attribute = imported
        module = own_module(home)
        if module is None:
            self._add_library(home)
        elif attribute:
            inner = own_module(f"{home}.{attribute}") if not hasattr(module, attribute) else None
            found = inner or getattr(module, attribute, None)
            self._descend(found, chain, home)
        else:
            self._descend(module, chain, home)

    def _descend(self, thing: Any, chain: tuple[str, ...], home: str) -> None:
        """Follow `module.name.name` to what it names, as far as modules go."""
        label, rest = chain[0], list(chain[1:])
        while isinstance(thing, ModuleType) and rest:
            name = thing.__name__
            if own_module(name) is None and not _is_own_package(thing):
                self._add_library(name)
                return
            label = rest.pop(0)
            home, thing = name, getattr(thing, label, None)
        self.visit(thing, label, home)

    def _add_value(self, value: object, label: str, home: str) -> None:
        where, name = _defined_in(home, label)
        key = f"{_shown_module(where)}.{name}"
        try:
            self.code[key] = digest_of(canonical_json(["value", type(value).__name__, self._digester(value)]))
            return
        except Invalid:
            pass
        self.visit(cast(object, type(value)), type(value).__name__, where)
        source = source_of(where) if is_own_code(where) else None
        statements = source.assigned.get(name, []) if source is not None else []
        if not statements:
            return
        variables = vars(module_named(where) or ModuleType(where))
        readings = [self._read(statement, where, variables) for statement in statements]
        self.code[key] = _joined([reading.digest for reading in readings])
        for reading in readings:
            self._follow(reading, _Scope(where, variables, {}, set()))

    def _add_library(self, module: str) -> None:
        if module and not is_python(module):
            distribution, version = library_version(module.partition(".")[0])
            self.libraries[distribution] = version

    def _read(self, node: ast.AST, module: str, variables: Mapping[str, Any]) -> _Reading:
        source = source_of(module)
        known = None if source is None else source.readings.get(id(node))
        if known is None:
            bare = without_our_decorators(node, variables)
            imports = dict(imports_in(bare, module))
            known = _Reading(syntax_digest(bare), tuple(dict.fromkeys(chains(bare))), imports)
            if source is not None:
                source.readings[id(node)] = known
        return known


class _Scope(NamedTuple):
    """Where names are looked up: cells of an enclosing function, then the module; `hidden` ones are local."""

    module: str
    variables: Mapping[str, Any]
    cells: Mapping[str, Any]
    hidden: set[str]


def methods_of(value: object) -> list[object]:
    """The functions that the class of params defines: their values are in the key, their methods are code."""
    found: list[object] = []
    for cls in type(value).__mro__:
        if cls is Params:
            break
        for member in vars(cls).values():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if isinstance(function, FunctionType):
                found.append(function)
    return found


def _defined_in(module: str, name: str) -> tuple[str, str]:
    """The module that gave a name its value, behind any number of `from … import`."""
    for _ in range(20):
        source = source_of(module) if is_own_code(module) else None
        if source is None or name in source.assigned or name not in source.imported:
            break
        module, name = source.imported[name]
    return module, name


def _shown_module(name: str) -> str:
    module = module_named(name)
    return name if module is None or name != "__main__" else _script_name(module)


def _script_name(module: ModuleType) -> str:
    file = str(getattr(module, "__file__", "") or "__main__")
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")


def _is_own_package(module: ModuleType) -> bool:
    """A folder of modules without an `__init__.py`: no code of its own, but a way to the user's."""
    if getattr(module, "__file__", None) is not None:
        return False
    return any(
        name.startswith(f"{module.__name__}.") and is_own_code(name)
        for name in (f"{module.__name__}.{each}" for each in vars(module))
    )


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _joined(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else digest_of(canonical_json(sorted(digests)))


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


def _code_form(code: CodeType) -> list[Any]:
    """The bytecode of a function that has no source, as in a console."""
    constants = [
        _code_form(each) if isinstance(each, CodeType) else [type(each).__name__, ascii(each)]
        for each in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), list(code.co_freevars), constants]
