"""Names in a mapped file: what several processes make of one set, and who is waited for."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.stores import shared_names_file
from charkh.stores.shared_names_file import FileNames, open_names

WORKER = """
import sys
from charkh.stores.shared_names_file import FileNames
names = FileNames(int(sys.argv[1]))
print("begun", sorted(names.read()), flush=True)
for line in sys.stdin:
    verb, *rest = line.split()
    if verb == "put":
        names.put(rest[0], present=rest[1] == "in")
    elif verb == "many":
        for at in range(60):
            names.put(f"{rest[0]}-{at}", present=True)
    elif verb == "heed":
        names.read()
        names.heed()
    print(names.changed(), sorted(names.read()), flush=True)
"""


class Worker:
    """A process that shares a set."""

    def __init__(self, table: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(table)],
            pass_fds=(table,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.begun = self._line()

    def tell(self, *words: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self._line()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def table() -> Iterator[int]:
    yield open_names()


@pytest.fixture
def worker(table: int) -> Iterator[Worker]:
    made = Worker(table)
    yield made
    made.kill()


def test_a_change_is_found_by_every_process_and_heeded_when_each_says_so(table: int, worker: Worker) -> None:
    names = FileNames(table)
    assert (names.read(), names.changed(), names.heeded()) == (frozenset(), False, True)
    names.put("a", present=True)
    assert names.read() == {"a"}
    assert names.changed()
    names.heed()
    assert not names.changed()
    assert not names.heeded(), "the other one has not said so"
    assert worker.tell("look") == "True ['a']"
    assert not names.heeded(), "to have read is not to serve accordingly"
    assert worker.tell("heed") == "False ['a']"
    assert names.heeded()
    worker.tell("put", "b", "in")
    worker.tell("put", "a", "out")
    assert names.changed()
    assert names.read() == {"b"}


def test_a_process_that_died_is_not_waited_for_and_one_that_comes_knows_what_was_put(table: int) -> None:
    names, first = FileNames(table), Worker(table)
    first.tell("put", "a", "in")
    first.kill()
    names.read()
    names.heed()
    assert names.heeded()
    second = Worker(table)
    assert second.begun == "begun ['a']"
    assert names.heeded()
    second.kill()


def test_changes_of_several_processes_at_once_are_all_there(table: int) -> None:
    names, workers = FileNames(table), [Worker(table) for _ in range(3)]
    for number, each in enumerate(workers):
        assert each.process.stdin is not None
        each.process.stdin.write(f"many {number}\n")
        each.process.stdin.flush()
    for each in workers:
        assert each.tell("look")
        each.kill()
    assert names.read() == {f"{number}-{at}" for number in range(3) for at in range(60)}


def test_what_has_no_room_is_refused(table: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = FileNames(table)
    with pytest.raises(Invalid, match="no room"):
        names.put("a" * shared_names_file.ROOM, present=True)
    assert names.read() == frozenset()
    monkeypatch.setattr(shared_names_file, "SLOTS", 0)
    with pytest.raises(Unavailable, match="share the names already"):
        FileNames(table)
