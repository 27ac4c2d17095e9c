"""Writes docs/reference/ from the code, so that it cannot drift.

With `--check` it writes nothing, and fails when a page is not what the code says.
"""

import ast
import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import msgspec
import typer

from charkh.cli import exit_codes
from charkh.cli.main import command_line
from charkh.core.config import Settings
from charkh.core.errors import (
    Conflict,
    Corrupt,
    Denied,
    GateRefused,
    Incomplete,
    Locked,
    NotFound,
    Unavailable,
    error_classes,
)
from charkh.server.policy import Policy
from charkh.server.problems import STATUSES
from charkh.server.routes import ROUTES
from charkh.workspace.bodies import BODIES

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "errors.md": errors_page(),
        "events.md": events_page(),
        "settings.md": settings_page(),
        "exit-codes.md": exit_codes_page(),
        "cli.md": cli_page(),
        "api.md": api_page(),
    }


def errors_page() -> str:
    """The error tree with each class's code, exit number and status."""
    known = {"exit": exit_codes.EXIT_CODES, "HTTP": STATUSES}
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


def settings_page() -> str:
    """Every key of `charkh.toml`: its type, its default and what it means."""
    lines = ["# Settings", "", "What `charkh.toml`, or `[tool.charkh]` in `pyproject.toml`, may say.", ""]
    lines += ["Generated from `charkh.core.config` by `make docs`. An unknown key is an error.", ""]
    for table, shape in tables(Settings):
        if table:
            name, _, kind = table.partition(" ")
            lines += [f"## `[{name}]`" + (f" with `{kind}`" if kind else ""), ""]
        else:
            lines += ["## At the top", ""]
        summary = (inspect.getdoc(shape) or "").partition("\n")[0]
        meanings = attributes(shape)
        lines += [sentence(summary.partition(": ")[2] or summary), ""] if table else []
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        inherited = {each.name for each in msgspec.structs.fields(parent_of(shape))} if table else set[str]()
        for field in msgspec.structs.fields(shape):
            if is_table(field.type) or field.name in inherited:
                continue
            default = "required" if field.required else f"`{msgspec.json.encode(default_of(field)).decode()}`"
            kind = getattr(field.type, "__name__", str(field.type))
            kind = (
                "list of text"
                if kind == "tuple"
                else {
                    "str": "text",
                    "int": "integer",
                    "float": "number",
                    "bool": "yes or no",
                    "dict": "table",
                    "Literal": "word",
                }.get(kind, kind)
            )
            lines.append(f"| `{field.encode_name}` | {kind} | {default} | {meanings.get(field.name, '')} |")
        lines.append("")
    return "\n".join(lines)


def events_page() -> str:
    """The body of every kind of event, and the structs in it."""
    lines = [
        "# Events",
        "",
        "Generated from `charkh.workspace.bodies` by `make docs`. The envelope around a body is in",
        "[formats/events.md](../formats/events.md). A struct is a MessagePack map, or, where it says so, an array in",
        "the order of its rows, whose last items may be missing where they have a default. A reader passes over keys",
        "and items that it does not know. Texts in quotes are a closed list: a further one needs another kind.",
        "",
    ]
    inner: dict[str, type[Any]] = {}
    for kind, body in sorted(BODIES.items()):
        lines += struct_lines(f"`{kind}`", body, inner)
    lines += ["## Structs in them", ""]
    done: set[str] = set()
    while waiting := sorted(inner.keys() - done):
        done.add(waiting[0])
        lines += struct_lines(f"`{waiting[0]}`", inner[waiting[0]], inner)
    return "\n".join(lines)


