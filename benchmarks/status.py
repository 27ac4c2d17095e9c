"""A folder of very many files: adding it, status after one change, and adding it again; with the peak memory of each.

    status.py [FILES] [FILES_OF_A_FOLDER]          1000000 files of a few bytes, 1000 in each folder

The limit is one walk that asks the file system about every file, in Python. Every contender is a whole command; the
peak is what `wait4` says of its process. There is one round, because making the folder takes longest. Peers take hours
with a million files (treeverse/dvc issues 7607 and 7681), so DVC runs where there are at most 100,000.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from harness import clock, peer_python, report, version_of, workplace

DEFAULTS = (1_000_000, 1000)
MOST_FOR_DVC = 100_000
MEMORY_MB = 500
WALK = """
import os, sys
def walk(folder):
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir():
                walk(entry.path)
            else:
                entry.stat()
walk(sys.argv[1])
"""


class Reading(NamedTuple):
    """Seconds that a command took, and the most memory it had, in MB."""

    seconds: float
    peak: float


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    files, of_folder = [*given, *DEFAULTS[len(given) :]]
    dvc = peer_python("dvc", "dvc[s3]>=3.67,<4") if files <= MOST_FOR_DVC else None
    with workplace() as folder:
        data, place = folder / "data", folder / "charkh"
        _generate(data, files, of_folder)
        place.mkdir()
        _measured(["init"], place)
        readings = {"add": _measured(["dataset", "add", "many", data], place)}
        readings["status, nothing changed"] = _measured(["dataset", "status", "many", data], place)
        changed = data / "00000" / "0000000.bin"
        changed.write_bytes(b"changed")
        readings["status, one changed"] = _measured(["dataset", "status", "many", data], place)
        found = json.loads(_output(["dataset", "status", "many", data, "--json"], place))
        readings["add, one changed"] = _measured(["dataset", "add", "many", data], place)
        right = (found["changed"], found["unchanged"], found["changed_paths"]) == (1, files - 1, ["00000/0000000.bin"])
        walk = clock(lambda: subprocess.run([sys.executable, "-c", WALK, data], check=True))
        peer = _dvc(dvc, folder, data) if dvc is not None else None
    peak = max(reading.peak for reading in readings.values())
    status = readings["status, one changed"].seconds
    report(
        "status",
        charkh=status,
        peer=peer,
        limit=walk,
        aim=f"status after one change takes at most 4 times the walk, and no command more than {MEMORY_MB} MB",
        holds=right and status <= 4 * walk + 1 and peak <= MEMORY_MB,
        unit="s",
        files=files,
        seconds={name: round(reading.seconds, 2) for name, reading in readings.items()},
        peak_mb={name: round(reading.peak) for name, reading in readings.items()},
        peer_version=version_of(dvc, "dvc"),
    )


def _measured(arguments: list[object], place: Path) -> Reading:
    begin = time.perf_counter()
    command = [sys.executable, "-m", "charkh", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}")
    reading = Reading(time.perf_counter() - begin, usage.ru_maxrss / 1024)
    print(f"{' '.join(command[3:6])}: {reading.seconds:.2f} s, {reading.peak:.0f} MB", file=sys.stderr)
    return reading


def _output(arguments: list[object], place: Path) -> str:
    command = [sys.executable, "-m", "charkh", *map(str, arguments)]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout


def _dvc(python: Path, folder: Path, data: Path) -> float:
    place = folder / "dvc"
    place.mkdir()

    def run(*arguments: str) -> None:
        subprocess.run([python, "-m", "dvc", *arguments], cwd=place, check=True, stdout=subprocess.DEVNULL)

    run("init", "--no-scm", "-q")
    run("config", "core.analytics", "false")
    run("config", "cache.type", "reflink,hardlink,symlink")
    subprocess.run(["cp", "-r", data, place / "data"], check=True)
    run("add", "-q", "data")
    changed = place / "data" / "00000" / "0000000.bin"
    changed.unlink()
    changed.write_bytes(b"changed once more")
    return clock(lambda: subprocess.run([python, "-m", "dvc", "status", "-q"], cwd=place))


def _generate(folder: Path, files: int, of_folder: int) -> None:
    for number in range(files):
        place = f"{folder}/{number // of_folder:05}"
        if number % of_folder == 0:
            Path(place).mkdir(parents=True)
        descriptor = os.open(f"{place}/{number:07}.bin", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, b"%d" % number)
        os.close(descriptor)


if __name__ == "__main__":
    main()
