"""What the killed processes were doing, and what must be true afterwards."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from checkout_scenario import check_checkout, play_checkout
from collect_scenarios import check_collect, play_collect
from forget_scenario import check_forget, play_forget
from pack_scenario import check_packs, play_packs
from workspace_scenarios import (
    Ack,
    check_add,
    check_log,
    check_register,
    play_add,
    play_log,
    play_register,
)

from charkh.core.clock import Clock
from charkh.core.events import stamp_draft
from charkh.ports.journal import DataHeader
from charkh.stores.audit import verify_chain
from charkh.stores.catalog import Catalog
from charkh.stores.catalog_file import Overlay
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.testing.catalogs import Titles, WriteNote, draft, note_projection
from charkh.testing.journals import read_all
from charkh.testing.projections import dump_tables

STORE = "0" * 32


class Scenario(NamedTuple):
    """`play` does something and acknowledges it; `check` looks at what is left, given what was acknowledged."""

    play: Callable[[Path, Ack], None]
    check: Callable[[Path, list[str]], None]


def play_journal(folder: Path, ack: Ack) -> None:
    """Three lives of a journal: facts, durable facts, records, a clean end."""
    for life in range(3):
        journal = FolderJournal(folder / "journal", STORE)
        writer = journal.open_data(DataHeader(segment=f"{life:032x}", content="points", subject=f"run:{life}"))
        for number in range(4):
            name = f"{life}.{number}"
            payload = stamp_draft(draft(name, number), Clock(), "ann@laptop").payload
            journal.append([payload], durable=number % 2 == 1)
            ack(f"fact {name}")
            ordinal = writer.append(name.encode())
            ack(f"record {life} {ordinal}")
        writer.close()
        journal.close()
        ack(f"life {life}")


def check_journal(folder: Path, acked: list[str]) -> None:
    for _again in range(2):
        journal = FolderJournal(folder / "journal", STORE)
        payloads = read_all(journal)[0]
        assert len(set(payloads)) == len(payloads)
        text = b"\n".join(payloads)
        for line in acked:
            what, _, name = line.partition(" ")
            if what == "fact":
                assert name.encode() in text, line
            elif what == "record":
                life, ordinal = name.split()
                record = next(journal.read_data(f"{int(life):032x}", int(ordinal)))
                assert record.payload == f"{life}.{ordinal}".encode()
        journal.seal_abandoned()
        assert journal.open_segments() == 0
        assert sorted(read_all(journal)[0]) == sorted(payloads)
        assert verify_chain(journal).sound
        assert not any(segment.live for segment in journal.list_data())
        journal.append([stamp_draft(draft("after", 0), Clock(), "bob@desk").payload], durable=True)
        journal.close()


def open_catalog(folder: Path) -> tuple[FolderJournal, Catalog]:
    journal = FolderJournal(folder / "journal", STORE)
    engine = sqlite_engine(folder / "catalog.sqlite")
    return journal, Catalog(engine, journal, [note_projection()], Clock(), "ann@laptop", Overlay())


def play_decide(folder: Path, ack: Ack) -> None:
    """Decisions that number notes, asked about in between."""
    for life in range(2):
        journal, catalog = open_catalog(folder)
        for _ in range(3):
            (event,) = catalog.decide(WriteNote(title="a"), key=f"{life}")
            ack(f"decided {event.id}")
            (event,) = catalog.decide(WriteNote(title="b"))
            ack(f"decided {event.id}")
            catalog.ask(Titles())
        catalog.close()
        journal.close()


def check_decide(folder: Path, acked: list[str]) -> None:
    journal, catalog = open_catalog(folder)
    titles = catalog.ask(Titles())
    for title in ("a", "b"):
        numbers = [number for name, number in titles if name == title]
        assert numbers == list(range(1, len(numbers) + 1))
    text = b"\n".join(read_all(journal)[0])
    for line in acked:
        assert line.removeprefix("decided ").encode() in text, line
    catalog.decide(WriteNote(title="b"))
    before = dump_tables(catalog, [note_projection()])
    catalog.close()
    with sqlite3.connect(folder / "catalog.sqlite") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
    catalog.rebuild()
    assert dump_tables(catalog, [note_projection()]) == before
    assert verify_chain(journal).sound
    catalog.close()
    journal.close()


def play_careless(folder: Path, ack: Ack) -> None:
    """What a program that acknowledges too early looks like: the net must catch it."""
    with (folder / "careless").open("wb", buffering=0) as file:
        for number in range(5):
            ack(f"{number}")
            file.write(b"%d\n" % number)


def check_careless(folder: Path, acked: list[str]) -> None:
    path = folder / "careless"
    written = path.read_text().split() if path.exists() else []
    assert written[: len(acked)] == acked


SCENARIOS = {
    "packs": Scenario(play_packs, check_packs),
    "journal": Scenario(play_journal, check_journal),
    "decide": Scenario(play_decide, check_decide),
    "log": Scenario(play_log, check_log),
    "add": Scenario(play_add, check_add),
    "register": Scenario(play_register, check_register),
    "collect": Scenario(play_collect, check_collect),
    "checkout": Scenario(play_checkout, check_checkout),
    "forget": Scenario(play_forget, check_forget),
}
BROKEN = {"careless": Scenario(play_careless, check_careless)}