def struct_lines(title: str, shape: type[Any], inner: dict[str, type[Any]]) -> list[str]:
    """A struct as a table; `inner` gathers the structs that its fields hold."""
    config = shape.__struct_config__
    said = first_line(shape)
    what = said.partition("`: ")[2] if said.startswith("Body of ") else said
    what = what[:1].upper() + what[1:] + (" An array." if config.array_like else "")
    lines = [f"### {title}", "", *([what, ""] if what else [])]
    meanings = attributes(shape)
    rows = [
        f"| `{field.encode_name}` | {type_text(field.type, inner)} | {default_text(field)} "
        f"| {meanings.get(field.name, '').replace('|', chr(92) + '|')} |"
        for field in msgspec.structs.fields(shape)
    ]
    return [*lines, "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]


def default_text(field: Any) -> str:
    """What a missing key means."""
    if field.required:
        return ""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return f"`{msgspec.json.encode(value).decode()}`"


def type_text(kind: Any, inner: dict[str, type[Any]]) -> str:
    """A type in words."""
    names = {
        str: "text",
        bytes: "bytes",
        int: "integer",
        float: "number",
        bool: "boolean",
        type(None): "nil",
        Any: "any value",
    }
    if kind in names:
        return names[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if inner.setdefault(kind.__name__, kind) is not kind:
            raise TypeError(f"two structs are called {kind.__name__}")
        return f"`{kind.__name__}`"
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f'"{part}"' for part in parts)
    if origin in (tuple, list):
        items = [part for part in parts if part is not Ellipsis]
        return "array of " + ", ".join(type_text(part, inner) for part in items)
    if origin in (dict, Mapping):
        return f"map of {type_text(parts[0], inner)} to {type_text(parts[1], inner)}"
    if parts:
        return " or ".join(type_text(part, inner) for part in parts)
    raise TypeError(f"no words for {kind}")


def exit_codes_page() -> str:
    """What each exit code of `charkh` says."""
    by_code: dict[int, list[str]] = {}
    for kind in error_classes():
        by_code.setdefault(exit_codes.EXIT_CODES[kind], []).append(f"`{kind.__name__}`")
    meanings = {
        exit_codes.DONE: "done",
        1: "charkh itself failed; please report it",
        exit_codes.USAGE: "the command line, a file or a setting is wrong",
        exit_codes.EXIT_CODES[Incomplete]: "some items of a bulk verb failed; the rest is done",
        exit_codes.EXIT_CODES[GateRefused]: "a gate, a check or a lint looked and said no",
        exit_codes.NO_WORKSPACE: "there is no workspace here: `workspace.not_found`",
        exit_codes.EXIT_CODES[Locked]: "another process holds the lock",
        exit_codes.EXIT_CODES[Denied]: "a policy or an erasure forbids it",
        exit_codes.EXIT_CODES[NotFound]: "nothing has that name or id",
        exit_codes.EXIT_CODES[Conflict]: "it is taken, or somebody decided otherwise meanwhile",
        exit_codes.EXIT_CODES[Corrupt]: "stored bytes are not what they were",
        exit_codes.EXIT_CODES[Unavailable]: "a disk, server or extra cannot be used now",
        exit_codes.INTERRUPTED: "interrupted; what was done is kept",
        exit_codes.BROKEN_PIPE: "whoever read the output has gone",
    }
    lines = ["# Exit codes", "", "Generated from `charkh.cli.exit_codes` by `make docs`.", ""]
    lines += ["| code | meaning | error classes |", "|---|---|---|"]
    lines += [
        f"| {code} | {meanings[code]} | {', '.join(by_code.get(code, []))} |" for code in sorted({*meanings, *by_code})
    ]
    return "\n".join([*lines, ""])


def cli_page() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(command_line([], whole=True))
    lines = [
        "# The command line",
        "",
        "Generated from `charkh.cli` by `make docs`; `charkh … --help` says the same.",
        "",
        "Every command takes `-C FOLDER` in front of its name, to work in another folder, and `--json` behind it, to",
        "print one JSON document. Results go to stdout, everything else to stderr; the exit codes are in",
        "[exit-codes.md](exit-codes.md).",
        "",
    ]
    for path, command in commands(root, ()):
        lines += [f"## `charkh {' '.join(path)}`", "", *paragraphs(inspect.cleandoc(command.help or "")), ""]
        rows = [parameter_row(each) for each in command.params if each.name not in {"help", "json"}]
        if rows:
            lines += ["| argument or option | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, with the words that call it."""
    inner: Mapping[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, each in inner.items():
        yield from commands(each, (*path, name))


def parameter_row(parameter: Any) -> str:
    """One argument or option as a row of a table."""
    is_argument = parameter.param_type_name == "argument"
    name = (parameter.metavar or parameter.name).upper() if is_argument else ", ".join(parameter.opts)
    given = parameter.default
    shown = "required" if parameter.required else "" if given in (None, "", False, ()) else f"`{given}`"
    told = (parameter.help or "").replace("|", "\\|")
    repeated = " May be repeated." if (parameter.multiple or parameter.nargs == -1) and "repeated" not in told else ""
    return f"| `{name}` | {shown} | {told}{repeated} |"


def paragraphs(text: str) -> list[str]:
    """Docstring paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).splitlines()


def api_page() -> str:
    """Every route of `charkh up` with its policy."""
    lines = [
        "# The HTTP API",
        "",
        "Generated from `charkh.server` by `make docs`. `charkh up` serves it; OpenAPI is under",
        "`/api/schema/openapi.json`. The endpoints answer beside it under `/v2` and `/predict`.",
        "",
        "| policy | what a caller shows |",
        "|---|---|",
    ]
    lines += [f"| {policy.value} | {meaning} |" for policy, meaning in meanings_of(Policy).items()]
    lines += ["", "| method | path | policy | parameters | meaning |", "|---|---|---|---|---|"]
    for handler in ROUTES:
        verb = cast(Any, handler)
        function = verb.fn
        asked = [name for name in inspect.signature(function).parameters if name not in {"state", "request", "data"}]
        body = ["a JSON body"] if "data" in inspect.signature(function).parameters else []
        names = ", ".join([*(f"`{name}`" for name in asked), *body])
        method, policy = "/".join(sorted(verb.http_methods)), verb.opt["policy"].value
        for path in sorted(verb.paths):
            lines.append(f"| {method} | `{path}` | {policy} | {names} | {first_line(function)} |")
    return "\n".join([*lines, ""])


def meanings_of(kind: type[Policy]) -> dict[Policy, str]:
    """The docstring that stands under each member of an enumeration."""
    body = ast.parse(inspect.getsource(kind).strip()).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[Policy, str] = {}
    for node, following in itertools.pairwise(body.body):
        if isinstance(node, ast.Assign) and isinstance(following, ast.Expr) and isinstance(node.targets[0], ast.Name):
            text = ast.literal_eval(following.value)
            found[kind[node.targets[0].id]] = " ".join(str(text).split())
    return found


def first_line(function: Any) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def is_table(kind: Any) -> bool:
    """Whether a field's type is a TOML table rather than a value."""
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.DictType):
        return isinstance(info.value_type, msgspec.inspect.StructType) or bool(structs_of_union(info))
    return isinstance(info, msgspec.inspect.StructType)


def tables(shape: type[Any], name: str = "") -> Iterator[tuple[str, type[Any]]]:
    """Every table of the settings with its name, the top first, and a table's own tables after it."""
    yield name, shape
    for field in msgspec.structs.fields(shape):
        info = msgspec.inspect.type_info(field.type)
        inner = f"{name}.{field.encode_name}".removeprefix(".")
        if isinstance(info, msgspec.inspect.StructType):
            yield from tables(info.cls, inner)
        elif isinstance(info, msgspec.inspect.DictType) and isinstance(info.value_type, msgspec.inspect.StructType):
            yield from tables(info.value_type.cls, f"{inner}.NAME")
        elif kinds := structs_of_union(info):
            parent = parent_of(kinds[0].cls)
            if parent is not msgspec.Struct:
                yield f"{inner}.NAME", parent
            for each in kinds:
                yield f'{inner}.NAME {each.tag_field} = "{each.tag}"', each.cls


def structs_of_union(info: msgspec.inspect.Type) -> list[msgspec.inspect.StructType]:
    """The structs that the items of a table may be written as, where there are several kinds."""
    if not isinstance(info, msgspec.inspect.DictType) or not isinstance(info.value_type, msgspec.inspect.UnionType):
        return []
    return [each for each in info.value_type.types if isinstance(each, msgspec.inspect.StructType)]


def sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """What a key is where it is not said."""
    made = field.default_factory
    return field.default if isinstance(made, type(msgspec.NODEFAULT)) else made()


def parent_of(shape: type[Any]) -> type[Any]:
    """The struct whose keys a struct takes over, or `msgspec.Struct`."""
    return shape.__mro__[1]


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
