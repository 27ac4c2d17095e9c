"""Whole contents are replaced: whoever shares a chunk keeps it, and whoever shows the content shows the other one."""

from dataclasses import replace as with_fields

import pytest

from charkh.assets.collect import collect
from charkh.assets.grep import find_in_records, pattern_of
from charkh.assets.index import PROJECTION, ErasedContents, Erasures
from charkh.assets.reach import reach
from charkh.assets.replace import Change, replace
from charkh.assets.transfer import expunge
from charkh.assets.vault import PackVault
from charkh.core.errors import Denied
from charkh.core.events import Draft
from charkh.core.files import FileRef, TreeEntry
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.ports.store import Store
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.stores import memory_store
from charkh.testing.vaults import content, sample_table

TABLE = sample_table(20_000)


@pytest.fixture
def store() -> Store:
    plain = memory_store(PROJECTION, LINEAGE)
    vault = PackVault(
        MemoryBlobs(),
        None,
        lambda: dict(plain.queries.ask(Erasures())),
        lambda: dict(plain.queries.ask(ErasedContents())),
    )
    return with_fields(plain, vault=vault)


def vault_of(store: Store) -> PackVault:
    assert isinstance(store.vault, PackVault)
    return store.vault


def put(store: Store, data: bytes) -> FileRef:
    ref = store.vault.put_bytes(data, "a.csv")
    store.vault.flush()
    return ref


def hold(store: Store, *digests: str) -> None:
    store.record(Draft(kind="run.started/1", subject=f"run:{digests[0][:32]}", body={}, holds=digests))


def without(store: Store, file: FileRef, data: bytes, first: int, last: int) -> FileRef:
    instead = put(store, data[:first] + data[last:])
    roots = store.queries.ask(HeldDigests())
    store.record(
        *replace(vault_of(store), [Change(file, instead, ((first, last),))], roots, "Ann asked."), durable=True
    )
    store.vault.flush()
    return instead


def test_a_content_that_shares_the_chunk_stays_as_it_is(store: Store) -> None:
    other = TABLE + b"more,rows\n" * 50
    mine, theirs = put(store, TABLE), put(store, other)
    tree = store.vault.put_tree([TreeEntry("a.csv", mine)])
    store.vault.flush()
    hold(store, tree.root)
    hold(store, theirs.held)
    first, last = TABLE.index(b"\n5000,") + 1, TABLE.index(b"\n5001,") + 1
    instead = without(store, mine, TABLE, first, last)
    assert content(store.vault, mine) == TABLE[:first] + TABLE[last:]
    assert content(store.vault, mine, first - 5, 10) == (TABLE[:first] + TABLE[last:])[first - 5 : first + 5]
    assert content(store.vault, theirs) == other, "its row is no less its own"
    (entry,) = store.vault.entries(tree.root)
    assert entry.file == instead
    vault = vault_of(store)
    assert expunge(vault, vault.erased.now()) > 0
    assert content(store.vault, theirs) == other
    assert content(store.vault, mine) == TABLE[:first] + TABLE[last:]
    reached = reach(vault, store.queries.ask(HeldDigests()), vault.erased.now())
    assert not reached.missing | reached.unknown
    collect(vault, store.queries.ask(HeldDigests()), dry_run=False, young_seconds=0, grace_seconds=0)
    assert content(store.vault, theirs) == other
    assert content(store.vault, mine) == TABLE[:first] + TABLE[last:]


def test_what_nobody_shares_leaves_the_medium(store: Store) -> None:
    data = b"ann.smith,1\n" + TABLE
    mine = put(store, data)
    hold(store, mine.held)
    without(store, mine, data, 0, 12)
    vault = vault_of(store)
    assert list(find_in_records(vault, pattern_of(["ann.smith"])))
    expunge(vault, vault.erased.now())
    assert list(find_in_records(vault, pattern_of(["ann.smith"]))) == []
    assert content(store.vault, mine) == TABLE
    with pytest.raises(Denied):
        store.vault.put_bytes(data, "a.csv")


def test_twice_in_a_row_and_in_a_circle(store: Store) -> None:
    first = put(store, b"ann,1\nbob,2\ncyn,3\n")
    hold(store, first.held)
    second = without(store, first, b"ann,1\nbob,2\ncyn,3\n", 0, 6)
    without(store, second, b"bob,2\ncyn,3\n", 0, 6)
    assert content(store.vault, first) == content(store.vault, second) == b"cyn,3\n"
    changes = store.vault.compare(
        store.vault.put_tree([TreeEntry("a", first)]).root, store.vault.put_tree([TreeEntry("a", second)]).root
    )
    assert list(changes) == [], "both show the same"
    vault = vault_of(store)
    loop = {"a" * 64: FileRef("b" * 64, 1), "b" * 64: FileRef("a" * 64, 1)}
    circular = PackVault(MemoryBlobs(), None, lambda: {"a" * 64: "", "b" * 64: ""}, lambda: loop)
    circular.put_bytes(b"")
    assert content(circular, FileRef("a" * 64, 1)) == b""
    assert vault.erased.root(first.digest) != first.digest


def test_texts_are_found_as_json_writes_them() -> None:
    pattern = pattern_of(["zoë@x.org", 'a"b\\c'])
    assert pattern.search("…<zoë@x.org>".encode())
    assert pattern.search(b'{"e": "zo\\u00eb@x.org"}')
    assert pattern.search(b'"a\\"b\\\\c"')
    assert not pattern.search("azoë@x.org".encode())
    assert not pattern.search("zoë@x.organ".encode())
