"""Which modules `import charkh` loads: none but the standard library and the ground."""

import json
import subprocess
import sys
from pathlib import Path

import charkh
from charkh.cli.main import NOUNS

IMPORTS = """
import importlib, json, sys
before = set(sys.modules)
for name in "{module}".split(", "): importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(module: str) -> set[str]:
    """Modules that a fresh interpreter loads for `import module`."""
    code = IMPORTS.format(module=module)
    result = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def foreign(modules: set[str]) -> set[str]:
    """The top-level packages among them that are neither ours nor Python's."""
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"charkh"}


def test_the_probe_sees_what_an_import_loads() -> None:
    assert foreign(loaded_by("charkh.ports.folding")) >= {"sqlalchemy"}


def test_importing_charkh_loads_no_foreign_package() -> None:
    assert foreign(loaded_by("charkh")) == set()


def test_importing_charkh_loads_none_of_its_rooms() -> None:
    rooms = {name.split(".")[1] for name in loaded_by("charkh") if name.startswith("charkh.")}
    assert rooms <= {"core"}


def test_the_ground_needs_no_table_library_and_no_server() -> None:
    for module in ("charkh.core.events", "charkh.core.refs", "charkh.core.gates", "charkh.core.config"):
        assert foreign(loaded_by(module)) <= {"msgspec", "blake3", "google_crc32c", "typing_extensions"}, module


def test_recording_a_run_in_a_folder_loads_no_server_database_and_no_table_library() -> None:
    loaded = loaded_by("charkh.workspace.recording")
    assert not {name for name in loaded if name.startswith(("sqlalchemy.dialects.postgresql", "psycopg"))}
    assert not loaded & {"polars", "numpy", "pandas", "sklearn", "optuna", "litestar", "granian"}


def test_no_public_name_is_a_rooms_name() -> None:
    """Importing a room would put the room in the name's place."""
    rooms = {path.parent.name for path in Path(charkh.__file__).parent.glob("*/__init__.py")}
    assert rooms & set(charkh.__all__) == set()


def test_every_public_name_is_there() -> None:
    assert len(charkh.__all__) <= 30
    code = "import charkh\nfor name in charkh.__all__: assert callable(getattr(charkh, name)), name"
    subprocess.run([sys.executable, "-I", "-c", code], check=True)


def test_no_noun_of_the_command_line_loads_a_table_library_before_a_verb_needs_it() -> None:
    every = ", ".join(["charkh.cli.workspace", "charkh.cli.opening", *(f"charkh.cli.{noun}" for noun in NOUNS)])
    loaded = loaded_by(every)
    assert "charkh.workspace.workspace" in loaded
    assert not loaded & {"polars", "numpy", "pandas", "sklearn", "optuna", "litestar", "granian"}


def test_the_port_is_open_before_the_framework_and_any_table_library_is_loaded() -> None:
    assert not loaded_by("charkh.server.up") & {
        "polars",
        "numpy",
        "pandas",
        "sklearn",
        "optuna",
        "litestar",
        "pydantic",
    }


def test_every_public_name_has_a_home() -> None:
    assert charkh.__all__ == sorted(charkh._HOMES)


def test_a_run_without_points_loads_no_table_library(tmp_path: Path) -> None:
    code = """
import json, sys
import charkh
with charkh.run("first") as run:
    run.set_params({"rate": 0.5})
print(json.dumps(sorted(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not set(json.loads(result.stdout)) & {
        "polars",
        "numpy",
        "pandas",
        "sklearn",
        "optuna",
        "litestar",
        "granian",
    }


def test_a_skops_file_is_judged_without_the_libraries_that_it_names() -> None:
    assert not loaded_by("charkh.runtimes.sklearn, charkh.runtimes.onnx") & {"sklearn", "skops", "scipy", "pandas"}
