"""Mappings, lists, texts, numbers and truth values as YAML 1.1 that any parser reads the same; no package is needed.

Texts are quoted as JSON does, which YAML takes as it is; only words that cannot be mistaken stand plain.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_SPOKEN_FOR = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"})


def yaml_text(value: object) -> str:
    """A document; keys in the order that they have."""
    return "\n".join(_block(value, 0)) + "\n"


def _block(value: object, depth: int) -> list[str]:
    indent = "  " * depth
    if isinstance(value, Mapping) and value:
        lines: list[str] = []
        for key, item in cast(Mapping[str, object], value).items():
            first, *rest = _block(item, depth + 1)
            name = f"{indent}{_scalar(key)}:"
            lines += [name, first, *rest] if _is_nested(item) else [f"{name} {first.lstrip(' ')}"]
        return lines
    if isinstance(value, list | tuple) and value:
        lines = []
        for item in cast(Sequence[object], value):
            first, *rest = _block(item, depth + 1)
            lines += [f"{indent}- {first.lstrip(' ')}", *rest]
        return lines
    return [f"{indent}{_scalar(cast(object, value))}"]


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(cast(Sequence[object], value))


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _SPOKEN_FOR:
        return value
    return json.dumps(value, ensure_ascii=False)
