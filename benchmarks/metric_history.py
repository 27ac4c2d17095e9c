"""The history of one metric of 100,000 points, read back from a run that has ended.

The limit is the same columns in a NumPy file. MLflow reads with `get_metric_history`, from SQLite without a server;
its points are laid into its table directly, because logging them takes it long. Every point is compared before `holds`.

    python benchmarks/metric_history.py [--points 100000] [--rounds 5]
"""

import argparse
import subprocess

import numpy as np
from harness import clock, in_turn, median, peer_python, report, version_of, workplace

from charkh.runs.history import metric_history
from charkh.runs.start import start
from charkh.workspace.workspace import open_workspace

MLFLOW_VERSION = "mlflow==3.17.2"
MLFLOW = """
import random, sqlite3, sys, time
import mlflow
from mlflow.tracking import MlflowClient
folder, points, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
chosen = random.Random(1)
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.0, step=0)
database = sqlite3.connect(f"{folder}/mlflow.db")
columns = [row[1] for row in database.execute("pragma table_info(metrics)")]
(model,) = database.execute("select * from metrics").fetchall()
rows = []
for step in range(1, points):
    row = list(model)
    row[columns.index("step")] = step
    row[columns.index("value")] = chosen.random()
    row[columns.index("timestamp")] += step
    rows.append(row)
database.executemany(f"insert into metrics values ({','.join('?' * len(columns))})", rows)
database.commit()
times = []
for _ in range(rounds):
    begin = time.perf_counter()
    found = MlflowClient().get_metric_history(run.info.run_id, "loss")
    times.append(time.perf_counter() - begin)
said = [(row[columns.index("step")], row[columns.index("value")]) for row in rows]
assert sorted((each.step, each.value) for each in found)[1:] == said
print(sorted(times)[rounds // 2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    peer = peer_python("mlflow", MLFLOW_VERSION)
    values = np.cumsum(np.random.default_rng().normal(0, 1, options.points))
    with workplace() as folder, open_workspace(folder / "workspace", create=True) as workspace:
        with start(workspace.store) as run:
            for step, value in enumerate(values.tolist()):
                run.log({"loss": value, "other": value / 2}, step=step)
        found = metric_history(workspace.store, run.id, "loss")
        equal = np.array_equal(found.values, values) and np.array_equal(found.steps, np.arange(options.points))
        bare = folder / "bare.npy"
        np.save(bare, np.stack([found.steps.astype(float), found.times, found.values]))
        readings = in_turn(
            options.rounds,
            {
                "charkh": lambda: clock(lambda: metric_history(workspace.store, run.id, "loss")) * 1000,
                "charkh_points": lambda: clock(metric_history(workspace.store, run.id, "loss").points) * 1000,
                "limit": lambda: clock(lambda: np.load(bare)) * 1000,
            },
        )
        mlflow = None
        if peer:
            command = [str(peer), "-c", MLFLOW, str(folder), str(options.points), str(options.rounds)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            mlflow = float(done.stdout.split()[-1]) * 1000
    mine = median(readings["charkh"])
    report(
        "metric_history",
        charkh=round(mine, 2),
        peer=round(mlflow, 1) if mlflow else None,
        limit=round(median(readings["limit"]), 3),
        unit=f"ms to read back {options.points:,} points of one metric as columns",
        aim="100 times faster than MLflow",
        holds=bool(equal) and (mlflow is None or mlflow >= 100 * mine),
        one_object_a_point_ms=round(median(readings["charkh_points"]), 1),
        peer_version=version_of(peer, "mlflow"),
        found_equal=bool(equal),
    )


if __name__ == "__main__":
    main()
