"""Kill a process at its n-th system call of a kind, and look whether the fault fired.

A nursery imports charkh once and forks a child for each fault. The child waits until strace holds it, plays
its scenario, and acknowledges in a file what has returned to it. strace runs without `--seccomp-bpf`, with
which injected faults silently never happen; every kill is checked by the signal that the child died of.
"""

import contextlib
import ctypes
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

CALLS = (
    *("write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "renameat", "renameat2"),
    *("link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat"),
)
PATIENCE = 60.0
PR_SET_PTRACER = 0x59616D61


class Fault(NamedTuple):
    """Die on entering the n-th call of this name, counted from 1 in the main thread."""

    call: str
    number: int


class Nursery:
    """The process that has imported everything and forks children."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def count(self, scenario: str, folder: Path) -> Mapping[str, int]:
        """Play a scenario to its end under strace; how often each call was made in the main thread."""
        with tempfile.NamedTemporaryFile("r") as log:
            child, status = self._play(scenario, folder, ["-o", log.name, "-e", f"trace={','.join(CALLS)}"])
            assert status == 0, f"{scenario} failed without any fault"
            found = re.findall(rf"^{child} +(\w+)\(", log.read(), re.MULTILINE)
        return Counter(found)

    def kill(self, scenario: str, folder: Path, fault: Fault) -> bool:
        """Play a scenario with a fault; whether it fired. Otherwise the scenario came to its end."""
        inject = f"inject={fault.call}:signal=SIGKILL:when={fault.number}"
        options = ["-o", "/dev/null", "-e", f"trace={fault.call}", "-e", inject]
        _child, status = self._play(scenario, folder, options)
        if status == -signal.SIGKILL:
            return True
        assert status == 0, f"{scenario} ended with status {status} under {fault}"
        return False

    def _play(self, scenario: str, folder: Path, options: Sequence[str]) -> tuple[int, int]:
        child = int(self._ask({"scenario": scenario, "folder": str(folder)}))
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", *options, "-p", str(child)], stderr=subprocess.PIPE, text=True
        )
        try:
            status = int(self._answer())
        finally:
            assert tracer.stderr is not None
            complaint = tracer.stderr.read()
            tracer.stderr.close()
            tracer.wait(PATIENCE)
        assert "attach" not in complaint, complaint
        return child, status

    def _ask(self, order: Mapping[str, str]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery died"
        return line


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A running nursery."""
    environment = {**os.environ, "CHARKH_ACTOR": "ann@laptop", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()


def acknowledged(folder: Path) -> list[str]:
    """What a scenario had acknowledged when it died."""
    path = folder / "acknowledged"
    return path.read_text().splitlines() if path.exists() else []


def spread(counts: Mapping[str, int], points: int) -> list[Fault]:
    """About so many faults, spread evenly over all calls of all kinds, the last of each among them."""
    every = [Fault(call, number) for call in sorted(counts) for number in range(counts[call], 0, -1)]
    step = max(1.0, len(every) / points)
    chosen = {every[int(place * step)] for place in range(min(points, len(every)))}
    return sorted(chosen | {Fault(call, counts[call]) for call in counts})


# The nursery's own side


def _run(orders: IO[str], answers: IO[str]) -> None:
    import scenarios  # the nursery alone needs it, and it loads everything

    for line in orders:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _be_child(scenarios, order)
        print(child, file=answers, flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            _import_what_it_needed(Path(order["folder"]) / "modules")
        print(status, file=answers, flush=True)


def _import_what_it_needed(names: Path) -> None:
    """Under strace an import takes long, so the next child finds it done."""
    for name in names.read_text().split():
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _be_child(scenarios: Any, order: Mapping[str, str]) -> None:
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, -1, 0, 0, 0)
        folder = Path(order["folder"])
        descriptor = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _wait_for_tracer()
        {**scenarios.SCENARIOS, **scenarios.BROKEN}[order["scenario"]].play(
            folder, lambda what: os.write(descriptor, f"{what}\n".encode()) and None
        )
        (folder / "modules").write_text("\n".join(sys.modules))
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def _wait_for_tracer() -> None:
    deadline = time.monotonic() + PATIENCE
    while "TracerPid:\t0" in Path("/proc/self/status").read_text():
        if time.monotonic() > deadline:
            raise TimeoutError("strace does not attach")
        time.sleep(0.001)


if __name__ == "__main__":
    _run(sys.stdin, sys.stdout)
