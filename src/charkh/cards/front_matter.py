"""The YAML front matter of a card: written as YAML whose scalars are JSON, and read key by key. Pure.

JSON text is YAML, so that no YAML library is needed to write; reading knows only what lint asks: the top-level keys.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

Yaml: TypeAlias = "str | int | float | bool | Sequence[Yaml] | Mapping[str, Yaml]"

_KEY = re.compile(r"(?P<key>[A-Za-z_][\w-]*):(?:\s+(?P<value>.*\S))?\s*")
_UNPRINTABLE = re.compile(
    "[^\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)
"""What YAML allows only escaped, and its line ends."""


def yaml_lines(value: Mapping[str, Yaml], indent: int = 0) -> list[str]:
    """A mapping in block style."""
    lines: list[str] = []
    for key, item in value.items():
        lines += _entry(f"{' ' * indent}{key}:", item, indent)
    return lines


def top_keys(front: str) -> dict[str, str]:
    """The top-level keys of front matter and the text behind each; of one that stands twice the last.

    A value that spans lines is given as its lines, trimmed.
    """
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in front.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        match = _KEY.fullmatch(line)
        if match is not None:
            current = found[match["key"]] = [match["value"]] if match["value"] else []
        else:
            current.append(line.strip())
    return {key: " ".join(lines).strip("\"'") for key, lines in found.items()}


def blocks(front: str) -> dict[str, str]:
    """The top-level keys of front matter and the lines of each as they stand; of one that stands twice the last."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in front.splitlines():
        match = _KEY.fullmatch(line)
        if match is not None:
            current = found[match["key"]] = [line]
        elif line.strip() and not line.startswith("#"):
            current.append(line)
    return {key: "\n".join(lines) for key, lines in found.items()}


def items_of(block: str) -> list[str]:
    """The scalars of one key's lines: its value, the members of a flow list, or the `- ` lines below it."""
    first, *rest = block.splitlines() or [""]
    value = first.partition(":")[2].strip()
    if value.startswith("[") and value.endswith("]"):
        parts = value[1:-1].split(",")
    elif value:
        parts = [value]
    else:
        parts = [line.strip()[2:] for line in rest if line.strip().startswith("- ")]
    return [text for part in parts if (text := part.strip().strip("\"'"))]


def keys_given_twice(front: str) -> list[str]:
    """Top-level keys that stand more than once, which YAML forbids."""
    keys = [match["key"] for line in front.splitlines() if (match := _KEY.fullmatch(line))]
    return sorted({key for key in keys if keys.count(key) > 1})


def _entry(head: str, item: Yaml, indent: int) -> list[str]:
    if isinstance(item, Mapping):
        return [head, *yaml_lines(item, indent + 2)] if item else [f"{head} {{}}"]
    if isinstance(item, Sequence) and not isinstance(item, str):
        return [head, *_listed(item, indent)] if item else [f"{head} []"]
    return [f"{head} {scalar(item)}"]


def _listed(items: Sequence[Yaml], indent: int) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, Mapping) and item:
            first, *rest = yaml_lines(item, indent + 2)
            lines += [f"{' ' * indent}- {first.lstrip()}", *rest]
        elif isinstance(item, Mapping | Sequence) and not isinstance(item, str):
            lines.append(f"{' ' * indent}- {_flow(item)}")
        else:
            lines.append(f"{' ' * indent}- {scalar(item)}")
    return lines


def _flow(item: Sequence[Yaml] | Mapping[str, Yaml]) -> str:
    """A list within a list, or an empty mapping, on one line."""
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{key}: {_inline(value)}" for key, value in item.items()) + "}"
    return "[" + ", ".join(_inline(value) for value in item) + "]"


def _inline(value: Yaml) -> str:
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return _flow(value)
    return scalar(value)


def scalar(value: str | int | float | bool) -> str:
    """A scalar that every YAML version reads as the value it is; a number without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        digits = f"{value:.8f}".rstrip("0")
        return f"{digits}0" if digits.endswith(".") else digits
    return _UNPRINTABLE.sub(_escaped, msgspec.json.encode(value).decode())


def _escaped(match: re.Match[str]) -> str:
    return f"\\U{ord(match[0]):08x}"
