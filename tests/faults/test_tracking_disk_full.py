"""A training that logs numbers, media and prints while its disk is full: it goes on, and what could be kept is kept."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = 120


def train(room: str) -> None:
    """A loop on a disk of 3 MiB; half-way there may be room again, or before its end, or only behind that."""
    import charkh

    store = Path(".charkh")
    with charkh.run("full", params={"rate": 0.1}) as run:
        filler = store / "filler"
        for step in range(STEPS):
            if step == STEPS // 3:
                _fill(filler)
            if step == 2 * STEPS // 3 and room == "later":
                filler.unlink()
            charkh.log(loss=float(step), step=step)
            run.log_media("blob", "file", os.urandom(2000), step=step)
            sys.stdout.write(f"step {step}\n")
            if step == STEPS // 2:
                run.set_params({"late": "x" * 5000})
                run.set_tags({"stage": "draft"})
                assert run.add_artifact("a.bin", bytes(1000)) == ()
        if room == "at-the-end":
            filler.unlink()


def _fill(path: Path) -> None:
    """Leave no byte free."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (1 << 16, 1 << 8, 1):
        try:
            while True:
                os.write(descriptor, bytes(size))
        except OSError:
            continue
    os.close(descriptor)


@pytest.mark.parametrize("room", ["later", "at-the-end", "behind-the-end"])
def test_a_full_file_system(tmp_path: Path, room: str) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a small file system of one's own needs root and unshare")
    folder = tmp_path / "disk"
    folder.mkdir()
    verbs = ("show full --json", "media full --json", "console full --stream stdout", "log full loss --json")
    look = [f"{sys.executable} -m charkh run {verb} > {tmp_path}/{place}" for place, verb in enumerate(verbs)]
    looks = " && ".join(look)
    work = f"{sys.executable} {__file__} {room} && rm -f .charkh/filler"
    script = f"mount -t tmpfs -o size=3m none {folder} && cd {folder} && {work} && {looks}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    # The loop never noticed: it printed all of its steps.
    assert done.stdout.splitlines() == [f"step {step}" for step in range(STEPS)]
    assert "Traceback" not in done.stderr
    # What waited when the run ended was put aside, and taken in by the first command behind it.
    assert ("recorded while this workspace could not be written" in done.stderr) == (room == "behind-the-end")
    shown, media, console, points = ((tmp_path / str(number)).read_text() for number in range(4))
    found = json.loads(shown)
    assert found["run"]["status"] == "finished"
    assert found["run"]["lost_records"] == 0
    assert found["run"]["params"]["rate"] == 0.1
    assert "late" in found["run"]["params"]
    assert found["run"]["tags"] == {"stage": "draft"}
    assert [each["path"] for each in found["artifacts"]] == ["a.bin"]
    assert [each["count"] for each in json.loads(media)] == [STEPS]
    assert console.splitlines() == [f"step {step}" for step in range(STEPS)]
    assert [each["value"] for each in json.loads(points)] == [float(step) for step in range(STEPS)]


def test_a_store_on_a_disk_that_only_reads(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a file system of one's own needs root and unshare")
    folder = tmp_path / "disk"
    folder.mkdir()
    (tmp_path / "train.py").write_text(
        "import charkh\n"
        "with charkh.run('aside', params={'a': 1}) as run:\n"
        "    charkh.log(loss=0.5)\n"
        "    run.log_text('said', 'kept')\n"
        "    print('printed')\n"
    )
    python = f"{sys.executable} -m charkh"
    script = (
        f"mount -t tmpfs -o size=20m none {folder} && cd {folder} && {python} init && mount -o remount,ro {folder} && "
        f"{sys.executable} ../train.py && mount -o remount,rw {folder} && {python} run show aside --json > ../shown && "
        f"{python} run console aside > ../console && {python} run media aside said --step 0 > ../said"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    if "mount" in done.stderr and "denied" in done.stderr:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "recorded beside it" in done.stderr
    run = json.loads((tmp_path / "shown").read_text())["run"]
    assert (run["status"], run["metrics"], run["params"]) == ("finished", {"loss": 0.5}, {"a": 1})
    assert run["lost_records"] == 0
    assert (tmp_path / "console").read_text() == "printed\n"
    assert (tmp_path / "said").read_text() == "kept"


def test_a_store_that_never_takes_more_is_told_once(tmp_path: Path) -> None:
    """`ulimit -f`: what a user's quota looks like to a program; it lasts to the end of the script."""
    state = tmp_path / "state"
    folder = tmp_path / "work"
    folder.mkdir()

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))

    code = (
        "import os, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import charkh\n"
        "with charkh.run('quota') as run:\n"
        "    for step in range(60):\n"
        "        charkh.log(loss=float(step))\n"
        "        run.log_media('blob', 'file', os.urandom(20_000))\n"
        "        print(step)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=bounded,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(step) for step in range(60)]
    assert done.stderr.count("records are kept in memory") <= 3
    show = [sys.executable, "-m", "charkh", "run", "show", "quota", "--json"]
    shown = subprocess.run(
        show, cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, "XDG_STATE_HOME": str(state)}
    )
    assert shown.returncode == 0, shown.stderr
    run = json.loads(shown.stdout)["run"]
    assert (run["status"], run["metrics"]) == ("finished", {"loss": 59.0})
    # What the quota did not let through is missed, and the run says so.
    assert run["lost_records"] > 0


if __name__ == "__main__":
    train(sys.argv[1])
