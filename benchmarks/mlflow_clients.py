"""Unmodified MLflow clients at once: calls a second against charkh, against MLflow's own server, and against `{}`.

Each client is a process that calls `log_metric` for a while; the calls of all of them are counted, and the points are
read back from the server. The limit is a bare server that answers `{}` to everything: what the clients themselves
manage. Then as many processes of charkh's own client record through the same server, against MLflow's `log_batch` of
1,000 points.

Promise: at least 15 times MLflow's server and 0.6 of the bare one in calls a second, without an error; charkh's own
clients record at least 50 times as many points a second as MLflow's `log_batch`.

    python benchmarks/mlflow_clients.py [--clients 16] [--seconds 10] [--rounds 3] [--points 100000]
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness import in_turn, median, peer_python, report, version_of, workplace

CALLS = """
import sys, time
from mlflow import MlflowClient
client, run, seconds = MlflowClient(), sys.argv[1], float(sys.argv[2])
client.log_metric(run, "warm", 0.0, step=0)
print("ready", flush=True)
sys.stdin.readline()
begin, calls, errors = time.perf_counter(), 0, 0
while time.perf_counter() - begin < seconds:
    try:
        client.log_metric(run, "loss", 1 / (calls + 1), step=calls)
        calls += 1
    except Exception:
        errors += 1
print(calls, errors, time.perf_counter() - begin)
"""
BATCHES = """
import sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric
client, run, points = MlflowClient(), sys.argv[1], int(sys.argv[2])
client.log_metric(run, "warm", 0.0, step=0)
print("ready", flush=True)
sys.stdin.readline()
begin = time.perf_counter()
for start in range(0, points, 1000):
    steps = range(start, start + 1000)
    client.log_batch(run, [Metric("loss", step / points, 1_700_000_000_000 + step, step) for step in steps])
print(points, 0, time.perf_counter() - begin)
"""
OWN = """
import sys, time
import charkh
points = int(sys.argv[2])
with charkh.run(sys.argv[1]) as run:
    run.log({"warm": 0.0})
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    values = {f"m{number}": 0.5 for number in range(100)}
    for step in range(points // 100):
        run.log(values, step=step)
print(points, 0, time.perf_counter() - begin)
"""
BARE = """
import asyncio, sys
from granian.constants import Interfaces
from granian.server.embed import Server

async def answer(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})

