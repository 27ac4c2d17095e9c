"""Writers, readers and collectors on one medium, in any order, with a clock that jumps and processes that die."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from charkh.assets.collect import GRACE_SECONDS, YOUNG_SECONDS, Others, collect
from charkh.assets.lease import Presence, medium_now, only_collector
from charkh.assets.trash import undo
from charkh.assets.vault import PackVault
from charkh.core.errors import Conflict, Locked, Unavailable
from charkh.core.files import TreeEntry, TreeRef
from charkh.ports.blobs import BlobInfo
from charkh.stores.blobs_memory import MemoryBlobs

FILES = 10
HOUR = 3600.0
DAY = 24 * HOUR


class Died(Exception):
    """The process is no more."""


class Medium(MemoryBlobs):
    """A medium whose clock is turned by hand and on which a process may die at its n-th change."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1e9
        self.left = -1
        self._times: dict[str, float] = {}

    def put(self, key: str, parts: Any) -> None:
        self._step()
        if not self.has(key):
            self._times[key] = self.now
        super().put(key, parts)

    def delete(self, key: str) -> None:
        self._step()
        super().delete(key)
        self._times.pop(key, None)

    def list(self, prefix: str = "") -> Any:
        return iter([BlobInfo(info.key, info.size, self._times[info.key]) for info in super().list(prefix)])

    def copy(self) -> "Medium":
        other = Medium()
        other._objects, other._times = dict(self._objects), dict(self._times)
        return other

    def _step(self) -> None:
        if self.left == 0:
            raise Died
        self.left -= self.left > 0


class Machine:
    """One workspace: what it has acknowledged, and what is on its way."""

    def __init__(self, medium: Medium) -> None:
        self.medium = medium
        self.known: dict[str, frozenset[int]] = {}
        self.told: tuple[frozenset[str], float] = (frozenset(), medium.now)
        self.restart()

    def restart(self) -> None:
        self.vault = PackVault(self.medium)
        self.waiting: list[tuple[TreeRef, frozenset[int]]] = []
        self.flushed: list[tuple[TreeRef, frozenset[int]]] = []

    def report(self) -> None:
        self.told = (frozenset(self.known), self.medium.now)


def content(number: int) -> bytes:
    return b"%d " % number * (200 + number)


class Shared(RuleBasedStateMachine):
    """Nothing acknowledged is ever lost, and what is no longer held goes in the end."""

    @initialize()
    def begin(self) -> None:
        self.medium = Medium()
        self.machines = [Machine(self.medium), Machine(self.medium)]

    @rule(at=st.integers(0, 1), files=st.frozensets(st.integers(0, FILES - 1), min_size=1, max_size=4))
    def put(self, at: int, files: frozenset[int]) -> None:
        vault = self.machines[at].vault
        entries = [TreeEntry(f"{number}.txt", vault.put_bytes(content(number))) for number in files]
        self.machines[at].waiting.append((vault.put_tree(entries), files))

    @rule(at=st.integers(0, 1))
    def flush(self, at: int) -> None:
        machine = self.machines[at]
        try:
            machine.vault.flush()
        except (Conflict, Unavailable):
            machine.restart()
            return
        machine.flushed += machine.waiting
        machine.waiting = []

    @rule(at=st.integers(0, 1))
    def publish(self, at: int) -> None:
        machine = self.machines[at]
        for tree, files in machine.flushed:
            machine.known[tree.root] = files
        machine.flushed = []

    @rule(at=st.integers(0, 1), files=st.frozensets(st.integers(0, FILES - 1), min_size=1, max_size=4))
    def add(self, at: int, files: frozenset[int]) -> None:
        self.put(at, files)
        self.flush(at)
        self.publish(at)

    @rule(at=st.integers(0, 1), which=st.integers(0, 20))
    def delete(self, at: int, which: int) -> None:
        known = self.machines[at].known
        if known:
            del known[sorted(known)[which % len(known)]]

    @rule(at=st.integers(0, 1))
    def report(self, at: int) -> None:
        self.machines[at].report()

    @rule(at=st.integers(0, 1))
    def crash(self, at: int) -> None:
        self.machines[at].restart()

    @rule(minutes=st.sampled_from([1, 20, 90, 60 * 30, 60 * 24 * 15]))
    def advance(self, minutes: int) -> None:
        for machine in self.machines:
            # An event follows its flush within the hour, or never.
            if minutes * 60 > YOUNG_SECONDS / 2 and (machine.flushed or machine.waiting):
                machine.restart()
        self.medium.now += minutes * 60

    @rule(at=st.integers(0, 1), dies_after=st.one_of(st.just(-1), st.integers(0, 12)))
    def gc(self, at: int, dies_after: int) -> None:
        self._gc(self.machines[at], self.machines[1 - at], dies_after)

    @rule(at=st.integers(0, 1))
    def collect_for_weeks(self, at: int) -> None:
        for _week in range(3):
            self.advance(60 * 24 * 8)
            self.gc(at, -1)

    @rule(at=st.integers(0, 1))
    def undo(self, at: int) -> None:
        machine = self.machines[at]
        try:
            with only_collector(self.medium, medium_now(self.medium)):
                undo(machine.vault)
        except Locked:
            return

    @invariant()
    def everything_acknowledged_is_read(self) -> None:
        for machine in self.machines if hasattr(self, "machines") else ():
            # A look must not put back what it finds in the trash.
            reader = PackVault(self.medium.copy())
            for root, files in machine.known.items():
                read = {entry.path: b"".join(reader.read(entry.file)) for entry in reader.entries(root)}
                assert read == {f"{number}.txt": content(number) for number in files}

    def teardown(self) -> None:
        if not hasattr(self, "machines"):
            return
        for machine in self.machines:
            machine.known.clear()
        for _round in range(3):
            self.medium.now += GRACE_SECONDS + DAY
            for machine in self.machines:
                machine.restart()
                machine.report()
            self._gc(*self.machines, -1)
        assert [info.key for info in self.medium.list("pack/")] == []
        assert [info.key for info in self.medium.list("trash/")] == []

    def _gc(self, machine: Machine, other: Machine, dies_after: int) -> None:
        machine.report()
        roots, since = other.told
        vault = PackVault(self.medium)
        self.medium.left = dies_after
        try:
            collect(vault, machine.known, dry_run=False, others=Others(roots=roots, since=since))
        except Died:
            # Whoever comes later sees a lock whose process has ended.
            self.medium.left = -1
            for info in [*self.medium.list("lock/")]:
                self.medium.delete(info.key)
        finally:
            self.medium.left = -1


Shared.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestShared = Shared.TestCase


def test_a_long_writer_is_seen() -> None:
    medium = Medium()
    presence = Presence(medium, every=0.0)
    presence.wrote()
    begun = medium.now
    presence.wrote()
    medium.now += 50 * 60
    presence.wrote()
    vault = PackVault(medium)
    ref = vault.put_bytes(b"added by somebody else who is not done")
    vault.flush()
    medium.now += 59 * 60
    presence.wrote()
    assert collect(vault, [], dry_run=False, young_seconds=0).trashed == 0, f"written since {begun}"
    medium.now += 2 * HOUR
    assert collect(vault, [], dry_run=False, young_seconds=0).trashed == 1
    assert b"".join(vault.read(ref)).startswith(b"added"), "whoever reads it takes it out of the trash"
