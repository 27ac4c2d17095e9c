"""Erasure: what was erased is shown as such, refused for ever, and leaves the disk with the next collection."""

from dataclasses import replace

import pytest

from charkh.assets.collect import collect
from charkh.assets.erase import erase
from charkh.assets.index import ERASED_KIND, PROJECTION, Erased, ErasureOf, Erasures
from charkh.assets.vault import PackVault
from charkh.assets.verify import verify
from charkh.core.errors import Denied, Invalid, NotFound
from charkh.core.events import Draft, body_of
from charkh.core.files import FileRef, TreeEntry
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.ports.store import Store
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store
from charkh.testing.vaults import content, sample_bytes, sample_table

TABLE = sample_table(20_000)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def store(blobs: MemoryBlobs) -> Store:
    plain = memory_store(PROJECTION, LINEAGE)
    return replace(plain, vault=PackVault(blobs, None, lambda: dict(plain.queries.ask(Erasures()))))


def put(store: Store, data: bytes, hint: str = "a.csv") -> FileRef:
    ref = store.vault.put_bytes(data, hint)
    store.vault.flush()
    return ref


def test_a_whole_file(store: Store) -> None:
    ref = put(store, b"ann@example.org")
    event = erase(store, ref, reason="Ann asked for it.", instead=b"[erased]")
    assert content(store.vault, ref) == b"[erased]"
    assert body_of(event, Erased).reason == "Ann asked for it."
    assert event.holds == (store.vault.put_bytes(b"[erased]").digest,)
    with pytest.raises(Denied):
        store.vault.put_bytes(b"ann@example.org")
    known = store.queries.ask(ErasureOf(digest=ref.digest))
    assert known is not None
    assert (known.reason, known.actor, known.event) == ("Ann asked for it.", "ann@laptop", event.id)
    assert store.queries.ask(ErasureOf(digest="0" * 64)) is None


def test_a_large_file_without_anything_in_its_place(store: Store) -> None:
    ref = put(store, TABLE)
    assert ref.root
    erase(store, ref, reason="Licence ended.")
    assert content(store.vault, ref) == b""
    assert list(store.vault.chunks(ref)) == []
    for hint in ("a.csv", "a.bin", "a.zip"):
        with pytest.raises(Denied):
            store.vault.put_bytes(TABLE, hint)


@pytest.mark.parametrize("hint", ["a.csv", "a.bin", "a.zip"])
def test_rows_of_a_table(store: Store, hint: str) -> None:
    ref = put(store, TABLE, hint)
    first, last = TABLE.index(b"\n5000,") + 1, TABLE.index(b"\n9000,") + 1
    erase(store, ref, reason="A wrong import.", ranges=[(first, last)])
    assert content(store.vault, ref) == TABLE[:first] + TABLE[last:]
    assert content(store.vault, ref, first - 10, 20) == (TABLE[:first] + TABLE[last:])[first - 10 : first + 10]


def test_several_stretches_and_what_stands_in_their_place(store: Store) -> None:
    data = b"a,SECRET,b,SECRET,c"
    ref = put(store, data)
    erase(store, ref, reason="Names.", ranges=[(11, 17), (2, 8)], instead=b"***")
    assert content(store.vault, ref) == b"a,***,b,***,c"


def test_what_was_erased_once_can_be_erased_further(store: Store) -> None:
    ref = put(store, b"one two three")
    erase(store, ref, reason="First.", ranges=[(0, 4)])
    erase(store, ref, reason="Then.", ranges=[(0, 4)])
    assert content(store.vault, ref) == b"three"
    erase(store, ref, reason="All.")
    assert content(store.vault, ref) == b""


def test_versions_stay_valid_and_the_bytes_leave_the_medium(store: Store, blobs: MemoryBlobs) -> None:
    secret = sample_bytes(5_000)
    ref, other = put(store, secret, "a.bin"), put(store, b"other")
    tree = store.vault.put_tree([TreeEntry("secret", ref), TreeEntry("other", other)])
    store.vault.flush()
    erase(store, ref, reason="Asked for.", instead=b"gone")
    vault = store.vault
    assert isinstance(vault, PackVault)
    roots = {tree.root, *store.queries.ask(HeldDigests())}
    report = collect(vault, roots, dry_run=False)
    assert report.erased == 1
    assert ref.digest in report.freed
    assert not any(secret in blobs.get(info.key) for info in blobs.list())
    assert verify(vault, level="everything", roots=roots).sound
    assert {entry.path: content(vault, entry.file) for entry in vault.entries(tree.root)} == {
        "secret": b"gone",
        "other": b"other",
    }


