"""Eight processes write one store at once: nobody meets a lock error, nothing is lost or decided twice."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from charkh.core.clock import Clock
from charkh.core.events import stamp_draft
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader
from charkh.stores.audit import verify_chain
from charkh.stores.catalog import Catalog
from charkh.stores.catalog_file import Overlay
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.testing.catalogs import Titles, WriteNote, draft, note_projection
from charkh.testing.children import in_children

STORE = new_id()
WRITERS = 8
ROUNDS = 25


def open_catalog(folder: Path) -> tuple[FolderJournal, Catalog]:
    journal = FolderJournal(folder / "journal", STORE)
    engine = sqlite_engine(folder / "catalog.sqlite")
    return journal, Catalog(engine, journal, [note_projection()], Clock(), "ann@laptop", Overlay())


def writer(folder: Path, name: int, start: float) -> Callable[[], None]:
    def work() -> None:
        time.sleep(max(0.0, start - time.time()))
        journal, catalog = open_catalog(folder)
        segment = f"{name:032x}"
        points = journal.open_data(DataHeader(segment=segment, content="points", subject=f"run:{name}"))
        for number in range(ROUNDS):
            assert points.append(f"{name} {number}".encode()) == number
            journal.append([stamp_draft(draft(f"own {name}", number), Clock(), "ann@laptop").payload])
            catalog.decide(WriteNote(title="shared"), key=f"{name} {number}")
            assert (f"own {name}", number) in catalog.ask(Titles())
            if number % 10 == 9:
                # A process may leave and come back at any time.
                journal.close()
        points.close()
        catalog.close()
        journal.close()

    return work


def test_eight_processes_write_at_once(tmp_path: Path) -> None:
    start = time.time() + 0.2
    in_children([writer(tmp_path, name, start) for name in range(WRITERS)])
    journal, catalog = open_catalog(tmp_path)
    titles = catalog.ask(Titles())
    shared = [number for title, number in titles if title == "shared"]
    assert shared == list(range(1, WRITERS * ROUNDS + 1))
    for name in range(WRITERS):
        assert [number for title, number in titles if title == f"own {name}"] == list(range(ROUNDS))
        records = [record.payload for record in journal.read_data(f"{name:032x}")]
        assert records == [f"{name} {number}".encode() for number in range(ROUNDS)]
    assert verify_chain(journal).sound
    assert verify_chain(journal).waiting == 0
    catalog.rebuild()
    assert catalog.ask(Titles()) == titles
    catalog.close()
    journal.close()


def test_processes_that_come_together_make_one_store(tmp_path: Path) -> None:
    """The first moment of a store: everybody makes the same folders, files and tables."""

    def come(name: int) -> Callable[[], None]:
        def work() -> None:
            time.sleep(max(0.0, start - time.time()))
            _journal, catalog = open_catalog(tmp_path)
            catalog.decide(WriteNote(title=f"{name}"))
            os._exit(0)

        return work

    start = time.time() + 0.2
    in_children([come(name) for name in range(WRITERS)])
    journal, catalog = open_catalog(tmp_path)
    assert len(catalog.ask(Titles())) == WRITERS
    catalog.close()
    journal.close()
