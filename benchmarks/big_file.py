"""One large file, half incompressible and half CSV: adding it, adding it again, checking it out, and by clone or link.

    big_file.py [MIB] [ROUNDS]          2048 MiB, 3 rounds

Limits are `cp`, and `cp` with a sync; the peer is DVC, whose cache is linked. Every contender is a whole command with
its start-up. charkh makes durable what it adds, DVC and `cp` do not. What was checked out is compared with the source.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import clock, in_turn, median, peer_python, report, version_of, workplace

DEFAULTS = (2048, 3)
MIB = 1024 * 1024


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    mib, rounds = [*given, *DEFAULTS[len(given) :]]
    dvc = peer_python("dvc", "dvc[s3]>=3.67,<4")
    with workplace() as folder:
        source = folder / "big.dat"
        _generate(source, mib)
        contest = Contest(folder, source, dvc)
        readings = in_turn(rounds, contest.contenders())
        equal = all(
            subprocess.run(["cmp", source, folder / name / source.name]).returncode == 0 for name in ("out", "linked")
        )
        stored = sum(path.stat().st_size for path in (folder / "charkh/.charkh/packs/pack").iterdir())
    middle = {name: median(values) for name, values in readings.items()}
    peer = middle.get("dvc add")
    report(
        "big_file",
        charkh=middle["charkh add"],
        peer=peer,
        limit=middle["cp and sync"],
        aim="adding takes a fifth of DVC's time, and twice that of cp with a sync",
        holds=equal
        and middle["charkh add"] <= 2 * middle["cp and sync"]
        and (peer is None or 5 * middle["charkh add"] <= peer),
        unit="s",
        mib=mib,
        stored_mib=round(stored / MIB),
        read_back_equal=equal,
        readings={name: round(value, 3) for name, value in middle.items()},
        peer_version=version_of(dvc, "dvc"),
    )


class Contest:
    """What each contender does, and what it needs before."""

    def __init__(self, folder: Path, source: Path, dvc: Path | None) -> None:
        self._folder = folder
        self._source = source
        self._dvc = dvc

    def contenders(self) -> dict[str, Callable[[], float]]:
        found: dict[str, Callable[[], float]] = {
            "cp": self._copy,
            "cp and sync": lambda: self._copy(sync=True),
            "charkh add": self._add,
            "charkh add again": lambda: self._charkh("add", "big", self._source),
            "charkh status": lambda: self._charkh("status", "big", self._source),
            "charkh checkout": lambda: self._charkh("checkout", "big", self._fresh("out")),
            "charkh fill the cache": lambda: self._charkh("checkout", "--link", "big", self._fresh("linked")),
            "charkh checkout by a link": lambda: self._charkh("checkout", "--link", "big", self._fresh("linked")),
        }
        if self._dvc is not None:
            found |= {"dvc add": self._dvc_add, "dvc checkout": self._dvc_checkout}
        return found

    def _copy(self, sync: bool = False) -> float:
        target = self._fresh("copy")

        def copy() -> None:
            _run(["cp", self._source, target])
            if sync:
                _run(["sync", target])

        return clock(copy, settled=True)

    def _add(self) -> float:
        place = self._fresh("charkh")
        place.mkdir()
        _run([sys.executable, "-m", "charkh", "init"], cwd=place)
        return self._charkh("add", "big", self._source)

    def _charkh(self, *arguments: object) -> float:
        command = [sys.executable, "-m", "charkh", "dataset", *arguments]
        return clock(lambda: _run(command, cwd=self._folder / "charkh"), settled=True)

    def _dvc_add(self) -> float:
        place = self._fresh("dvc")
        place.mkdir()
        for line in ("init --no-scm -q", "config core.analytics false", "config cache.type reflink,hardlink,symlink"):
            self._dvc_run(*line.split())
        _run(["cp", self._source, place / "big.dat"])
        return clock(lambda: self._dvc_run("add", "-q", "big.dat"), settled=True)

    def _dvc_checkout(self) -> float:
        (self._folder / "dvc" / "big.dat").unlink()
        return clock(lambda: self._dvc_run("checkout", "-q"), settled=True)

    def _dvc_run(self, *arguments: str) -> None:
        _run([self._dvc, "-m", "dvc", *arguments], cwd=self._folder / "dvc")

    def _fresh(self, name: str) -> Path:
        target = self._folder / name
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        return target


def _generate(path: Path, mib: int) -> None:
    source = np.random.default_rng()
    with path.open("wb") as file:
        for _part in range(mib // 2):
            file.write(source.bytes(MIB))
        wanted = (mib - mib // 2) * MIB
        row = 0
        while wanted > 0:
            values = source.integers(0, 1_000_000, (20_000, 3))
            lines = "".join([f"{row + n},{a},{b},flight-{c}\n" for n, (a, b, c) in enumerate(values.tolist())]).encode()
            file.write(lines[:wanted])
            row, wanted = row + 20_000, wanted - len(lines)


def _run(command: list[object], **options: object) -> None:
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, **options)


if __name__ == "__main__":
    main()
