"""A user trains with pictures, sounds, tables and prints, is preempted, goes on, trains on four ranks, and looks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from functional.conftest import Charkh

TRAIN = """
import os, signal, sys
import numpy as np
import charkh

with charkh.run("train", params={"rate": 0.1, "layers": [8, 8]}, project="vision/small", notes="first try") as run:
    for step in range(5):
        charkh.log(loss=1 / (step + 1))
        print(f"step {step}", flush=True)
    run.log_image("samples", np.random.default_rng(0).random((4, 6, 3)))
    run.log_table("confusion", {"real": ["a", "b"], "count": [3, 4]}, step=4)
    run.log_audio("tone", np.sin(np.arange(800) / 9), 8000)
    run.log_histogram("weights", np.arange(1000))
    run.log_text("answer", "forty-two")
    print("secret token=ghp_abcdefghijklmnopqrstuvwxyz0123456789", file=sys.stderr)
"""

JOB = """
import os, signal, sys, time
import charkh

with charkh.run("job", resume="auto", id="job-7") as run:
    for _ in range(int(sys.argv[1])):
        charkh.log(loss=float(sys.argv[2]))
    run.log_text("said", sys.argv[2])
    print("attempt", sys.argv[2], flush=True)
    if sys.argv[2] == "1":
        time.sleep(0.6)
        os.kill(os.getpid(), signal.SIGKILL)
"""

RANKS = """
import os
import charkh

with charkh.run("ranks"):
    for step in range(3):
        charkh.log(loss=step + int(os.environ["RANK"]) / 10)
    print("rank", os.environ["RANK"])
