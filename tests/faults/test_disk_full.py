"""A full disk: decisions and facts say so, a training loop goes on, and nothing acknowledged is lost."""

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.core.clock import Clock
from charkh.core.errors import Unavailable
from charkh.core.events import stamp_draft
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader
from charkh.stores.catalog import Catalog
from charkh.stores.catalog_file import Overlay
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.testing.catalogs import Titles, WriteNote, draft, note_projection
from charkh.testing.children import in_child
from charkh.testing.journals import read_all

STORE = "0" * 32
RECORD = b"x" * 200


def payload(number: int) -> bytes:
    return stamp_draft(draft("a" * 100, number), Clock(), "ann@laptop").payload


def open_store(folder: Path) -> tuple[FolderJournal, Catalog]:
    journal = FolderJournal(folder / "journal", STORE)
    engine = sqlite_engine(folder / "catalog.sqlite")
    return journal, Catalog(engine, journal, [note_projection()], Clock(), "ann@laptop", Overlay())


def fill_until_it_refuses(journal: FolderJournal) -> list[bytes]:
    """Append facts until the disk refuses one; those that were acknowledged."""
    acknowledged: list[bytes] = []
    while True:
        fact = payload(len(acknowledged))
        try:
            journal.append([fact], durable=True)
        except Unavailable as error:
            assert error.code == "journal.unavailable"
            assert "cannot write" in error.message
            assert error.hint
            return acknowledged
        acknowledged.append(fact)


def live_through_a_full_disk(folder: Path, make_room: Callable[[], object]) -> None:
    journal, catalog = open_store(folder)
    catalog.decide(WriteNote(title="before"))
    points = journal.open_data(DataHeader(segment=new_id(), content="points", subject="run:1"))
    points.append(RECORD)

    acknowledged = fill_until_it_refuses(journal)
    assert len(acknowledged) > 10
    assert set(read_all(journal)[0]) >= set(acknowledged)

    # The training loop goes on: no call raises, and every record has its ordinal.
    ordinals = [points.append(RECORD + b"%d" % number) for number in range(2000)]
    assert ordinals == list(range(1, 2001))
    assert points.lost == 0
    with pytest.raises(Unavailable):
        points.flush()

    # Readers still answer; decisions say that they cannot be taken, and leave nothing.
    assert len(catalog.ask(Titles())) == 1 + len(acknowledged)
    with pytest.raises(Unavailable):
        for _ in range(100):
            catalog.decide(WriteNote(title="during"))

    make_room()
    catalog.decide(WriteNote(title="after"))
    points.append(b"after")
    points.close()
    records = [record.payload for record in journal.read_data(points.segment)]
    assert records == [RECORD, *(RECORD + b"%d" % number for number in range(2000)), b"after"]
    journal.append([payload(-1)], durable=True)
    journal.close()
    catalog.close()

    journal, catalog = open_store(folder)
    facts = read_all(journal)[0]
    assert len(set(facts)) == len(facts)
    assert set(facts) >= set(acknowledged)
    titles = [title for title, _number in catalog.ask(Titles())]
    assert {"before", "after"} <= set(titles)
    assert journal.open_segments() == 0
    catalog.close()
    journal.close()


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """`ulimit -f`: what a user's quota looks like to a program."""

    def work() -> None:
        logging.disable()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, hard))
        live_through_a_full_disk(tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)))

    in_child(work)


def test_a_full_file_system(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a small file system of one's own needs root and unshare")
    script = f"mount -t tmpfs -o size=6m none {tmp_path} && exec {sys.executable} {__file__} {tmp_path}"
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "mount" in result.stderr and "denied" in result.stderr:
        pytest.skip(f"this machine lets nobody mount: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"lived": True}
    assert result.stderr.count("records are kept in memory") == 1


if __name__ == "__main__":
    place = Path(sys.argv[1])
    filler = place / "filler"
    filler.write_bytes(bytes(5400 * 1024))
    live_through_a_full_disk(place / "store", filler.unlink)
    sys.stdout.write(json.dumps({"lived": True}))
