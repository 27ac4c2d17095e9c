"""A user writes a pipeline, plans it, runs it, breaks it, resumes it, and asks why each step was executed."""

import json
import os
import subprocess
import sys
from typing import Any

FLOWS = """
from pathlib import Path

import polars as pl

import charkh
from helping import scaled


class Train(charkh.Params):
    rate: float = charkh.search(0.5, low=0.0, high=1.0)


class Params(charkh.Params):
    months: int = 3
    train: Train = Train()


@charkh.step
def prepare(raw: charkh.Table, months: int) -> charkh.Table:
    factor = int(Path("factor.txt").read_text())
    return raw.having(raw.frame.head(months).with_columns(x=scaled(pl.col("x"), factor)))


@charkh.step
def train(data: charkh.Table, p: Train) -> float:
    score = float(data.frame["x"].sum()) * p.rate
    charkh.log(score=score)
    return score


@charkh.pipeline
def flow(p: Params = Params()) -> float:
    \"\"\"From numbers to a score.\"\"\"
    data = prepare(charkh.dataset("numbers"), p.months)
    return train(data, p.train)


@charkh.pipeline
def empty() -> None:
    pass
"""
HELPING = "def scaled(column, factor):\n    return column * factor\n"


def begin(charkh: Any) -> None:
    toml = charkh.folder / "charkh.toml"
    before = toml.read_text() if toml.exists() else ""
    charkh.write("charkh.toml", 'pipelines = "flows.py"\n' + before)
    charkh.write("flows.py", FLOWS)
    charkh.write("helping.py", HELPING)
    charkh.write("factor.txt", "2")
    charkh.write("numbers.csv", "x\n1\n2\n3\n4\n")
    charkh("dataset", "add", "numbers", "numbers.csv")


def edit(charkh: Any, name: str, old: str, new: str) -> None:
    text = (charkh.folder / name).read_text()
    assert old in text
    charkh.write(name, text.replace(old, new))
    # A file of the same size, changed in the same second, would pass for the compiled one.
    for compiled in (charkh.folder / "__pycache__").glob(f"{name.removesuffix('.py')}.*"):
        compiled.unlink()


def outcomes(charkh: Any, *arguments: str) -> dict[str, tuple[str, list[str]]]:
    done = charkh.json("pipeline", "run", "flow", *arguments)
    return {step["name"].partition(":")[2]: (step["outcome"], step["reasons"]) for step in done["steps"]}


def test_a_pipeline_from_plan_to_resume(charkh: Any) -> None:
    begin(charkh)
    (empty, flow) = charkh.json("pipeline", "list")
    assert (empty["name"], empty["params"]) == ("empty", {})
    assert (flow["params"], flow["searched"]) == ({"months": 3, "train.rate": 0.5}, ["train.rate"])
    assert "never run" in charkh("pipeline", "list")

    planned = charkh.json("pipeline", "plan", "flow")
    assert [step["verdict"] for step in planned["steps"]] == ["execute", "unknown"]
    assert planned["steps"][1]["reasons"] == ["depends on prepare"]
    assert charkh.json("pipeline", "history") == []

    first = charkh("pipeline", "run", "flow")
    assert "2 executed, 0 reused" in first
    assert first.splitlines()[-1] == "6.0"
    changed = outcomes(charkh, "-p", "train.rate=0.25")
    assert changed["prepare"][0] == "reused"
    assert changed["train"] == ("executed", ["param p.rate 0.5 -> 0.25"])
    edit(charkh, "helping.py", "column * factor", "column * factor + 1")
    assert outcomes(charkh)["prepare"] == ("executed", ["code of scaled changed"])
    charkh.write("factor.txt", "3")
    assert outcomes(charkh)["prepare"] == ("executed", ["file factor.txt changed"])
    charkh.write("numbers.csv", "x\n5\n6\n")
    charkh("dataset", "add", "numbers", "numbers.csv")
    assert outcomes(charkh)["prepare"] == ("executed", ["input raw changed"])

    edit(charkh, "flows.py", "    charkh.log", "    raise OSError('no disk')\n    charkh.log")
    broken = charkh.run("pipeline", "run", "flow", "-p", "months=1")
    assert broken.returncode == 3
    assert 'flows.py", line' in broken.stderr
    assert "OSError: no disk" in broken.stderr
    assert "reused" in broken.stderr
    assert "charkh/pipelines" not in broken.stderr
    latest = charkh.json("pipeline", "show", "flow")
    assert latest["execution"]["status"] == "failed"
    assert [failure["error"] for failure in latest["failures"]] == ["OSError: no disk"]
    edit(charkh, "flows.py", "    raise OSError('no disk')\n", "")
    resumed = outcomes(charkh, "-p", "months=1")
    assert [outcome for outcome, _ in resumed.values()] == ["reused", "executed"]

    history = charkh.json("pipeline", "history", "flow")
    assert [each["status"] for each in history[:2]] == ["finished", "failed"]
    run = charkh.json("run", "show", history[0]["run"])
    assert "score" in json.dumps(run)
    assert "prepare" in charkh("pipeline", "show", history[0]["run"])
    assert len(charkh.json("pipeline", "forget", "0s", "--dry-run")) == 11
    assert "forgot" in charkh("pipeline", "forget", "0s")
    assert outcomes(charkh)["train"][0] == "executed"


