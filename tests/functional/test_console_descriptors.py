"""A user keeps what C libraries and child processes print: a shell, a fork, a spawned worker, a crash, a terminal."""

import os
import pty
import select
import subprocess
import sys

from functional.conftest import Charkh

EVERYTHING = """
import ctypes, multiprocessing, os, subprocess, sys
import charkh

def spawned():
    print("from spawned")
    charkh.log(inner=1.0)

if __name__ == "__main__":
    with charkh.run("all", console="fd") as run:
        print("from python")
        sys.stderr.write("from stderr\\n")
        os.write(1, b"from write\\n")
        ctypes.CDLL(None).puts(b"from C")
        ctypes.CDLL(None).fflush(None)
        subprocess.run(["sh", "-c", "echo from sh; echo sh error >&2; echo ghp_abcdefghijklmnopqrstuvwxyz0123456789"])
        if os.fork() == 0:
            print("from fork", flush=True)
            os._exit(0)
        os.wait()
        child = multiprocessing.get_context("spawn").Process(target=spawned)
        child.start()
        child.join()
        left = subprocess.Popen(["sh", "-c", "sleep 1; echo late; sleep 1; echo later"])
    print("behind the run")
"""

LINES = ["from python", "from stderr", "from write", "from C", "from sh", "sh error", "from fork", "from spawned"]


def lines(charkh: Charkh, name: str) -> list[str]:
    return [each["text"] for each in charkh.json("run", "console", name)]


def test_everything_that_is_printed_is_kept_once_and_printed(charkh: Charkh) -> None:
    charkh.write("all.py", EVERYTHING)
    done = subprocess.run([sys.executable, "all.py"], cwd=charkh.folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    kept = lines(charkh, "all")
    for line in LINES:
        assert kept.count(line) == 1, (line, kept)
        assert printed.count(line + "\n") == 1, (line, printed)
    # A child that outlives run and script is printed still, and is no part of the run.
    assert done.stdout.endswith("behind the run\nlate\nlater\n")
    assert not {"behind the run", "late", "later"} & set(kept)
    assert not any("ghp_" in line for line in kept)


CRASH = """
import os, subprocess, sys
import charkh
run = charkh.run("crash", console="fd")
run.__enter__()
LOOP = "sleep 0.5; i=0; while [ $i -lt 3000 ]; do echo line $i of about fifty bytes ...........; i=$((i+1)); done"
left = subprocess.Popen(["sh", "-c", LOOP])
os.write(2, b"x" * 30000 + b"\\nlast words\\n")
os.abort()
"""


def test_last_words_of_a_crash_are_printed_and_its_children_do_not_block(charkh: Charkh) -> None:
    done = charkh.run_python(CRASH)
    assert done.returncode < 0
    assert "last words" in done.stderr
    assert "line 2999" in done.stdout


BETWEEN = """
import os, sys
import charkh
import charkh.runs.console_descriptors as descriptors
passed = descriptors._write
descriptors._write = lambda *given: os.abort() if b"last words" in given[1] else passed(*given)
run = charkh.run("between", console="fd")
run.__enter__()
os.write(2, b"last words\\n")
"""


def test_last_words_are_printed_though_the_process_dies_while_they_are_passed_on(charkh: Charkh) -> None:
    done = charkh.run_python(BETWEEN)
    assert done.returncode < 0
    assert done.stderr == "last words\n"


FALLEN = """
import os, subprocess, threading
import charkh.runs.console_capture as capture
import charkh
threading.excepthook = lambda args: None
with charkh.run("fallen", console="fd") as run:
    os.write(1, b"before\\n")
    def fail(number, text):
        raise ValueError("the reader falls")
    capture._descriptors._heard = fail
    os.write(1, b"during\\n")
    for number in range(20000):
        os.write(1, b"after %d\\n" % number)
    subprocess.run(["sh", "-c", "echo and a child"])
"""


def test_a_reader_that_falls_leaves_nobody_waiting(charkh: Charkh) -> None:
    printed = charkh.python(FALLEN)
    assert "during\n" in printed
    assert "after 19999\n" in printed
    assert "and a child" in printed


TERMINAL = """
import os, subprocess, sys
import charkh
with charkh.run("terminal", console="fd"):
    print("here" if os.isatty(1) and sys.stdout.isatty() else "lost")
    subprocess.run(["sh", "-c", "test -t 1 && echo there"])
"""


def test_a_terminal_stays_one(charkh: Charkh) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", TERMINAL], cwd=charkh.folder, stdout=end, stderr=end)
    os.close(end)
    printed = b""
    while select.select([terminal], [], [], 30)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        printed += data
        if not data:
            break
    assert process.wait(30) == 0
    os.close(terminal)
    assert printed == b"here\r\nthere\r\n"
    assert lines(charkh, "terminal") == ["here", "there"]


def test_a_setting_asks_for_it(charkh: Charkh) -> None:
    charkh.write("charkh.toml", '[run]\nconsole = "fd"\n')
    charkh.python("import charkh, os\nwith charkh.run('set'):\n    os.write(1, b'low\\n')\nos.write(1, b'high\\n')\n")
    assert lines(charkh, "set") == ["low"]
    charkh.write("charkh.toml", '[run]\nconsole = "df"\n')
    assert "console" in charkh.fails(2, "run", "list")


INSIDE_PYTEST = """
import os, sys
import charkh

def test_it(capfd):
    with charkh.run("inside", console="fd"):
        print("printed")
        os.write(1, b"written\\n")
    out = capfd.readouterr().out
    assert sorted(out.split()) == ["printed", "written"]

def test_more():
    with charkh.run("inside too", console="fd"):
        print("printed")
        os.system("echo from a shell")
"""


def test_it_works_below_a_test_runner(charkh: Charkh) -> None:
    charkh.write("test_inside.py", INSIDE_PYTEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_inside.py"]
    done = subprocess.run(command, cwd=charkh.folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    assert sorted(lines(charkh, "inside")) == ["printed", "written"]
    assert sorted(lines(charkh, "inside too")) == ["from a shell", "printed"]
