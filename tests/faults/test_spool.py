"""Recording to a server that is not there, dies, or is behind a network that fails: nothing lost, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.proxying import Proxy, proxy_to

from charkh.runs.history import metric_history
from charkh.runs.index import SealedOf
from charkh.runs.search import search
from charkh.workspace.workspace import open_workspace
from servers import free_port

WRITERS = 16
STEPS = 120
FORKING = f"""
import os, time, charkh
children = []
for writer in range({WRITERS}):
    child = os.fork()
    if not child:
        with charkh.run(f"w{{writer}}", params={{"writer": writer}}):
            for step in range({STEPS}):
                charkh.log(value=writer * 1000 + step, step=step)
                if step % 30 == 0:
                    time.sleep(0.3)
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * {WRITERS}
"""
ONE = """
import charkh, sys
with charkh.run(sys.argv[1]) as run:
    run.add_artifact("note.txt", sys.argv[1].encode() * 1000)
    for step in range(50):
        charkh.log(value=step, step=step)
"""
KILLED = """
import charkh, os
with charkh.run("killed"):
    for step in range(40):
        charkh.log(value=step, step=step)
    os.kill(os.getpid(), 9)
"""
GROWING = """
import charkh, time
with charkh.run("growing"):
    for step in range(40):
        charkh.log(value=step, step=step)
        time.sleep(0.1)
"""


class Team:
    """A server's folder, its port, and the machine of somebody who records to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "server"
        self.folder.mkdir()
        self.machine = folder / "machine"
        self.machine.mkdir()
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "CHARKH_STORE_WAIT": "0s"}
        with open_workspace(self.folder, create=True):
            pass

    def start(self) -> None:
        command = [sys.executable, "-m", "charkh", "-C", str(self.folder), "up", "--every", "0s"]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        assert "charkh is up" in self.process.stdout.readline()
        self.environment["CHARKH_TOKEN"] = (self.folder / ".charkh" / "token").read_text().strip()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def record(self, port: int, code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        url = f"http://127.0.0.1:{port}"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.machine,
            env={**self.environment, "CHARKH_URL": url, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def charkh(self, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "charkh", *arguments],
            cwd=self.machine,
            env={**self.environment, "CHARKH_URL": f"http://127.0.0.1:{port}"},
            capture_output=True,
            text=True,
        )

    def series(self) -> dict[str, list[list[float]]]:
        """By name of the run, every run of that name: what was logged, as the server's store has it."""
        with open_workspace(self.folder) as workspace:
            found: dict[str, list[list[float]]] = {}
            for run in search(workspace.store, limit=1000):
                curve = metric_history(workspace.store, run.id, "value")
                found.setdefault(run.name, []).append(curve.values.tolist())
            return found


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Team(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        made.process.communicate()
    # The process that ships ends with its spool.
    for url in (tmp_path / "state").glob("charkh/spool/*/url"):
        url.unlink()


def finished(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def test_sixteen_writers_a_cutting_network_and_a_server_that_is_killed(team: Team) -> None:
    team.start()
    with proxy_to(team.port, cut_every=23) as network:
        writers = team.record(network.port, FORKING)
        time.sleep(2)
        team.kill()
        time.sleep(0.5)
        team.start()
        finished(writers)
        shipped(team, network)
        assert network.cuts > 0
    expected = {f"w{writer}": [[writer * 1000.0 + step for step in range(STEPS)]] for writer in range(WRITERS)}
    assert team.series() == expected


def test_a_server_that_is_not_there_at_first(team: Team) -> None:
    token = {"CHARKH_TOKEN": "not known yet"}
    said = finished(team.record(team.port, ONE, "early", **token))
    assert "kept on this machine" in said
    status = team.charkh(team.port, "sync", "status", "--json")
    waiting: Any = json.loads(status.stdout)
    assert waiting["facts"] > 0
    failed = team.charkh(team.port, "sync")
    assert failed.returncode != 0
    assert "Nothing is lost" in failed.stderr
    team.start()
    # What ships was told another token than the server has; it is not let in, and makes room for the next.
    while json.loads(team.charkh(team.port, "sync", "status", "--json").stdout)["shipping"]:
        time.sleep(0.1)
    assert team.charkh(team.port, "sync").returncode == 0
    assert team.series() == {"early": [[float(step) for step in range(50)]]}
    shown = team.charkh(team.port, "run", "search", "--json")
    assert [run["name"] for run in json.loads(shown.stdout)] == ["early"]


def test_a_run_that_is_killed_is_shipped_as_far_as_it_came(team: Team) -> None:
    team.start()
    process = team.record(team.port, KILLED)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and team.series() != {"killed": [[float(step) for step in range(40)]]}:
        time.sleep(0.3)
    assert team.series() == {"killed": [[float(step) for step in range(40)]]}


def test_a_sync_seals_and_ships_what_a_killed_run_left(team: Team) -> None:
    """Without a look at the server's open segments: all of it stands in facts when the command ends."""
    team.start()
    team.record(team.port, KILLED).communicate(timeout=60)
    done = team.charkh(team.port, "sync", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["growing"] == 0
    with open_workspace(team.folder) as workspace:
        (run,) = search(workspace.store)
        assert [each.points for each in workspace.store.queries.ask(SealedOf(run=run.id))] == [40]
    assert json.loads(team.charkh(team.port, "sync", "--status", "--json").stdout)["segments"] == 0


def test_curves_are_seen_while_they_grow(team: Team) -> None:
    team.start()
    process = team.record(team.port, GROWING)
    seen: set[int] = set()
    while process.poll() is None:
        seen |= {len(values) for each in team.series().values() for values in each}
        time.sleep(0.2)
    finished(process)
    assert len(seen - {0, 40}) >= 2
    assert team.charkh(team.port, "sync").returncode == 0
    assert team.series() == {"growing": [[float(step) for step in range(40)]]}


def shipped(team: Team, network: Proxy) -> None:
    for _ in range(20):
        if team.charkh(network.port, "sync").returncode == 0:
            return
    raise AssertionError(team.charkh(network.port, "sync", "--status").stdout)
