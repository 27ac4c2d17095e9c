"""The clock never runs backwards, follows what it has seen, and believes no wild reading."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.clock import COUNTER_BITS, MAX_SKEW_SECONDS, Clock, reading_at, seconds


def test_readings_rise_while_the_wall_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    start = time.time_ns()
    readings = []
    for step in (0, 5_000, -3_600_000, -10, 2, -86_400_000):
        monkeypatch.setattr(time, "time_ns", lambda step=step: start + step * 1_000_000)
        readings += [clock.now(), clock.now()]
    assert readings == sorted(set(readings))


def test_readings_follow_the_wall_clock() -> None:
    before = reading_at(time.time() - 0.002)
    assert before <= Clock().now() <= reading_at(time.time() + 0.002)


def test_more_readings_than_a_millisecond_holds_still_rise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    clock = Clock()
    first = clock.now()
    for _ in range(1 << COUNTER_BITS):
        last = clock.now()
    assert last == first + (1 << COUNTER_BITS)


def test_a_reading_that_was_seen_is_overtaken() -> None:
    clock = Clock()
    ahead = reading_at(time.time() + MAX_SKEW_SECONDS / 2)
    assert clock.observe(ahead)
    assert clock.now() > ahead


def test_an_old_reading_changes_nothing() -> None:
    clock = Clock()
    now = clock.now()
    assert clock.observe(reading_at(1.0))
    assert now < clock.now() < now + (10_000 << COUNTER_BITS)


def test_a_reading_far_ahead_is_never_adopted() -> None:
    clock = Clock()
    wild = reading_at(time.time() + 10 * MAX_SKEW_SECONDS)
    assert not clock.observe(wild)
    assert clock.now() < wild


def test_threads_never_share_a_reading() -> None:
    clock = Clock()
    readings: list[int] = []

    def read() -> None:
        readings.extend([clock.now() for _ in range(500)])

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(readings)) == len(readings) == 4000


@given(st.integers(0, 4_000_000_000_000))
def test_a_millisecond_survives_as_seconds(milliseconds: int) -> None:
    reading = milliseconds << COUNTER_BITS
    assert reading_at(seconds(reading)) == reading
