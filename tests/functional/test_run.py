"""A user records runs in scripts, finds them again, looks at them, compares them, and cleans up."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

TRAIN = """
import sys
import charkh

rate, name = float(sys.argv[1]), sys.argv[2]
with charkh.run(name, params={"rate": rate, "opt": {"name": "adam"}}, tags={"stage": "draft"}) as run:
    for step in range(5):
        charkh.log(loss=1.0 / (step + 1) / rate, step=step)
    charkh.log({"auc": rate + 0.5})
    run.add_artifact("notes.txt", b"about " + name.encode())
print(run.id)
"""


def script(charkh: Any, code: str, *arguments: str, **environment: str) -> str:
    path = charkh.folder / "train.py"
    path.write_text(code)
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        cwd=charkh.folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_from_a_script_to_a_comparison(charkh: Any) -> None:
    assert charkh.json("run", "list") == []
    subprocess.run(["git", "init", "-q"], cwd=charkh.folder, check=True)
    first = script(charkh, TRAIN, "0.1", "slow")
    second = script(charkh, TRAIN, "0.2", "fast")
    assert [run["started"]["name"] for run in charkh.json("run", "list")] == ["fast", "slow"]
    found = charkh.json("run", "search", "metrics.auc > 0.65 and params.opt.name = 'adam'")
    assert [run["started"]["run"] for run in found] == [second]
    listed = charkh("run", "search", "--order", "metrics.auc", "--columns", "params.rate,max(metrics.loss)")
    assert [line.split("\t")[-2:] for line in listed.splitlines()] == [
        ["params.rate", "max(metrics.loss)"],
        ["0.1", "10"],
        ["0.2", "5"],
    ]
    error = charkh.fails(2, "run", "search", "metrics.auc >> 1")
    assert error.splitlines()[2].index("^") == 15
    shown = charkh("run", "show", "slow")
    assert "train.py 0.1 slow" in shown
    assert "with uncommitted changes" in shown
    assert "opt.name  adam" in shown
    assert "notes.txt" in shown
    assert "+rate, name = float(sys.argv[1]), sys.argv[2]" in charkh("run", "show", "slow", "--patch")
    bare = {"PATH": str(charkh.folder / "nowhere")}
    charkh.python("import charkh\nwith charkh.run('bare'): charkh.log(loss=1)", **bare)
    assert "No version control system told" in charkh.fails(13, "run", "show", "bare", "--patch")
    charkh("run", "delete", "bare")
    points = charkh.json("run", "log", first, "loss")
    assert [(point["step"], point["value"]) for point in points][:2] == [(0, 10.0), (1, 5.0)]
    assert charkh("run", "log", first, "loss", "--last", "1").splitlines()[-1].startswith("4\t")
    assert {row["metric"]: row["points"] for row in charkh.json("run", "log", first)} == {"auc": 1, "loss": 5}
    charkh.fails(13, "run", "log", first, "nothing")
    compared = charkh.json("run", "compare", "slow", "fast")
    assert [(row["name"], row["values"]) for row in compared["params"]] == [("rate", [0.1, 0.2])]
    assert compared["environment"] == []
    assert "params\trate\t0.1\t0.2" in charkh("run", "compare", "slow", "fast")
    charkh.fails(2, "run", "compare", "slow")
    same = charkh.json("run", "list")[0]["started"]["run"]
    assert same[:18] in charkh("run", "compare", same, same, "--all"), "equal names are told apart"
    assert charkh("run", "artifact", "fast", "notes.txt") == "about fast"
    charkh("run", "artifact", "fast", "notes.txt", "-o", "copy.txt")
    assert (charkh.folder / "copy.txt").read_text() == "about fast"
    assert [each["path"] for each in charkh.json("run", "artifact", "fast")] == ["notes.txt"]
    charkh.fails(13, "run", "artifact", "fast", "gone.txt")
    assert charkh.json("run", "tag", "fast", "stage=", "team=red")["tags"] == {"team": "red"}
    charkh.fails(2, "run", "tag", "fast", "stage")
    charkh("run", "delete", "slow", "--reason", "a trial")
    charkh.fails(13, "run", "show", "slow")
    assert [run["started"]["name"] for run in charkh.json("run", "list")] == ["fast"]


def test_a_script_without_a_run_and_with_a_mistake(charkh: Any) -> None:
    path = charkh.folder / "train.py"
    path.write_text("import charkh\ncharkh.log(loss=0.5)\nraise ValueError('no such luck')\n")
    done = subprocess.run([sys.executable, str(path)], cwd=charkh.folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no such luck" in done.stderr
    (run,) = charkh.json("run", "list")
    assert (run["status"], run["error"]) == ("failed", "ValueError: no such luck")
    assert run["metrics"] == {"loss": 0.5}


WAIT = """
import charkh, time
charkh.log(loss=0.25)
print("ready", flush=True)
time.sleep(100)
"""


def test_a_running_script_is_seen_and_a_killed_one_keeps_its_points(charkh: Any) -> None:
    command = [sys.executable, "-c", WAIT]
    with subprocess.Popen(command, cwd=charkh.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            (run,) = charkh.json("run", "search", "status = 'running' and metrics.loss < 0.3")
        finally:
            process.send_signal(signal.SIGKILL)
    identifier = run["started"]["run"]
    assert [point["value"] for point in charkh.json("run", "log", identifier, "loss")] == [0.25]
    (again,) = charkh.json("run", "search", "metrics.loss < 0.3")
    assert again["status"] == "running"
    later = "import time, charkh.runs.find as find\nfrom charkh.workspace.workspace import open_workspace\n"
    later += "now = time.time\nfind.time.time = lambda: now() + 120\n"
    later += f"with open_workspace() as workspace:\n    print(find.find(workspace.store, {identifier!r}).status)\n"
    assert charkh.python(later).strip() == "lost"
    assert time.time() > again["created"]


RANK = """
import charkh
with charkh.run("ranks") as run:
    charkh.log(loss=float(__import__("os").environ["RANK"]), step=0)
"""


def test_ranks_of_one_launch_write_one_run(charkh: Any) -> None:
    for rank in ("1", "0"):
        script(charkh, RANK, RANK=rank, WORLD_SIZE="2", CHARKH_RUN_ID="launch-1")
    (run,) = charkh.json("run", "list")
    assert run["metrics"] == {"loss": 0.0}
    rows = charkh.json("run", "log", "ranks", "loss", "--every-writer")
    assert [(row["writer"], row["value"]) for row in rows] == [("0", 0.0), ("1", 1.0)]
    assert "writer" in charkh("run", "log", "ranks", "loss", "--every-writer")