"""


def launch(charkh: Charkh, code: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    path = charkh.folder / f"script{abs(hash(code))}.py"
    if not path.exists():  # not written again while another process that was launched with it is to read it
        path.write_text(code)
    return subprocess.Popen(
        [sys.executable, str(path), *arguments],
        cwd=charkh.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finished(process: "subprocess.Popen[str]", status: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    assert "not kept" not in err, err
    return out


def test_what_a_run_shows(charkh: Charkh, tmp_path: Path) -> None:
    assert finished(launch(charkh, TRAIN)).splitlines() == [f"step {step}" for step in range(5)]
    shown = charkh.json("run", "show", "train")
    assert (shown["note"], shown["project"], shown["id"]) == (
        "first try",
        "vision/small",
        shown["run"]["started"]["run"],
    )
    assert [each["id"] for each in charkh.json("run", "search", "text ~ 'first try'")] == [shown["id"]]
    assert {each["key"]: each["kind"] for each in shown["media"]} == {
        "answer": "text",
        "confusion": "table",
        "samples": "image",
        "tone": "audio",
        "weights": "histogram",
    }
    assert charkh("run", "media", "train", "answer", "--step", "0") == "forty-two"
    assert json.loads(charkh("run", "media", "train", "confusion", "--step", "4"))["data"] == [["a", 3], ["b", 4]]
    picture = tmp_path / "picture.png"
    charkh("run", "media", "train", "samples", "-o", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    (item,) = charkh.json("run", "media", "train", "samples")
    assert item["details"] == {"width": 6, "height": 4}
    lines = charkh("run", "console", "train").splitlines()
    assert sorted(lines) == sorted([*(f"step {step}" for step in range(5)), "secret token=[redacted]"])
    assert charkh("run", "console", "train", "--stream", "stderr").splitlines() == ["secret token=[redacted]"]
    assert charkh.json("run", "console", "train", "--stream", "stdout")[0]["text"] == "step 0"


def test_a_preempted_job_goes_on_with_the_same_curve(charkh: Charkh) -> None:
    finished(launch(charkh, JOB, "5", "1"), -signal.SIGKILL)
    (before,) = charkh.json("run", "list")
    finished(launch(charkh, JOB, "3", "2"))
    (after,) = charkh.json("run", "list")
    assert after["started"] == before["started"]
    assert (before["over"], after["over"], after["status"]) == (False, True, "finished")
    points = charkh.json("run", "log", "job", "loss")
    assert [(each["step"], each["value"]) for each in points] == [
        *((step, 1.0) for step in range(5)),
        *((step, 2.0) for step in range(5, 8)),
    ]
    assert [each["step"] for each in charkh.json("run", "media", "job", "said")] == [0, 1]
    assert charkh("run", "console", "job").splitlines() == ["attempt 1", "attempt 2"]


def test_four_ranks_write_one_run(charkh: Charkh) -> None:
    shared = {"WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    ranks = [launch(charkh, RANKS, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(4)]
    for each in ranks:
        finished(each)
    (run,) = charkh.json("run", "list")
    assert (run["started"]["name"], run["status"], run["metrics"]["loss"]) == ("ranks", "finished", 2.0)
    points = charkh.json("run", "log", "ranks", "loss", "--every-writer")
    assert sorted({each["writer"] for each in points}) == ["0", "1", "2", "3"]
    assert len(points) == 12
    assert sorted(charkh("run", "console", "ranks").splitlines()) == [f"rank {rank}" for rank in range(4)]


def test_a_console_is_followed_until_the_run_ends(charkh: Charkh) -> None:
    said = "print('begun', flush=True); sys.stdin.readline(); print('over')"
    code = f"import sys, charkh\nwith charkh.run('long'):\n    {said}\n"
    path = charkh.write("long.py", code)
    script = subprocess.Popen(
        [sys.executable, str(path)], cwd=charkh.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert script.stdout is not None
    assert script.stdout.readline() == "begun\n"
    time.sleep(0.5)
    follower = subprocess.Popen(
        [sys.executable, "-m", "charkh", "run", "console", "long", "--follow"],
        cwd=charkh.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == "begun\n"
    script.communicate("\n", timeout=60)
    assert follower.communicate(timeout=60)[0] == "over\n"
    assert follower.returncode == 0


def test_where_the_store_cannot_be_made_the_run_waits_beside_it(charkh: Charkh, tmp_path: Path) -> None:
    store = charkh.folder / ".charkh"
    store.rename(charkh.folder / "away")
    store.write_text("no folder")
    code = (
        "import charkh\n"
        "with charkh.run('beside', params={'a': 1}, project='p/q') as run:\n"
        "    charkh.log(loss=0.5)\n"
        "    run.add_artifact('a.txt', b'abc')\n"
        "    run.log_text('t', 'kept')\n"
    )
    state = str(tmp_path / "state")
    script = launch(charkh, code, XDG_STATE_HOME=state)
    _, err = script.communicate(timeout=60)
    assert script.returncode == 0, err
    assert "recorded beside it" in err
    store.unlink()
    (charkh.folder / "away").rename(store)
    found = json.loads(charkh("run", "show", "beside", "--json", XDG_STATE_HOME=state))
    assert (found["run"]["status"], found["run"]["metrics"], found["run"]["params"]) == (
        "finished",
        {"loss": 0.5},
        {"a": 1},
    )
    assert [each["path"] for each in found["artifacts"]] == ["a.txt"]
    assert charkh("run", "artifact", "beside", "a.txt") == "abc"
    assert charkh("run", "media", "beside", "t", "--step", "0") == "kept"
    assert not list(Path(state).rglob("format.json"))


def test_the_guide_runs_as_it_is_printed(charkh: Charkh) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "tracking.md"
    scripts = [part.partition("```")[0] for part in guide.read_text().split("```python\n")[1:]]
    assert charkh.python("\n".join(scripts)) == "done\n"
    assert {run["started"]["name"] for run in charkh.json("run", "list")} == {"small net", "long job"}
    shown = charkh.json("run", "show", "small net")
    assert {each["key"] for each in shown["media"]} == {"samples", "confusion", "weights", "answer"}
