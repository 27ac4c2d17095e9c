"""Params and metrics files: YAML, JSON, TOML and Python, and the values that dotted keys name in them."""

import ast
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from charkh.bridges.dvc.yaml_text import load_yaml
from charkh.core.errors import Invalid


def parse_params(text: str, path: str) -> Any:
    """The values of a file, by its suffix.

    Raises:
        Invalid: it is not what its suffix says.
    """
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".json":
            return json.loads(text)
        if suffix == ".toml":
            return tomllib.loads(text)
        if suffix == ".py":
            return _python_values(ast.parse(text).body)
    except (ValueError, SyntaxError) as error:
        raise Invalid(f"{path} cannot be read: {error}", code="dvc.bad_params", hint="Mend it.") from error
    return load_yaml(text, path)


def select_params(values: Any, keys: Sequence[str], path: str) -> dict[str, Any]:
    """The values of the keys; without keys, everything at the top.

    Raises:
        Invalid: a key names nothing.
    """
    if not keys:
        return {str(key): _plain(value) for key, value in cast(Mapping[Any, Any], values or {}).items()}
    found: dict[str, Any] = {}
    for key in keys:
        try:
            found[key] = _plain(_select(values, key))
        except (LookupError, ValueError, TypeError, AttributeError):
            raise Invalid(f"{path} has no {key!r}", code="dvc.no_param", hint="Look at params of the stage.") from None
    return found


def numbers(values: Any, prefix: str = "") -> dict[str, float]:
    """Every number in nested values, by dotted key."""
    if isinstance(values, bool) or values is None:
        return {}
    if isinstance(values, int | float):
        return {prefix or "value": float(values)}
    found: dict[str, float] = {}
    if isinstance(values, Mapping):
        for key, value in cast(Mapping[Any, Any], values).items():
            found |= numbers(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _select(values: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(values, list | tuple):
            values = cast(Sequence[Any], values)[int(part)]
        elif part in values:
            values = values[part]
        else:
            values = {str(each): value for each, value in values.items()}[part]
    return values


def _plain(value: Any) -> Any:
    """Tuples as lists, as they stand in a lock."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast(Sequence[Any], value)]
    return value


def _python_values(body: Sequence[ast.stmt]) -> dict[str, Any]:
    """The literals that a module or class assigns; classes are tables, and so is what `__init__` gives to `self`."""
    found: dict[str, Any] = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _python_values(node.body)
        elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
            found |= _python_values(node.body)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = _assigned(target)
            if name:
                try:
                    found[name] = ast.literal_eval(node.value)
                except (ValueError, TypeError):
                    continue
    return found


def _assigned(target: ast.expr) -> str:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
        return target.attr
    return ""
