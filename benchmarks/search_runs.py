"""A filtered and ordered query over many runs of 10 params and 10 metrics, each recorded by a process of its own.

Runs are recorded as processes do: a journal segment each, sealed by a clean exit, with started, params, sealed and
ended facts. The first query finds the last of them, folding what is not folded yet; the next ones are what a person
waits for. The limit is the same question to bare SQLite tables of runs, params and metrics with the indices that it
needs, the params and metrics of the runs that are found included, as every answer has them. MLflow is asked over as
many runs, in SQLite without a server: one is recorded and copied in its tables, because recording all takes it long.
Its question has no param, which it cannot compare as a number.

    python benchmarks/search_runs.py [--runs 5000] [--many 100000] [--unfolded 100] [--rounds 5]
"""

import argparse
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

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
MLFLOW_VERSION = "mlflow==3.17.2"
PARAMS, METRICS = 10, 10
MLFLOW = """
import random, sqlite3, sys, time, uuid
import mlflow
from mlflow.tracking import MlflowClient
folder, runs, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
chosen = random.Random(1)
with mlflow.start_run() as first:
    mlflow.log_params({"rate": chosen.random(), **{f"p{each}": each for each in range(9)}})
    mlflow.log_metrics({"auc": 0.0, **{f"m{each}": chosen.random() for each in range(9)}})
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


BARE = """
select run.id from metric join run on run.id = metric.run join param on param.run = run.id and param.name = 'rate'
where metric.name = 'auc' and metric.value > 0.9 and param.value >= 0.5 and run.status = 'finished'
order by metric.value desc limit 100
"""


def bare_tables(folder: Path, runs: Sequence[Recorded]) -> sqlite3.Connection:
    """The same runs in three tables, and nothing else."""
    path = folder / "bare.sqlite"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    for table in ("param", "metric"):
        connection.execute(
            f"create table {table} (run text, name text, value real, primary key (run, name)) without rowid"
        )
    connection.execute("create table run (id text primary key, status text)")
    connection.executemany("insert into run values (?, 'finished')", [(run.run,) for run in runs])
    for table, count, first in (("param", PARAMS, "rate"), ("metric", METRICS, "auc")):
        more = [(run.run, f"{table[0]}{number}", 0.5) for run in runs for number in range(count - 1)]
        named = [(run.run, first, getattr(run, first)) for run in runs]
        connection.executemany(f"insert into {table} values (?, ?, ?)", more + named)
    connection.execute("create index metric_value on metric (name, value)")
    connection.commit()
    return connection


def by_bare(connection: sqlite3.Connection) -> list[str]:
    """The question, and what the runs that are found have."""
    found = [row[0] for row in connection.execute(BARE)]
    places = ",".join("?" * len(found))
    for table in ("run", "param", "metric"):
        column = "id" if table == "run" else "run"
        connection.execute(f"select * from {table} where {column} in ({places})", found).fetchall()
    return found


def expected_ids(runs: Sequence[Recorded]) -> list[str]:
    meeting = [run for run in runs if run.rate >= 0.5 and run.auc > 0.9]
    return [run.run for run in sorted(meeting, key=lambda run: -run.auc)[:PAGE]]


class Measured(NamedTuple):
    """Milliseconds of one number of runs, and what was seen beside them."""

    charkh: float
    limit: float
    first: float
    right_after: float
    equal: bool


def measure(count: int, unfolded: int, rounds: int) -> Measured:
    """Record so many runs, and ask."""
    chosen = random.Random(count)
    with workplace() as folder, open_workspace(folder / "workspace", create=True) as workspace:
        runs = record_many(workspace, count - unfolded * rounds, chosen)
        first = clock(lambda: search(workspace.store, QUESTION, order=ORDER, limit=PAGE))
        right_after: list[float] = []
        equal = True

        def charkh() -> float:
            nonlocal equal
            runs.extend(record_apart(workspace, unfolded, chosen))
            begin = time.perf_counter()
            found = search(workspace.store, QUESTION, order=ORDER, limit=PAGE)
            right_after.append(time.perf_counter() - begin)
            equal = equal and [run.id for run in found] == expected_ids(runs)
            return best_of(lambda: search(workspace.store, QUESTION, order=ORDER, limit=PAGE))

        def limit() -> float:
            nonlocal equal
            connection = bare_tables(folder, runs)
            equal = equal and by_bare(connection) == expected_ids(runs)
            took = best_of(lambda: by_bare(connection))
            connection.close()
            return took

        readings = in_turn(rounds, {"charkh": charkh, "limit": limit})
    return Measured(median(readings["charkh"]), median(readings["limit"]), first, median(right_after), equal)


def best_of(ask: Callable[[], object]) -> float:
    """Milliseconds of a question whose pages lie in memory: the median of three."""
    return median([clock(ask) for _ in range(3)]) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--unfolded", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    peer = peer_python("mlflow", MLFLOW_VERSION)
    few = measure(options.runs, options.unfolded, options.rounds)
    many = measure(options.many, options.unfolded, options.rounds)
    mlflow = None
    if peer:
        with workplace() as folder:
            command = [str(peer), "-c", MLFLOW, str(folder), str(options.runs), str(options.rounds)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            mlflow = float(done.stdout.split()[-1]) * 1000
    fast = mlflow is None or mlflow >= 100 * few.charkh
    holds = fast and few.charkh <= 10 * few.limit and many.charkh <= 4 * few.charkh
    report(
        "search_runs",
        charkh=round(few.charkh, 2),
        peer=round(mlflow, 1) if mlflow else None,
        limit=round(few.limit, 3),
        unit=f"ms for the best {PAGE} of {options.runs:,} runs, filtered by a param, a metric and the status",
        aim="100 times faster than MLflow, 10 times bare SQLite; 4 times that with twenty times the runs",
        holds=holds and few.equal and many.equal,
        many=options.many,
        many_ms=round(many.charkh, 2),
        many_to_few=round(many.charkh / few.charkh, 2),
        many_limit_ms=round(many.limit, 3),
        right_after_ms=round(many.right_after * 1000, 1),
        right_after_runs=options.unfolded,
        first_query_folds_all_s=round(many.first, 2),
        fold_us_per_run=round(many.first / options.many * 1e6, 1),
        peer_version=version_of(peer, "mlflow"),
        found_equal=few.equal and many.equal,
    )


if __name__ == "__main__":
    main()
