"""A million metric points, 100 metrics of 10,000 steps each, until they are durable and readable, and what they weigh.

The limit is a file of JSON lines with one fsync at the end. MLflow logs a sample in its fastest way, `log_batch` with
the 1,000 points that it takes at once, into SQLite without a server, and the whole is extrapolated from it. Readable
means that one history has been read back and equals what was logged; every value of every metric is compared before
`holds`.

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
from charkh.runs.index import SealedOf
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

Values = npt.NDArray[np.float64]


def losses(metrics: int, steps: int, seed: int) -> Values:
    """Curves that fall and are noisy, in full double precision: one row a step."""
    chosen = np.random.default_rng(seed)
    falling = 1 / (1 + np.arange(steps)[:, None] / chosen.uniform(50, 5000, metrics))
    return falling + chosen.normal(0, 0.01, (steps, metrics))


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
    peer = peer_python("mlflow", "mlflow==3.17.2")
    equal, sizes = True, list[float]()
    with workplace() as folder, open_workspace(folder / "workspace", create=True) as workspace:
        seeds = iter(range(10_000))

        def charkh() -> float:
            nonlocal equal
            values = losses(metrics, steps, next(seeds))
            took, run = by_charkh(workspace, names, values.tolist())
            for number, name in enumerate(names):
                curve = metric_history(workspace.store, run, name)
                equal = equal and np.array_equal(curve.values, values[:, number])
                equal = equal and np.array_equal(curve.steps, np.arange(steps))
            sizes.append(sum(each.blob.size for each in workspace.store.queries.ask(SealedOf(run=run))) / points)
            return took

        def json_lines() -> float:
            return by_json_lines(folder, names, losses(metrics, steps, next(seeds)).tolist())

        def mlflow() -> float:
            arguments = [str(folder), str(metrics), str(options.peer_steps), str(next(seeds))]
            done = subprocess.run([str(peer), "-c", MLFLOW, *arguments], capture_output=True, text=True, check=True)
            return float(done.stdout.split()[-1]) * steps / options.peer_steps

        contenders = {"limit": json_lines, "charkh": charkh, **({"mlflow": mlflow} if peer else {})}
        readings = in_turn(options.rounds, contenders)
    mine = median(readings["charkh"])
    report(
        "metric_points",
        charkh=round(mine, 3),
        peer=round(median(readings["mlflow"]), 2) if peer else None,
        limit=round(median(readings["limit"]), 3),
        unit=f"s for {points:,} points until durable and readable",
        aim="a million points in at most 1 s",
        holds=equal and mine <= points / 1e6,
        points_per_second=round(points / mine),
        bytes_per_point=round(median(sizes), 2),
        peer_version=version_of(peer, "mlflow"),
        peer_sample=f"{options.peer_steps} of {steps} steps, extrapolated",
        read_back_equal=equal,
    )


if __name__ == "__main__":
    main()
