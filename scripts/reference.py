"""Writes docs/reference/ from the code, so that it cannot drift.

With `--check` it writes nothing, and fails when a page is not what the code says.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from charkh.core.config import Settings
from charkh.core.errors import CharkhError, error_classes

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {"errors.md": errors_page(), "settings.md": settings_page()}


def errors_page() -> str:
    """The error tree with each class's code and, where the edges exist, exit number and status."""
    edges = {"exit": edge("charkh.cli.exit_codes", "EXIT_CODES"), "HTTP": edge("charkh.server.problems", "STATUSES")}
    known = {name: table for name, table in edges.items() if table}
    tree = inspect.getdoc(sys.modules["charkh.core.errors"]) or ""
    lines = [
        "# Errors",
        "",
        "Generated from `charkh.core.errors` by `make docs`. A class says what the caller can do; an error's own code",
        "is more precise (`dataset.not_found`). Every error has a message, a code and a hint, here and over HTTP.",
        "",
        "| class | code | " + "".join(f"{name} | " for name in known) + "also a |",
        "|---|---|" + "---|" * len(known) + "---|",
    ]
    for kind in error_classes():
        builtin = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if base.__module__ == "builtins")
        numbers = "".join(f"{table[kind]} | " for table in known.values())
        lines.append(f"| `{kind.__name__}` | `{kind.default_code}` | {numbers}{builtin} |")
    drawing = "\n".join(line for line in tree.splitlines() if line.startswith("    "))
    return "\n".join([*lines, "", "```text", inspect.cleandoc(drawing), "```", ""])


def edge(module: str, name: str) -> Mapping[type[CharkhError], int]:
    """An edge's table of numbers; empty while that edge is not built."""
    package = module.rpartition(".")[0]
    if importlib.util.find_spec(package) is None or importlib.util.find_spec(module) is None:
        return {}
    return cast(Mapping[type[CharkhError], int], getattr(importlib.import_module(module), name))


def settings_page() -> str:
    """Every key of `charkh.toml`: its type, its default and what it means."""
    lines = ["# Settings", "", "What `charkh.toml`, or `[tool.charkh]` in `pyproject.toml`, may say.", ""]
    lines += ["Generated from `charkh.core.config` by `make docs`. An unknown key is an error.", ""]
    for table, shape in tables(Settings):
        if table:
            lines += [f"## `[{table}]`", ""]
        else:
            lines += ["## At the top", ""]
        summary = (inspect.getdoc(shape) or "").partition("\n")[0]
        meanings = attributes(shape)
        lines += [summary.partition(": ")[2].capitalize() or summary, ""] if table else []
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        for field in msgspec.structs.fields(shape):
            if is_table(field.type):
                continue
            default = "required" if field.required else f"`{msgspec.json.encode(field.default).decode()}`"
            kind = getattr(field.type, "__name__", str(field.type))
            kind = (
                "list of text"
                if kind == "tuple"
                else {"str": "text", "int": "integer", "float": "number"}.get(kind, kind)
            )
            lines.append(f"| `{field.encode_name}` | {kind} | {default} | {meanings.get(field.name, '')} |")
        lines.append("")
    return "\n".join(lines)


def is_table(kind: Any) -> bool:
    """Whether a field's type is a TOML table rather than a value."""
    info = msgspec.inspect.type_info(kind)
    return isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DictType)


def tables(shape: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    """Every table of the settings with its name, the top first."""
    yield "", shape
    for field in msgspec.structs.fields(shape):
        info = msgspec.inspect.type_info(field.type)
        if isinstance(info, msgspec.inspect.StructType):
            yield field.encode_name, info.cls
        elif isinstance(info, msgspec.inspect.DictType) and isinstance(info.value_type, msgspec.inspect.StructType):
            yield f"{field.encode_name}.NAME", info.value_type.cls


def attributes(shape: type[Any]) -> dict[str, str]:
    """The lines under `Attributes:` of a struct's docstring, by name."""
    _, _, block = (inspect.getdoc(shape) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    last = ""
    for line in block.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            last, _, text = line.strip().partition(": ")
            found[last] = text
        elif last and line.strip():
            found[last] += " " + line.strip()
    return found


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; the exit status."""
    stale = 0
    for name, text in pages().items():
        path = REFERENCE / name
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"docs/reference/{name} is not what the code says; run: make docs\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
