"""What logging a logistic regression costs: signature, example and pinned requirements on both sides.

Each call logs a model of its own into a run: saved, its files judged, signed, and kept; charkh's bytes are durable when
it returns. Readings with registering it under a name as well are shown too. The peer is MLflow with its direct SQLite
store and its fast setting: requirements are given, so that none are inferred, and no server is asked. The limit is the
model's own bytes, pickled, written to one file and synced.

Promise: at least 20 times faster than MLflow; what is registered and loaded again predicts what the estimator did.

    python benchmarks/log_model.py [--models 100] [--rounds 5] [--peer-models 10]
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import polars as pl
from harness import in_turn, median, peer_python, report, version_of, workplace
from sklearn.linear_model import LogisticRegression

import charkh
from charkh.models.candidate_log import register_logged
from charkh.workspace.ambient import use
from charkh.workspace.training import log_model
from charkh.workspace.workspace import open_workspace

FEATURES = 20
ROWS = 500
PINNED = ("scikit-learn", "numpy")

MLFLOW = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import logging
logging.disable(logging.WARNING)
import mlflow, numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
folder, count, features, rows, seed = sys.argv[1], *map(int, sys.argv[2:6])
pinned = json.loads(sys.argv[6])
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
mlflow.set_experiment("bench")
chooser = np.random.default_rng(seed)
X = chooser.normal(size=(rows, features))
model = LogisticRegression(max_iter=200).fit(X, X[:, 0] + chooser.normal(size=rows) > 0)
def timed(**more):
    times = []
    for place in range(count + 1):
        model.coef_ = model.coef_ + 1e-6
        begin = time.perf_counter()
        signature = infer_signature(X[:5], model.predict(X[:5]))
        mlflow.sklearn.log_model(
            model, name="model", signature=signature, input_example=X[:5], pip_requirements=pinned, **more
        )
        times.append(time.perf_counter() - begin)
    times = sorted(times[1:])
    return times[len(times) // 2] * 1000
with mlflow.start_run():
    logged = timed()
    registered = timed(registered_model_name="delay")
same = (mlflow.sklearn.load_model(f"models:/delay/{count + 1}").predict(X) == model.predict(X)).all()
print("@@", logged, registered, bool(same))
"""


def trained(seed: int) -> tuple[LogisticRegression, pl.DataFrame]:
    """A fitted model, and the rows that it was fitted to."""
    chooser = np.random.default_rng(seed)
    features = chooser.normal(size=(ROWS, FEATURES))
    model = LogisticRegression(max_iter=200).fit(features, features[:, 0] + chooser.normal(size=ROWS) > 0)
    return model, pl.DataFrame(features, schema=[f"f{place}" for place in range(FEATURES)])


def middle(times: list[float]) -> float:
    """The median in milliseconds, without the first: it loads what the others use."""
    return sorted(times[1:])[(len(times) - 1) // 2] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-models", type=int, default=10)
    options = parser.parse_args()
    peer = peer_python("mlflow", "mlflow==3.17.2")
    pinned = [f"{name}=={version(name)}" for name in PINNED]
    same, seeds = True, iter(range(10_000))
    registered: dict[str, list[float]] = {"charkh": [], "mlflow": []}
    with workplace() as folder, open_workspace(folder, create=True) as workspace, use(workspace):

        def by_charkh() -> float:
            nonlocal same
            model, rows = trained(next(seeds))
            times: list[float] = []
            more: list[float] = []
            with charkh.run():
                for _ in range(options.models + 1):
                    model.coef_ = model.coef_ + 1e-6
                    begin = time.perf_counter()
                    logged = log_model("model", charkh.model(model, example=rows[:5]))
                    times.append(time.perf_counter() - begin)
                    version = register_logged(workspace.store, "delay", logged)
                    more.append(time.perf_counter() - begin)
            registered["charkh"].append(middle(more))
            kept = version.made
            loaded = charkh.load(version.ref).predict(rows)["predict"]
            same = same and bool((loaded == model.predict(rows.to_numpy())).all())
            same = same and kept.example is not None and "scikit-learn" in kept.libraries
            same = same and len(kept.signature.inputs) == FEATURES
            return middle(times)

        def by_disk() -> float:
            model, _ = trained(next(seeds))
            times: list[float] = []
            for place in range(options.models + 1):
                begin = time.perf_counter()
                with (folder / f"bare-{place}").open("wb") as file:
                    file.write(pickle.dumps(model))
                    file.flush()
                    os.fsync(file.fileno())
                times.append(time.perf_counter() - begin)
            return middle(times)

        def by_mlflow() -> float:
            nonlocal same
            sizes = [str(each) for each in (options.peer_models, FEATURES, ROWS, next(seeds))]
            place = folder / f"mlflow-{sizes[-1]}"
            place.mkdir()
            command = [str(peer), "-c", MLFLOW, str(place), *sizes, json.dumps(pinned)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=place)
            reading, more, equal = done.stdout.rpartition("@@ ")[2].split()
            registered["mlflow"].append(float(more))
            same = same and equal == "True"
            return float(reading)

        contenders = {"limit": by_disk, "charkh": by_charkh, **({"mlflow": by_mlflow} if peer else {})}
        readings = in_turn(options.rounds, contenders)
    mine = median(readings["charkh"])
    theirs = median(readings["mlflow"]) if peer else None
    report(
        "log_model",
        charkh=round(mine, 3),
        peer=None if theirs is None else round(theirs, 1),
        limit=round(median(readings["limit"]), 3),
        unit="ms per model logged, median",
        aim="at least 20 times faster than MLflow",
        holds=same and (theirs is None or theirs >= 20 * mine),
        loaded_again_equal=same,
        registered_too={name: round(median(values), 1) for name, values in registered.items() if values},
        models=options.models,
        peer_version=version_of(peer, "mlflow"),
        python=sys.version.split()[0],
    )


if __name__ == "__main__":
    main()
