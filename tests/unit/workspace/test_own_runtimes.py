"""Classes of the workspace's own as runtimes: the guide's examples as they stand there, in a workspace."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from charkh.core.config import parse_settings
from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.core.runtime_settings import RuntimeSettings
from charkh.models.load import load
from charkh.models.register import register
from charkh.ports.runtimes import Signature
from charkh.workspace.doctor import examine
from charkh.workspace.own_runtimes import own_runtime
from charkh.workspace.runtimes import RUNTIMES
from charkh.workspace.workspace import open_workspace

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "runtimes.md"
ROWS = pl.DataFrame({"x": [1.0, 9.0], "y": [0.0, 8.0]})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the guide's files, seen by no other test."""
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(text)
    (settings,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "charkh.toml").write_text(settings + '\n[runtime.linear]\nclass = "linear_runtime:LinearRuntime"\n')
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("nearest", "linear_runtime"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_a_model_class_is_registered_loaded_and_looked_at(folder: Path) -> None:
    with open_workspace(folder, create=True) as workspace:
        from nearest import Nearest  # pyright: ignore[reportMissingImports]

        made = Nearest(["home", "work"], [[0, 0], [10, 10]])
        version = register(workspace.store, "place", made, runtimes=workspace.runtimes, example=ROWS)
        assert (version.made.runtime, version.made.safety.level) == ("nearest", "inert")
        loaded = load(workspace.store, "place", runtimes=workspace.runtimes)
        assert loaded.predictor.predict({"x": np.array([9.0]), "y": np.array([9.0])})["name"].tolist() == ["work"]
        found = {each.what: each for each in examine(workspace)}
        assert found["runtime nearest"].state == "ok"
        others = [each for each in workspace.runtimes if each.name != "nearest"]
        with pytest.raises(Unavailable, match="'nearest', which is not here") as raised:
            load(workspace.store, "place", runtimes=others)
        assert "[runtime.nearest]" in raised.value.hint
    (folder / "charkh.toml").write_text('[runtime.other]\nclass = "gone:Gone"\n')
    with open_workspace(folder, create=True) as workspace:
        found = {each.what: each for each in examine(workspace)}
    assert (found["runtime nearest"].state, found["runtime other"].state) == ("warn", "fail")


def test_a_whole_runtime_says_itself_what_is_safe(folder: Path) -> None:
    with open_workspace(folder, create=True) as workspace:
        from linear_runtime import Linear  # pyright: ignore[reportMissingImports]

        made = Linear({"x": 2.0, "y": 1.0}, 3.0)
        version = register(workspace.store, "score", made, runtimes=workspace.runtimes, example=ROWS)
        assert version.made.runtime == "linear"
        assert load(workspace.store, "score", runtimes=workspace.runtimes).predictor.predict(
            {"x": np.array([1.0]), "y": np.array([1.0])}
        )["score"].tolist() == [6.0]
        runtime = next(each for each in workspace.runtimes if each.name == "linear")
        with pytest.raises(Denied, match="runs no code apart"):
            own_runtime("linear", "linear_runtime:LinearRuntime", folder).load_apart(
                {}, Signature(inputs=(), outputs=())
            )
        assert runtime.inspect({"linear.json": b"{}"}).runs_code


def test_the_suite_as_the_guide_has_it_passes(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-c", os.devnull]
    command += ["--rootdir", str(folder), str(folder / "test_linear.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("sklearn", {"class": "a:B"}, "takes no settings"),
        ("mlflow", {"class": "a:B"}, "takes python"),
        ("mine", {"python": "bin/python"}, "has a class"),
        ("mine", {"class": "a.B"}, "has a class"),
        ("Mine!", {"class": "a:B"}, "no name of a runtime"),
    ],
)
def test_a_table_that_means_nothing_is_refused(name: str, table: dict[str, str], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        parse_settings({"runtime": {name: table}}, "charkh.toml")


def test_every_runtime_of_charkhs_own_says_what_it_needs() -> None:
    from charkh.core.runtime_settings import INSTALLED_BY

    assert {row.name for row in RUNTIMES} == set(INSTALLED_BY)
    assert parse_settings({"runtime": {"mine": {"class": "a.b:C"}}}, "").runtime["mine"] == RuntimeSettings(
        class_="a.b:C"
    )
