"""A filtered and ordered query right after many runs, each of which a process of its own recorded.

Runs are recorded as processes do: a journal segment each, sealed by a clean exit, with started, params, sealed and
ended facts. The first query finds the last of them, folding what is not folded yet; the next ones are
what a person waits for. The limit is the same question to a bare SQLite table with an index. MLflow is asked over as
many runs, in SQLite without a server: one is recorded and copied in its tables, because recording all takes it half
an hour. Its question has no param, which it cannot compare as a number.

    python benchmarks/search_runs.py [--runs 100000] [--unfolded 100] [--rounds 5]
"""

import argparse
import random
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from harness import clock, in_turn, median, peer_python, report, version_of, workplace

from charkh.core.clock import Clock
from charkh.core.events import Draft, stamp_draft
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.runs.facts import ended_draft, params_draft, started_draft
from charkh.runs.run import SEALED_KIND, RunSealed, SeriesSummary
from charkh.runs.search import search
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace.workspace import Workspace, open_workspace

QUESTION = "params.rate >= 0.5 and metrics.auc > 0.9 and status = 'finished'"
ORDER = "metrics.auc desc"
PAGE = 100
PARAMS, METRICS = 5, 5
MLFLOW = """
import random, sqlite3, sys, time, uuid
import mlflow
from mlflow.tracking import MlflowClient
folder, runs, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
chosen = random.Random(1)
with mlflow.start_run() as first:
    mlflow.log_params({"rate": chosen.random(), **{f"p{each}": each for each in range(4)}})
    mlflow.log_metrics({"auc": 0.0, **{f"m{each}": chosen.random() for each in range(4)}})
database = sqlite3.connect(f"{folder}/mlflow.db")
values = [chosen.random() for _ in range(runs - 1)]
names = [uuid.uuid4().hex for _ in values]
for table in ("runs", "params", "metrics", "latest_metrics", "tags"):
    columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
    run = columns.index("run_uuid")
    models = database.execute(f"select * from {table} where run_uuid = ?", [first.info.run_id]).fetchall()
    rows = []
    for name, value in zip(names, values):
        for model in models:
            row = list(model)
            row[run] = name
            if "metrics" in table:
                row[columns.index("value")] = value if row[columns.index("key")] == "auc" else chosen.random()
            rows.append(row)
    database.executemany(f"insert into {table} values ({','.join('?' * len(columns))})", rows)
    database.commit()
times = []
for _ in range(rounds):
    begin = time.perf_counter()
    found = MlflowClient().search_runs(
        ["0"], "metrics.auc > 0.9 and attributes.status = 'FINISHED'", order_by=["metrics.auc DESC"], max_results=100)
    times.append(time.perf_counter() - begin)
best = sorted((value for value in values if value > 0.9), reverse=True)[:100]
assert [run.data.metrics["auc"] for run in found] == best
print(sorted(times)[rounds // 2])
"""


class Recorded:
    """What one run said, for the comparison with what is found."""

    def __init__(self, run: str, rate: float, auc: float) -> None:
        self.run = run
        self.rate = rate
        self.auc = auc


def record_run(workspace: Workspace, clock: Clock, chosen: random.Random) -> tuple[Recorded, Sequence[bytes]]:
    """The payloads of one run's facts."""
    store, run = workspace.store, new_id()
    rate, auc = chosen.random(), chosen.random()
    values = {"auc": auc, **{f"m{number}": chosen.random() for number in range(METRICS - 1)}}
    series = tuple(SeriesSummary(key, "", 100, 0, 99, value, value, value, 1.0, 2.0) for key, value in values.items())
    blob = FileRef(f"{chosen.getrandbits(256):064x}", 4000)
    sealed = RunSealed(
        run=run, segment=new_id(), writer="0", attempt=1, blob=blob, records=100, points=500, series=series
    )
    drafts = [
        started_draft(run, f"run {rate:.3f}", "", "", "host", 1),
        params_draft(store, run, {"rate": rate, **{f"p{number}": number for number in range(PARAMS - 1)}}),
        Draft(kind=SEALED_KIND, subject=f"run:{run}", body=sealed, holds=(blob.held,)),
        ended_draft(run, "finished", "", 0),
    ]
    return Recorded(run, rate, auc), [stamp_draft(draft, clock, "ann@laptop").payload for draft in drafts]


