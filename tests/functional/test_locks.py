"""Waiting for a lock: who has it is said, and nobody has to wait."""

import os
import pty
import subprocess
import sys
import time

from tests.functional.conftest import Charkh

from charkh.assets.lease import collector_of, medium_now, only_collector
from charkh.workspace.workspace import open_workspace

HOLD = """
import sys, time
from charkh.workspace.workspace import open_workspace
with open_workspace() as workspace, workspace.journal.exclusive():
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""
COLLECT = """
import os
from charkh.assets.lease import medium_now, only_collector
from charkh.workspace.workspace import open_workspace
with open_workspace() as workspace, only_collector(workspace.blobs, medium_now(workspace.blobs)):
    os._exit(1)
"""


def holder(charkh: Charkh, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(seconds)]
    process = subprocess.Popen(command, cwd=charkh.folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_whoever_does_not_wait_is_told_who_has_the_lock(charkh: Charkh) -> None:
    charkh.write("a.csv", "x\n1\n")
    process = holder(charkh, 60)
    try:
        told = charkh.fails(11, "--no-wait", "dataset", "add", "a", "a.csv")
        assert f"process {process.pid}" in told
        assert "since 20" in told
    finally:
        process.kill()
        process.communicate()
    charkh("--wait", "20", "dataset", "add", "a", "a.csv")


def test_a_terminal_says_whom_it_waits_for(charkh: Charkh) -> None:
    charkh.write("a.csv", "x\n1\n")
    process = holder(charkh, 4)
    reading, writing = pty.openpty()
    command = [sys.executable, "-m", "charkh", "dataset", "add", "a", "a.csv"]
    waiter = subprocess.run(command, cwd=charkh.folder, stdout=subprocess.PIPE, stderr=writing, timeout=60, check=True)
    os.close(writing)
    assert f"waiting for process {process.pid}" in os.read(reading, 65536).decode()
    assert b"a@1" in waiter.stdout
    process.communicate()
    os.close(reading)


def test_a_collector_that_died_here_is_no_obstacle(charkh: Charkh) -> None:
    assert charkh.run_python(COLLECT).returncode == 1
    with open_workspace(charkh.folder) as workspace:
        owner = collector_of(workspace.blobs)
        assert owner is not None
        assert owner.since <= time.time()
        with only_collector(workspace.blobs, medium_now(workspace.blobs)):
            assert "process" in charkh.fails(11, "--no-wait", "gc", "--yes")
    charkh("gc", "--yes")
