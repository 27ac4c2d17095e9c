"""Many small files: adding them, adding them again unchanged, status, checking them out from packs and by links, and
pushing them to a folder.

    small_files.py [FILES] [KIB] [ROUNDS]          50000 files of 8 KiB, 3 rounds

Limits are `cp -r`, and `cp -r` with a sync; peers are DVC (its cache is linked, so it copies nothing) and restic.
Every contender is a fresh process with its start-up, with the files in the page cache and nothing of others left to be
written. charkh and restic make durable what they add, DVC and `cp` do not. DVC's checkout is by links; it is put beside
charkh's from packs, which copies, and beside the one by links, whose cache is filled by another command, timed apart.
Contents are random, so that nobody gains by compressing. What was checked out in both ways is compared with the source,
and so is what a colleague pulled.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from harness import clock, in_turn, median, peer_python, program, report, version_of, workplace

FOLDERS_OF = 500
DEFAULTS = (50_000, 8, 3)
AIMS = {"add": 10.0, "add again": 20.0, "status": 12.0, "checkout": 5.0, "checkout by links": 9.0, "push": 15.0}
"""How many times DVC's speed."""
SYNC = """
import sys
from pathlib import Path
from charkh.workspace.syncing import sync
from charkh.workspace.workspace import open_workspace
with open_workspace(Path(sys.argv[1]), create=True) as workspace:
    assert sync(workspace, sys.argv[2]).complete
"""


def main() -> None:
    files, kib, rounds = _sizes()
    dvc, restic = peer_python("dvc", "dvc[s3]>=3.67,<4"), program("restic")
    with workplace() as folder:
        source = folder / "source"
        _generate(source, files, kib * 1024, int.from_bytes(os.urandom(4)))
        contest = Contest(folder, source, dvc, restic)
        readings = in_turn(rounds, contest.contenders())
        colleague = [sys.executable, "-m", "charkh", "dataset", "checkout", "files", folder / "colleague-out"]
        _run(colleague, cwd=folder / "colleague")
        equal = all(
            subprocess.run(["diff", "-r", source, folder / name]).returncode == 0
            for name in ("charkh-out", "charkh-linked", "colleague-out")
        )
    middle = {name: median(values) for name, values in readings.items()}
    ratios = {
        what: round(middle[peer] / middle[f"charkh {what}"], 2)
        for what in AIMS
        if (peer := f"dvc {what.removesuffix(' by links')}") in middle
    }
    report(
        "small_files",
        charkh=middle["charkh add"],
        peer=middle.get("dvc add"),
        limit=middle["cp and sync"],
        aim="add at 10 times DVC's speed, 3 times restic's, and before cp -r with a sync; a second add, status, a "
        "checkout from packs, one by links and a push to a folder at 20, 12, 5, 9 and 15 times DVC's",
        holds=equal
        and middle["charkh add"] <= middle["cp and sync"]
        and middle["charkh push"] <= middle["cp and sync"]
        and middle["charkh add"] * 3 <= middle.get("restic add", float("inf"))
        and all(ratio >= AIMS[what] for what, ratio in ratios.items()),
        unit="s",
        files=files,
        kib=kib,
        read_back_equal=equal,
        times_dvc=ratios,
        readings={name: round(value, 3) for name, value in middle.items()},
        peer_version=version_of(dvc, "dvc"),
    )


def _sizes() -> list[int]:
    given = [int(text) for text in sys.argv[1:4]]
    return [*given, *DEFAULTS[len(given) :]]


