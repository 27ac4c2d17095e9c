"""`dvc.yaml` as it is meant: `${…}`, `vars`, `foreach` and `matrix` resolved into plain stages.

The rules are DVC's own: a whole `${…}` keeps its type, one inside a text becomes text; `\\${` stands for itself; no
variable is redefined; only a command takes a mapping, as options. Checked against dvc: `dvc/parsing`.
"""

import copy
import itertools
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from charkh.core.errors import Invalid

Load = Callable[[str], Any]
"""The values in a params file, by its path below the root; None where there is no such file."""
PARAMS = "params.yaml"
_EXPRESSION = re.compile(r"(?<!\\)\$\{(?P<inner>.*?)\}")
_GRAMMAR = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[[^.\[\]]+\])*")
_PRIMITIVES = (int, float, str, bytes, bool)
Table = dict[str, Any]


def expand_pipeline(
    document: Mapping[str, Any], folder: str, load: Load, options: Mapping[str, str] | None = None
) -> dict[str, Table]:
    """The stages by name, in order, every expression resolved.

    Args:
        document: a parsed `dvc.yaml`.
        folder: it lies in, relative to the root; empty for the root.
        load: reads a params file.
        options: DVC's settings `[parsing]`: how `bool` and `list` become options of a command.

    Raises:
        Invalid: an expression cannot be read or names nothing, or a variable is defined twice.
    """
    where = posixpath.join(folder, "dvc.yaml")
    variables = Variables(load, where)
    _refuse_expressions(document.get("vars") or [], f"vars in {where}")
    if load(posixpath.join(folder, PARAMS)) is not None:
        variables.take(PARAMS, folder)
    variables.take_all(document.get("vars") or [], folder)
    stages: dict[str, Table] = {}
    for name, definition in cast(Mapping[str, Any], document.get("stages") or {}).items():
        if not isinstance(definition, Mapping):
            raise Invalid(
                f"the stage {name!r} in {where} is no table", code="dvc.bad_stage", hint="Write cmd: below it."
            )
        for each, inner, body in _instances(str(name), cast(Table, definition), variables):
            stages[each] = _resolved(each, body, inner, folder, options or {})
    return stages


class Variables:
    """Names and values that expressions may use, and where each file was taken from."""

    def __init__(self, load: Load, where: str) -> None:
        self.values: Table = {}
        self._load, self._where = load, where
        self._taken: dict[str, list[str] | None] = {}
        self.reserved: frozenset[str] = frozenset()

    def clone(self) -> "Variables":
        """A copy that can take more without a change of this one."""
        other = Variables(self._load, self._where)
        other.values, other._taken = copy.deepcopy(self.values), copy.deepcopy(self._taken)
        other.reserved = self.reserved
        return other

    def having(self, values: Mapping[str, Any]) -> "Variables":
        """A copy in which these names stand for these values, and cannot be redefined."""
        other = self.clone()
        other.values.update(values)
        other.reserved = self.reserved | frozenset(values)
        return other

    def spelled(self) -> "Variables":
        """A copy whose truth values are `True` and `False`, as DVC spells them where they name a stage."""
        other = self.clone()
        other.values = _spelled(other.values)
        return other

    def take_all(self, items: Sequence[Any], folder: str) -> None:
        """Take the items of a `vars`: files as `file[:key,key]`, and tables."""
        for item in items:
            if isinstance(item, str):
                self.take(item, folder)
            elif isinstance(item, Mapping):
                self._merge(self.values, _named(cast(Mapping[Any, Any], item)), "vars")
            else:
                raise Invalid(f"vars in {self._where}: {item!r} is no file and no table", code="dvc.bad_vars")

    def take(self, item: str, folder: str) -> None:
        """Take a params file, or some top-level keys of it."""
        name, _, said = item.partition(":")
        path = posixpath.normpath(posixpath.join(folder, name))
        keys = [key for key in said.split(",") if key] or None
        if path in self._taken:
            before = self._taken[path]
            if keys is None and before is None:
                return
            if keys is None or before is None or set(keys) & set(before):
                raise Invalid(
                    f"{self._where} takes {item!r} from {path}, which it has taken already",
                    code="dvc.bad_vars",
                    hint="Name each file once, or each key once.",
                )
        values = self._load(path)
        if not isinstance(values, Mapping):
            what = "does not exist" if values is None else "is no table"
            raise Invalid(f"{path}, which {self._where} names in vars, {what}", code="dvc.bad_vars")
        table = _named(cast(Mapping[Any, Any], values))
        for key in keys or ():
            if key not in table:
                raise Invalid(f"{path} has no {key!r}, which {self._where} names in vars", code="dvc.bad_vars")
        self._merge(self.values, table if keys is None else {key: table[key] for key in keys}, path)
        known = self._taken.get(path)
        self._taken[path] = [*known, *keys] if known is not None and keys is not None else keys

    def select(self, expression: str) -> Any:
        """The value that an expression names, such as `train.layers[0]`."""
        found: Any = self.values
        for part in (part.strip() for part in expression.replace("[", ".").replace("]", "").split(".")):
            try:
                found = cast(list[Any], found)[int(part)] if isinstance(found, list) else cast(Table, found)[part]
            except (LookupError, ValueError, TypeError):
                raise Invalid(
                    f"{self._where} uses ${{{expression}}}, and nothing has that name",
                    code="dvc.no_variable",
                    hint="Look at params.yaml and vars.",
                    facts={"expression": expression},
                ) from None
        return found

    def _merge(self, into: Table, more: Mapping[str, Any], source: str) -> None:
        for key, value in more.items():
            there = into.get(key)
            if into is self.values and key in self.reserved:
                raise Invalid(f"{source} redefines {key!r}, which foreach and matrix set", code="dvc.bad_vars")
            if isinstance(there, dict) and isinstance(value, Mapping):
                self._merge(cast(Table, there), cast(Mapping[str, Any], value), source)
            elif key in into:
                raise Invalid(
                    f"{source} redefines {key!r}, which {self._where} has already",
                    code="dvc.redefined",
                    hint="Give one of them another name.",
                )
            else:
                into[key] = copy.deepcopy(value)