def record_many(workspace: Workspace, count: int, chosen: random.Random) -> list[Recorded]:
    """Runs of processes long gone: their segments have been merged into larger ones."""
    found: list[Recorded] = []
    clock = Clock()
    for start in range(0, count, 5000):
        journal = FolderJournal(workspace.store_folder / "journal", workspace.identifier)
        for _ in range(min(5000, count - start)):
            recorded, payloads = record_run(workspace, clock, chosen)
            journal.append(payloads)
            found.append(recorded)
        journal.close()
    return found


def record_apart(workspace: Workspace, count: int, chosen: random.Random) -> list[Recorded]:
    """Runs of processes that have just ended: a sealed segment each."""
    found: list[Recorded] = []
    for _ in range(count):
        journal = FolderJournal(workspace.store_folder / "journal", workspace.identifier)
        recorded, payloads = record_run(workspace, Clock(), chosen)
        journal.append(payloads, durable=True)
        journal.close()
        found.append(recorded)
    return found


def bare_table(folder: Path, runs: Sequence[Recorded]) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "bare.sqlite")
    connection.execute("create table run (id text primary key, rate real, auc real, status text)")
    connection.executemany(
        "insert into run values (?, ?, ?, 'finished')", [(run.run, run.rate, run.auc) for run in runs]
    )
    connection.execute("create index run_auc on run (auc)")
    connection.commit()
    return connection


def expected_ids(runs: Sequence[Recorded]) -> list[str]:
    meeting = [run for run in runs if run.rate >= 0.5 and run.auc > 0.9]
    return [run.run for run in sorted(meeting, key=lambda run: -run.auc)[:PAGE]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--unfolded", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chosen = random.Random(1)
    peer = peer_python("mlflow", "mlflow")
    with workplace() as folder, open_workspace(folder / "workspace", create=True) as workspace:
        runs = record_many(workspace, options.runs - options.unfolded * options.rounds, chosen)
        first = clock(lambda: search(workspace.store, QUESTION, order=ORDER, limit=PAGE))
        right_after: list[float] = []
        equal = True

        def charkh() -> float:
            nonlocal equal
            runs.extend(record_apart(workspace, options.unfolded, chosen))
            begin = time.perf_counter()
            found = search(workspace.store, QUESTION, order=ORDER, limit=PAGE)
            right_after.append(time.perf_counter() - begin)
            equal = equal and [run.id for run in found] == expected_ids(runs)
            return clock(lambda: search(workspace.store, QUESTION, order=ORDER, limit=PAGE)) * 1000

        def limit() -> float:
            (folder / "bare.sqlite").unlink(missing_ok=True)
            connection = bare_table(folder, runs)
            question = (
                "select * from run where rate >= 0.5 and auc > 0.9 and status = 'finished' order by auc desc limit 100"
            )
            took = clock(lambda: connection.execute(question).fetchall())
            connection.close()
            return took * 1000

        readings = in_turn(options.rounds, {"limit": limit, "charkh": charkh})
        mlflow = None
        if peer:
            command = [str(peer), "-c", MLFLOW, str(folder), str(options.runs), str(options.rounds)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            mlflow = float(done.stdout.split()[-1]) * 1000
    mine = median(readings["charkh"])
    report(
        "search_runs",
        charkh=round(mine, 2),
        peer=round(mlflow, 1) if mlflow else None,
        limit=round(median(readings["limit"]), 3),
        unit=f"ms for the best {PAGE} of {len(runs):,} runs by a metric, filtered by a param, a metric and the status",
        aim="50 ms once folded; right after new runs, a second",
        holds=equal and mine <= 50 and median(right_after) <= 1,
        right_after_ms=round(median(right_after) * 1000, 1),
        right_after_runs=options.unfolded,
        first_query_folds_all_s=round(first, 2),
        fold_us_per_run=round(first / options.runs * 1e6, 1),
        peer_version=version_of(peer, "mlflow"),
        found_equal=equal,
    )


if __name__ == "__main__":
    main()
