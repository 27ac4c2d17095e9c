"""Two machines work in one folder of a network: each writes on a disk of its own, and sees what the other does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from functional.conftest import Charkh

TRAIN = """
import sys, time, charkh
with charkh.run(sys.argv[1], params={"rate": 0.1}) as run:
    for step in range(20):
        charkh.log(loss=float(step), step=step)
    print("printed", flush=True)
    sys.stdin.readline()
    charkh.log(loss=20.0, step=20)
"""


class Machine(Charkh):
    """A command line whose own disk is `state`."""

    def __init__(self, folder: Path, state: Path) -> None:
        super().__init__(folder)
        self.environment = {**os.environ, "XDG_STATE_HOME": str(state)}

    def run(self, *arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        return super().run(*arguments, **{"XDG_STATE_HOME": self.environment["XDG_STATE_HOME"], **environment})

    def train(self, name: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", TRAIN, name]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdin=subprocess.PIPE, text=True)

    def losses(self, name: str) -> list[float]:
        found = self.run("run", "log", name, "loss", "--json")

        return [point["value"] for point in json.loads(found.stdout)] if found.returncode == 0 else []


def soon(machine: Machine, name: str, losses: list[float]) -> None:
    deadline = time.monotonic() + 60
    while machine.losses(name) != losses and time.monotonic() < deadline:
        time.sleep(0.3)
    assert machine.losses(name) == losses


def test_each_sees_what_the_other_writes_and_a_killed_one_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "charkh.toml").write_text('[store]\nspool = "always"\n')
    one, two = Machine(folder, tmp_path / "one"), Machine(folder, tmp_path / "two")

    ended, killed = one.train("ended"), one.train("killed")
    soon(two, "ended", [float(step) for step in range(20)])
    soon(two, "killed", [float(step) for step in range(20)])
    # What is open is written on the first machine's own disk.
    assert list((tmp_path / "one").glob("charkh/open/*/*.data"))
    assert {run["status"] for run in two.json("run", "list")} == {"running"}

    ended.communicate("\n", timeout=60)
    assert ended.returncode == 0
    killed.kill()
    killed.communicate()
    assert two.losses("ended") == [float(step) for step in range(21)]
    statuses = {run["name"]: run["status"] for run in two.json("run", "list")}
    assert statuses["ended"] == "finished"

    assert "printed" in one("run", "console", "killed")
    one.python(
        "from charkh.workspace.workspace import open_workspace\n"
        "from charkh.workspace.sealing import seal_all\n"
        "with open_workspace() as workspace:\n    seal_all(workspace)\n",
        XDG_STATE_HOME=str(tmp_path / "one"),
    )
    assert two.losses("killed") == [float(step) for step in range(20)]
    assert not list((tmp_path / "one").glob("charkh/open/*/*.data"))
    assert not list((folder / ".charkh" / "journal" / "open").glob("*.data"))
