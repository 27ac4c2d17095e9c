"""Every class of the error tree has a code, an exit number, an HTTP status and a line in the docs."""

import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

import charkh
from charkh.core import errors
from charkh.core.errors import Bug, CharkhError, GateRefused, Incomplete, NotFound, error_classes

SOURCE = Path(charkh.__file__).parent
REFERENCE = SOURCE.parent.parent / "docs" / "reference" / "errors.md"


def descendants(parent: type[CharkhError]) -> set[type[CharkhError]]:
    """All subclasses that the ground and loaded rooms define."""
    found = {child for child in parent.__subclasses__() if child.__module__.startswith("charkh.")}
    return found.union(*(descendants(child) for child in found))


def table(module: str, name: str) -> Mapping[type[CharkhError], int]:
    """An edge's table, or skip while that edge is not built."""
    if not (SOURCE / f"{module.replace('.', '/')}.py").exists():
        pytest.skip(f"charkh.{module} is not built yet")
    return getattr(importlib.import_module(f"charkh.{module}"), name)


def test_the_tree_lists_every_class() -> None:
    assert {CharkhError} | descendants(CharkhError) == set(error_classes())


def test_every_class_has_a_code_of_its_own() -> None:
    codes = [kind.default_code for kind in error_classes()]
    assert all(codes)
    assert len(set(codes)) == len(codes)


def test_every_class_is_drawn_in_the_tree() -> None:
    assert [kind.__name__ for kind in error_classes() if kind.__name__ not in (errors.__doc__ or "")] == []


def test_every_class_has_a_line_in_the_reference() -> None:
    text = REFERENCE.read_text()
    assert [kind.__name__ for kind in error_classes() if f"`{kind.__name__}`" not in text] == []


def test_every_class_has_an_exit_number() -> None:
    numbers = table("cli.exit_codes", "EXIT_CODES")
    assert set(numbers) == set(error_classes())
    assert 0 not in numbers.values()
    assert (numbers[Bug], numbers[Incomplete], numbers[GateRefused], numbers[NotFound]) == (1, 3, 4, 13)


def test_every_class_has_a_status() -> None:
    statuses = table("server.problems", "STATUSES")
    assert set(statuses) == set(error_classes())
    assert all(400 <= status < 600 for status in statuses.values())
    assert statuses[NotFound] == 404
    assert statuses[Bug] == 500
