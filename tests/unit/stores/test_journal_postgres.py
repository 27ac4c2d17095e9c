"""What PostgreSQL adds to the suite of all journals: sessions that end, commits in doubt, errors in plain words."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from charkh.core.errors import Corrupt, Invalid, Locked, Unavailable
from charkh.core.ids import new_id
from charkh.ports.exchange import Part
from charkh.stores.journal_postgres import PostgresJournal
from charkh.testing.children import in_child
from charkh.testing.journals import header, read_all

pytestmark = pytest.mark.needs("postgresql")
STORE = new_id()


@pytest.fixture
def journal(postgres_url: str) -> Iterator[PostgresJournal]:
    journal = PostgresJournal(postgres_url, STORE)
    yield journal
    journal.close()


@pytest.fixture
def other(postgres_url: str) -> Iterator[PostgresJournal]:
    journal = PostgresJournal(postgres_url, STORE)
    yield journal
    journal.close()


def end_other_sessions(url: str) -> None:
    """What a restart of the server, or a lost network, looks like."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_server_that_is_not_there_is_said_in_plain_words() -> None:
    journal = PostgresJournal("postgresql://nobody@127.0.0.1:9/none", STORE)
    for use in (lambda: journal.append([b"one"]), lambda: read_all(journal), journal.list_data, journal.known):
        with pytest.raises(Unavailable) as raised:
            use()
        assert raised.value.code == "journal.unavailable"
        assert raised.value.hint
    with pytest.raises(Unavailable), journal.exclusive():
        pass
    journal.close()


def test_the_journal_goes_on_after_its_sessions_ended(journal: PostgresJournal, postgres_url: str) -> None:
    journal.append([b"one"], durable=True)
    end_other_sessions(postgres_url)
    journal.append([b"two"], durable=True)
    assert sorted(read_all(journal)[0]) == [b"one", b"two"]


def test_a_holder_whose_session_ended_appends_nothing_more(
    journal: PostgresJournal, other: PostgresJournal, postgres_url: str
) -> None:
    """The lock is gone with the session, so a decision that was taken under it must not be written."""
    with journal.exclusive():
        journal.append([b"under the lock"])
        end_other_sessions(postgres_url)
        with other.exclusive(5):
            pass
        with pytest.raises(Unavailable):
            journal.append([b"too late"], durable=True)
    assert read_all(other)[0] == [b"under the lock"]
    with journal.exclusive():
        journal.append([b"again"])
    assert sorted(read_all(other)[0]) == [b"again", b"under the lock"]


def test_after_a_commit_in_doubt_another_segment_is_begun(journal: PostgresJournal) -> None:
    journal.append([b"one"])
    inside: Any = journal
    segment = inside._segment
    # As if the last commit had happened although its answer never came.
    with inside._engine.begin() as connection:
        inside._insert(connection, segment, 1, [b"in doubt"], durable=True)
    with pytest.raises(Unavailable):
        # The number is taken, so nothing is returned for it and nothing is overwritten.
        journal.append([b"two"])
    journal.append([b"three"])
    assert inside._segment != segment
    assert read_all(journal)[0] == [b"one", b"in doubt", b"three"]


def test_records_are_kept_while_the_sessions_are_gone(journal: PostgresJournal, postgres_url: str) -> None:
    writer = journal.open_data(header())
    assert writer.append(b"0") == 0
    end_other_sessions(postgres_url)
    assert [writer.append(b"%d" % number) for number in range(1, 5)] == [1, 2, 3, 4]
    writer.close()
    assert [(record.ordinal, record.payload) for record in journal.read_data(writer.segment)] == [
        (number, b"%d" % number) for number in range(5)
    ]


def test_a_segment_that_was_sealed_while_its_session_was_gone_is_left(
    journal: PostgresJournal, other: PostgresJournal, postgres_url: str
) -> None:
    writer = journal.open_data(header())
    writer.append(b"sealed by others")
    first = writer.segment
    end_other_sessions(postgres_url)
    assert [segment.live for segment in other.list_data()] == [False]
    other.drop_data(first)
    for _ in range(3):
        writer.append(b"new")
    writer.close()
    assert writer.segment != first
    assert [record.payload for record in journal.read_data(writer.segment)] == [b"new"] * 3


def test_the_child_of_a_fork_has_sessions_and_segments_of_its_own(journal: PostgresJournal) -> None:
    journal.append([b"parent"])
    writer = journal.open_data(header())
    writer.append(b"parent")

    def work() -> None:
        journal.append([b"child"])
        writer.append(b"child")
        writer.flush()

    in_child(work)
    journal.append([b"parent again"])
    assert sorted(read_all(journal)[0]) == [b"child", b"parent", b"parent again"]
    assert [record.payload for record in journal.read_data(writer.segment)] == [b"parent"]
    assert len(journal.known()) == 2
    assert len(journal.list_data()) == 2
    writer.close()


def test_a_dead_process_holds_no_lock(journal: PostgresJournal, other: PostgresJournal) -> None:
    in_child(lambda: journal.exclusive().__enter__())
    with other.exclusive(10):
        other.append([b"one"])
    with other.exclusive(), pytest.raises(Locked) as raised, journal.exclusive(0.05):
        pass
    assert raised.value.hint


def test_a_damaged_row_is_named(journal: PostgresJournal) -> None:
    journal.append([b"one", b"two"])
    inside: Any = journal
    with inside._engine.begin() as connection:
        connection.execute(text("UPDATE journal_fact SET frame = set_byte(frame, 9, 0) WHERE seq = 1"))
    with pytest.raises(Corrupt, match="segment") as raised:
        read_all(journal)
    assert raised.value.code == "journal.row_damaged"


def test_a_long_journal_is_read_in_pages(journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charkh.stores.journal_postgres.READ_ROWS", 7)
    monkeypatch.setattr("charkh.stores.data_postgres.READ_ROWS", 7)
    written = [b"%d" % number for number in range(30)]
    journal.append(written)
    writer = journal.open_data(header())
    for payload in written:
        writer.append(payload)
    writer.close()
    assert read_all(journal)[0] == written
    assert len(list(journal.read({}))) == 5
    assert [record.payload for record in journal.read_data(writer.segment, 3)] == written[3:]
    assert [payload for part in journal.parts({}) for payload in part.payloads] == written


def test_a_part_names_a_segment_by_its_id(journal: PostgresJournal) -> None:
    with pytest.raises(Invalid):
        journal.take([Part("no id", 0, [b"one"])])
    assert read_all(journal)[0] == []


def test_tables_of_a_newer_charkh_are_left_alone(postgres_url: str) -> None:
    journal = PostgresJournal(postgres_url, "a" * 32)
    journal.append([b"fact"])
    with journal.engine.begin() as connection:
        connection.execute(text("INSERT INTO journal_format VALUES (2)"))
    journal.close()
    later = PostgresJournal(postgres_url, "a" * 32)
    with pytest.raises(Invalid, match="written by a newer charkh") as raised:
        later.append([b"another"])
    assert raised.value.code == "store.too_new"
    later.close()
