"""What a step of a pipeline costs that does nothing: executed and recorded, and reused from the cache.

    pipeline_overhead.py [STEPS] [ROUNDS]          a chain of 100 steps, 5 rounds

Each step takes the number of the step before and gives the next one. charkh looks its output up, executes it, stores
the output, records what it was made of and explains why it was executed; the run, its outputs and its events are
durable at the end. The peer is Dagster's `execute_in_process` with nothing kept, its fastest way; with its SQLite
instance, which keeps events as charkh does, it is shown too. The limit is the function call with a line of JSON
appended and synced for each step. Every contender is a fresh process that times the run alone, without imports.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from harness import in_turn, median, peer_python, report, version_of, workplace

DEFAULTS = (100, 5)
AIM_EXECUTED_MS, AIM_REUSED_MS = 5.0, 2.0
CHARKH = """
import json, sys, time
from pathlib import Path
import charkh
from charkh.pipelines.run import run_pipeline
from charkh.workspace.workspace import open_workspace

STEPS, SEED = int(sys.argv[1]), int(sys.argv[2])

@charkh.step
def next_number(number: int) -> int:
    return number + 1

@charkh.pipeline
def chain() -> int:
    number = SEED
    for _ in range(STEPS):
        number = next_number(number)
    return number

with open_workspace(Path.cwd(), create=True) as workspace:
    begin = time.perf_counter()
    result = run_pipeline(workspace.store, chain, folder=Path.cwd())
    took = time.perf_counter() - begin
print(json.dumps({"took": took, "value": result.value, "outcomes": [step.outcome for step in result.steps]}))
"""
DAGSTER = """
import json, sys, time
from dagster import DagsterInstance, job, op

STEPS, SEED, kept = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "kept"

@op
def first() -> int:
    return SEED

@op
def next_number(number: int) -> int:
    return number + 1

@job
def chain():
    number = first()
    for step in range(STEPS):
        number = next_number.alias(f"next_{step}")(number)

instance = DagsterInstance.get() if kept else None
begin = time.perf_counter()
result = chain.execute_in_process(instance=instance)
took = time.perf_counter() - begin
value = result.output_for_node(f"next_{STEPS - 1}")
print(json.dumps({"took": took, "value": value}))
"""


class Contest:
    """A chain of steps, run by each contender; readings are milliseconds a step."""

    def __init__(self, folder: Path, steps: int, dagster: Path | None) -> None:
        self.equal = True
        self.dagster = dagster
        self._folder = folder
        self._steps = steps
        self._seed = int.from_bytes(os.urandom(3))
        (folder / "chain.py").write_text(CHARKH)
        (folder / "dagster_chain.py").write_text(DAGSTER)
        (folder / "dagster").mkdir()

    def charkh(self) -> float:
        """A new chain: every step is executed."""
        self._seed += 1_000_000
        return self._charkh("executed")

    def again(self) -> float:
        """The chain of the last call: every step is reused."""
        return self._charkh("reused")

    def limit(self) -> float:
        """Calls of the function, each with a line on the disk."""
        number = self._seed
        with (self._folder / "lines.jsonl").open("wb", buffering=0) as lines:
            begin = time.perf_counter()
            for step in range(self._steps):
                number += 1
                lines.write(json.dumps({"step": step, "output": number}).encode() + b"\n")
                os.fsync(lines.fileno())
            return (time.perf_counter() - begin) / self._steps * 1000

    def by_dagster(self, how: str) -> float:
        """Dagster's chain; `kept` in its SQLite instance, `forgotten` without any."""
        assert self.dagster is not None
        told = self._run([self.dagster, "dagster_chain.py", self._steps, self._seed, how])
        return told["took"] / self._steps * 1000

    def _charkh(self, outcome: str) -> float:
        told = self._run([sys.executable, "chain.py", self._steps, self._seed])
        self.equal = self.equal and told["outcomes"] == [outcome] * self._steps
        return told["took"] / self._steps * 1000

    def _run(self, command: list[object]) -> dict:
        environment = {**os.environ, "DAGSTER_HOME": str(self._folder / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "1"}
        words = [str(word) for word in command]
        done = subprocess.run(
            words, cwd=self._folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        told = json.loads(done.stdout.splitlines()[-1])
        self.equal = self.equal and told["value"] == self._seed + self._steps
        return told


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    steps, rounds = [*given, *DEFAULTS[len(given) :]]
    dagster = peer_python("dagster", "dagster")
    with workplace() as folder:
        contest = Contest(folder, steps, dagster)
        contenders = {"limit": contest.limit, "charkh": contest.charkh, "charkh again": contest.again}
        if dagster:
            contenders["dagster"] = lambda: contest.by_dagster("forgotten")
            contenders["dagster kept"] = lambda: contest.by_dagster("kept")
        readings = {name: round(median(values), 3) for name, values in in_turn(rounds, contenders).items()}
    report(
        "pipeline_overhead",
        charkh=readings["charkh"],
        peer=readings.get("dagster"),
        limit=readings["limit"],
        unit="ms a step",
        aim=f"an executed step costs at most {AIM_EXECUTED_MS:g} ms over its own work, a reused one {AIM_REUSED_MS:g}",
        holds=contest.equal and readings["charkh"] <= AIM_EXECUTED_MS and readings["charkh again"] <= AIM_REUSED_MS,
        steps=steps,
        readings=readings,
        outputs_equal=contest.equal,
        peer_version=version_of(dagster, "dagster"),
    )


if __name__ == "__main__":
    main()
