"""Meters in a mapped table: the suite, and what several processes make of one table."""

import math
import os
import signal
import subprocess
import sys

import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.meters import Meters
from charkh.stores import meters_file
from charkh.stores.meters_file import FileMeters, open_table
from charkh.testing.meters import MetersSuite

WORKER = """
import sys
from charkh.stores.meters_file import FileMeters
meters = FileMeters(int(sys.argv[1]))
asked = meters.counter("asked", "How often.", {"model": "a"})
meters.gauge("held", "Now.").set(5)
meters.gauge("most", "At most.", combine="max").set(float(sys.argv[2]))
meters.histogram("seconds", "How long.", buckets=(0.1, 1.0)).observe(0.5, "from-" + sys.argv[2])
for line in sys.stdin:
    asked.add(int(line))
    print("done", flush=True)
"""


class TestFileMeters(MetersSuite):
    def open(self) -> Meters:
        return FileMeters()


class Worker:
    """A process that shares a table."""

    def __init__(self, table: int, number: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(table), str(number)],
            pass_fds=(table,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def add(self, n: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def told(meters: FileMeters) -> dict[str, float]:
    return {family.name: family.samples[-1].value for family in meters.read()}


def test_processes_are_read_as_one_and_a_killed_one_keeps_its_counts_without_its_gauges() -> None:
    meters = FileMeters()
    meters.counter("asked", "How often.", {"model": "a"}).add(1)
    first, second = Worker(meters.table, 1), Worker(meters.table, 2)
    first.add(10)
    second.add(100)
    assert told(meters) == {"asked": 111.0, "held": 10.0, "most": 2.0, "seconds": 2.0}
    assert set(meters.alive()) == {os.getpid(), first.process.pid, second.process.pid}
    second.kill()
    assert told(meters) == {"asked": 111.0, "held": 5.0, "most": 1.0, "seconds": 2.0}
    third = Worker(meters.table, 3)
    third.add(1000)
    # The one that takes its place goes on where it ended: a counter never falls.
    assert told(meters) == {"asked": 1111.0, "held": 10.0, "most": 3.0, "seconds": 3.0}
    exemplars = [sample.exemplar for family in meters.read() for sample in family.samples if sample.exemplar]
    assert [each.labels["prediction_id"] for each in exemplars] == ["from-3"]
    first.kill()
    third.kill()
    assert meters.alive() == [os.getpid()]
    assert told(meters) == {"asked": 1111.0, "seconds": 3.0}


def test_nothing_is_left_behind() -> None:
    table = open_table()
    assert os.fstat(table).st_nlink == 0
    # It takes memory only where it is used.
    assert os.fstat(table).st_blocks * 512 < 1 << 20
    os.close(table)


def test_a_slot_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters_file, "SLOTS", 1)
    monkeypatch.setattr(meters_file, "SECONDS", 0.05)
    meters = FileMeters()
    worker = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from charkh.stores import meters_file as m; m.SLOTS = 1; m.SECONDS = 0.05;"
            "m.FileMeters(int(sys.argv[1]))",
            str(meters.table),
        ],
        pass_fds=(meters.table,),
        capture_output=True,
        text=True,
        check=False,
    )
    assert worker.returncode == 1
    assert Unavailable.__name__ in worker.stderr


def test_a_full_table_is_an_error_that_says_so_and_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters_file, "NUMBERS", 10)
    meters = FileMeters()
    counters = [meters.counter("asked", "How often.", {"n": str(n)}) for n in range(10)]
    counters[3].add(7)
    with pytest.raises(Invalid) as raised:
        meters.counter("asked", "How often.", {"n": "10"})
    assert raised.value.code == "meters.full"
    assert math.fsum(sample.value for family in meters.read() for sample in family.samples) == 7.0
