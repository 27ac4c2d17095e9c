"""`charkh serve --workers 2`: one of them is killed under load, and only what it was answering fails."""

import http.client
import itertools
import json
import os
import re
import signal
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.models.alias import move_alias
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace
from functional.test_server import Server

CLIENTS = 4
LENGTH = "Inference-Header-Content-Length"
ROWS = {23.0: 1, 1.0: 0}
"""Hours, and what the model says of them."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "charkh.toml").write_text('[endpoint.delay]\nmodel = "delay@champion"\n')
    rows = np.array([[1.0, 5.0], [2.0, 3.0], [20.0, 4.0], [23.0, 5.0]])
    estimator: Any = LogisticRegression()
    model = estimator.fit(rows, [0, 0, 1, 1])
    with open_workspace(tmp_path, create=True) as workspace:
        example = {"hour": rows[:, 0], "wind": rows[:, 1]}
        made = register(workspace.store, "delay", model, runtimes=workspace.runtimes, example=example)
        move_alias(workspace.store, made.ref, "champion")
    started = Server(tmp_path, "serve", "delay", "--workers", "2")
    yield started
    if started.process.poll() is None:
        started.stop()


def children(process: int) -> list[int]:
    return sorted(int(each.name) for each in Path("/proc").glob("[0-9]*") if parent(each) == process)


def parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it has ended


class Client(threading.Thread):
    """Asks until it is told to stop, over connections that it keeps.

    Attributes:
        statuses: how often each status was answered; 0 for none.
        wrong: answers that were not what the model says.
    """

    def __init__(self, server: Server, stop: threading.Event) -> None:
        super().__init__()
        self._server = server
        self._stop_asking = stop
        self.statuses: Counter[int] = Counter()
        self.wrong: list[Any] = []

    def run(self) -> None:
        connection = self._connection()
        while not self._stop_asking.is_set():
            for (hour, expected), ask in itertools.product(ROWS.items(), (self._ask, self._infer)):
                try:
                    status, answer = ask(connection, hour)
                except (OSError, http.client.HTTPException):
                    connection.close()
                    connection = self._connection()
                    status, answer = 0, None
                self.statuses[status] += 1
                if status == 200 and answer != expected:
                    self.wrong.append(answer)
                time.sleep(0.002)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=20)

    def _ask(self, connection: http.client.HTTPConnection, hour: float) -> tuple[int, Any]:
        body = json.dumps([{"hour": hour, "wind": 5.0}])
        headers = {"Authorization": f"Bearer {self._server.token}", "Content-Type": "application/json"}
        connection.request("POST", "/predict/delay", body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        return answer.status, said["predictions"][0]["predict"] if answer.status == 200 else said

    def _infer(self, connection: http.client.HTTPConnection, hour: float) -> tuple[int, Any]:
        """As Triton's client asks: tensors as bytes, and an id that comes back."""
        tensors = {"hour": hour, "wind": 5.0}
        told = {"shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
        asked = {"id": uuid.uuid4().hex, "inputs": [{"name": name, **told} for name in tensors]}
        head = json.dumps({**asked, "parameters": {"binary_data_output": True}}).encode()
        headers = {"Authorization": f"Bearer {self._server.token}", LENGTH: str(len(head))}
        connection.request("POST", "/v2/models/delay/infer", head + struct.pack("<2d", *tensors.values()), headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return answer.status, body
        length = int(answer.headers[LENGTH])
        said, at = json.loads(body[:length]), length
        if said["id"] != asked["id"]:
            return 200, "an answer to somebody else's question"
        for output in said["outputs"]:
            size = output["parameters"]["binary_data_size"]
            if output["name"] == "predict":
                return 200, struct.unpack("<q", body[at : at + size])[0]
            at += size
        return 200, said


def scraped(server: Server) -> dict[str, float]:
    """Requests by status, and the workers that are ready."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {server.token}"})
    page = connection.getresponse().read().decode()
    connection.close()
    found = {"ready": sum(float(each) for each in re.findall(r"^charkh_workers_ready(?:\{[^}]*\})? (\S+)", page, re.M))}
    for code, value in re.findall(r'^charkh_inference_requests_total\{.*code="(\d+)".*\} (\S+)', page, re.M):
        found[code] = found.get(code, 0.0) + float(value)
    return found


def eventually_ready(server: Server, workers: int, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if scraped(server)["ready"] == workers:
            return True
        time.sleep(0.2)
    return False


def test_a_worker_that_is_killed_takes_only_what_it_was_answering(server: Server) -> None:
    team = children(server.process.pid)
    assert len(team) == 2
    assert [each["name"] for each in server.told["endpoints"]] == ["delay"]
    assert eventually_ready(server, 2)
    stop = threading.Event()
    clients = [Client(server, stop) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    time.sleep(0.7)
    os.kill(team[0], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(set(children(server.process.pid)) - {team[0]}) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    stop.set()
    for each in clients:
        each.join()
    statuses = sum((each.statuses for each in clients), Counter[int]())
    assert [each.wrong for each in clients] == [[]] * CLIENTS
    assert set(statuses) <= {0, 200}, statuses
    assert statuses[0] <= CLIENTS, "at most one request of each client was being answered by it"
    assert statuses[200] > 100
    assert len(children(server.process.pid)) == 2
    assert eventually_ready(server, 2), "another one was started in its place"
    counted = scraped(server)
    # What was counted and not received any more was under way when its process was killed.
    assert statuses[200] <= counted["200"] <= statuses[200] + statuses[0]

    left = children(server.process.pid)
    code, said = server.stop()
    assert code == 0, said
    assert "Traceback" not in said
    assert not [each for each in left if Path(f"/proc/{each}").exists()], "all of them end with their parent"