@pytest.mark.parametrize("ranges", [[(5, 4)], [(0, 0)], [(-1, 2)], [(0, 99)], [(0, 3), (2, 4)]])
def test_a_stretch_that_is_none(store: Store, ranges: list[tuple[int, int]]) -> None:
    ref = put(store, b"content")
    with pytest.raises(Invalid):
        erase(store, ref, reason="x", ranges=ranges)
    assert content(store.vault, ref) == b"content"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_reason_is_needed(store: Store, reason: str) -> None:
    with pytest.raises(Invalid):
        erase(store, put(store, b"content"), reason=reason)


def test_a_reason_keeps_no_credentials(store: Store) -> None:
    event = erase(store, put(store, b"content"), reason="Held AKIAIOSFODNN7EXAMPLE by mistake.")
    assert "AKIAIOSFODNN7EXAMPLE" not in body_of(event, Erased).reason


def test_what_is_not_here_cannot_be_erased(store: Store) -> None:
    with pytest.raises(NotFound):
        erase(store, FileRef("1" * 64, 5), reason="x", ranges=[(0, 1)])


def test_erasures_are_a_function_of_the_set_of_events(store: Store) -> None:
    refs = [put(store, b"content %d" % number) for number in range(4)]
    for ref in refs:
        erase(store, ref, reason="One.", instead=b"1")
    store.record(*(_again(ref) for ref in refs))
    tables = assert_order_free(
        [PROJECTION, LINEAGE], payloads_of(store), [Erasures(), *(ErasureOf(digest=ref.digest) for ref in refs)]
    )
    assert len(tables["assets_erasure"]) == 4


def _again(ref: FileRef) -> Draft:
    body = Erased(replacements={ref.digest: "2" * 64}, reason="Two.")
    return Draft(kind=ERASED_KIND, subject=f"asset:{ref.held}", body=body)


def test_an_empty_file_cannot_be_erased_whoever_says_so(store: Store) -> None:
    empty = put(store, b"")
    with pytest.raises(Invalid, match="nothing to erase"):
        erase(store, empty, reason="Everything.")
    foreign = Erased(replacements={empty.digest: "", "1" * 64: ""}, reason="Everything.")
    store.record(Draft(kind=ERASED_KIND, subject=f"asset:{empty.digest}", body=foreign))
    store.vault.flush()
    assert store.queries.ask(Erasures()) == (("1" * 64, ""),)
    assert store.vault.put_bytes(b"") == empty


def test_a_chunk_that_two_files_share_is_erased_from_both(store: Store) -> None:
    """An erasure is of bytes: whoever has them shows what stands in their place, and keeps the rest."""
    one, other = TABLE, b"id,delay,origin,day\n-1,0.5,LGA,2012-01-01\n" + TABLE[TABLE.index(b"\n0,") + 1 :]
    first, second = put(store, one), put(store, other)
    shared = {digest for digest, _length in store.vault.chunks(first)} & {
        digest for digest, _length in store.vault.chunks(second)
    }
    assert shared
    begin = one.index(b"\n9000,") + 1
    gone = one[begin : begin + 30]
    erase(store, first, reason="One row.", ranges=[(begin, begin + 30)])
    assert content(store.vault, first) == one.replace(gone, b"")
    assert content(store.vault, second) == other.replace(gone, b"")


@pytest.mark.parametrize("instead", [b"", b"[erased]"])
def test_the_same_content_in_other_cuts_is_erased_too(store: Store, blobs: MemoryBlobs, instead: bytes) -> None:
    table, copy = put(store, TABLE, "a.csv"), put(store, TABLE, "a.bin")
    assert table.digest == copy.digest
    assert table.root != copy.root
    tree = store.vault.put_tree([TreeEntry("copy.bin", copy), TreeEntry("kept", put(store, b"kept"))])
    store.vault.flush()
    store.record(Draft(kind="note.written/1", subject="note:1", body=None, holds=(tree.root,)))
    erase(store, table, reason="Licence ended.", instead=instead)
    assert content(store.vault, copy) == b""
    assert list(store.vault.chunks(copy)) == []
    vault = store.vault
    assert isinstance(vault, PackVault)
    # What was erased leaves at once, the copy through the trash, which the last collection empties.
    for _ in range(3):
        collect(vault, store.queries.ask(HeldDigests()), dry_run=False, young_seconds=0, grace_seconds=0)
    left = b"".join(blobs.get(info.key) for info in blobs.list("") if not info.key.startswith("lock/"))
    assert TABLE[100_000:100_100] not in left
    assert len(left) < 4000
    assert [entry.path for entry in vault.entries(tree.root)] == ["copy.bin", "kept"]
