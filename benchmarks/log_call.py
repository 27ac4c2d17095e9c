"""What one `log` of two metrics costs the training loop, beside a bare append of as many bytes, and MLflow.

The peer's reading is MLflow's fast setting: asynchronous logging, which returns before anything is written, while
charkh has handed its bytes to the operating system. MLflow's ordinary call is shown too, and trackio's, which puts
the points on a queue of its process.

Promise: the median is at most 2 µs over a bare append to a file on the same disk, and the 99th percentile under 15
µs; every point is read back equal. `charkh.log(...)`, which finds the current run first, is shown too.

    python benchmarks/log_call.py [--calls 100000] [--rounds 5] [--peer-calls 500]
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness import in_turn, median, peer_python, report, version_of, workplace

import charkh
from charkh.runs.history import metric_history
from charkh.runs.start import start
from charkh.workspace.ambient import use
from charkh.workspace.workspace import open_workspace

MLFLOW = """
import os, sys, time, statistics
import mlflow
folder, calls = sys.argv[1], int(sys.argv[2])
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
with mlflow.start_run():
    mlflow.log_metrics({"loss": 0.5, "auc": 0.7}, step=0)
    found = []
    for synchronous in (True, False):
        times = []
        for step in range(calls):
            begin = time.perf_counter_ns()
            mlflow.log_metrics({"loss": 1 / (step + 1), "auc": step / calls}, step=step, synchronous=synchronous)
            times.append(time.perf_counter_ns() - begin)
        times.sort()
        found += [times[len(times) // 2] / 1000, times[int(len(times) * 0.99)] / 1000]
    mlflow.flush_async_logging()
print(*found)
"""
TRACKIO_VERSION = "trackio==0.43.0"
TRACKIO = """
import os, sys, time
folder, calls = sys.argv[1], int(sys.argv[2])
os.environ["TRACKIO_DIR"] = folder
import trackio
trackio.init(project="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)
times = []
for step in range(calls):
    begin = time.perf_counter_ns()
    trackio.log({"loss": 1 / (step + 1), "auc": step / calls}, step=step)
    times.append(time.perf_counter_ns() - begin)
trackio.finish()
times.sort()
print("@@", times[len(times) // 2] / 1000, times[int(len(times) * 0.99)] / 1000)
"""


def timed(calls: int, call: Callable[[int], object]) -> tuple[float, float]:
    """Median and 99th percentile of one call, in microseconds, without the clock's own cost."""
    empty = statistics.median(_readings(calls // 10, lambda _step: None))
    readings = sorted(_readings(calls, call))
    return (readings[len(readings) // 2] - empty) / 1000, (readings[int(len(readings) * 0.99)] - empty) / 1000


def _readings(calls: int, call: Callable[[int], object]) -> list[int]:
    now = time.perf_counter_ns
    found: list[int] = []
    add = found.append
    gc.collect()
    for step in range(calls):
        begin = now()
        call(step)
        add(now() - begin)
    return found


def bare_append(folder: Path, calls: int) -> tuple[float, float]:
    """One `os.write` of as many bytes as a record of two metrics takes."""
    descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    frame = b"x" * 48
    try:
        return timed(calls, lambda _step: os.write(descriptor, frame))
    finally:
        os.close(descriptor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-calls", type=int, default=500)
    options = parser.parse_args()
    calls = options.calls
    peer, second = peer_python("mlflow", "mlflow==3.17.2"), peer_python("trackio", TRACKIO_VERSION)
    high: dict[str, list[float]] = {}
    ordinary: list[float] = []
    equal = True
    with workplace() as folder, open_workspace(folder, create=True) as workspace, use(workspace):

        def keep(name: str, pair: tuple[float, float]) -> float:
            high.setdefault(name, []).append(pair[1])
            return pair[0]

        def by_run() -> float:
            nonlocal equal
            run = start(workspace.store)
            pair = timed(calls, lambda step: run.log({"loss": 1 / (step + 1), "auc": 0.7}, step=step))
            run.end()
            curve = metric_history(workspace.store, run.id, "loss")
            equal = equal and curve.values.tolist() == [1 / (step + 1) for step in range(calls)]
            return keep("charkh", pair)

        def by_sdk() -> float:
            with charkh.run():
                return keep("sdk", timed(calls, lambda step: charkh.log(loss=1 / (step + 1), auc=0.7)))

        def by_mlflow() -> float:
            command = [str(peer), "-c", MLFLOW, str(folder), str(options.peer_calls)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
            middle, late, *asynchronous = map(float, done.stdout.split()[-4:])
            ordinary.append(middle)
            keep("mlflow ordinary", (middle, late))
            return keep("mlflow", (asynchronous[0], asynchronous[1]))

        def by_trackio() -> float:
            place = folder / f"trackio-{time.time_ns()}"
            place.mkdir()
            command = [str(second), "-c", TRACKIO, str(place), str(options.peer_calls * 10)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=place)
            middle, late = map(float, done.stdout.rpartition("@@ ")[2].split())
            return keep("trackio", (middle, late))

        contenders = {
            "limit": lambda: keep("limit", bare_append(folder, calls)),
            "charkh": by_run,
            "sdk": by_sdk,
            **({"mlflow": by_mlflow} if peer else {}),
            **({"trackio": by_trackio} if second else {}),
        }
        readings = in_turn(options.rounds, contenders)
    mine, limit = median(readings["charkh"]), median(readings["limit"])
    late = median(high["charkh"])
    report(
        "log_call",
        charkh=round(mine, 3),
        peer=round(median(readings["mlflow"]), 1) if peer else None,
        limit=round(limit, 3),
        unit="µs per call of two metrics, median",
        aim="at most 2 µs over a bare append, 99th percentile under 15 µs",
        holds=equal and mine - limit <= 2 and late < 15,
        over_limit=round(mine - limit, 3),
        p99={name: round(median(values), 3) for name, values in high.items()},
        charkh_log=round(median(readings["sdk"]), 3),
        read_back_equal=equal,
        mlflow_ordinary=round(median(ordinary), 1) if ordinary else None,
        trackio=round(median(readings["trackio"]), 1) if second else None,
        trackio_version=version_of(second, "trackio"),
        peer_version=version_of(peer, "mlflow"),
        python=sys.version.split()[0],
    )


if __name__ == "__main__":
    main()