server = Server(answer, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.ASGINL, log_enabled=False)
asyncio.run(server.serve())
"""


class Target:
    """A server that clients call."""

    def __init__(self, port: int, token: str = "", folder: Path | None = None) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.token = token
        self.folder = folder

    def post(self, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        data = json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.address}{path}", data, headers), timeout=60
        ) as answer:
            return json.load(answer)

    def run(self) -> str:
        """A run to log into; the bare server needs none."""
        made = self.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1_700_000_000_000})
        return made["run"]["info"]["run_id"] if made else os.urandom(16).hex()

    def count(self, run: str, key: str) -> int:
        """How many points of a metric the server gives back."""
        query = f"run_id={run}&metric_key={key}"
        request = urllib.request.Request(
            f"{self.address}/api/2.0/mlflow/metrics/get-history?{query}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return len(json.load(answer).get("metrics", []))


@contextmanager
def served(command: list[str], port: int, folder: Path, seconds: float = 120) -> Iterator[None]:
    """A server that answers on a port, until the block ends."""
    log = (folder / "server.log").open("wb")
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(f"no server on {port}: {(folder / 'server.log').read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)
        log.close()


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def together(
    python: Path | str, script: str, target: Target, runs: list[str], amount: float, own: bool
) -> tuple[float, int]:
    """Items a second of clients that begin at once, and how many errors there were."""
    variables = {"MLFLOW_TRACKING_URI": target.address, "MLFLOW_TRACKING_TOKEN": target.token}
    variables |= {"CHARKH_URL": target.address, "CHARKH_TOKEN": target.token} if own else {}
    environment = {
        **os.environ,
        **variables,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    }
    clients = [
        subprocess.Popen(
            [python, "-c", script, run, str(amount)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=target.folder,
        )
        for run in runs
    ]
    for client in clients:
        assert client.stdout is not None
        client.stdout.readline()
    begin = time.perf_counter()
    for client in clients:
        assert client.stdin is not None
        client.stdin.write("\n")
        client.stdin.flush()
    told = [client.communicate()[0].split() for client in clients]
    took = time.perf_counter() - begin
    items = sum(int(float(each[0])) for each in told)
    return items / (took if own else max(float(each[2]) for each in told)), sum(int(each[1]) for each in told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, default=100_000, help="of each of charkh's own clients")
    parser.add_argument("--batches", type=int, default=5, help="of 1,000 points, of each MLflow client")
    parser.add_argument("--without-peer", action="store_true", help="leave MLflow's server out: it needs 25 s to start")
    options = parser.parse_args()
    mlflow = peer_python("mlflow", "mlflow==3.17.2")
    if mlflow is None:
        raise SystemExit("the clients are MLflow's")
    errors: dict[str, int] = {}
    complete = True

    def calls(name: str, target: Target) -> float:
        nonlocal complete
        runs = [target.run() for _ in range(options.clients)]
        rate, failed = together(mlflow, CALLS, target, runs, options.seconds, own=False)
        errors[name] = errors.get(name, 0) + failed
        if name == "charkh":
            read = sum(target.count(run, "loss") for run in runs)
            complete = complete and read > 0 and not failed
        return rate

    def batches(target: Target) -> float:
        runs = [target.run() for _ in range(options.clients)]
        return together(mlflow, BATCHES, target, runs, options.batches * 1000, own=False)[0]

    def own(target: Target) -> float:
        names = [f"own {time.time_ns()} {number}" for number in range(options.clients)]
        return together(sys.executable, OWN, target, names, options.points, own=True)[0]

    with workplace() as folder:
        folders = {name: folder / name for name in ("charkh", "mlflow", "bare")}
        for each in folders.values():
            each.mkdir()
        ports = {name: free_port() for name in folders}
        python = sys.executable
        subprocess.run([python, "-m", "charkh", "-C", str(folders["charkh"]), "init"], check=True, capture_output=True)
        up = [
            python,
            "-m",
            "charkh",
            "-C",
            str(folders["charkh"]),
            "up",
            "--port",
            str(ports["charkh"]),
            "--every",
            "0s",
        ]
        theirs = [str(mlflow.parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(ports["mlflow"])]
        theirs += [
            "--backend-store-uri",
            f"sqlite:///{folders['mlflow']}/m.db",
            "--artifacts-destination",
            str(folders["mlflow"]),
        ]
        commands = {"charkh": up, "bare": [python, "-c", BARE, str(ports["bare"])]}
        if not options.without_peer:
            commands["mlflow"] = theirs
        readings: dict[str, list[float]] = {}
        with all_served(commands, ports, folders):
            token = (folders["charkh"] / ".charkh" / "token").read_text()
            targets = {name: Target(ports[name], token if name == "charkh" else "", folders[name]) for name in commands}
            contenders = {name: (lambda name=name: calls(name, targets[name])) for name in commands}
            contenders["own"] = lambda: own(targets["charkh"])
            contenders["batches on charkh"] = lambda: batches(targets["charkh"])
            if "mlflow" in commands:
                contenders["batches"] = lambda: batches(targets["mlflow"])
            readings = in_turn(options.rounds, contenders)
    rate, limit = median(readings["charkh"]), median(readings["bare"])
    peer = median(readings["mlflow"]) if "mlflow" in readings else None
    points = median(readings["own"])
    batch = median(readings["batches"]) if "batches" in readings else None
    holds = (
        complete
        and rate >= 0.6 * limit
        and (peer is None or rate >= 15 * peer)
        and (batch is None or points >= 50 * batch)
    )
    report(
        "mlflow_clients",
        charkh=rate,
        peer=peer,
        limit=limit,
        aim=">= 15x MLflow's server, >= 0.6 of `{}`; own clients >= 50x log_batch",
        holds=holds,
        unit="calls/s",
        more_is_better=True,
        clients=options.clients,
        errors=errors,
        own_points_per_second=points,
        peer_batch_points_per_second=batch,
        charkh_batch_points_per_second=median(readings["batches on charkh"]),
        own_to_batches=None if batch is None else points / batch,
        mlflow=version_of(mlflow, "mlflow"),
    )


@contextmanager
def all_served(commands: dict[str, list[str]], ports: dict[str, int], folders: dict[str, Path]) -> Iterator[None]:
    """Every server at once: an idle one costs nothing, and starting MLflow's takes long."""
    with ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(served(command, ports[name], folders[name]))
        yield


if __name__ == "__main__":
    main()
