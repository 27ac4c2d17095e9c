"""A model that one client unloads is unloaded in every process of the server, and loaded again in every one."""

import contextlib
import http.client
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functional.test_serve_workers import children, eventually_ready
from functional.test_server import Server
from workspaces import make_workspace

CONNECTIONS = 24
"""Each of them stays at the process that took it: that one process has all of them is as likely as 2 to the -23."""
ROW = [{"hour": 23.0, "wind": 5.0}]
UNLOADED = [{"name": "delay", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}]
READY = [{"name": "delay", "version": "1", "state": "READY", "reason": ""}]
PATHS = {"infer": "/predict/delay", "ready": "/v2/models/delay/ready", "index": "/v2/repository/index"}


@pytest.fixture(scope="module", params=[("serve", "delay"), ("up", "--every", "0s")], ids=["serve", "up"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests: each leaves it with the model loaded."""
    folder = tmp_path_factory.mktemp("team")
    make_workspace(folder).close()
    started = Server(folder, *request.param, "--workers", "2")
    yield started
    if started.process.poll() is None:
        started.stop()


class Clients:
    """Connections that were open before anything was unloaded."""

    def __init__(self, server: Server) -> None:
        self._headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        self._all = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(CONNECTIONS)]

    def hear(self) -> set[tuple[str, int]]:
        """The statuses of every path, over every connection."""
        heard = Counter[tuple[str, int]]()
        for each in self._all:
            for word, path in PATHS.items():
                status, said = self._ask(each, path, word)
                heard[word, status] += 1
                if word == "index":
                    assert said in (UNLOADED, READY)
                    heard["unloaded", int(said == UNLOADED)] += 1
        return set(heard)

    def put(self, verb: str) -> None:
        """Ask one of the processes, and hear at once from all of them."""
        status, _ = self._ask(self._all[0], f"/v2/repository/models/delay/{verb}", "put")
        assert status == 200

    def close(self) -> None:
        for each in self._all:
            each.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str, word: str) -> tuple[int, Any]:
        body = json.dumps(ROW if word == "infer" else {})
        connection.request("GET" if word == "ready" else "POST", path, None if word == "ready" else body, self._headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


LOADED = {("infer", 200), ("ready", 200), ("index", 200), ("unloaded", 0)}
GONE = {("infer", 404), ("ready", 404), ("index", 200), ("unloaded", 1)}


def test_every_process_follows_one_client(server: Server) -> None:
    with contextlib.closing(Clients(server)) as clients:
        assert clients.hear() == LOADED
        for _ in range(5):
            clients.put("unload")
            assert clients.hear() == GONE
            clients.put("load")
            assert clients.hear() == LOADED


def test_a_process_that_takes_the_place_of_one_that_died_knows_it_too(server: Server) -> None:
    with contextlib.closing(Clients(server)) as clients:
        clients.put("unload")
    team = children(server.process.pid)
    os.kill(team[0], signal.SIGKILL)
    wait_until(lambda: len(set(children(server.process.pid)) - {team[0]}) == 2)
    assert eventually_ready(server, 2)
    with contextlib.closing(Clients(server)) as clients:
        assert clients.hear() == GONE
        clients.put("load")
        assert clients.hear() == LOADED


def wait_until(met: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_that_sends_head_and_body_apart_keeps_its_connection_when_it_is_refused(server: Server) -> None:
    named = {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {server.token.strip()}",
        "content-length": "2",
    }
    head = "\r\n".join(["POST /predict/nothing HTTP/1.1", *(f"{key}: {value}" for key, value in named.items()), "", ""])
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for _ in range(3):
            connection.sendall(head.encode())
            time.sleep(0.1)
            connection.sendall(b"{}")
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 404")
            assert b"connection: close" not in answer.lower()
