"""Start-up: how long a script waits before its first line, and before its first recorded run.

The limit is a bare interpreter; the peer is `import mlflow`, and its first run into a SQLite file that is there
already. charkh loads its rooms when they are used, so the time to a first recorded run says more than that of the
import. Each reading is a fresh process, files in the page cache.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import clock, in_turn, median, peer_python, report, version_of, workplace

ROUNDS = 7
AIM_MLFLOW, AIM_BARE = 30, 10
AIM_RUN_SECONDS = 0.5
FIRST_RUN = """
import charkh
with charkh.run("first"):
    charkh.log(loss=0.5, step=1)
"""
MLFLOW_RUN = """
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run():
    mlflow.log_metric("loss", 0.5, step=1)
"""
READ_BACK = """
import charkh, json
from charkh.runs.history import metric_history
from charkh.runs.search import search
store = charkh.open_workspace().store
print(json.dumps([float(value) for run in search(store) for value in metric_history(store, run.id, "loss").values]))
"""


def seconds(python: str | Path, code: str, folder: Path) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHARKH_", "PYTHON"))}

    def start() -> None:
        subprocess.run([python, "-c", code], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)

    return clock(start)


def main() -> None:
    mlflow = peer_python("mlflow", "mlflow==3.17.2")
    with workplace() as folder:
        contenders = {
            "python": lambda: seconds(sys.executable, "pass", folder),
            "import charkh": lambda: seconds(sys.executable, "import charkh", folder),
            "first run": lambda: seconds(sys.executable, FIRST_RUN, folder),
        }
        if mlflow is not None:
            contenders["import mlflow"] = lambda: seconds(mlflow, "import mlflow", folder)
            contenders["mlflow run"] = lambda: seconds(mlflow, MLFLOW_RUN, folder)
        for contender in contenders.values():
            contender()
        readings = {name: median(values) for name, values in in_turn(ROUNDS, contenders).items()}
        written = subprocess.run(
            [sys.executable, "-c", READ_BACK], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
    losses = json.loads(written.splitlines()[-1])
    added = readings["import charkh"] - readings["python"]
    report(
        "import_time",
        charkh=readings["import charkh"],
        peer=readings.get("import mlflow"),
        limit=readings["python"],
        aim=f"import charkh takes a {AIM_MLFLOW}th of MLflow's and under {AIM_BARE} bare starts, and a script with one "
        f"recorded run takes at most {AIM_RUN_SECONDS * 1000:.0f} ms",
        holds=readings["import charkh"] < AIM_BARE * readings["python"]
        and ("import mlflow" not in readings or readings["import mlflow"] >= AIM_MLFLOW * readings["import charkh"])
        and readings["first run"] <= AIM_RUN_SECONDS
        and losses == [0.5] * (ROUNDS + 1),
        unit="s",
        added=added,
        first_recorded_run=readings["first run"],
        peer_first_recorded_run=readings.get("mlflow run"),
        peer_version=version_of(mlflow, "mlflow"),
    )


if __name__ == "__main__":
    main()
