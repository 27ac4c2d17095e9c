"""A million scalars in one event file, from the moment a running server is pointed at it to the last point served.

charkh serves every point over its HTTP API; the peer's reading is TensorBoard's own time until its server answers with
the last step of the last tag, of which it shows a sample of a thousand points; it looks for news every second, which is
as often as it can, and charkh ten times a second. The limit is reading the file and
checking its checksums with nothing else done. First curves, and what a growing file costs, are shown too.

Promise: in at most TensorBoard's own time with nothing sampled away, and first curves in 0.3 s.

    python benchmarks/tensorboard_load.py [--tags 100] [--steps 10000] [--rounds 3]
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from harness import in_turn, median, peer_python, report, version_of, workplace

from charkh.bridges.tensorboard.event_file import EventFile, scalar_records
from charkh.bridges.tensorboard.records import walk

TENSORBOARD = ("tensorboard==2.21.0", "setuptools<81", "tensorboardX==2.6.5", "pillow>=10", "soundfile>=0.12")
PAUSE = 0.04


def make(path: Path, tags: int, steps: int) -> np.ndarray:
    """An event file as a training writes it, step by step; the values by tag."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((tags, steps)).cumsum(axis=1).astype(np.float32)
    file = EventFile(path, 1.7e9)
    columns = []
    for tag in range(tags):
        encoded = scalar_records(
            f"metrics/tag_{tag:02d}",
            np.arange(steps),
            1.7e9 + np.arange(steps) / 10 + tag / 1e4,
            values[tag].astype(np.float64),
        )
        borders = walk(encoded).offsets
        columns.append([encoded[low:high] for low, high in itertools.pairwise(borders)])
    file.write(b"".join(column[step] for step in range(steps) for column in columns))
    file.close()
    return values


def limit(path: Path) -> float:
    """Seconds to read the file and to check every record with one call of the checksum's library."""
    begin = time.perf_counter()
    buffer = path.read_bytes()
    borders = walk(buffer).offsets
    for low, high in itertools.pairwise(borders):
        google_crc32c.value(buffer[low + 12 : high - 4])
    return time.perf_counter() - begin


