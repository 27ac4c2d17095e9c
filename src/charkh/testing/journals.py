"""The suite that every journal passes: inherit `JournalSuite` and say how one is opened."""

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Bug, CharkhError, Locked, NotFound
from charkh.core.ids import new_id
from charkh.ports.journal import Cursor, DataHeader, Journal

STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "append", "read", "close"]), st.integers(0, 2), st.integers(1, 3)),
    max_size=30,
)


def read_all(journal: Journal, cursor: Cursor | None = None) -> tuple[list[bytes], Cursor]:
    """Every payload behind a cursor, and the cursor behind them."""
    payloads: list[bytes] = []
    cursor = cursor or {}
    for batch in journal.read(cursor):
        payloads.extend(batch.payloads)
        cursor = batch.cursor
    return payloads, cursor


def header(content: str = "points", subject: str = "run:1", **labels: str) -> DataHeader:
    """A header of a fresh data segment."""
    return DataHeader(segment=new_id(), content=content, subject=subject, labels=labels)


class JournalSuite(ABC):
    """What `charkh.ports.journal.Journal` promises.

    Attributes:
        shared: whether several journals can be open on one medium, as by several processes.
        examples: how many random stories are played.
    """

    shared = True
    examples = 30

    @abstractmethod
    def open(self) -> Journal:
        """A journal on this test's medium; each call opens another one on the same medium."""

    @abstractmethod
    def fresh(self) -> Callable[[], Journal]:
        """How journals are opened on a medium of their own, empty at the first call."""

    @pytest.fixture
    def journal(self) -> Iterator[Journal]:
        journal = self.open()
        yield journal
        journal.close()

    @pytest.fixture
    def other(self) -> Iterator[Journal]:
        if not self.shared:
            pytest.skip("only one journal can be open on this medium")
        other = self.open()
        yield other
        other.close()

    # Facts

    def test_an_empty_journal_has_nothing_to_read(self, journal: Journal) -> None:
        assert list(journal.read({})) == []

    @pytest.mark.parametrize("durable", [False, True])
    def test_facts_are_read_in_the_order_of_their_appends(self, journal: Journal, durable: bool) -> None:
        journal.append([b"one", b"two"], durable=durable)
        journal.append([b"three"], durable=durable)
        assert read_all(journal)[0] == [b"one", b"two", b"three"]

    def test_a_cursor_gives_only_what_is_new(self, journal: Journal) -> None:
        journal.append([b"one"])
        payloads, cursor = read_all(journal)
        assert payloads == [b"one"]
        assert list(journal.read(cursor)) == []
        journal.append([b"two"])
        assert read_all(journal, cursor)[0] == [b"two"]

    def test_a_cursor_can_be_written_down(self, journal: Journal) -> None:
        journal.append([b"one"])
        cursor = read_all(journal)[1]
        again = msgspec.json.decode(msgspec.json.encode(dict(cursor)), type=dict[str, int])
        journal.append([b"two"])
        assert read_all(journal, again)[0] == [b"two"]

    def test_every_batch_has_a_cursor_of_its_own(self, journal: Journal) -> None:
        for number in range(20):
            journal.append([b"%d" % number])
        batches = list(journal.read({}))
        for place, batch in enumerate(batches):
            behind = [payload for later in batches[place + 1 :] for payload in later.payloads]
            assert read_all(journal, batch.cursor)[0] == behind

    def test_appending_nothing_is_nothing(self, journal: Journal) -> None:
        journal.append([])
        assert read_all(journal)[0] == []

    @pytest.mark.parametrize("size", [1, 300, 100_000, 3_000_000])
    def test_a_fact_of_any_size_comes_back_whole(self, journal: Journal, size: int) -> None:
        payload = random.Random(size).randbytes(size)  # noqa: S311 - bytes to compare, not a secret
        journal.append([payload, b"behind"])
        assert read_all(journal)[0] == [payload, b"behind"]

    def test_a_fact_that_fits_no_frame_is_refused_and_nothing_is_appended(self, journal: Journal) -> None:
        with pytest.raises(Bug):
            journal.append([b"before", b""])
        assert read_all(journal)[0] == []

    def test_threads_append_at_once(self, journal: Journal) -> None:
        def work(name: int) -> None:
            for number in range(50):
                journal.append([b"%d %d" % (name, number)])

        _at_once(work, [1, 2, 3, 4])
        payloads = [payload.split() for payload in read_all(journal)[0]]
        for name in (b"1", b"2", b"3", b"4"):
            assert [number for who, number in payloads if who == name] == [b"%d" % number for number in range(50)]

    def test_facts_of_others_are_read(self, journal: Journal, other: Journal) -> None:
        journal.append([b"mine"])
        other.append([b"theirs"])
        assert sorted(read_all(journal)[0]) == sorted(read_all(other)[0]) == [b"mine", b"theirs"]

    def test_facts_outlive_the_journal_that_wrote_them(self, journal: Journal, other: Journal) -> None:
        other.append([b"one", b"two"])
        cursor = read_all(journal)[1]
        other.append([b"three"])
        other.close()
        assert read_all(journal, cursor)[0] == [b"three"]
        assert read_all(journal)[0] == [b"one", b"two", b"three"]

    def test_a_closed_journal_can_be_used_again(self, journal: Journal) -> None:
        if not self.shared:
            pytest.skip("only one journal can be open on this medium")
        journal.append([b"one"])
        journal.close()
        journal.append([b"two"])
        assert sorted(read_all(journal)[0]) == [b"one", b"two"]

    def test_readers_miss_nothing_whoever_writes_and_leaves(self) -> None:
        @settings(max_examples=self.examples)
        @given(steps=STEPS)
        def play(steps: Sequence[tuple[str, int, int]]) -> None:
            opening = self.fresh()
            journals = [opening() for _ in range(3 if self.shared else 1)]
            written: set[bytes] = set()
            seen: list[set[bytes]] = [set() for _ in journals]
            cursors: list[Cursor] = [{} for _ in journals]
            for verb, who, count in [*steps, ("read", 0, 1), ("read", 1, 1), ("read", 2, 1)]:
                place = who % len(journals)
                if verb == "append":
                    payloads = [b"%d" % (len(written) + number) for number in range(count)]
                    journals[place].append(payloads)
                    written.update(payloads)
                elif verb == "close" and self.shared:
                    journals[place].close()
                    journals[place] = opening()
                else:
                    payloads, cursors[place] = read_all(journals[place], cursors[place])
                    assert not seen[place] & set(payloads)
                    seen[place].update(payloads)
                    assert seen[place] == written
            for each in journals:
                each.close()

        play()

    # The lock

    def test_the_lock_may_be_taken_again_inside(self, journal: Journal) -> None:
        with journal.exclusive(), journal.exclusive():
            journal.append([b"one"], durable=True)
        assert read_all(journal)[0] == [b"one"]

    def test_the_lock_keeps_other_threads_out(self, journal: Journal) -> None:
        with journal.exclusive():
            assert isinstance(_error_of(lambda: _enter(journal, 0.05)), Locked)
        assert _error_of(lambda: _enter(journal, 5)) is None

    def test_the_lock_keeps_other_journals_out(self, journal: Journal, other: Journal) -> None:
        with journal.exclusive(), pytest.raises(Locked) as raised:
            _enter(other, 0.05)
        assert raised.value.hint
        _enter(other, 5)

    def test_an_error_inside_gives_the_lock_back(self, journal: Journal) -> None:
        with pytest.raises(KeyError), journal.exclusive():
            raise KeyError
        assert _error_of(lambda: _enter(journal, 5)) is None

    def test_only_one_holds_the_lock(self, journal: Journal, other: Journal) -> None:
        inside: list[int] = []

        def work(name: int) -> None:
            for _ in range(20):
                with (journal, other)[name % 2].exclusive():
                    inside.append(name)
                    assert inside == [name]
                    inside.clear()

        _at_once(work, [0, 1, 2, 3])

    # Data segments

    def test_records_come_back_by_their_ordinals(self, journal: Journal) -> None:
        writer = journal.open_data(header())
        assert [writer.append(b"%d" % number) for number in range(5)] == [0, 1, 2, 3, 4]
        assert [(r.ordinal, r.payload) for r in journal.read_data(writer.segment, 3)] == [(3, b"3"), (4, b"4")]
        assert list(journal.read_data(writer.segment, 5)) == []
        writer.close()
        assert [record.payload for record in journal.read_data(writer.segment)] == [b"0", b"1", b"2", b"3", b"4"]
        assert writer.lost == 0

    def test_many_records_are_appended_in_their_order(self, journal: Journal) -> None:
        writer = journal.open_data(header())
        writer.append(b"0")
        writer.append_many([b"1", b"2" * 10_000, b"3"])
        writer.append_many([])
        assert writer.append(b"4") == 4
        found = [record.payload for record in journal.read_data(writer.segment)]
        assert found == [b"0", b"1", b"2" * 10_000, b"3", b"4"]
        assert writer.waiting == 0
        assert list(writer.take_waiting()) == []

    def test_a_segment_is_listed_with_its_header_and_live_until_it_is_closed(self, journal: Journal) -> None:
        made = header("console", "run:7", rank="3")
        writer = journal.open_data(made)
        writer.append(b"hello")
        writer.flush()
        (listed,) = journal.list_data()
        assert (listed.header, listed.live) == (made, True)
        assert listed.size >= 5
        writer.close()
        assert [segment.live for segment in journal.list_data()] == [False]

    def test_a_dropped_segment_is_gone(self, journal: Journal) -> None:
        kept, dropped = journal.open_data(header()), journal.open_data(header())
        for writer in (kept, dropped):
            writer.append(b"record")
            writer.close()
        journal.drop_data(dropped.segment)
        journal.drop_data(dropped.segment)
        assert [segment.header.segment for segment in journal.list_data()] == [kept.segment]
        with pytest.raises(NotFound) as raised:
            list(journal.read_data(dropped.segment))
        assert raised.value.code == "journal.no_segment"

    def test_threads_share_a_writer(self, journal: Journal) -> None:
        writer = journal.open_data(header())
        given_out: dict[int, bytes] = {}

        def work(name: int) -> None:
            for number in range(100):
                payload = b"%d %d" % (name, number)
                given_out[writer.append(payload)] = payload

        _at_once(work, [1, 2, 3])
        writer.close()
        assert {record.ordinal: record.payload for record in journal.read_data(writer.segment)} == given_out

    def test_records_are_no_facts(self, journal: Journal) -> None:
        writer = journal.open_data(header())
        writer.append(b"record")
        writer.close()
        assert list(journal.read({})) == []

    def test_others_see_records_and_seal_them(self, journal: Journal, other: Journal) -> None:
        writer = journal.open_data(header())
        writer.append(b"one")
        writer.flush()
        assert [record.payload for record in other.read_data(writer.segment)] == [b"one"]
        assert [segment.live for segment in other.list_data()] == [True]
        writer.close()
        assert [segment.live for segment in other.list_data()] == [False]
        other.drop_data(writer.segment)
        assert list(journal.list_data()) == []


def _enter(journal: Journal, timeout: float) -> None:
    with journal.exclusive(timeout):
        pass


def _error_of(action: Callable[[], object]) -> CharkhError | None:
    """What an action raises in a thread of its own."""
    raised: list[CharkhError] = []

    def run() -> None:
        try:
            action()
        except CharkhError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def _at_once(work: Callable[[int], None], names: Sequence[int]) -> None:
    """Run in a thread for each name; what one of them raises is raised here."""
    failures: list[BaseException] = []

    def run(name: int) -> None:
        try:
            work(name)
        except BaseException as error:
            failures.append(error)
            raise

    threads: list[Any] = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
