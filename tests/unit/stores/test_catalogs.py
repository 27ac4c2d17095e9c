"""The catalog over SQLite in memory, SQLite in a file and PostgreSQL passes one suite."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from charkh.core.clock import Clock
from charkh.core.errors import Unavailable
from charkh.core.events import Draft, stamp_draft
from charkh.core.ids import new_id
from charkh.stores import archive, sql_engine
from charkh.stores import catalog as catalog_module
from charkh.stores.catalog import LOOKED_THROUGH, Catalog
from charkh.stores.catalog_file import Overlay
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.sql_engine import postgres_engine, sqlite_engine
from charkh.testing.catalogs import CatalogSuite, CountingJournal, Titles, WriteNote, draft, note_projection
from charkh.testing.children import in_child

STORE = new_id()


class TestCatalogInMemory(CatalogSuite):
    @pytest.fixture(autouse=True)
    def medium(self) -> Iterator[None]:
        self.shared = sqlite_engine(None)
        yield
        self.shared.dispose()

    def engine(self) -> Engine:
        return self.shared


class TestCatalogInFile(CatalogSuite):
    @pytest.fixture(autouse=True)
    def medium(self, tmp_path: Path) -> None:
        self.path = tmp_path / "catalog.sqlite"

    def engine(self) -> Engine:
        return sqlite_engine(self.path)


@pytest.mark.needs("postgresql")
class TestCatalogInPostgres(CatalogSuite):
    @pytest.fixture(autouse=True)
    def medium(self, postgres_url: str) -> None:
        self.url = postgres_url

    def engine(self) -> Engine:
        return postgres_engine(self.url)


# What a file adds: damage, other processes, readers that may not write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def open_catalog(folder: Path) -> Iterator[Callable[[], Catalog]]:
    opened: list[tuple[Catalog, FolderJournal]] = []

    def opening() -> Catalog:
        journal = FolderJournal(folder / "journal", STORE)
        engine = sqlite_engine(folder / "catalog.sqlite")
        catalog = Catalog(engine, journal, [note_projection()], Clock(), "ann@laptop", Overlay())
        opened.append((catalog, journal))
        return catalog

    yield opening
    for catalog, journal in opened:
        catalog.close()
        journal.close()


@pytest.fixture
def catalog(open_catalog: Callable[[], Catalog]) -> Catalog:
    return open_catalog()


EXPECTED = (("a", 1), ("a", 2), ("b", 1))


def fill(catalog: Catalog) -> None:
    for title in ("a", "b", "a"):
        catalog.decide(WriteNote(title=title))
    assert catalog.ask(Titles()) == EXPECTED


def overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"this is not a database" * 1000),
    "header": lambda path: overwrite(path, 0, b"\0" * 100),
    "first page": lambda path: overwrite(path, 100, b"\xff" * 3000),
    "every other page": lambda path: overwrite(path, 4096, b"\xab" * (path.stat().st_size - 4096)),
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2 // 4096 * 4096),
    "emptied": lambda path: os.truncate(path, 0),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("opened", ["before", "after"])
def test_a_damaged_catalog_is_folded_anew_with_equal_answers(
    folder: Path, open_catalog: Callable[[], Catalog], harm: Callable[[Path], object], opened: str
) -> None:
    catalog = open_catalog()
    fill(catalog)
    harm(folder / "catalog.sqlite")
    if opened == "after":
        catalog = open_catalog()
    assert catalog.ask(Titles()) == EXPECTED
    catalog.decide(WriteNote(title="b"))
    assert open_catalog().ask(Titles()) == (*EXPECTED, ("b", 2))


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_decision_on_a_damaged_catalog_is_taken_on_the_truth(
    folder: Path, catalog: Catalog, harm: Callable[[Path], object]
) -> None:
    fill(catalog)
    harm(folder / "catalog.sqlite")
    catalog.decide(WriteNote(title="a"))
    assert catalog.ask(Titles()) == (("a", 1), ("a", 2), ("a", 3), ("b", 1))


def test_a_process_that_has_the_old_file_open_goes_over_to_the_new_one(
    folder: Path, open_catalog: Callable[[], Catalog]
) -> None:
    first, second = open_catalog(), open_catalog()
    fill(first)
    assert second.ask(Titles()) == EXPECTED
    first.rebuild()
    second.decide(WriteNote(title="b"))
    assert first.ask(Titles()) == second.ask(Titles()) == (*EXPECTED, ("b", 2))
    with sqlite3.connect(folder / "catalog.sqlite") as database:
        assert database.execute("select count(*) from note").fetchone() == (4,)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_reader_that_finds_the_lock_taken_answers_from_an_overlay(
    open_catalog: Callable[[], Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "READER_PATIENCE", 0.01)
    reader, writer = open_catalog(), open_catalog()
    fill(writer)
    inside: Any = writer
    with inside._journal.exclusive():
        for number in range(3, 6):
            inside._journal.append([stamp_draft(draft("a", number), Clock(), "bob@desk").payload])
            answer, stale = in_thread(lambda: (reader.ask(Titles()), reader.stale))
            assert answer == tuple(sorted([*EXPECTED, *(("a", each) for each in range(3, number + 1))]))
            assert stale is False
    assert reader.ask(Titles()) == (("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 1))


def test_an_overlay_that_takes_too_long_shows_the_readers_own_facts_and_says_that_it_is_stale(
    open_catalog: Callable[[], Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "READER_PATIENCE", 0.01)
    monkeypatch.setattr(catalog_module, "OVERLAY_SECONDS", 0.0)
    reader, writer = open_catalog(), open_catalog()
    fill(writer)
    insides: Any = (reader, writer)
    with insides[1]._journal.exclusive():
        for catalog, title in zip(insides, ("mine", "theirs"), strict=True):
            catalog._journal.append([stamp_draft(draft(title, 1), Clock(), "bob@desk").payload])
        answer, stale = in_thread(lambda: (reader.ask(Titles()), reader.stale))
        assert ("mine", 1) in answer
        assert stale is True
    assert len(reader.ask(Titles())) == 5
    assert reader.stale is False


@pytest.mark.parametrize("known", [True, False])
def test_a_database_that_cannot_be_written_still_answers(
    catalog: Catalog, open_catalog: Callable[[], Catalog], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    fill(catalog)
    reader = open_catalog()
    if known:
        reader.ask(Titles())
    inside: Any = reader
    inside._journal.append([stamp_draft(draft("new", 1), Clock(), "bob@desk").payload])

    monkeypatch.setattr(inside._folder, "fold_journal", refuse_writes(inside._folder.fold_journal, reader))
    assert reader.ask(Titles()) == (*EXPECTED, ("new", 1))
    with pytest.raises(Unavailable, match="readonly"):
        reader.decide(WriteNote(title="a"))


def refuse_writes(real: Callable[..., Any], catalog: Catalog) -> Callable[..., Any]:
    """Fold into overlays only."""

    def call(connection: Any, *arguments: Any, **named: Any) -> Any:
        if connection.engine.url.database is not None:
            raise OperationalError("insert", {}, sqlite3.OperationalError("attempt to write a readonly database"))
        return real(connection, *arguments, **named)

    return call


def test_a_decision_that_the_journal_has_is_acknowledged_though_the_catalog_could_not_be_written(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalog)
    inside: Any = catalog
    real, calls = inside._folder.fold_journal, iter(range(10))

    def second_fails(*arguments: Any, **named: Any) -> Any:
        if next(calls) == 1:
            raise OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full"))
        return real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(inside._folder, "fold_journal", second_fails)
        (event,) = catalog.decide(WriteNote(title="a"))
    assert event.subject == "note:a"
    assert ("a", 3) in catalog.ask(Titles())


def test_a_child_of_a_fork_opens_connections_of_its_own(open_catalog: Callable[[], Catalog]) -> None:
    catalog = open_catalog()
    fill(catalog)

    def work() -> None:
        assert catalog.ask(Titles()) == EXPECTED
        catalog.decide(WriteNote(title="child"))

    in_child(work)
    catalog.decide(WriteNote(title="parent"))
    assert catalog.ask(Titles()) == (*EXPECTED, ("child", 1), ("parent", 1))


def test_a_long_fold_lets_others_have_the_lock(
    open_catalog: Callable[[], Catalog], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "FOLD_SECONDS", 0.0)
    monkeypatch.setattr(archive, "READ_BYTES", 1)
    for number in range(5):
        in_child(
            lambda number=number: FolderJournal(folder / "journal", STORE).append(
                [stamp_draft(draft("a", number), Clock(), "bob@desk").payload]
            )
        )
    catalog = open_catalog()
    inside: Any = catalog
    taken: list[float] = []
    real = inside._journal.exclusive
    monkeypatch.setattr(inside._journal, "exclusive", lambda timeout=30.0: taken.append(timeout) or real(timeout))
    assert len(catalog.ask(Titles())) == 5
    assert len(taken) > 1


def test_nothing_new_takes_no_lock(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(catalog)
    inside: Any = catalog
    monkeypatch.setattr(inside._journal, "exclusive", lambda timeout=30.0: pytest.fail("the lock was taken"))
    assert catalog.ask(Titles()) == EXPECTED


def test_the_journal_mode_follows_the_version_of_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_engine.sqlite3, "sqlite_version_info", (3, 51, 2))
    assert sql_engine.journal_mode() == "TRUNCATE"
    monkeypatch.setattr(sql_engine.sqlite3, "sqlite_version_info", (3, 51, 3))
    assert sql_engine.journal_mode() == "WAL"


def test_postgres_without_a_server_is_unavailable() -> None:
    engine = postgres_engine("postgresql://nobody@127.0.0.1:9/none")
    catalog = Catalog(engine, CountingJournal(), [note_projection()], Clock(), "ann@laptop")
    with pytest.raises(Unavailable) as raised:
        catalog.ask(Titles())
    assert raised.value.hint
    catalog.close()


def in_thread(work: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


class CountingLocks(CountingJournal):
    """Counts how often somebody wanted to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.folds = 0

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        self.folds += 1
        return super().exclusive(timeout)


def test_an_answer_apart_waits_for_facts_of_its_own_kinds_alone() -> None:
    journal, clock = CountingLocks(), Clock()
    notes = replace(note_projection(), apart=True)
    catalog = Catalog(sqlite_engine(None), journal, [notes], clock, "ann@laptop")
    assert catalog.ask(Titles()) == ()
    folds = journal.folds
    other = Draft(kind="other.said/1", subject="other:1", body=draft("a", 1).body)
    journal.append([stamp_draft(other, clock, "ann@laptop").payload])
    assert (catalog.ask(Titles()), journal.folds) == ((), folds)
    journal.append([stamp_draft(draft("a", 1), clock, "ann@laptop").payload])
    assert (catalog.ask(Titles()), journal.folds) == ((("a", 1),), folds + 1)
    several = [stamp_draft(other, clock, "ann@laptop").payload for _ in range(LOOKED_THROUGH + 1)]
    journal.append(several)
    assert (catalog.ask(Titles()), journal.folds) == ((("a", 1),), folds + 2)
    journal.append([b"no event"])
    assert (catalog.ask(Titles()), journal.folds) == ((("a", 1),), folds + 3)
    catalog.close()