def resolve(value: Any, variables: Variables, key: str | None = None, options: Mapping[str, str] | None = None) -> Any:
    """A value with every expression in it replaced; `key` is the field of the stage that it stands in."""
    if isinstance(value, Mapping):
        table = cast(Mapping[Any, Any], value)
        return {resolve(k, variables, key, options): resolve(v, variables, key, options) for k, v in table.items()}
    if isinstance(value, list):
        return [resolve(each, variables, key, options) for each in cast(list[Any], value)]
    return _resolve_text(value, variables, key, options or {}) if isinstance(value, str) else value


def as_text(value: Any, options: Mapping[str, str] | None = None) -> str:
    """A value inside a text; a mapping becomes options of a command."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return " ".join(_flags(cast(Mapping[str, Any], value), options or {}, ""))
    return str(value)


def _resolve_text(text: str, variables: Variables, key: str | None, options: Mapping[str, str]) -> Any:
    matches = list(_EXPRESSION.finditer(text))
    for match in matches:
        if not _GRAMMAR.fullmatch(match["inner"]):
            raise Invalid(
                f"${{{match['inner']}}} is no expression",
                code="dvc.bad_expression",
                hint="Write ${name}, ${name.key} or ${name[0]}.",
            )
    values = [_fitting(variables.select(match["inner"]), key, match["inner"]) for match in matches]
    if len(matches) == 1 and matches[0].group(0) == text:
        return values[0]
    parts: list[str] = []
    position = 0
    for match, value in zip(matches, values, strict=True):
        parts += [text[position : match.start()], as_text(value, options)]
        position = match.end()
    return "".join([*parts, text[position:]]).replace("\\${", "${")


def _fitting(value: Any, key: str | None, expression: str) -> Any:
    if value is None or isinstance(value, _PRIMITIVES) or key is None or "foreach" in key:
        return value
    if key == "cmd" and isinstance(value, Mapping):
        return cast(Any, value)
    raise Invalid(
        f"${{{expression}}} is a {'table' if isinstance(value, Mapping) else 'list'}, and {key} takes none",
        code="dvc.bad_expression",
        hint="Only cmd takes a table, as options.",
    )


def _flags(table: Mapping[str, Any], options: Mapping[str, str], prefix: str) -> Iterator[str]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flags(cast(Mapping[str, Any], value), options, f"{name}.")
        elif isinstance(value, bool):
            if value:
                yield f"--{name}"
            elif options.get("bool") == "boolean_optional":
                yield f"--no-{name}"
        elif isinstance(value, list):
            items = [_flag_item(each, name) for each in cast(list[Any], value)]
            if options.get("list") == "append":
                yield from (f"--{name} {item}" for item in items)
            elif items:
                yield f"--{name} {' '.join(items)}"
        else:
            yield f"--{name} {shlex.quote(value) if isinstance(value, str) else value}"


def _flag_item(value: Any, name: str) -> str:
    if isinstance(value, list | Mapping):
        raise Invalid(f"the list {name!r} holds lists or tables, which no option takes", code="dvc.bad_expression")
    return shlex.quote(value) if isinstance(value, str) else str(value)


def _instances(name: str, definition: Table, variables: Variables) -> Iterator[tuple[str, Variables, Table]]:
    """A stage, or the stages that its foreach or matrix makes: name, variables and definition of each."""
    if "matrix" in definition:
        body = {key: value for key, value in definition.items() if key != "matrix"}
        matrix, spelled = (resolve(definition["matrix"], each) for each in (variables, variables.spelled()))
        for key, item in _combinations(matrix, spelled).items():
            yield f"{name}@{key}", variables.having({"key": key, "item": item}), body
    elif "foreach" in definition:
        items, spelled = (resolve(definition["foreach"], each) for each in (variables, variables.spelled()))
        if not isinstance(items, Mapping | list):
            raise Invalid(f"foreach of the stage {name!r} is no list and no table", code="dvc.bad_foreach")
        for key, item in _keyed(cast(Any, items), spelled).items():
            given = {"item": item, **({"key": key} if isinstance(items, Mapping) else {})}
            yield f"{name}@{key}", variables.having(given), cast(Table, definition["do"])
    else:
        yield name, variables, definition


def _keyed(items: Mapping[Any, Any] | list[Any], spelled: Any) -> dict[str, Any]:
    """What a foreach goes through, by what a stage's name says of it."""
    if isinstance(items, Mapping):
        return {as_text(key): value for key, value in items.items()}
    if any(isinstance(each, list | Mapping) for each in items):
        return {str(number): each for number, each in enumerate(items)}
    return {as_text(name): each for name, each in zip(spelled, items, strict=True)}


