"""The rooms of the house: every folder looks alike, and a name tells what is inside."""

import ast
from pathlib import Path

import pytest

import charkh

SOURCE = Path(charkh.__file__).parent
RECORDS = {"assets", "datasets", "runs", "lineage"}
CAPABILITIES = {
    "recipes",
    "checks",
    "pipelines",
    "studies",
    "evaluations",
    "models",
    "cards",
    "endpoints",
    "monitors",
    "webhooks",
}
WITH_README = RECORDS | CAPABILITIES | {"loops", "bridges"}
WITH_PROJECTION = (RECORDS | CAPABILITIES | {"loops"}) - {"assets"}
SAYS_NOTHING = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "base"}
NO_IO = {"pathlib", "subprocess", "socket", "sqlite3", "sqlalchemy", "shutil", "tempfile", "io", "urllib"}
PORT_WIDTHS = {
    "blobs.Blobs": 5,
    "journal.Journal": 8,
    "executors.Executor": 4,
    "runtimes.ModelRuntime": 4,
    "vault.Vault": 11,
    "egress.Egress": 2,
    "outbox.Outbox": 13,
}

DROP_INS = {
    "bridges/tensorboard": {"SummaryWriter"},
    "bridges/wandb": {
        *("Artifact", "Audio", "Histogram", "Html", "Image", "Plotly", "Run", "Settings", "Table", "Video", "alert"),
        *(
            "define_metric",
            "finish",
            "init",
            "log",
            "log_artifact",
            "login",
            "save",
            "unwatch",
            "use_artifact",
            "watch",
        ),
    },
}
"""Packages that scripts import in place of another tool's, with the names that they import from there: no other way of
writing it would be one changed import."""

MODULES = sorted(SOURCE.rglob("*.py"))
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def named(path: Path) -> str:
    return str(path.relative_to(SOURCE.parent))


@pytest.mark.parametrize("room", sorted(WITH_README & set(ROOMS)))
def test_a_room_says_what_it_is(room: str) -> None:
    readme = SOURCE / room / "README.md"
    assert readme.exists(), f"{room}/README.md says what the room is, its invariants and what does not belong"
    assert len(readme.read_text().split()) >= 40


@pytest.mark.parametrize("room", sorted(WITH_PROJECTION & set(ROOMS)))
def test_a_room_of_facts_has_its_projection(room: str) -> None:
    tree = ast.parse((SOURCE / room / "index.py").read_text())
    targets = [
        target
        for node in tree.body
        for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
    ]
    assert "PROJECTION" in {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if path.name == "__init__.py" and path.parent != SOURCE and str(path.parent.relative_to(SOURCE)) not in DROP_INS
    ],
    ids=named,
)
def test_a_package_holds_one_docstring_and_nothing_else(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)
    assert isinstance(body[0].value.value, str)


@pytest.mark.parametrize(("package", "names"), DROP_INS.items())
def test_a_drop_in_has_the_names_of_what_it_stands_in_for_and_nothing_else(package: str, names: set[str]) -> None:
    body = ast.parse((SOURCE / package / "__init__.py").read_text()).body[1:]
    hidden = {"TYPE_CHECKING", "Any", "lookup"}
    imported = {alias.name for node in body for each in ast.walk(node) for alias in getattr(each, "names", [])}
    assert imported - hidden == names
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert defined <= {"__getattr__"}, "a drop-in hands on; what it hands on is defined in a module of its own"


def test_no_module_is_named_after_nothing() -> None:
    empty = [
        named(path)
        for path in MODULES
        for part in path.relative_to(SOURCE).with_suffix("").parts
        if set(part.strip("_").split("_")) & SAYS_NOTHING
    ]
    assert empty == []


def test_every_module_says_what_it_owns() -> None:
    assert [named(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_names_are_imported_from_the_module_that_defines_them() -> None:
    barrels = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("charkh"):
                continue
            folder = SOURCE.parent / (node.module or "").replace(".", "/")
            if not folder.is_dir():
                continue
            for name in node.names:
                if not (folder / f"{name.name}.py").exists() and not (folder / name.name).is_dir():
                    barrels.append(f"{named(path)}: from {node.module} import {name.name}")
    assert barrels == []


def test_no_import_is_relative() -> None:
    relative = [
        f"{named(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_the_ground_does_no_io() -> None:
    touching = []
    for path in (SOURCE / "core").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            touching += [f"{named(path)}: {name}" for name in names if name.partition(".")[0] in NO_IO]
    assert touching == []


@pytest.mark.parametrize(("port", "width"), PORT_WIDTHS.items())
def test_a_port_stays_narrow(port: str, width: int) -> None:
    module, _, name = port.partition(".")
    tree = ast.parse((SOURCE / "ports" / f"{module}.py").read_text())
    protocol = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    verbs = [
        node.name
        for node in protocol.body
        if isinstance(node, ast.FunctionDef)
        and not any(isinstance(item, ast.Name) and item.id == "property" for item in node.decorator_list)
    ]
    assert 0 < len(verbs) <= width, verbs
