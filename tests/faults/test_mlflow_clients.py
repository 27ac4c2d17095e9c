"""Clients of MLflow's protocol whose server is killed in between: what was answered is there, and nothing twice."""

import http.client
import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.functional.test_server import Server

from charkh.runs.history import metric_histories
from charkh.workspace.workspace import open_workspace

CLIENTS = 4
POINTS = 150
KILLS = 2


class Shared:
    """The server of the moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server(folder, "up", "--every", "0s")

    def again(self) -> None:
        self.server.stop(signal.SIGKILL)
        self.server = Server(self.folder, "up", "--every", "0s")

    def post(self, path: str, body: object) -> Any:
        """As MLflow's client does: sent again until somebody answers."""
        until = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
                headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.server.token}"}
                connection.request("POST", f"/api/2.0/mlflow/runs/{path}", json.dumps(body), headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if answer.status == 200:
                    return json.loads(content)
                assert answer.status >= 500, content
            except (OSError, http.client.HTTPException):
                pass
            assert time.monotonic() < until, "no server answers"
            time.sleep(0.02)


def test_points_outlive_the_server(tmp_path: Path) -> None:
    open_workspace(tmp_path, create=True).close()
    shared = Shared(tmp_path)
    runs = [shared.post("create", {"experiment_id": "0"})["run"]["info"]["run_id"] for _ in range(CLIENTS)]
    done = [0] * CLIENTS

    def work(number: int) -> None:
        for step in range(POINTS):
            point = {"key": "m", "value": step + number, "timestamp": 1000 + step, "step": step}
            if step % 10:
                shared.post("log-metric", {"run_id": runs[number], **point})
            else:
                shared.post("log-batch", {"run_id": runs[number], "metrics": [point], "params": [{"key": f"p{step}"}]})
            done[number] = step + 1

    threads = [threading.Thread(target=work, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for kill in range(1, KILLS + 1):
        while min(done) < POINTS * kill // (KILLS + 1) and any(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        shared.again()
    for thread in threads:
        thread.join()
    for run in runs[1:]:
        shared.post("update", {"run_id": run, "status": "FINISHED"})
    shared.server.stop(signal.SIGKILL)

    assert done == [POINTS] * CLIENTS
    with open_workspace(tmp_path) as workspace:
        for number, run in enumerate(runs):
            (curve,) = metric_histories(workspace.store, run, "m")
            assert curve.steps.tolist() == list(range(POINTS))
            assert curve.values.tolist() == [float(step + number) for step in range(POINTS)]
