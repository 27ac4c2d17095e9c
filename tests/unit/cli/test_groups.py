"""No group of commands, however deep, cuts off what it says of one."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from charkh.cli.main import command_line


def groups(command: Any, path: tuple[str, ...] = ("charkh",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        yield path, command
        for name, each in command.commands.items():
            yield from groups(each, (*path, name))


def test_every_command_is_described_in_whole_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    found = dict(groups(get_command(command_line([], whole=True))))
    assert ("charkh", "endpoint", "rollout") in found
    for path, group in found.items():
        shown = group.get_help(group.make_context(path[-1], [], resilient_parsing=True)).partition("Commands:")[2]
        assert shown.strip(), path
        assert not [line for line in shown.splitlines() if line.endswith("...")], path
