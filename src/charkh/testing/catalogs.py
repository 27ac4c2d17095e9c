"""The suite that the catalog passes over every SQL engine: inherit `CatalogSuite` and say how engines are made.

It brings a small noun of its own, the note: written facts, numbered by decisions.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, func, select

from charkh.core.clock import Clock
from charkh.core.errors import Bug, Conflict, Corrupt, Unavailable
from charkh.core.events import Draft, Event, Recorded, body_of, stamp_draft
from charkh.core.ids import new_id
from charkh.ports.folding import add_rows
from charkh.ports.journal import Batch, Cursor, Journal
from charkh.ports.projections import Command, Describe, Description, Position, Projection, Query
from charkh.stores.catalog import Catalog
from charkh.stores.catalog_file import Overlay
from charkh.stores.journal_memory import MemoryJournal
from charkh.testing.projections import dump_tables

KIND = "note.written/1"

_metadata = MetaData()
_notes = Table(
    "note",
    _metadata,
    Column("id", String, primary_key=True),
    Column("title", String, nullable=False, index=True),
    Column("number", Integer, nullable=False),
)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A note under a title; its number was decided."""

    title: str
    number: int


class WriteNote(Command, frozen=True, kw_only=True):
    """Write the next note under a title; `copies` of them at once."""

    title: str
    copies: int = 1


class Stumble(Command, frozen=True, kw_only=True):
    """A decision with a bug in it."""


class Titles(Query[tuple[tuple[str, int], ...]], frozen=True, kw_only=True):
    """Every title and number."""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """One row a note."""
    bodies = [(event.id, body_of(event, Written)) for event in events]
    rows = [{"id": identifier, "title": body.title, "number": body.number} for identifier, body in bodies]
    add_rows(connection, _notes, rows)


def decide_write(connection: Connection, command: WriteNote) -> Sequence[Draft]:
    """The next numbers; `taken` is refused."""
    if command.title == "taken":
        raise Conflict("that title is taken")
    highest = connection.execute(select(func.max(_notes.c.number)).where(_notes.c.title == command.title)).scalar() or 0
    return [draft(command.title, highest + 1 + copy) for copy in range(command.copies)]


def stumble(_connection: Connection, _command: Stumble) -> Sequence[Draft]:
    """Raise what no decision should."""
    raise KeyError("a bug in a decision")


def titles(connection: Connection, _query: Titles) -> tuple[tuple[str, int], ...]:
    """Sorted, so that answers can be compared."""
    rows = connection.execute(select(_notes.c.title, _notes.c.number)).all()
    return tuple(sorted((row.title, row.number) for row in rows))


def portray(connection: Connection, identifier: str) -> Description | None:
    """A note by its event's id."""
    title = connection.execute(select(_notes.c.title).where(_notes.c.id == identifier)).scalar()
    return Description(title=title) if title else None


def draft(title: str, number: int) -> Draft:
    """A note that needs no decision."""
    return Draft(kind=KIND, subject=f"note:{title}", body=Written(title=title, number=number))


def note_projection(version: int = 1) -> Projection:
    """The note's part of a catalog."""
    return Projection(
        name="note",
        version=version,
        tables=_metadata,
        kinds=frozenset({KIND}),
        fold=fold,
        answers={Titles: titles},
        portraits={"note": portray},
        decisions={WriteNote: decide_write, Stumble: stumble},
    )