def _combinations(matrix: Mapping[str, Sequence[Any]], spelled: Mapping[str, Sequence[Any]]) -> dict[str, Table]:
    """What a matrix goes through, by what a stage's name says of it."""
    found: dict[str, Table] = {}
    for chosen in itertools.product(*(enumerate(values) for values in matrix.values())):
        names = [
            f"{name}{number}" if isinstance(value, list | Mapping) else as_text(spelled[name][number])
            for name, (number, value) in zip(matrix, chosen, strict=True)
        ]
        found["-".join(names)] = {name: value for name, (_number, value) in zip(matrix, chosen, strict=True)}
    return found


def _resolved(name: str, definition: Table, variables: Variables, folder: str, options: Mapping[str, str]) -> Table:
    wdir = str(resolve(definition.get("wdir") or "", variables, "wdir"))
    if definition.get("vars"):
        _refuse_expressions(definition["vars"], f"vars of the stage {name}")
        variables = variables.clone()
        variables.take_all(definition["vars"], posixpath.join(folder, wdir))
    return {key: resolve(value, variables, key, options) for key, value in definition.items() if key != "vars"}


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(each) for key, each in cast(Table, value).items()}
    if isinstance(value, list):
        return [_spelled(each) for each in cast(list[Any], value)]
    return str(value) if isinstance(value, bool) else value


def _refuse_expressions(value: Any, where: str) -> None:
    texts = [value] if isinstance(value, str) else []
    if isinstance(value, Mapping):
        table = cast(Mapping[Any, Any], value)
        for each in itertools.chain(table.keys(), table.values()):
            _refuse_expressions(each, where)
    elif isinstance(value, list):
        for each in cast(list[Any], value):
            _refuse_expressions(each, where)
    if any(_EXPRESSION.search(text) for text in texts):
        raise Invalid(f"{where} holds an expression, and no variable is made of others", code="dvc.bad_vars")


def _named(table: Mapping[Any, Any]) -> Table:
    """Only what a text names can be used in an expression."""
    return {
        key: _named(cast(Mapping[Any, Any], value)) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if isinstance(key, str)
    }
