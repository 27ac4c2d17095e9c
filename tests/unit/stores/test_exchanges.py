"""Journals of every kind take over each other's facts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from charkh.core.clock import Clock
from charkh.core.events import Draft, stamp_draft
from charkh.core.ids import new_id
from charkh.ports.exchange import Exchange, pull
from charkh.ports.journal import Journal
from charkh.stores.audit import verify_chain
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_postgres import PostgresJournal
from charkh.testing.exchanges import ExchangeSuite
from charkh.testing.journals import read_all


class TestFolderExchange(ExchangeSuite):
    @pytest.fixture(autouse=True)
    def medium(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self) -> tuple[Journal, Exchange]:
        journal = FolderJournal(self.folder / new_id(), new_id())
        return journal, FolderExchange(journal)

    def leave(self, journal: Journal) -> None:
        journal.close()


@pytest.mark.needs("postgresql")
class TestPostgresExchange(ExchangeSuite):
    examples = 3

    @pytest.fixture(autouse=True)
    def medium(self, postgres_url: str) -> Iterator[None]:
        self.url = postgres_url
        self.opened: list[PostgresJournal] = []
        yield
        for journal in self.opened:
            journal.close()

    def make(self) -> tuple[Journal, Exchange]:
        journal = PostgresJournal(self.url, new_id(), schema=f"s{new_id()}")
        self.opened.append(journal)
        return journal, journal

    def leave(self, journal: Journal) -> None:
        journal.close()


@pytest.mark.needs("postgresql")
def test_a_laptop_and_a_team_exchange_facts(tmp_path: Path, postgres_url: str) -> None:
    team = PostgresJournal(postgres_url, new_id())
    laptop = FolderJournal(tmp_path, new_id())
    mine, theirs = (
        stamp_draft(Draft(kind="a.b/1", subject=f"a:{name}", body={}), Clock(), name).payload for name in ("ann", "bob")
    )
    laptop.append([mine])
    team.append([theirs])
    assert pull(FolderExchange(laptop), team) == pull(team, FolderExchange(laptop)) == 1
    assert sorted(read_all(laptop)[0]) == sorted(read_all(team)[0]) == sorted([mine, theirs])
    laptop.close()
    report = verify_chain(laptop)
    assert (report.sound, report.segments) == (True, 2)
    team.close()


def test_a_reader_follows_what_is_taken(tmp_path: Path) -> None:
    ann, bob = FolderJournal(tmp_path / "ann", new_id()), FolderJournal(tmp_path / "bob", new_id())
    cursor = read_all(bob)[1]
    for number in range(5):
        ann.append([b"%d" % number])
        pull(FolderExchange(ann), FolderExchange(bob))
        payloads, cursor = read_all(bob, cursor)
        assert payloads == [b"%d" % number]
    ann.close()
    bob.close()