def test_two_processes_at_once_give_the_same(charkh: Any) -> None:
    begin(charkh)
    command = [sys.executable, "-m", "charkh", "pipeline", "run", "flow", "--json"]
    running = [
        subprocess.Popen(
            command, cwd=charkh.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
        )
        for _ in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert {outcome for outcome, _ in outcomes(charkh).values()} == {"reused"}
    assert len(charkh.json("pipeline", "history")) == 3


def test_mistakes_are_told_plainly(charkh: Any) -> None:
    assert "pipelines =" in charkh.fails(13, "pipeline", "list")
    begin(charkh)
    assert "Known: empty, flow" in charkh.fails(13, "pipeline", "run", "flwo")
    assert "train.rate" in charkh.fails(2, "pipeline", "run", "flow", "-p", "train.rat=3")
    assert "cannot be 'x'" in charkh.fails(2, "pipeline", "run", "flow", "-p", "months=x")
    charkh.fails(2, "pipeline", "run", "empty", "-p", "months=3")
    for verb in ("plan", "run"):
        said = charkh.run("pipeline", verb, "flow", "--force", "prepaer", "--force", "train").stderr
        assert "--force prepaer: the pipeline called no such step; it called prepare, train" in said
        assert "--force train:" not in said
    charkh.write("flows.py", "import charkh\n1 / 0\n")
    broken = charkh.run("pipeline", "list")
    assert broken.returncode == 3
    assert "ZeroDivisionError" in broken.stderr


SEARCH = """
import charkh
from charkh.studies.tune import tune

class Space(charkh.Params):
    x: float = charkh.search(1.0, low=-5, high=5)

def bowl(p):
    charkh.log(loss=(p.x - 2) ** 2)

study = tune(
    charkh.open_workspace().store, bowl, Space, name="bowl", metric="loss", direction="minimize", trials={trials}
)
print(study.record.id, len(study.trials))
"""


def test_a_study_is_listed_shown_and_resumed(charkh: Any) -> None:
    identifier, count = charkh.python(SEARCH.format(trials=3)).split()
    assert count == "3"
    assert charkh.python(SEARCH.format(trials=5)).split() == [identifier, "5"]
    (summary,) = charkh.json("study", "list")
    assert (summary["id"], summary["name"], summary["trials"], summary["status"]) == (identifier, "bowl", 5, "finished")
    shown = charkh.json("study", "show", "bowl")
    assert min(trial["value"] for trial in shown["trials"]) == shown["best"]["value"]
    text = charkh("study", "show", f"study:{identifier}", "--top", "2")
    assert "x -5 to 5" in text
    assert text.count("complete") == 2
    assert "study list" in charkh.fails(13, "study", "show", "bwol")
    trial = shown["trials"][-1]["run"]
    assert charkh.json("run", "show", trial)["run"]["started"]["parent"] == summary["run"]
