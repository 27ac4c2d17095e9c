"""A run is run again from what is on record, and the replay says whether it came to the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Charkh
from tests.unit.runs.working_trees import SYSTEMS, WorkingTree

from charkh.datasets.add import add_files
from charkh.workspace.workspace import open_workspace

TRAIN = """\
import charkh

RATE = 1

with charkh.run("train", params={"rate": RATE}) as run:
    table = charkh.dataset("flights")
    charkh.log(total=float(table.frame["value"].sum()) * RATE)
    run.add_artifact("report.txt", f"rate {RATE}".encode())
    charkh.add("doubled", table.frame * 2)
print(run.id)
"""
SMALL = """\
import sys, time
import charkh

with charkh.run("small") as run:
    charkh.log(now=time.time() if "--time" in sys.argv else 1.0)
    if "--break" in sys.argv:
        raise SystemExit(3)
print(run.id)
"""
"""Reads no table, so that it starts at once."""
SECRET = "hunter2hunter2"


class Project(WorkingTree):
    """A working tree that is a workspace, with a script that trains."""

    def __init__(self, system: str, folder: Path, script: str = SMALL) -> None:
        super().__init__(system, folder)
        self.charkh = Charkh(folder)
        self.write("charkh.toml", "")
        self.write("train.py", script)
        self.commit("charkh.toml", "train.py")

    def add_data(self, *values: int) -> None:
        self.write("rows.csv", "value\n" + "".join(f"{value}\n" for value in values))
        with open_workspace(self.folder) as workspace:
            add_files(workspace.store, "flights", [self.folder / "rows.csv"])
        (self.folder / "rows.csv").unlink()

    def train(self, *arguments: str, **environment: str) -> str:
        """Run the script; the id of its run."""
        command = [sys.executable, "train.py", *arguments]
        variables = {**os.environ, **environment}
        done = subprocess.run(command, cwd=self.folder, check=True, env=variables, capture_output=True, text=True)
        return done.stdout.strip()

    def replay(self, run: str, *arguments: str | Path, expecting: int = 0, **environment: str) -> dict[str, Any]:
        result = self.charkh.run("run", "replay", run, *arguments, "--json", **environment)
        assert result.returncode == expecting, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project("git", tmp_path / "project")


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_deterministic_run_comes_to_the_same(system: str, tmp_path: Path) -> None:
    project = Project(system, tmp_path / "project", TRAIN)
    project.add_data(1, 2)
    project.write("train.py", TRAIN.replace("RATE = 1", "RATE = 3"))
    project.write("beside.py", "# a new file\n")
    run = project.train()
    project.write("train.py", TRAIN.replace("RATE = 1", "RATE = 4"))
    project.commit("train.py")
    project.add_data(5)
    found = project.replay(run)
    assert found["equal"]
    assert found["compared"] == {"input": 1, "param": 1, "metric": 1, "file": 1, "output": 1}
    assert (found["environment"], found["notes"], found["exit_code"]) == ([], [], 0)
    second = project.charkh.json("run", "show", found["second"])
    assert second["run"]["metrics"] == {"total": 9.0}
    assert (
        second["run"]["provenance"]["commit"] == project.charkh.json("run", "show", run)["run"]["provenance"]["commit"]
    )
    assert ["replays", f"run:{run}"] in [each[1:] for each in second["links"]]
    assert (project.folder / "train.py").read_text() == TRAIN.replace("RATE = 1", "RATE = 4")


def test_what_differs_is_named_and_by_how_much(project: Project, tmp_path: Path) -> None:
    run = project.train("--time")
    kept = tmp_path / "kept"
    found = project.replay(run, "--into", kept, expecting=4)
    (only,) = found["differences"]
    assert (only["what"], only["name"]) == ("metric", "now")
    assert only["absolute"] == pytest.approx(only["second"] - only["first"])
    assert 0 < only["relative"] < 1e-3
    assert found["notes"] == []
    assert (kept / "train.py").read_text() == SMALL
    assert "is not empty" in project.charkh.fails(14, "run", "replay", run, "--into", kept)


def test_an_environment_that_changed_is_named(project: Project, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        about = tmp_path / version / "weather_tool.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: weather-tool\nVersion: {version}\n")
    run = project.train(PYTHONPATH=str(tmp_path / "1.0"))
    found = project.replay(run, PYTHONPATH=str(tmp_path / "2.0"))
    assert found["environment"] == [{"name": "weather-tool", "recorded": "1.0", "now": "2.0"}]
    assert found["equal"], "what differs is named; what it came to is the same"


def test_a_credential_is_asked_for_and_never_kept(project: Project) -> None:
    run = project.train("--password", SECRET)
    refused = project.charkh.run("run", "replay", run)
    assert refused.returncode == 2
    assert "lacks its credentials: --password [redacted]" in refused.stderr
    found = project.replay(run, "--secret", "WORD", WORD=SECRET)
    assert found["equal"]
    assert SECRET not in json.dumps(found)
    for path in (project.folder / ".charkh").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_code_around_a_credential_is_built_again(project: Project) -> None:
    text = f"# above\nAPI_KEY = '{SECRET}'\n# below\n" + SMALL
    project.write("train.py", text)
    project.commit("train.py")
    project.write("train.py", text.replace("# above", "# over"))
    assert project.replay(project.train())["equal"]


def test_a_commit_that_is_gone_is_named(project: Project, tmp_path: Path) -> None:
    run = project.train()
    commit = project.revision()
    (project.folder / ".git").rename(tmp_path / "old.git")
    assert "--repository" in project.charkh.fails(13, "run", "replay", run)
    project("git", "init", "-q")
    assert commit in project.charkh.fails(13, "run", "replay", run)
    (tmp_path / "clone").mkdir()
    (tmp_path / "old.git").rename(tmp_path / "clone/.git")
    assert project.replay(run, "--repository", tmp_path / "clone")["equal"]


def test_a_script_that_fails_is_different_and_one_without_a_run_says_so(project: Project) -> None:
    project.write("train.py", SMALL.replace('"--break" in sys.argv', "__import__('os').environ.get('BREAK') == 'in'"))
    found = project.replay(project.train(), expecting=4, BREAK="in")
    assert (found["exit_code"], [each["what"] for each in found["differences"]]) == (3, ["status"])
    project.write("train.py", "import os\nif 'BREAK' in os.environ: raise SystemExit(3)\n" + SMALL)
    result = project.charkh.run("run", "replay", project.train(), BREAK="before")
    assert result.returncode == 3
    assert "recorded no run" in result.stderr


def test_of_several_runs_the_one_that_is_meant_is_compared(project: Project) -> None:
    project.write(
        "train.py",
        "import charkh\nfor rate in (1, 2, 3):\n    with charkh.run('sweep', params={'rate': rate}) as run:\n"
        "        charkh.log(score=rate * 2)\n"
        "    if rate == 2: print(run.id)\n",
    )
    found = project.replay(project.train())
    assert found["equal"]
    again = project.replay(found["second"])
    assert again["equal"], "a replay is a run like any other"
    assert again["compared"] == {"input": 0, "param": 1, "metric": 1, "file": 0, "output": 0}


def test_a_pipeline_that_a_loop_ran_is_run_alone(project: Project) -> None:
    project.write("charkh.toml", 'pipelines = "flows.py"\n')
    project.write(
        "flows.py",
        "import charkh\n\nclass Settings(charkh.Params):\n    rate: float = 0.1\n\n"
        "@charkh.pipeline\ndef flow(settings: Settings):\n    charkh.log(score=settings.rate * 2)\n",
    )
    project.commit("charkh.toml", "flows.py")
    inside = (
        "import sys; sys.orig_argv = [sys.executable, '-m', 'charkh', 'up']\n"
        "from charkh.workspace.workspace import open_workspace\nfrom charkh.workspace.pipelines import run_named\n"
        "with open_workspace() as opened: print(run_named(opened, 'flow', {'rate': 0.7}).run)\n"
    )
    found = project.replay(project.charkh.python(inside).strip())
    assert found["equal"]
    assert found["command"][1:] == ["-m", "charkh", "pipeline", "run", "flow", "-p", "rate=0.7", "--force", "*"]


def test_a_script_without_version_control(charkh: Charkh) -> None:
    charkh.write("train.py", SMALL)
    command = [sys.executable, "train.py"]
    run = subprocess.run(command, cwd=charkh.folder, check=True, capture_output=True, text=True).stdout.strip()
    (charkh.folder / "train.py").unlink()
    found = charkh.json("run", "replay", run)
    assert found["equal"]
    assert "only the main script is on record" in found["notes"][0]


def test_a_pipeline_is_executed_again_in_spite_of_the_cache(project: Project) -> None:
    project.write("charkh.toml", 'pipelines = "flows.py"\n')
    project.write(
        "flows.py",
        "import charkh\n\n@charkh.step\ndef total(table):\n    charkh.log(total=float(table.frame['value'].sum()))\n"
        "    return 1\n\n@charkh.pipeline\ndef flow():\n    total(charkh.dataset('flights'))\n",
    )
    project.commit("charkh.toml", "flows.py")
    project.add_data(1, 2)
    run = project.charkh.json("pipeline", "run", "flow")["run"]
    found = project.replay(run)
    assert found["equal"]
    assert found["compared"]["metric"] == 1
    steps = project.charkh.json("pipeline", "show", found["second"])
    assert "executed" in json.dumps(steps)
    assert found["notes"] == []
