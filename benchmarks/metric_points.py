"""A million metric points, 100 metrics of 10,000 steps each, until they are durable and readable, and what they weigh.

Each metric is a random walk in double precision, each call has the time at which it was made. The limit is a file of
JSON lines with one fsync at the end. MLflow logs a sample in its fastest way, `log_batch` with the 1,000 points that it
takes at once, into SQLite without a server, and the whole is extrapolated from it; trackio logs all of it. Readable
means that one history has been read back and equals what was logged; every value of every metric is compared before
`holds`. What a point weighs is all that the store has grown by, journal and catalog included, once the run is sealed.

Promise: 120 times MLflow's fastest way, 3 times trackio's, within twice the JSON lines; at most 6 bytes a point.

    python benchmarks/metric_points.py [--metrics 100] [--steps 10000] [--rounds 5] [--peer-steps 100]
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import in_turn, median, peer_python, report, version_of, workplace

from charkh.runs.history import metric_history
from charkh.runs.start import start
from charkh.workspace.workspace import Workspace, open_workspace

MLFLOW = """
import random, sys, time
import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
folder, metrics, steps, seed = sys.argv[1], *map(int, sys.argv[2:5])
chosen = random.Random(seed)
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
with mlflow.start_run() as run:
    mlflow.log_metrics({"warm": 0.5}, step=0)
    client = MlflowClient()
    begin = time.perf_counter()
    waiting = []
    for step in range(steps):
        now = int(time.time() * 1000)
        waiting += [Metric(f"metric/{number:03d}", chosen.random(), now, step) for number in range(metrics)]
        while len(waiting) >= 1000 or (waiting and step == steps - 1):
            client.log_batch(run.info.run_id, metrics=waiting[:1000])
            waiting = waiting[1000:]
assert len(client.get_metric_history(run.info.run_id, "metric/000")) == steps
print(time.perf_counter() - begin)
"""
TRACKIO_VERSION = "trackio==0.43.0"
TRACKIO = """
import os, random, sys, time
folder, metrics, steps, seed = sys.argv[1], *map(int, sys.argv[2:5])
os.environ["TRACKIO_DIR"] = folder
import trackio
from trackio.sqlite_storage import SQLiteStorage
chosen = random.Random(seed)
names = [f"metric/{number:03d}" for number in range(metrics)]
rows = [{name: chosen.random() for name in names} for _ in range(steps)]
run = trackio.init(project="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)
begin = time.perf_counter()
for step, row in enumerate(rows):
    trackio.log(row, step=step)
trackio.finish()
logs = SQLiteStorage.get_logs("bench", run.name)
took = time.perf_counter() - begin
assert [each["metric/000"] for each in logs] == [row["metric/000"] for row in rows]
print("@@", took)
"""
MLFLOW_RATIO, TRACKIO_RATIO, LIMIT_RATIO, AIM_BYTES = 120, 3, 2, 6

Values = npt.NDArray[np.float64]


def walks(metrics: int, steps: int, seed: int) -> Values:
    """Random walks in full double precision: one row a step."""
    return np.random.default_rng(seed).standard_normal((steps, metrics)).cumsum(axis=0)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def by_charkh(workspace: Workspace, names: list[str], rows: list[list[float]]) -> tuple[float, str]:
    begin = time.perf_counter()
    run = start(workspace.store)
    for step, row in enumerate(rows):
        run.log(dict(zip(names, row, strict=True)), step=step)
    run.end()
    history = metric_history(workspace.store, run.id, names[0])
    took = time.perf_counter() - begin
    assert len(history) == len(rows)
    return took, run.id


def by_json_lines(folder: Path, names: list[str], rows: list[list[float]]) -> float:
    path = folder / f"points-{time.time_ns()}.jsonl"
    begin = time.perf_counter()
    with path.open("w") as file:
        for step, row in enumerate(rows):
            file.write(json.dumps({"step": step, "time": time.time(), **dict(zip(names, row, strict=True))}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-steps", type=int, default=100)
    options = parser.parse_args()
    metrics, steps = options.metrics, options.steps
    points = metrics * steps
    names = [f"metric/{number:03d}" for number in range(metrics)]
    peer, second = peer_python("mlflow", "mlflow==3.17.2"), peer_python("trackio", TRACKIO_VERSION)
    equal, sizes = True, list[float]()
    with workplace() as folder, open_workspace(folder / "workspace", create=True) as workspace:
        seeds = iter(range(10_000))
        # Empty tables weigh the same for any number of points.
        workspace.catalog.catch_up()

        def charkh() -> float:
            nonlocal equal
            values, before = walks(metrics, steps, next(seeds)), size_of(workspace.store_folder)
            took, run = by_charkh(workspace, names, values.tolist())
            for number, name in enumerate(names):
                curve = metric_history(workspace.store, run, name)
                equal = equal and np.array_equal(curve.values, values[:, number])
                equal = equal and curve.steps.tolist() == list(range(steps))
            sizes.append((size_of(workspace.store_folder) - before) / points)
            return took

        def json_lines() -> float:
            return by_json_lines(folder, names, walks(metrics, steps, next(seeds)).tolist())

        def mlflow() -> float:
            arguments = [str(folder), str(metrics), str(options.peer_steps), str(next(seeds))]
            done = subprocess.run([str(peer), "-c", MLFLOW, *arguments], capture_output=True, text=True, check=True)
            return float(done.stdout.split()[-1]) * steps / options.peer_steps

        def trackio() -> float:
            place = folder / f"trackio-{time.time_ns()}"
            place.mkdir()
            arguments = [str(place), str(metrics), str(steps), str(next(seeds))]
            done = subprocess.run([str(second), "-c", TRACKIO, *arguments], capture_output=True, text=True, check=True)
            return float(done.stdout.rpartition("@@ ")[2])

        contenders = {"limit": json_lines, "charkh": charkh}
        contenders |= {"mlflow": mlflow} if peer else {}
        contenders |= {"trackio": trackio} if second else {}
        readings = in_turn(options.rounds, contenders)
    mine, limit, weight = median(readings["charkh"]), median(readings["limit"]), median(sizes)
    theirs = median(readings["mlflow"]) if peer else None
    trackio_s = median(readings["trackio"]) if second else None
    fast = (theirs is None or theirs >= MLFLOW_RATIO * mine) and (
        trackio_s is None or trackio_s >= TRACKIO_RATIO * mine
    )
    report(
        "metric_points",
        charkh=round(mine, 3),
        peer=None if theirs is None else round(theirs, 2),
        limit=round(limit, 3),
        unit=f"s for {points:,} points until durable and readable",
        aim=f"{MLFLOW_RATIO} times MLflow, {TRACKIO_RATIO} times trackio, within {LIMIT_RATIO} times JSON lines; "
        f"at most {AIM_BYTES} bytes a point",
        holds=equal and fast and mine <= LIMIT_RATIO * limit and weight <= AIM_BYTES,
        points_per_second=round(points / mine),
        bytes_per_point=round(weight, 2),
        trackio=None if trackio_s is None else round(trackio_s, 2),
        trackio_version=version_of(second, "trackio"),
        peer_version=version_of(peer, "mlflow"),
        peer_sample=f"{options.peer_steps} of {steps} steps, extrapolated",
        read_back_equal=equal,
    )


if __name__ == "__main__":
    main()
