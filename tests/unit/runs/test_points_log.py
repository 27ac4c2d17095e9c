"""The path of `log`: what it takes, what it refuses, how it counts, and what a failing disk or a fork does to it."""

import logging
import math
import multiprocessing
import os
import threading
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader, DataWriter
from charkh.runs.points import PointsRecord, collect_series
from charkh.runs.points_log import MAX_STEP, PointsLog
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_memory import MemoryJournal

RUN = "01" * 16


def records(journal: Any) -> list[tuple[int, dict[str, float], str]]:
    found: list[tuple[int, dict[str, float], str]] = []
    for segment in journal.list_data():
        for record in journal.read_data(segment.header.segment):
            point = msgspec.msgpack.decode(record.payload, type=PointsRecord)
            found.append((point.step, point.values, point.context))
    return found


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


def log_of(journal: Any, **more: Any) -> PointsLog:
    return PointsLog(journal, RUN, "0", **more)


def test_every_kind_of_number_is_kept(journal: MemoryJournal) -> None:
    log = log_of(journal)
    given = [
        True,
        3,
        0.5,
        np.float32(0.25),
        np.float64(7),
        np.int8(-1),
        np.bool_(False),
        np.array(2.5),
        np.array([4.0]),
        Decimal("1.5"),
        Fraction(1, 4),
        math.nan,
        math.inf,
        -math.inf,
    ]
    for _ in range(2):
        for step, value in enumerate(given):
            log.log({"x": value}, step, "", None)
    kept = [values["x"] for _, values, _ in records(journal)]
    expected = [float(np.asarray(value, float).reshape(-1)[0]) for value in given]
    np.testing.assert_array_equal(kept, expected * 2)


@pytest.mark.parametrize("value", ["0.5", None, [1.0], np.array([1.0, 2.0]), 1j, {"a": 1}, object(), 10**400])
def test_what_is_no_number_is_refused_and_nothing_is_logged(journal: MemoryJournal, value: Any) -> None:
    log = log_of(journal)
    log.log({"good": 1.0, "bad": 1.0}, 0, "", None)
    with pytest.raises(Invalid, match="'bad' is"):
        log.log({"good": 1.0, "bad": value}, 1, "", None)
    assert len(records(journal)) == 1


@pytest.mark.parametrize("step", [1.5, "3", MAX_STEP, -MAX_STEP, math.nan, object()])
def test_a_step_is_a_whole_number(journal: MemoryJournal, step: Any) -> None:
    log = log_of(journal)
    for _ in range(2):
        with pytest.raises(Invalid, match="the step"):
            log.log({"x": 1.0}, step, "", None)
        log.log({"x": 1.0}, 0, "", None)


def test_steps_of_other_types_are_taken(journal: MemoryJournal) -> None:
    log = log_of(journal)
    for step in (np.int64(5), 6.0, True, MAX_STEP - 1):
        log.log({"x": 1.0}, step, "", None)  # pyright: ignore[reportArgumentType]
    assert [step for step, _, _ in records(journal)] == [5, 6, 1, MAX_STEP - 1]


@pytest.mark.parametrize("key", ["", "a" * 251, "line\nbreak", "back`quote", 3, "\ud800"])
def test_a_key_is_a_name(journal: MemoryJournal, key: Any) -> None:
    with pytest.raises(Invalid, match="cannot be the name of a metric"):
        log_of(journal).log({key: 1.0}, 0, "", None)


def test_without_a_step_each_metric_counts_for_itself(journal: MemoryJournal) -> None:
    log = log_of(journal)
    log.log({"loss": 1.0}, None, "", None)
    log.log({"loss": 2.0}, None, "", None)
    log.log({"loss": 3.0, "auc": 0.5}, None, "", None)
    log.log({"loss": 4.0, "auc": 0.6}, None, "", None)
    log.log({"loss": 9.0}, None, "val", None)
    log.log({"loss": 9.0}, 77, "", None)
    log.log({"loss": 5.0}, None, "", None)
    assert records(journal) == [
        (0, {"loss": 1.0}, ""),
        (1, {"loss": 2.0}, ""),
        (2, {"loss": 3.0}, ""),
        (0, {"auc": 0.5}, ""),
        (3, {"loss": 4.0}, ""),
        (1, {"auc": 0.6}, ""),
        (0, {"loss": 9.0}, "val"),
        (77, {"loss": 9.0}, ""),
        (4, {"loss": 5.0}, ""),
    ]


