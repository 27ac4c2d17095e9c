"""What every promise shares: peers in environments of their own, rounds in turn, and the closing line.

A promise runs its contenders one after another in each round, so that a busy machine slows all alike,
and reports medians and ratios. Peers are installed into `.peers/NAME` by uv, never into charkh's own
environment.
"""

import configparser
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"


def peer_python(name: str, *requirements: str) -> Path | None:
    """The Python of a peer's environment, made when missing; None, with the reason on stderr, where it cannot be."""
    folder = PEERS / name
    python = folder / "bin" / "python"
    stamp = folder / "requirements.json"
    wanted = json.dumps(sorted(requirements))
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".venv-bootstrap" / "bin"))
    if uv is None:
        print(f"{name} is left out: installing it needs uv (make setup, or https://docs.astral.sh/uv)", file=sys.stderr)
        return None
    commands = (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *requirements],
    )
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, env=_installing())
        if result.returncode:
            print(f"{name} is left out: it cannot be installed: {result.stderr.strip()[-400:]}", file=sys.stderr)
            return None
    stamp.write_text(wanted)
    return python


def _installing() -> dict[str, str]:
    """The environment of an installation: files that pip is told to look for first are found by uv too."""
    said = configparser.ConfigParser()
    said.read(["/etc/pip.conf", Path.home() / ".config" / "pip" / "pip.conf"])
    wheels = os.environ.get("PIP_FIND_LINKS") or said.get("global", "find-links", fallback="")
    return {**os.environ, "UV_NO_CONFIG": "1", **({"UV_FIND_LINKS": wheels} if wheels else {})}


def program(name: str) -> str | None:
    """An installed program's path; None, with how to install it on stderr, where it is missing."""
    found = shutil.which(name)
    if found is None:
        print(f"{name} is left out: run scripts/install-test-components {name}", file=sys.stderr)
    return found


def version_of(python: Path | None, package: str) -> str | None:
    """The installed version of a peer's package; None without a peer."""
    if python is None:
        return None
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder on a real disk, removed afterwards; `CHARKH_BENCH_DIR` chooses where."""
    parent = Path(os.environ.get("CHARKH_BENCH_DIR", ROOT / "benchmarks" / "results"))
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
    print(f"folder {folder} on {kind}", file=sys.stderr)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clock(action: Callable[[], object], *, settled: bool = False) -> float:
    """Seconds that a call takes.

    Args:
        action: what is timed.
        settled: wait first until the disks have what others wrote, so that nobody pays for the one before.
    """
    if settled:
        os.sync()
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def in_turn(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Readings of each contender, taken in turn; each call returns one reading in its own unit."""
    readings: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, contender in contenders.items():
            readings[name].append(contender())
        shown = "  ".join(f"{name} {values[-1]:.6g}" for name, values in readings.items())
        print(f"round {number}: {shown}", file=sys.stderr)
    return readings


def median(values: Sequence[float]) -> float:
    """The middle reading."""
    return statistics.median(values)


def report(
    promise: str,
    *,
    charkh: float,
    peer: float | None,
    limit: float,
    aim: str,
    holds: bool,
    unit: str,
    more_is_better: bool = False,
    **details: object,
) -> None:
    """Print the closing line: one JSON object. A ratio above 1 to the peer says that charkh is better.

    Args:
        promise: name of the file.
        charkh: median reading.
        peer: median reading of the peer, or None when it could not be run here.
        limit: median reading of the physical limit.
        aim: what is promised, in words.
        holds: whether it was reached, and what was written was read back equal.
        unit: of the three readings.
        more_is_better: readings are rates, not times.
        details: further numbers, such as bytes stored or the peer's version.
    """

    def better(mine: float, other: float | None) -> float | None:
        if other is None or not mine or not other:
            return None
        return round(mine / other if more_is_better else other / mine, 3)

    line = {
        "promise": promise,
        "charkh": charkh,
        "peer": peer,
        "limit": limit,
        "unit": unit,
        "ratio_to_peer": better(charkh, peer),
        "ratio_to_limit": better(charkh, limit),
        "aim": aim,
        "holds": holds,
        **details,
    }
    print(json.dumps(line))