class Contest:
    """What each contender does, and what it needs before."""

    def __init__(self, folder: Path, source: Path, dvc: Path | None, restic: str | None) -> None:
        self._folder = folder
        self._source = source
        self._dvc = dvc
        self._restic = restic

    def contenders(self) -> dict[str, Callable[[], float]]:
        found: dict[str, Callable[[], float]] = {
            "cp": self._copy,
            "cp and sync": lambda: self._copy(sync=True),
            "charkh add": self._add,
            "charkh add again": lambda: self._charkh("add", "files", self._source),
            "charkh status": lambda: self._charkh("status", "files", self._source),
            "charkh checkout": lambda: self._charkh("checkout", "files", self._fresh("charkh-out")),
            "charkh fill the cache": lambda: self._charkh("checkout", "--link", "files", self._fresh("charkh-linked")),
            "charkh checkout by links": lambda: self._charkh(
                "checkout", "--link", "files", self._fresh("charkh-linked")
            ),
            "charkh push": lambda: self._sync("charkh", "charkh-remote"),
            "charkh push again": lambda: self._sync("charkh", ""),
            "charkh pull": lambda: self._sync("colleague", "colleague"),
        }
        if self._dvc is not None:
            found |= {"dvc add": self._dvc_add, "dvc add again": self._dvc_again, "dvc checkout": self._dvc_checkout}
            found |= {"dvc status": self._dvc_status, "dvc push": self._dvc_push}
        if self._restic is not None:
            found |= {"restic add": self._restic_add, "restic add again": self._restic_again}
        return found

    def _copy(self, sync: bool = False) -> float:
        target = self._fresh("copy")

        def copy() -> None:
            _run(["cp", "-r", self._source, target])
            if sync:
                _run(["sync", "-f", target])

        return clock(copy, settled=True)

    def _add(self) -> float:
        place = self._fresh("charkh")
        place.mkdir()
        _run([sys.executable, "-m", "charkh", "init"], cwd=place)
        return self._charkh("add", "files", self._source)

    def _charkh(self, *arguments: object) -> float:
        command = [sys.executable, "-m", "charkh", "dataset", *arguments]
        return clock(lambda: _run(command, cwd=self._folder / "charkh"), settled=True)

    def _sync(self, store: str, fresh: str) -> float:
        if fresh:
            self._fresh(fresh)
        place, remote = self._folder / store, self._folder / "charkh-remote"
        place.mkdir(exist_ok=True)
        return clock(lambda: _run([sys.executable, "-c", SYNC, place, remote]), settled=True)

    def _dvc_push(self) -> float:
        remote = self._fresh("dvc-remote")
        self._dvc_run(["remote", "add", "-f", "-q", "-d", "local", str(remote)])
        return clock(lambda: self._dvc_run(["push", "-q"]), settled=True)

    def _dvc_add(self) -> float:
        place = self._fresh("dvc")
        place.mkdir()
        for line in ("init --no-scm -q", "config core.analytics false", "config cache.type reflink,hardlink,symlink"):
            self._dvc_run(line.split())
        _run(["cp", "-r", self._source, place / "data"])
        return self._dvc_again()

    def _dvc_again(self) -> float:
        return clock(lambda: self._dvc_run(["add", "-q", "data"]), settled=True)

    def _dvc_status(self) -> float:
        return clock(lambda: self._dvc_run(["status", "-q"]), settled=True)

    def _dvc_checkout(self) -> float:
        shutil.rmtree(self._folder / "dvc" / "data")
        return clock(lambda: self._dvc_run(["checkout", "-q"]), settled=True)

    def _dvc_run(self, arguments: Sequence[str]) -> None:
        _run([self._dvc, "-m", "dvc", *arguments], cwd=self._folder / "dvc")

    def _restic_add(self) -> float:
        _run([self._restic, "-q", "init"], env=self._restic_environment(fresh=True))
        return self._restic_again()

    def _restic_again(self) -> float:
        command = [self._restic, "-q", "backup", "."]
        return clock(lambda: _run(command, cwd=self._source, env=self._restic_environment()), settled=True)

    def _restic_environment(self, fresh: bool = False) -> dict[str, str]:
        place = self._fresh("restic") if fresh else self._folder / "restic"
        return {**os.environ, "RESTIC_REPOSITORY": str(place), "RESTIC_PASSWORD": "bench"}

    def _fresh(self, name: str) -> Path:
        shutil.rmtree(self._folder / name, ignore_errors=True)
        return self._folder / name


def _generate(folder: Path, files: int, size: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    for number in range(files):
        path = folder / f"{number // FOLDERS_OF:04}" / f"{number:06}.bin"
        if number % FOLDERS_OF == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(source.bytes(size))


def _run(command: Sequence[object], **options: object) -> None:
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, **options)


if __name__ == "__main__":
    main()