def test_the_moment_may_be_said(journal: MemoryJournal) -> None:
    log = log_of(journal)
    log.log({"x": 1.0}, 0, "", 12.5)
    log.log({"x": 1.0}, 1, "", 13)
    (segment,) = journal.list_data()
    _, (series,) = collect_series(record.payload for record in journal.read_data(segment.header.segment))
    assert series.times.tolist() == [12_500_000, 13_000_000]


def test_nothing_can_be_logged_after_the_end(journal: MemoryJournal) -> None:
    log = log_of(journal)
    log.log({"x": 1.0}, 0, "", None)
    segments, lost = log.close()
    assert (len(segments), lost) == (1, 0)
    with pytest.raises(Invalid, match="has ended"):
        log.log({"x": 2.0}, 1, "", None)
    assert log.close() == ([], 0)


def test_a_large_segment_is_left_and_another_begun(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path, new_id())
    log = log_of(journal, rotate_bytes=200)
    for step in range(50):
        log.log({"loss": step / 3}, step, "", None)
    segments, lost = log.close()
    assert lost == 0
    assert len(segments) > 3
    assert sorted(step for step, _, _ in records(journal)) == list(range(50))
    assert not any(each.live for each in journal.list_data())


class BrokenJournal(MemoryJournal):
    def open_data(self, header: DataHeader) -> DataWriter:
        raise Unavailable("the disk is full", code="journal.unavailable")


def test_where_no_segment_can_be_opened_log_goes_on_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    log = log_of(BrokenJournal())
    with caplog.at_level(logging.WARNING, "charkh"):
        log.open()
        for step in range(5):
            log.log({"x": 1.0}, step, "", None)
    assert log.close() == ([], 5)
    assert [record.message.count("disk is full") for record in caplog.records] == [1]


def test_threads_lose_nothing(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path, new_id())
    log = log_of(journal, rotate_bytes=3000)

    def write(number: int) -> None:
        for step in range(200):
            log.log({f"m{number}": float(step)}, step, "", None)

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, lost = log.close()
    assert lost == 0
    found = records(journal)
    for number in range(4):
        assert sorted(step for step, values, _ in found if f"m{number}" in values) == list(range(200))
    assert len(found) == 800


def _log_in_child(log: PointsLog) -> None:
    for step in range(10, 20):
        log.log({"loss": float(step)}, step, "", None)
    log.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_writes_a_segment_of_its_own(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path, new_id())
    log = log_of(journal)
    log.log({"loss": 0.0}, 0, "", None)
    child = multiprocessing.get_context("fork").Process(target=_log_in_child, args=[log])
    child.start()
    log.log({"loss": 1.0}, 1, "", None)
    child.join()
    assert child.exitcode == 0
    log.log({"loss": 2.0}, 2, "", None)
    log.close()
    by_writer = {
        each.header.writer: [record.ordinal for record in journal.read_data(each.header.segment)]
        for each in journal.list_data()
    }
    assert by_writer == {"0": [0, 1, 2], f"0.{child.pid}": list(range(10))}
    assert os.getpid() != child.pid


@pytest.mark.parametrize("moment", [math.nan, math.inf, -math.inf, 1e13])
def test_a_time_that_is_no_moment_is_refused_and_harms_nothing(journal: MemoryJournal, moment: float) -> None:
    log = log_of(journal)
    for _ in range(2):
        log.log({"loss": 1.0}, 0, "", None)
        with pytest.raises(Invalid, match="no moment") as caught:
            log.log({"loss": 2.0}, 1, "", moment)
        assert caught.value.code == "run.bad_time"
    assert [values for _step, values, _context in records(journal)] == [{"loss": 1.0}] * 2
