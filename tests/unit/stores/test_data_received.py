"""Records of another store's open segment: taken once and in order, whoever sends them, in folder and database."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.ids import new_id
from charkh.ports.exchange import RECEIVED, DataExchange
from charkh.ports.journal import DataHeader, Journal
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_postgres import PostgresJournal

Open = Callable[[], FolderJournal | PostgresJournal]


@pytest.fixture(params=["folder", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "folder":
        return lambda: FolderJournal(tmp_path / "journal", "a" * 32)
    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresJournal(url, "a" * 32)


def header(**labels: str) -> DataHeader:
    return DataHeader(segment=new_id(), content="points", subject=f"run:{new_id()}", labels=labels or {RECEIVED: "b"})


def payloads_of(journal: Journal, segment: str) -> list[bytes]:
    return [record.payload for record in journal.read_data(segment)]


def test_records_are_taken_once_and_in_order(opened: Open) -> None:
    journal, told = opened(), header()
    assert journal.take_data(told, 0, ()) == 0
    assert journal.take_data(told, 0, [b"a", b"b"]) == 2
    assert journal.take_data(told, 0, [b"a", b"b", b"c"]) == 3
    assert journal.take_data(told, 5, [b"f"]) == 3
    assert journal.take_data(told, 1, [b"b"]) == 3
    assert payloads_of(journal, told.segment) == [b"a", b"b", b"c"]
    (listed,) = journal.list_data()
    assert (listed.header, listed.live) == (told, True)
    journal.drop_data(told.segment)
    with pytest.raises(NotFound):
        journal.read_data(told.segment)
    assert journal.take_data(told, 3, [b"d"]) == 0
    journal.close()


def test_several_processes_take_records_of_one_writer(opened: Open) -> None:
    told = header()
    sent = [f"{number}".encode() for number in range(200)]

    def send(journal: DataExchange) -> None:
        known = 0
        while known < len(sent):
            known = journal.take_data(told, known, sent[known : known + 7])

    journals = [opened() for _ in range(3)]
    threads = [threading.Thread(target=send, args=[journal]) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert payloads_of(journals[0], told.segment) == sent
    for journal in journals:
        journal.close()


def test_what_no_store_writes_is_refused(opened: Open) -> None:
    journal = opened()
    with pytest.raises(Conflict, match="which store"):
        journal.take_data(header(other="label"), 0, [b"a"])
    with pytest.raises(Invalid, match="no record"):
        journal.take_data(header(), 0, [b"charkh segment 1\nx"])
    with pytest.raises(Invalid, match="no record"):
        journal.take_data(header(), 0, [b""])
    assert journal.list_data() == []
    journal.close()


def test_a_torn_tail_is_cut_and_sent_again(tmp_path: Path) -> None:
    told = header()
    FolderJournal(tmp_path, "a" * 32).take_data(told, 0, [b"first", b"second"])
    path = tmp_path / "open" / f"{told.segment}.data"
    path.write_bytes(path.read_bytes()[:-3])
    journal = FolderJournal(tmp_path, "a" * 32)
    assert journal.take_data(told, 2, [b"third"]) == 1
    assert journal.take_data(told, 1, [b"second", b"third"]) == 3
    assert payloads_of(journal, told.segment) == [b"first", b"second", b"third"]


def test_a_silent_writer_is_not_live(tmp_path: Path) -> None:
    journal, told = FolderJournal(tmp_path, "a" * 32), header()
    journal.take_data(told, 0, [b"a"])
    long_ago = time.time() - 3600
    os.utime(tmp_path / "open" / f"{told.segment}.data", (long_ago, long_ago))
    assert [each.live for each in journal.list_data()] == [False]
    journal.take_data(told, 1, ())
    assert [each.live for each in journal.list_data()] == [True]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=25))
def test_any_order_of_portions_gives_a_beginning_of_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, portions: list[tuple[int, int]]
) -> None:
    journal, told = FolderJournal(tmp_path_factory.mktemp("journal"), "a" * 32), header()
    written = [f"record {number}".encode() for number in range(42)]
    known = 0
    for start, count in portions:
        expected = max(known, start + count) if start <= known else known
        known = journal.take_data(told, start, written[start : start + count])
        assert known == expected
    assert known == 0 or payloads_of(journal, told.segment) == written[:known]
