"""A bridge is a row, a module, a suite, a page and its commands; here they agree."""

import ast
from pathlib import Path

import pytest
from tests.architecture.test_command_line import COMMANDS

import charkh
from charkh.bridges.table import BRIDGES, Bridge

SOURCE = Path(charkh.__file__).parent / "bridges"
ROOT = SOURCE.parent.parent.parent
SHARED = {
    "__init__",
    "table",
    "contents",
    "histories",
    "manifests",
    "plain_yaml",
    "rows",
    "served",
    "model_bucket",
    "model_keeping",
    "model_sources",
    "serving_manifests",
}


def modules() -> set[str]:
    """The bridges that have a module or package."""
    files = {path.stem for path in SOURCE.glob("*.py")} - SHARED
    return files | {path.parent.name for path in SOURCE.glob("*/__init__.py")}


def test_every_module_has_its_row_and_every_row_its_module() -> None:
    assert modules() == {bridge.module.rpartition(".")[2] for bridge in BRIDGES}


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda bridge: bridge.name)
def test_a_bridge_has_its_suite_its_page_and_its_commands(bridge: Bridge) -> None:
    stem = bridge.module.rpartition(".")[2]
    suite = ROOT / "tests" / "bridges"
    assert list(suite.glob(f"{stem}/test_*.py")) or (suite / f"test_{stem}.py").exists()
    page = (ROOT / "docs" / "bridges" / f"{bridge.name}.md").read_text()
    for command in bridge.commands:
        words, dash, letter = command.partition(" -")
        assert words in COMMANDS
        assert not dash or f"-{letter}" in {option for each in COMMANDS[words].params for option in each.opts}
        assert f"charkh {command}" in page


def test_an_extra_is_one_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert [bridge.extra for bridge in BRIDGES if bridge.extra and f"\n{bridge.extra} = [" not in project] == []


def test_a_command_imports_its_bridge_in_the_verb_alone() -> None:
    for path in (SOURCE.parent / "cli").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("charkh.bridges")), path