class CountingJournal(MemoryJournal):
    """A journal in memory that counts its durable appends, and refuses them when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.durable_appends = 0
        self.refuses = False
        self.gate: Callable[[], object] = lambda: None

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        if self.refuses:
            raise Unavailable("the disk is full")
        self.durable_appends += durable
        super().append(payloads, durable=durable)

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        yield from super().read(cursor)

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        return self._gated(timeout)

    @contextmanager
    def _gated(self, timeout: float) -> Generator[None]:
        with super().exclusive(timeout):
            self.gate()
            yield


class CatalogSuite(ABC):
    """What `charkh.ports.projections.Commands` and `Queries` promise, over one kind of engine."""

    @abstractmethod
    def engine(self) -> Engine:
        """An engine on this test's database; each call opens it anew."""

    @pytest.fixture
    def journal(self) -> CountingJournal:
        return CountingJournal()

    @pytest.fixture
    def open_catalog(self, journal: Journal) -> Iterator[Callable[..., Catalog]]:
        opened: list[Catalog] = []

        def opening(version: int = 1, overlay: Overlay | None = None) -> Catalog:
            projections = [note_projection(version)]
            catalog = Catalog(self.engine(), journal, projections, Clock(), "ann@laptop", overlay)
            opened.append(catalog)
            return catalog

        yield opening
        for catalog in opened:
            catalog.close()

    @pytest.fixture
    def catalog(self, open_catalog: Callable[..., Catalog]) -> Catalog:
        return open_catalog()

    # Asking

    def test_an_answer_includes_what_was_recorded(self, catalog: Catalog, journal: Journal) -> None:
        assert catalog.ask(Titles()) == ()
        journal.append([_note("a", 1).payload])
        assert catalog.ask(Titles()) == (("a", 1),)
        assert not catalog.stale

    def test_the_position_changes_with_every_fact_and_with_nothing_else(
        self, catalog: Catalog, journal: Journal, open_catalog: Callable[..., Catalog]
    ) -> None:
        positions = [catalog.ask(Position())]
        journal.append([_note("a", 1).payload])
        positions.append(catalog.ask(Position()))
        catalog.decide(WriteNote(title="b"))
        positions.append(catalog.ask(Position()))
        assert len(set(positions)) == 3
        catalog.ask(Titles())
        assert catalog.ask(Position()) == open_catalog().ask(Position()) == positions[-1]

    def test_another_catalog_of_the_same_database_sees_it_too(
        self, catalog: Catalog, open_catalog: Callable[..., Catalog]
    ) -> None:
        catalog.decide(WriteNote(title="a"))
        other = open_catalog()
        assert other.ask(Titles()) == (("a", 1),)
        other.decide(WriteNote(title="a"))
        assert catalog.ask(Titles()) == (("a", 1), ("a", 2))

    def test_a_subject_is_described_by_the_noun_that_owns_it(self, catalog: Catalog) -> None:
        (event,) = catalog.decide(WriteNote(title="a"))
        described = catalog.ask(Describe(subject=f"note:{event.id}"))
        assert described is not None
        assert described.title == "a"
        assert catalog.ask(Describe(subject=f"nobody:{event.id}")) is None

    def test_a_question_that_nobody_answers_is_a_bug(self, catalog: Catalog) -> None:
        class Unheard(Query[int], frozen=True, kw_only=True):
            pass

        with pytest.raises(Bug, match="Unheard"):
            catalog.ask(Unheard())

    def test_kinds_that_nobody_knows_are_passed_over(self, catalog: Catalog, journal: Journal) -> None:
        later = Draft(kind="note.sung/7", subject="note:a", body={"melody": "la"})
        journal.append([stamp_draft(later, Clock(), "ann@laptop").payload, _note("a", 1).payload])
        assert catalog.ask(Titles()) == (("a", 1),)
        assert catalog.set_aside() == []

    def test_an_unreadable_fact_hides_no_other(self, catalog: Catalog, journal: Journal) -> None:
        bad = stamp_draft(Draft(kind=KIND, subject="note:b", body={"title": 5}), Clock(), "ann@laptop")
        journal.append([_note("a", 1).payload, bad.payload, b"\xc1 no event", _note("c", 1).payload])
        assert catalog.ask(Titles()) == (("a", 1), ("c", 1))
        assert {(event, projection) for event, projection, _why in catalog.set_aside()} >= {(bad.event.id, "note")}
        assert len(catalog.set_aside()) == 2

    def test_threads_ask_and_decide_at_once(self, catalog: Catalog) -> None:
        failures: list[BaseException] = []

        def work(name: str) -> None:
            try:
                for number in range(1, 6):
                    catalog.decide(WriteNote(title=name))
                    assert (name, number) in catalog.ask(Titles())
            except BaseException as error:
                failures.append(error)
                raise

        _at_once(work, ["a", "b", "c", "d"])
        assert not failures
        assert len(catalog.ask(Titles())) == 20

    # Deciding

    def test_each_decision_sees_the_earlier_ones(self, catalog: Catalog) -> None:
        for number in (1, 2, 3):
            (event,) = catalog.decide(WriteNote(title="a"))
            assert body_of(event, Written) == Written(title="a", number=number)
            assert event.actor == "ann@laptop"

    def test_a_decision_sees_what_others_recorded(self, catalog: Catalog, journal: Journal) -> None:
        journal.append([_note("a", 7).payload])
        (event,) = catalog.decide(WriteNote(title="a"))
        assert body_of(event, Written).number == 8

    def test_a_refused_decision_appends_nothing(self, catalog: Catalog, journal: Journal) -> None:
        with pytest.raises(Conflict, match="taken"):
            catalog.decide(WriteNote(title="taken"))
        with pytest.raises(KeyError, match="a bug"):
            catalog.decide(Stumble())
        with pytest.raises(Bug, match="no projection decides"):
            catalog.decide(Command())
        assert list(journal.read({})) == []

    def test_a_key_makes_a_decision_once(self, catalog: Catalog, open_catalog: Callable[..., Catalog]) -> None:
        first = catalog.decide(WriteNote(title="a", copies=3), key="k")
        assert [body_of(event, Written).number for event in first] == [1, 2, 3]
        assert catalog.decide(WriteNote(title="a", copies=3), key="k") == first
        other = open_catalog()
        assert other.decide(WriteNote(title="a", copies=3), key="k") == first
        other.rebuild()
        assert other.decide(WriteNote(title="a", copies=3), key="k") == first
        assert len(catalog.decide(WriteNote(title="a"), key="another")) == 1

    def test_concurrent_decisions_share_an_append(self, catalog: Catalog, journal: CountingJournal) -> None:
        catalog.decide(WriteNote(title="a"))
        began, may_go_on = threading.Event(), threading.Event()

        def hold() -> None:
            began.set()
            assert may_go_on.wait(10)

        journal.gate = hold
        before = journal.durable_appends
        outcomes: dict[str, tuple[Event, ...]] = {}
        refusals: list[Conflict] = []

        def work(name: str) -> None:
            try:
                outcomes[name] = catalog.decide(WriteNote(title="taken" if name == "no" else "a"), key=name)
            except Conflict as error:
                refusals.append(error)

        names = ["1", "2", "3", "no", "4", "5"]
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        threads[0].start()
        assert began.wait(10)
        for thread in threads[1:]:
            thread.start()
        queue: Any = catalog
        while len(queue._queue) < len(names) - 1:
            threading.Event().wait(0.001)
        may_go_on.set()
        for thread in threads:
            thread.join()
        assert journal.durable_appends == before + 2
        assert len(refusals) == 1
        numbers = [body_of(events[0], Written).number for events in outcomes.values()]
        assert sorted(numbers) == [2, 3, 4, 5, 6]

    def test_a_journal_that_refuses_leaves_no_trace_of_the_decision(
        self, catalog: Catalog, journal: CountingJournal
    ) -> None:
        catalog.decide(WriteNote(title="a"))
        journal.refuses = True
        with pytest.raises(Unavailable, match="full"):
            catalog.decide(WriteNote(title="a"), key="k")
        journal.refuses = False
        assert catalog.ask(Titles()) == (("a", 1),)
        (event,) = catalog.decide(WriteNote(title="a"), key="k")
        assert body_of(event, Written).number == 2

    # A view

    def test_a_rebuild_gives_equal_tables(self, catalog: Catalog, journal: Journal) -> None:
        for title in "abcab":
            catalog.decide(WriteNote(title=title), key=new_id())
        journal.append([_note("z", 9).payload])
        catalog.catch_up()
        before = dump_tables(catalog, [note_projection()])
        catalog.rebuild()
        assert dump_tables(catalog, [note_projection()]) == before
        assert len(before["note"]) == 6

    def test_another_version_of_a_projection_is_folded_anew(
        self, catalog: Catalog, open_catalog: Callable[..., Catalog], journal: Journal
    ) -> None:
        catalog.decide(WriteNote(title="a"), key="k")
        with catalog.engine.begin() as connection:
            connection.execute(_notes.update().values(title="wrong"))
        assert catalog.ask(Titles()) == (("wrong", 1),)
        changed = open_catalog(2)
        assert changed.ask(Titles()) == (("a", 1),)
        journal.append([_note("b", 1).payload])
        assert changed.ask(Titles()) == (("a", 1), ("b", 1))
        assert len(changed.decide(WriteNote(title="a"), key="k")) == 1
        assert len(changed.ask(Titles())) == 2

    def test_folding_anew_that_breaks_off_leaves_what_was_there(self, catalog: Catalog, journal: Journal) -> None:
        catalog.decide(WriteNote(title="a"))
        with catalog.engine.begin() as connection:
            connection.execute(_notes.update().values(title="as it was"))
        known = note_projection()

        def killed(_connection: Connection, _events: Sequence[Event]) -> None:
            raise KeyboardInterrupt

        breaking = Projection(
            name=known.name,
            version=2,
            tables=known.tables,
            kinds=known.kinds,
            fold=killed,
            answers=known.answers,
        )
        next_version = Catalog(self.engine(), journal, [breaking], Clock(), "ann@laptop")
        with pytest.raises(KeyboardInterrupt):
            next_version.ask(Titles())
        # Nothing was folded anew: what stood there stands there.
        assert catalog.ask(Titles()) == (("as it was", 1),)
        next_version.close()

    def test_what_a_projection_could_not_read_is_tried_again_by_its_next_version(
        self, catalog: Catalog, journal: Journal
    ) -> None:
        bad = stamp_draft(Draft(kind=KIND, subject="note:b", body={"title": 5}), Clock(), "ann@laptop")
        journal.append([bad.payload])
        assert len(catalog.set_aside()) == 1
        projection = note_projection(2)
        reading = Projection(
            name=projection.name,
            version=2,
            tables=projection.tables,
            kinds=projection.kinds,
            fold=lambda _connection, _events: None,
            answers=projection.answers,
        )
        mended = Catalog(self.engine(), journal, [reading], Clock(), "ann@laptop")
        assert mended.set_aside() == []
        mended.close()

    def test_a_corrupt_journal_is_said_and_not_hidden(self, catalog: Catalog, journal: CountingJournal) -> None:
        def damaged(_cursor: Cursor) -> Iterator[Batch]:
            raise Corrupt("an archive is damaged")
            yield

        journal.read = damaged  # type: ignore[method-assign]
        with pytest.raises(Corrupt):
            catalog.ask(Titles())


def _note(title: str, number: int) -> Recorded:
    return stamp_draft(draft(title, number), Clock(), "bob@desk")


def _at_once(work: Callable[[str], None], names: Sequence[str]) -> None:
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
