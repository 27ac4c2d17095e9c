"""Every journal passes the same suite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charkh.core.ids import new_id
from charkh.ports.journal import Journal
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_memory import MemoryJournal
from charkh.stores.journal_postgres import PostgresJournal
from charkh.stores.journal_shared import SharedJournal
from charkh.testing.journals import JournalSuite

STORE = new_id()


class TestMemoryJournal(JournalSuite):
    shared = False

    def open(self) -> Journal:
        return MemoryJournal()

    def fresh(self) -> Callable[[], Journal]:
        return MemoryJournal


class TestFolderJournal(JournalSuite):
    @pytest.fixture(autouse=True)
    def medium(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def open(self) -> Journal:
        return FolderJournal(self.folder / "journal", STORE)

    def fresh(self) -> Callable[[], Journal]:
        folder = self.folder / new_id()
        return lambda: FolderJournal(folder, STORE)


class TestSpooledFolderJournal(TestFolderJournal):
    def open(self) -> Journal:
        return FolderJournal(self.folder / "journal", STORE, self.folder / "spool")


class TestSharedJournal(TestFolderJournal):
    def open(self) -> Journal:
        return SharedJournal(self.folder / "journal", STORE, self.folder / "spool")

    def fresh(self) -> Callable[[], Journal]:
        folder = self.folder / new_id()
        return lambda: SharedJournal(folder / "journal", STORE, folder / "spool")


@pytest.mark.needs("postgresql")
class TestPostgresJournal(JournalSuite):
    examples = 5

    @pytest.fixture(autouse=True)
    def medium(self, postgres_url: str) -> Iterator[None]:
        self.url = postgres_url
        self.opened: list[PostgresJournal] = []
        yield
        for journal in self.opened:
            journal.close()

    def open(self) -> Journal:
        journal = PostgresJournal(self.url, STORE)
        self.opened.append(journal)
        return journal

    def fresh(self) -> Callable[[], Journal]:
        schema = f"s{new_id()}"

        def opening() -> Journal:
            journal = PostgresJournal(self.url, STORE, schema=schema)
            self.opened.append(journal)
            return journal

        return opening