class Charkh:
    """`charkh up` in a fresh workspace."""

    def __init__(self, folder: Path, logdir: Path) -> None:
        folder.mkdir()
        words = [sys.executable, "-m", "charkh", "-C", str(folder)]
        subprocess.run([*words, "init"], check=True, capture_output=True)
        self.port = _free_port()
        (folder / "charkh.toml").write_text(f'[tensorboard]\nfollow = ["{logdir}"]\nevery = "100ms"\n')
        command = [*words, "up", "--port", str(self.port), "--json", "--every", "0s"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while self.process.stdout.readline() not in {"}\n", ""}:
            pass
        self.token = (folder / ".charkh" / "token").read_text()

    def ask(self, path: str, **query: str) -> Any:
        address = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            return None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def by_charkh(
    folder: Path, source: Path, tags: int, steps: int, values: np.ndarray, seen: dict[str, list[float]]
) -> float:
    logdir = folder / "logs"
    (logdir / "run").mkdir(parents=True)
    server = Charkh(folder / "workspace", logdir)
    try:
        # A server that has been running has answered before, as the peer has until its plugins are listed.
        server.ask("/api/runs")
        server.ask("/api/runs/history", ref="0" * 32, key="metrics/tag_00")
        time.sleep(1.0)
        begin = time.perf_counter()
        target = logdir / "run" / source.name
        target.hardlink_to(source)
        run = _until(lambda: next((each["started"]["run"] for each in server.ask("/api/runs") or ()), None))
        first = _until(lambda: server.ask("/api/runs/history", ref=run, key="metrics/tag_00"))
        seen["first curve"].append(time.perf_counter() - begin)
        assert first
        last = f"metrics/tag_{tags - 1:02d}"
        _until(lambda: _whole(server.ask("/api/runs/history", ref=run, key=last), steps))
        took = time.perf_counter() - begin
        for tag in range(tags):
            points = server.ask("/api/runs/history", ref=run, key=f"metrics/tag_{tag:02d}")
            assert [each[2] if isinstance(each, list) else each["value"] for each in points] == values[tag].tolist()
        seen["every point served"].append(time.perf_counter() - begin)
        return took
    finally:
        server.stop()


def _whole(points: Any, steps: int) -> Any:
    return points if points and len(points) == steps else None


def by_tensorboard(folder: Path, python: Path, source: Path, tags: int, steps: int) -> float:
    logdir = folder / "logs"
    (logdir / "run").mkdir(parents=True)
    port = _free_port()
    command = [python, "-m", "tensorboard.main", "--logdir", logdir, "--port", str(port), "--reload_interval", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?run=run&tag=metrics/tag_{tags - 1:02d}"
    try:
        _until(lambda: _tensorboard(f"http://127.0.0.1:{port}/data/plugins_listing"))
        begin = time.perf_counter()
        (logdir / "run" / source.name).hardlink_to(source)
        _until(lambda: (points := _tensorboard(address)) and points[-1][1] == steps - 1)
        return time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait()


def _tensorboard(address: str) -> Any:
    try:
        with urllib.request.urlopen(address) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return None


def _until(question: Any, seconds: float = 300.0) -> Any:
    """The first answer that is one."""
    end = time.perf_counter() + seconds
    while not (found := question()):
        if time.perf_counter() > end:
            raise TimeoutError(f"no answer in {seconds} s")
        time.sleep(PAUSE)
    return found


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def growth(folder: Path, source: Path) -> dict[str, float]:
    """What one more look costs once the file was read, and what a hundred new scalars cost."""
    from charkh.bridges.tensorboard.importing import follower_of
    from charkh.workspace.workspace import open_workspace

    logdir = folder / "logs"
    (logdir / "run").mkdir(parents=True)
    target = logdir / "run" / source.name
    target.write_bytes(source.read_bytes())
    found: dict[str, float] = {}
    with open_workspace(folder / "workspace", create=True) as workspace:
        follower = follower_of(workspace, logdir)
        for name in ("all of it", "nothing new", "100 more"):
            if name == "100 more":
                more = scalar_records("metrics/tag_00", np.arange(100) + 10**6, np.full(100, 1.8e9), np.zeros(100))
                with target.open("ab") as file:
                    file.write(more)
            begin = time.perf_counter()
            reports = follower.round()
            found[f"{name} (s)"] = round(time.perf_counter() - begin, 4)
            found[f"{name} (bytes read)"] = sum(each.read for each in reports)
        follower.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    tags, steps = options.tags, options.steps
    python = peer_python("tensorboard", *TENSORBOARD)
    seen: dict[str, list[float]] = {"first curve": [], "every point served": []}
    with workplace() as folder:
        source = folder / "events.out.tfevents.1700000000.bench.1.0"
        values = make(source, tags, steps)
        numbers = iter(range(1000))

        def fresh() -> Path:
            made = folder / f"round{next(numbers)}"
            made.mkdir()
            return made

        contenders = {
            "limit": lambda: limit(source),
            "charkh": lambda: by_charkh(fresh(), source, tags, steps, values, seen),
            **({"tensorboard": lambda: by_tensorboard(fresh(), python, source, tags, steps)} if python else {}),
        }
        readings = in_turn(options.rounds, contenders)
        grown = growth(fresh(), source)
        size = source.stat().st_size
    mine = median(readings["charkh"])
    theirs = median(readings["tensorboard"]) if python else None
    first = median(seen["first curve"])
    report(
        "tensorboard_load",
        charkh=round(mine, 3),
        peer=round(theirs, 3) if theirs else None,
        limit=round(median(readings["limit"]), 3),
        unit=f"s until the last of {tags * steps} scalars is served",
        aim="at most TensorBoard's own time for its sample, every point kept; first curve in 0.3 s",
        holds=(theirs is None or mine <= theirs) and first <= 0.3,
        first_curve=round(first, 3),
        every_point_served=round(median(seen["every point served"]), 3),
        file_bytes=size,
        followed=grown,
        peer_version=version_of(python, "tensorboard"),
    )


if __name__ == "__main__":
    main()
