"""Four versions of a large table: as it is, 1 % of rows appended, 1 % put into the middle, 1,000 cells edited.

    table_versions.py [MIB] [ROUNDS]          a CSV file of 1024 MiB, 3 rounds

What is promised is bytes: how much each version stores beyond the one before. The reading of the closing line is
that of the appended version: its limit is the appended rows themselves, compressed as charkh compresses; the peer is
restic, the only one here that stores less than whole files; DVC is in the details. Every contender is a fresh process.
charkh adds twice: as files, which is what the peers do, and as a table, whose every value it then reads for the schema.
Each version is an edit of the first one. Those of charkh are checked out and compared. The aims in megabytes are those
of 1 GiB; a smaller table has proportionally smaller ones, but for the scattered edits, which cost by the edit.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import zstandard
from harness import clock, in_turn, median, peer_python, program, report, version_of, workplace

DEFAULTS = (1024, 3)
MIB = 1024 * 1024
VERSIONS = ("v1", "v2", "v3", "v4")
EDITS = 1000
MB = 1_000_000
MOST_MB = {"v2": 6, "v3": 6, "v4": 15}
"""Megabytes that a version of 1 GiB may store at most."""
FASTER = 9
"""How many times faster than DVC each must be added."""
ADD = """
import sys
from pathlib import Path
from charkh.datasets.add import add_files
from charkh.workspace.workspace import open_workspace
with open_workspace(Path(sys.argv[1]), create=True) as workspace:
    add_files(workspace.store, "table", [Path(sys.argv[2])], as_files=sys.argv[3] == "files")
"""
CHECKOUT = """
import sys
from pathlib import Path
from charkh.datasets.checkout import checkout
from charkh.datasets.find import find
from charkh.workspace.workspace import open_workspace
with open_workspace(Path(sys.argv[1])) as workspace:
    for number in (1, 2, 3, 4):
        checkout(workspace.store, find(workspace.store, f"table@{number}"), Path(sys.argv[2]) / f"v{number}")
"""


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    mib, rounds = [*given, *DEFAULTS[len(given) :]]
    dvc, restic = peer_python("dvc", "dvc[s3]>=3.67,<4"), program("restic")
    with workplace() as folder:
        appended = _generate(folder / "versions", mib * MIB, int.from_bytes(os.urandom(4)))
        contest = Contest(folder, dvc, restic)
        seconds = in_turn(rounds, contest.contenders())
        equal = contest.read_back()
    stored = {name: median(values) for name, values in contest.stored.items()}
    times = {name: round(median(values), 3) for name, values in seconds.items()}
    allowed = {version: most * MB * (min(1, mib / 1024) if version != "v4" else 1) for version, most in MOST_MB.items()}
    small = {version: stored[f"charkh {version}"] * MIB <= most for version, most in allowed.items()}
    fast = {version: _is_faster(times, version) for version in MOST_MB}
    report(
        "table_versions",
        charkh=stored["charkh v2"],
        peer=stored.get("restic v2"),
        limit=len(zstandard.ZstdCompressor(level=1).compress(appended)) / MIB,
        aim="1 GiB: 1 % appended and 1 % inserted store at most 6 MB each, 1,000 scattered edits 15 MB, "
        "each in at most a ninth of DVC's time",
        holds=equal and all(small.values()) and all(fast.values()),
        unit="MiB stored for v2",
        mib=mib,
        appended_mib=len(appended) / MIB,
        read_back_equal=equal,
        small_enough=small,
        fast_enough=fast,
        stored_mib={name: round(value, 3) for name, value in stored.items()},
        seconds=times,
        dvc_version=version_of(dvc, "dvc"),
    )


def _is_faster(times: dict[str, float], version: str) -> bool:
    """Whether a version is added in the promised share of DVC's time; without DVC, that is not judged."""
    peer = times.get(f"dvc {version}")
    return peer is None or times[f"charkh {version}"] <= peer / FASTER


