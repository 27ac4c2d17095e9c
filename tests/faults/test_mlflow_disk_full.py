"""A server whose disk is full while MLflow's clients log: it says so, goes on, and has what it acknowledged."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STEPS = 90


def serve(folder: Path) -> dict[str, Any]:
    """What clients see of a server on a disk of 4 MiB that is full in the middle third of their points."""
    from tests.functional.test_server import Server

    from charkh.workspace.workspace import open_workspace

    open_workspace(folder, create=True).close()
    server = Server(folder, "up", "--every", "0s")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.token}"}

    def post(path: str, body: object) -> tuple[int, Any]:
        connection.request("POST", f"/api/2.0/mlflow/runs/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    _, made = post("create", {"experiment_id": "0", "run_name": "full"})
    run = made["run"]["info"]["run_id"]
    filler = folder / ".charkh" / "filler"
    acknowledged: list[int] = []
    refusals: list[tuple[int, Any]] = []
    params: list[str] = []
    for step in range(STEPS):
        if step == STEPS // 3:
            fill(filler)
        if step == 2 * STEPS // 3:
            filler.unlink()
        metrics = [{"key": "m", "value": step, "timestamp": 1000 + step, "step": step}]
        # Enough of them that the bytes which a full disk has left are used up.
        many = [{"key": f"n{n}", "value": n, "timestamp": 1000 + step, "step": step} for n in range(200)]
        status, said = post("log-batch", {"run_id": run, "metrics": metrics + many})
        if status == 200:
            acknowledged.append(step)
        else:
            refusals.append((status, said))
        status, said = post("log-parameter", {"run_id": run, "key": f"p{step}", "value": "v"})
        if status == 200:
            params.append(f"p{step}")
        else:
            refusals.append((status, said))
    status, _ = post("update", {"run_id": run, "status": "FINISHED"})
    assert status == 200
    server.stop(signal.SIGKILL)
    return {"run": run, "acknowledged": acknowledged, "params": params, "refusals": refusals}


def fill(path: Path) -> None:
    """Leave no byte free."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (1 << 16, 1 << 8, 1):
        try:
            while True:
                os.write(descriptor, bytes(size))
        except OSError:
            continue
    os.close(descriptor)


def found(folder: Path, run: str) -> dict[str, Any]:
    """What the store has of the run afterwards."""
    from charkh.runs.find import find
    from charkh.runs.history import metric_histories
    from charkh.workspace.workspace import open_workspace

    with open_workspace(folder) as workspace:
        (curve,) = metric_histories(workspace.store, run, "m")
        known = find(workspace.store, run)
        return {"steps": curve.steps.tolist(), "params": sorted(known.params), "status": known.status}


def test_a_full_disk_under_the_server(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a small file system of one's own needs root and unshare")
    folder, report = tmp_path / "disk", tmp_path / "report"
    folder.mkdir()
    work = f"{sys.executable} -m {__name__} {folder} {report}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=4m none {folder} && {work}"],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    said = json.loads(report.read_text())
    third = STEPS // 3
    assert set(said["acknowledged"]) >= {*range(third), *range(2 * third + 1, STEPS)}
    assert said["refusals"], "a disk without a free byte takes no params"
    for status, problem in said["refusals"]:
        assert status >= 500, problem
        assert problem.keys() >= {"error_code", "message"}
        assert "space" in problem["message"] or "disk" in problem["message"]
    assert said["found"]["status"] == "finished"
    # What was refused may be there all the same, once: clients send it again.
    assert set(said["found"]["steps"]) >= set(said["acknowledged"])
    assert len(said["found"]["steps"]) == len(set(said["found"]["steps"]))
    assert set(said["found"]["params"]) >= set(said["params"])


if __name__ == "__main__":
    where = Path(sys.argv[1])
    seen = serve(where)
    Path(sys.argv[2]).write_text(json.dumps({**seen, "found": found(where, seen["run"])}))
