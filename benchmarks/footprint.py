"""What installing and starting costs: packages and megabytes of a core install, and a server's way to its first answer.

Both servers start in a fresh process on an empty store of their own and are asked the same question over the same
protocol, `experiments/search`, until it is answered: charkh speaks MLflow's. Memory is that of all processes of a
server, idle after that answer. The limit is a bare interpreter that starts and ends. charkh is installed from this
checkout, with nothing but what it requires, into an environment of its own.

Promise: `charkh up` is ready at least 15 times sooner than `mlflow server`, in one process, under 200 MB; a core
install has at most 50 packages and 400 MB.

    python benchmarks/footprint.py [--rounds 5]
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import PEERS, ROOT, clock, in_turn, median, peer_python, report, version_of, workplace

AIM_RATIO, AIM_MEGABYTES = 15, 200
AIM_PACKAGES, AIM_INSTALLED = 50, 400
PATIENCE = 120.0
QUESTION = json.dumps({"max_results": 10}).encode()


class Served(NamedTuple):
    """One start: seconds to the first answer, megabytes of its processes, and how many they are."""

    seconds: float
    megabytes: float
    processes: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def served(command: Sequence[str], port: int, folder: Path, token: Path | None = None) -> Served:
    """Start a server, ask until it answers, look at its memory, and end it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHARKH_", "PYTHON"))}
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not answers(port, token):
            if process.poll() is not None or time.perf_counter() - begin > PATIENCE:
                raise RuntimeError(f"{command} did not answer")
            time.sleep(0.005)
        seconds = time.perf_counter() - begin
        time.sleep(1.0)
        members = family(process.pid)
        return Served(seconds, sum(map(proportional, members)), len(members))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(port: int, token: Path | None) -> bool:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        if not token.exists():
            return False
        headers["Authorization"] = f"Bearer {token.read_text().strip()}"
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, QUESTION, headers), timeout=PATIENCE) as answer:
            return [each["name"] for each in json.load(answer)["experiments"]] == ["Default"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def family(root: int) -> list[int]:
    """A process and everything below it."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = [root]
    for each in found:
        found.extend(child for child, parent in parents.items() if parent == each)
    return found


def proportional(process: int) -> float:
    """Megabytes of a process, pages that it shares with others counted in parts."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        # It ended since it was counted.
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


def installed(python: Path) -> tuple[int, float]:
    """Packages of an environment, its installers apart, and the megabytes that they take."""
    code = (
        "import importlib.metadata as m, json, sysconfig;"
        "print(json.dumps([sorted({d.metadata['Name'].lower() for d in m.distributions()}),"
        " sysconfig.get_paths()['purelib']]))"
    )
    names, folder = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())
    return len(set(names) - {"pip", "setuptools", "wheel"}), size / 1e6


def core_python() -> Path | None:
    """The Python of an environment with charkh's core alone, built from this checkout."""
    # Built anew for each run: what is measured is what stands here now.
    shutil.rmtree(PEERS / "core", ignore_errors=True)
    return peer_python("core", str(ROOT))


def charkh_command(python: Path, port: int) -> list[str]:
    return [str(python.parent / "charkh"), "up", "--port", str(port)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    core, peer = core_python(), peer_python("mlflow", "mlflow==3.17.2")
    if core is None:
        sys.exit("charkh cannot be installed into an environment of its own")
    found: dict[str, list[Served]] = {}
    with workplace() as parent:

        def fresh(name: str) -> Path:
            return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))

        def by_charkh() -> float:
            folder, port = fresh("charkh"), free_port()
            subprocess.run([core.parent / "charkh", "init"], cwd=folder, check=True, capture_output=True)
            one = served(charkh_command(core, port), port, folder, folder / ".charkh" / "token")
            found.setdefault("charkh", []).append(one)
            return one.seconds

        def by_mlflow() -> float:
            assert peer is not None
            folder, port = fresh("mlflow"), free_port()
            store = f"sqlite:///{folder}/mlflow.db"
            command = [str(peer.parent / "mlflow"), "server", "--port", str(port), "--backend-store-uri", store]
            one = served(command, port, folder)
            found.setdefault("mlflow", []).append(one)
            return one.seconds

        def bare() -> float:
            return clock(lambda: subprocess.run([core, "-c", "pass"], check=True))

        contenders = {"python": bare, "charkh": by_charkh, **({"mlflow": by_mlflow} if peer else {})}
        for contender in contenders.values():
            # Files come into the page cache, and modules are compiled.
            contender()
        found.clear()
        readings = {name: median(values) for name, values in in_turn(options.rounds, contenders).items()}
    packages, size = installed(core)
    memory: Mapping[str, float] = {name: round(median([one.megabytes for one in ones])) for name, ones in found.items()}
    processes = {name: max(one.processes for one in ones) for name, ones in found.items()}
    ratio = readings["mlflow"] / readings["charkh"] if peer else None
    report(
        "footprint",
        charkh=round(readings["charkh"], 3),
        peer=round(readings["mlflow"], 3) if peer else None,
        limit=round(readings["python"], 3),
        unit="s from the start of a server to its first answer",
        aim=f"{AIM_RATIO} times sooner than mlflow server, one process under {AIM_MEGABYTES} MB; at most "
        f"{AIM_PACKAGES} packages and {AIM_INSTALLED} MB installed",
        holds=(ratio is None or ratio >= AIM_RATIO)
        and processes["charkh"] == 1
        and memory["charkh"] < AIM_MEGABYTES
        and packages <= AIM_PACKAGES
        and size <= AIM_INSTALLED,
        megabytes=memory,
        processes=processes,
        packages=packages,
        installed_megabytes=round(size),
        peer_packages=installed(peer)[0] if peer else None,
        peer_installed_megabytes=round(installed(peer)[1]) if peer else None,
        peer_version=version_of(peer, "mlflow"),
    )


if __name__ == "__main__":
    main()