class Contest:
    """What each contender does with the three versions, in their order, and how many bytes it stored for each."""

    def __init__(self, folder: Path, dvc: Path | None, restic: str | None) -> None:
        self.stored: dict[str, list[float]] = {}
        self._folder = folder
        self._dvc = dvc
        self._restic = restic

    def contenders(self) -> dict[str, Callable[[], float]]:
        found: dict[str, Callable[[], float]] = {}
        for version in VERSIONS:
            found[f"cp {version}"] = lambda version=version: self._copy(version)
        for version in VERSIONS:
            found[f"charkh {version}"] = lambda version=version: self._charkh(version, "files")
        for version in VERSIONS:
            found[f"charkh table {version}"] = lambda version=version: self._charkh(version, "table")
        if self._dvc is not None:
            for version in VERSIONS:
                found[f"dvc {version}"] = lambda version=version: self._dvc_add(version)
        if self._restic is not None:
            for version in VERSIONS:
                found[f"restic {version}"] = lambda version=version: self._restic_add(version)
        return found

    def read_back(self) -> bool:
        """Whether charkh gives every version back as it was."""
        equal = True
        for how in ("files", "table"):
            out = self._place("out", fresh=True)
            _run([sys.executable, "-c", CHECKOUT, self._folder / f"charkh-{how}", out])
            compared = ["diff", "-r", self._folder / "versions", out]
            equal = equal and subprocess.run([str(part) for part in compared]).returncode == 0
        return equal

    def _copy(self, version: str) -> float:
        place = self._place("copies", fresh=version == "v1")
        return clock(lambda: _run(["cp", self._table(version), place / version]), settled=True)

    def _charkh(self, version: str, how: str) -> float:
        place = self._place(f"charkh-{how}", fresh=version == "v1")
        command = [sys.executable, "-c", ADD, place, self._table(version), how]
        name = f"charkh {version}" if how == "files" else f"charkh table {version}"
        return self._weighed(name, place, lambda: _run(command))

    def _dvc_add(self, version: str) -> float:
        place = self._place("dvc", fresh=version == "v1")
        if version == "v1":
            for line in (
                "init --no-scm -q",
                "config core.analytics false",
                "config cache.type reflink,hardlink,symlink",
            ):
                _run([self._dvc, "-m", "dvc", *line.split()], cwd=place)
        (place / "table.csv").unlink(missing_ok=True)
        shutil.copy(self._table(version), place / "table.csv")
        command = [self._dvc, "-m", "dvc", "add", "-q", "table.csv"]
        return self._weighed(f"dvc {version}", place / ".dvc", lambda: _run(command, cwd=place))

    def _restic_add(self, version: str) -> float:
        place = self._place("restic", fresh=version == "v1")
        environment = {**os.environ, "RESTIC_REPOSITORY": str(place), "RESTIC_PASSWORD": "bench"}
        if version == "v1":
            _run([self._restic, "-q", "init"], env=environment)
        command = [self._restic, "-q", "backup", "table.csv"]
        run = lambda: _run(command, cwd=self._table(version).parent, env=environment)  # noqa: E731
        return self._weighed(f"restic {version}", place, run)

    def _weighed(self, name: str, place: Path, action: Callable[[], object]) -> float:
        before = _size(place)
        taken = clock(action, settled=True)
        self.stored.setdefault(name, []).append((_size(place) - before) / MIB)
        return taken

    def _table(self, version: str) -> Path:
        return self._folder / "versions" / version / "table.csv"

    def _place(self, name: str, *, fresh: bool) -> Path:
        place = self._folder / name
        if fresh:
            shutil.rmtree(place, ignore_errors=True)
        place.mkdir(exist_ok=True)
        return place


def _generate(folder: Path, size: int, seed: int) -> bytes:
    """Write the versions; the appended rows."""
    source = np.random.default_rng(seed)
    block = _rows(source, 0, 50_000)
    blocks = max(1, size // len(block))
    hundredth = max(500, blocks * 500)
    appended, inserted = _rows(source, 10**9, hundredth), _rows(source, 2 * 10**9, hundredth)
    for version in VERSIONS:
        (folder / version).mkdir(parents=True)
    with (folder / "v1" / "table.csv").open("wb") as one, (folder / "v3" / "table.csv").open("wb") as three:
        one.write(HEADER)
        three.write(HEADER)
        for number in range(blocks):
            rows = _rows(source, number * 50_000, 50_000)
            if number == blocks // 2:
                middle = rows.index(b"\n", len(rows) // 2) + 1
                three.write(rows[:middle] + inserted + rows[middle:])
            else:
                three.write(rows)
            one.write(rows)
    shutil.copy(folder / "v1" / "table.csv", folder / "v2" / "table.csv")
    with (folder / "v2" / "table.csv").open("ab") as two:
        two.write(appended)
    _edit(folder / "v1" / "table.csv", folder / "v4" / "table.csv", source)
    return appended


def _edit(before: Path, after: Path, source: np.random.Generator) -> None:
    """Copy a table with `EDITS` cells changed, anywhere in it: the delay of a row gets another text."""
    content = before.read_bytes()
    places = sorted(source.integers(len(HEADER), len(content) - 200, EDITS))
    with after.open("wb") as file:
        done = 0
        for place in places:
            # The sixth field of the row that begins behind the place.
            start = content.index(b"\n", max(int(place), done)) + 1
            for _ in range(5):
                start = content.index(b",", start) + 1
            file.write(content[done:start] + b"-1")
            done = start
        file.write(content[done:])


HEADER = b"id,carrier,origin,dest,day,delay,distance,tail\n"


def _rows(source: np.random.Generator, first: int, count: int) -> bytes:
    carriers, places = ("UA", "AA", "B6", "DL", "EV"), ("EWR", "JFK", "LGA", "SFO", "MIA", "ORD", "BOS")
    carrier, origin, dest = source.integers(0, 5, count), source.integers(0, 3, count), source.integers(3, 7, count)
    day, delay = source.integers(1, 29, count), source.normal(10, 40, count)
    distance, tail = source.integers(80, 5000, count), source.integers(10_000, 99_999, count)
    return "".join(
        f"{first + row},{carriers[carrier[row]]},{places[origin[row]]},{places[dest[row]]},2013-05-{day[row]:02},"
        f"{delay[row]:.3f},{distance[row]},N{tail[row]}\n"
        for row in range(count)
    ).encode()


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; a file with several names counts once."""
    found = {(status.st_dev, status.st_ino): status.st_size for path in folder.rglob("*") if (status := path.lstat())}
    return sum(found.values())


def _run(command: Sequence[object], **options: object) -> None:
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, **options)


if __name__ == "__main__":
    main()
