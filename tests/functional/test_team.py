"""Team mode as a team uses it: several servers over one PostgreSQL and one bucket, and clients that have an URL."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_server import Server

CLIENT = """
import random, sys, time
import polars as pl
import charkh
from charkh.core.errors import Conflict, Unavailable

name = sys.argv[1]
for turn in range(2):
    with charkh.run(f"{name}/{turn}", params={"client": name, "turn": turn}):
        for step in range(50):
            charkh.log(loss=step / 50, step=step)
    for attempt in range(300 if turn == 0 else 0):
        try:
            charkh.add("flights", pl.DataFrame({"client": [name], "turn": [turn]}))
            break
        except (Conflict, Unavailable) as error:
            print(error, file=sys.stderr)
            time.sleep(random.uniform(0.05, 0.3))
    else:
        if turn == 0:
            raise SystemExit("never decided")
"""


@pytest.fixture
def team(tmp_path: Path, postgres_url: str, s3_url: str) -> Iterator[Callable[..., Server]]:
    """Makes servers of one store, each in a folder of its own."""
    started: list[Server] = []

    def make(*options: str) -> Server:
        folder = tmp_path / f"machine-{len(started)}"
        folder.mkdir()
        (folder / "charkh.toml").write_text(f'[store]\njournal = "{postgres_url}"\nblobs = "{s3_url}"\n')
        (folder / ".charkh").mkdir()
        started.append(Server(folder, "up", "--every", "0s", *options))
        return started[-1]

    yield make
    for server in started:
        if server.process.poll() is None:
            server.stop()


class Client:
    """A machine without a workspace that records to a server."""

    def __init__(self, folder: Path, server: Server) -> None:
        folder.mkdir()
        self.folder = folder
        self.environment = {
            **os.environ,
            "CHARKH_URL": f"http://127.0.0.1:{server.port}",
            "CHARKH_TOKEN": server.token,
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True)

    def charkh(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "charkh", *arguments, "--json"]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def finished(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said


@pytest.mark.needs("postgresql", "moto")
def test_two_machines_serve_one_store_and_one_is_killed(team: Callable[..., Server], tmp_path: Path) -> None:
    servers = [team("--workers", "2"), team()]
    clients = [Client(tmp_path / f"client-{number}", servers[number % 2]) for number in range(8)]
    running = [client.start(CLIENT, f"c{number}") for number, client in enumerate(clients)]
    # The processes under the first server's parent are killed while clients write; their parent begins others.
    time.sleep(3)
    for worker in children(servers[0].process.pid)[:1]:
        os.kill(worker, signal.SIGKILL)
    finished(running)
    runs: list[Any] = []
    for server in servers:
        status, runs = asked(server, "/api/runs?limit=1000")
        assert status == 200
        assert sorted(run["name"] for run in runs) == sorted(f"c{n}/{t}" for n in range(8) for t in range(2))
        assert {run["status"] for run in runs} == {"finished"}
        assert {run["metrics"]["loss"] for run in runs} == {0.98}
        _, versions = asked(server, "/api/datasets/versions?name=flights")
        assert sorted(version["made"]["number"] for version in versions) == list(range(1, 9))
    _, history = asked(servers[1], f"/api/runs/history?ref=run:{runs[0]['started']['run']}&key=loss")
    assert [(point[0], point[2]) for point in history] == [(step, step / 50) for step in range(50)]
    rows = clients[3].charkh("dataset", "show", "flights@7", "--head", "1")["rows"]
    assert len(rows) == 1


@pytest.mark.needs("postgresql", "moto")
def test_what_one_server_wrote_the_other_reads_at_once(team: Callable[..., Server], tmp_path: Path) -> None:
    one, other = team(), team()
    writer = Client(tmp_path / "writer", one)
    reader = Client(tmp_path / "reader", other)
    code = "import charkh, polars as pl; charkh.add('flights', pl.DataFrame({'a': [len(__import__('sys').argv)]}))"
    finished([writer.start(code)])
    assert [each["name"] for each in reader.charkh("dataset", "list")] == ["flights"]
    finished([reader.start(code, "another")])
    assert [version["made"]["number"] for version in asked(one, "/api/datasets/versions?name=flights")[1]] == [2, 1]
    assert reader.charkh("dataset", "show", "flights@1", "--head", "1")["rows"] == [{"a": "1"}]


def asked(server: Server, path: str) -> tuple[int, Any]:
    """An answer; a connection that a killed process had is asked again."""
    for _ in range(50):
        try:
            return server.ask(path)
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    return server.ask(path)


def children(parent: int) -> list[int]:
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [int(line) for line in told.split()]
