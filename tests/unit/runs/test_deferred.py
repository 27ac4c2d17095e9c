"""Facts that the store would not take: kept in order, tried again, bounded, counted."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.core.errors import Denied, Unavailable
from charkh.runs import deferred
from charkh.runs.deferred import Deferred

RUN = "01" * 16


class Disk:
    """Takes facts, or raises what it is told to."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.taken: list[str] = []

    def taking(self, fact: str) -> Callable[[], str]:
        def take() -> str:
            if self.trouble is not None:
                raise self.trouble
            self.taken.append(fact)
            return fact

        return take


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "RETRY_SECONDS", 0.0)


FULL = (
    Unavailable("the disk is full", code="journal.unavailable"),
    OSError("no space"),
    sqlite3.OperationalError("database or disk is full"),
)


@pytest.mark.parametrize("trouble", FULL, ids=lambda trouble: type(trouble).__name__)
def test_what_waits_is_recorded_in_its_order(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    disk, facts = Disk(), Deferred(RUN, strict=False)
    assert facts.do(disk.taking("a")) == "a"
    disk.trouble = trouble
    with caplog.at_level(logging.WARNING, "charkh"):
        assert [facts.do(disk.taking(each)) for each in "bcd"] == [None, None, None]
    assert len(caplog.records) == 1
    assert len(facts) == 3
    disk.trouble = None
    assert facts.do(disk.taking("e")) == "e"
    assert disk.taken == list("abcde")
    assert facts.settle() == 0


def test_what_never_comes_through_is_counted() -> None:
    disk, facts = Disk(), Deferred(RUN, strict=False)
    disk.trouble = FULL[0]
    for each in "abc":
        facts.do(disk.taking(each))
    assert not facts.retry()
    assert facts.settle() == 3
    assert facts.settle() == 0


def test_what_no_attempt_mends_does_not_hold_up_the_rest() -> None:
    disk, facts = Disk(), Deferred(RUN, strict=False)
    disk.trouble = Denied("these bytes were erased", code="asset.erased")
    assert facts.do(disk.taking("erased")) is None
    disk.trouble = None
    assert facts.do(disk.taking("next")) == "next"
    assert facts.settle() == 1


def test_memory_is_bounded() -> None:
    disk, facts = Disk(), Deferred(RUN, strict=False)
    disk.trouble = FULL[0]
    for _ in range(3):
        facts.do(disk.taking("large"), deferred.MAX_BYTES // 2)
    assert len(facts) == 2
    disk.trouble = None
    assert facts.settle() == 1
    assert disk.taken == ["large", "large"]


def test_a_disk_that_stays_full_is_not_asked_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "RETRY_SECONDS", 3600.0)
    disk, facts = Disk(), Deferred(RUN, strict=False)
    disk.trouble = FULL[0]
    facts.do(disk.taking("a"))
    disk.trouble = None
    assert facts.do(disk.taking("b")) is None
    assert disk.taken == []
    assert facts.retry()
    assert disk.taken == ["a", "b"]


def test_who_is_strict_sees_the_trouble(tmp_path: Path) -> None:
    del tmp_path
    disk, facts = Disk(), Deferred(RUN, strict=True)
    disk.trouble = FULL[0]
    with pytest.raises(Unavailable):
        facts.do(disk.taking("a"))
    assert facts.settle() == 0
