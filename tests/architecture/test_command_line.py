"""Every command of every noun looks alike: help, `--json`, documented options, and a line in the reference."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

import charkh
from charkh.cli.main import NOUNS, command_line

ROOT = Path(charkh.__file__).parent.parent.parent
REFERENCE = ROOT / "docs" / "reference" / "cli.md"
ROOM = Path(charkh.__file__).parent / "cli"


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    inner: Mapping[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, each in inner.items():
        yield from walk(each, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(command_line([], whole=True))))


def test_every_noun_has_its_file_and_its_verbs() -> None:
    for noun in NOUNS:
        assert importlib.import_module(f"charkh.cli.{noun}").app
        assert [name for name in COMMANDS if name.startswith(f"{noun} ")], noun
    assert {name for name in COMMANDS if " " not in name} >= {
        "init", "up", "serve", "doctor", "fsck", "gc", "trace"
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_looks_like_the_others(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.help.strip()[0].isupper()
    options = {text for parameter in command.params for text in parameter.opts}
    assert "--json" in options, "whoever prints prints JSON, too"
    silent = [parameter.name for parameter in command.params if not getattr(parameter, "help", "")]
    assert silent == [], "every argument and option says what it is"


def test_every_command_is_in_the_reference_and_nothing_else_is() -> None:
    heads = {
        line.removeprefix("## `charkh ").rstrip("`") for line in REFERENCE.read_text().splitlines() if "## " in line
    }
    assert heads == set(COMMANDS)


def test_a_noun_is_imported_only_when_it_is_asked_for() -> None:
    app = typer.main.get_command(command_line(["-C", "somewhere", "audit", "verify"]))
    groups: Any = getattr(app, "commands", {})
    assert set(groups["audit"].commands) == {"verify", "log"}
    assert not getattr(groups["dataset"], "commands", {})
