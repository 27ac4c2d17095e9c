"""What somebody comes to hold is whole when it is decided on: what was erased since it was put is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.between import Between

from charkh.assets.erase import erase
from charkh.assets.flush import flush
from charkh.assets.index import ErasedCount, Erasures
from charkh.assets.vault import PackVault
from charkh.core.digests import digest_of
from charkh.core.errors import Conflict, Denied
from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.add import add_files
from charkh.datasets.add_entries import add_entries, say_again
from charkh.datasets.dataset import Batch, VersionMade
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.datasets.index import AddVersion
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.stores import memory_store
from charkh.testing.vaults import content, sample_table

TABLE = sample_table(20_000)
Put = Callable[[bytes], FileRef]


@pytest.fixture
def store() -> Store:
    plain = memory_store(DATASETS, LINEAGE)
    return replace(plain, vault=PackVault(MemoryBlobs(), None, lambda: dict(plain.queries.ask(Erasures()))))


@pytest.fixture
def put(store: Store) -> Put:
    def put(data: bytes) -> FileRef:
        ref = store.vault.put_bytes(data, "a.csv")
        store.vault.flush()
        return ref

    return put


def test_nothing_was_erased(store: Store, put: Put) -> None:
    assert flush(store, [TreeEntry("a.csv", put(TABLE))]) == 0


def test_what_else_was_erased_is_counted(store: Store, put: Put) -> None:
    kept = put(TABLE)
    erase(store, put(b"ann"), reason="Ann asked for it.")
    assert flush(store, [TreeEntry("a.csv", kept)]) == store.queries.ask(ErasedCount()) > 0


@pytest.mark.parametrize("ranges", [None, [(100_000, 100_010)]])
def test_a_file_with_an_erased_chunk_is_named(store: Store, put: Put, ranges: list[tuple[int, int]] | None) -> None:
    kept, erased = put(b"whole"), put(TABLE)
    assert erased.root
    erase(store, erased, reason="Ann asked for it.", ranges=ranges)
    with pytest.raises(Denied, match=r"b\.csv has bytes that were erased"):
        flush(store, [TreeEntry("a.csv", kept), TreeEntry("b.csv", erased)])


def test_a_decision_about_what_was_looked_at_before_an_erasure_is_refused(store: Store, put: Put) -> None:
    entry = TreeEntry("a.csv", put(b"a"))
    tree = store.vault.put_tree([entry])
    made = VersionMade(
        name="d", version="", number=0, tree=tree, kind="files", batch=Batch(id="0" * 32, files=1, size=1)
    )
    seen = flush(store, [entry])
    erase(store, put(b"ann"), reason="Ann asked for it.")
    with pytest.raises(Conflict, match="erased from this store meanwhile"):
        store.commands.decide(AddVersion(made=made, erased=seen))
    assert store.commands.decide(AddVersion(made=made, erased=flush(store, [entry])))


def test_a_version_of_which_a_part_was_erased_can_be_said_again(store: Store, put: Put) -> None:
    file = put(TABLE)
    old = add_entries(store, "d", [TreeEntry("a.csv", file)])
    add_entries(store, "d", [TreeEntry("a.csv", put(b"other"))])
    erase(store, file, reason="Ann asked for it.", ranges=[(100_000, 100_010)])
    again = say_again(store, old)
    assert again.made.number == 3
    (entry,) = store.vault.entries(again.made.tree.root)
    assert len(content(store.vault, entry.file)) == len(TABLE) - 10
    with pytest.raises(Denied):
        add_entries(store, "e", [TreeEntry("a.csv", file)])


@pytest.mark.parametrize(("erased", "refused"), [(b"old", False), (b"new", True)])
def test_of_many_files_those_that_are_new_are_looked_at(
    store: Store, tmp_path: Path, erased: bytes, refused: bool
) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    add_files(store, "d", [tmp_path], as_files=True)
    (tmp_path / "b.bin").write_bytes(b"new")
    file = FileRef(digest_of(erased), len(erased))
    first = Between(store.commands, lambda: erase(store, file, reason="Ann asked for it."))
    beside = replace(store, commands=first)
    if refused:
        with pytest.raises(Denied, match=r"b\.bin has bytes that were erased"):
            add_files(beside, "d", [tmp_path], as_files=True)
    else:
        assert add_files(beside, "d", [tmp_path], as_files=True).made.number == 2
