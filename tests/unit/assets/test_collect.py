"""Collection: only what nothing holds goes, it goes slowly, and it comes back when it is needed."""

import random
from collections.abc import Iterable

import pytest

from charkh.assets import collect as collecting
from charkh.assets.collect import CollectReport, collect
from charkh.assets.lease import (
    LOCKS,
    leased_digests,
    medium_now,
    only_collector,
    release_lease,
    take_lease,
)
from charkh.assets.vault import PackVault
from charkh.assets.verify import verify
from charkh.core.errors import Corrupt, Invalid, Locked, NotFound, Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.ports.blobs import Blobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.vaults import content, sample_bytes


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def vault(blobs: MemoryBlobs) -> PackVault:
    return PackVault(blobs)


def put(vault: PackVault, *contents: bytes) -> list[FileRef]:
    refs = [vault.put_bytes(data) for data in contents]
    vault.flush()
    return refs


def run(vault: PackVault, *held: str, dry_run: bool = False, young: float = 0.0, grace: float = 1e9) -> CollectReport:
    return collect(vault, held, dry_run=dry_run, young_seconds=young, grace_seconds=grace)


def keys(blobs: Blobs, prefix: str) -> list[str]:
    return sorted(info.key for info in blobs.list(prefix))


def test_what_nothing_holds_goes_to_the_trash(vault: PackVault, blobs: MemoryBlobs) -> None:
    (kept,), (dead,) = put(vault, b"kept"), put(vault, b"dead")
    report = run(vault, kept.held)
    assert (report.kept, report.trashed, report.freed) == (1, 1, (dead.digest,))
    assert len(keys(blobs, "pack/")) == len(keys(blobs, "trash/")) == 1
    assert content(vault, kept) == b"kept"


def test_a_dry_run_says_the_same_and_changes_nothing(vault: PackVault, blobs: MemoryBlobs) -> None:
    kept, _dead = put(vault, sample_bytes(1000, 1), sample_bytes(9000, 2))
    put(vault, b"another")
    before = keys(blobs, "")
    report = run(vault, kept.held, dry_run=True)
    assert keys(blobs, "") == before
    done = run(vault, kept.held)
    assert (report.freed, report.freed_bytes, report.trashed) == (done.freed, done.freed_bytes, done.trashed)
    assert report.freed_bytes == 9000 + len(b"another")


def test_a_pack_with_little_life_is_written_anew(vault: PackVault, blobs: MemoryBlobs) -> None:
    kept, dead = put(vault, sample_bytes(1000, 1), sample_bytes(9000, 2))
    report = run(vault, kept.held)
    assert (report.rewritten, report.trashed, report.freed) == (1, 1, (dead.digest,))
    assert sum(info.size for info in blobs.list("pack/")) < 2000
    assert content(PackVault(blobs), kept) == sample_bytes(1000, 1)


def test_a_pack_with_little_death_stays(vault: PackVault) -> None:
    kept, _dead = put(vault, sample_bytes(9000, 1), sample_bytes(1000, 2))
    report = run(vault, kept.held)
    assert (report.kept, report.trashed, report.freed) == (1, 0, ())


def test_trees_and_chunk_lists_are_followed(vault: PackVault) -> None:
    large = vault.put_bytes(sample_bytes(3_000_000), "a.csv")
    entries = [TreeEntry(f"{number}", vault.put_bytes(b"%d" % number)) for number in range(500)]
    tree = vault.put_tree([*entries, TreeEntry("large", large)])
    vault.flush()
    dead = put(vault, b"dead")
    report = run(vault, tree.root)
    assert report.freed == (dead[0].digest,)
    assert report.missing == ()
    assert content(vault, large) == sample_bytes(3_000_000)


def test_a_young_pack_stays(vault: PackVault) -> None:
    put(vault, b"its event is not out yet")
    assert run(vault, young=60.0).kept == 1
    assert run(vault, young=60.0).young == 1, "something in it waits to be freed"


def test_the_trash_is_emptied_after_the_grace(vault: PackVault, blobs: MemoryBlobs) -> None:
    (dead,) = put(vault, b"dead")
    run(vault)
    assert run(vault, grace=60.0).emptied == 0
    report = run(vault, grace=0.0)
    assert (report.emptied, report.emptied_bytes > 0) == (1, True)
    assert keys(blobs, "") == []
    with pytest.raises(NotFound):
        content(vault, dead)


def test_a_reader_brings_bytes_back_from_the_trash(vault: PackVault, blobs: MemoryBlobs) -> None:
    (ref,) = put(vault, b"held after all")
    other = PackVault(blobs)
    assert other.has(ref.digest)
    run(vault)
    assert content(other, ref) == b"held after all"
    assert (len(keys(blobs, "pack/")), keys(blobs, "trash/")) == (1, [])
    run(vault)
    assert content(PackVault(blobs), ref) == b"held after all"


def test_a_writer_brings_bytes_back_from_the_trash(vault: PackVault, blobs: MemoryBlobs) -> None:
    put(vault, b"shared")
    writer = PackVault(blobs)
    assert writer.has(vault.put_bytes(b"shared").digest)
    ref = writer.put_bytes(b"shared")
    run(vault)
    writer.flush()
    assert content(PackVault(blobs), ref) == b"shared"
    assert len(keys(blobs, "pack/")) == 1


def test_the_next_collection_brings_held_bytes_back(vault: PackVault, blobs: MemoryBlobs) -> None:
    (ref,) = put(vault, b"the event came late")
    run(vault)
    report = run(vault, ref.held, grace=0.0)
    assert (report.restored, report.emptied, report.missing) == (1, 0, ())
    assert len(keys(blobs, "pack/")) == 1


def test_an_index_that_is_behind_finds_bytes_that_were_written_anew(vault: PackVault, blobs: MemoryBlobs) -> None:
    kept, _dead = put(vault, sample_bytes(1000, 1), sample_bytes(9000, 2))
    behind = PackVault(blobs)
    assert behind.has(kept.digest)
    run(vault, kept.held)
    assert content(behind, kept) == sample_bytes(1000, 1)
    assert len(keys(blobs, "trash/")) == 1


def test_many_small_packs_are_merged(vault: PackVault, blobs: MemoryBlobs) -> None:
    refs = [put(vault, b"%d" % number)[0] for number in range(40)]
    report = run(vault, *(ref.held for ref in refs))
    assert (report.rewritten, report.freed) == (40, ())
    assert len(keys(blobs, "pack/")) == 1
    assert [content(PackVault(blobs), ref) for ref in refs] == [b"%d" % number for number in range(40)]
    assert verify(vault, level="everything", roots=[ref.held for ref in refs]).sound


def test_packs_with_the_same_records_are_merged_without_loss(
    vault: PackVault, blobs: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "SMALL_PACKS", 2)
    for contents in ([b"x", b"y"], [b"y", b"x"]):
        put(PackVault(MemoryBlobsView(blobs)), *contents)
    assert len(keys(blobs, "pack/")) == 2
    refs = [vault.put_bytes(b"x"), vault.put_bytes(b"y")]
    run(vault, *(ref.held for ref in refs))
    assert len(keys(blobs, "pack/")) == 1
    assert [content(PackVault(blobs), ref) for ref in refs] == [b"x", b"y"]


class MemoryBlobsView(MemoryBlobs):
    """The same objects, but a listing that shows none: a writer that knows of nobody else."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        super().__init__()
        self.put, self.get = blobs.put, blobs.get  # type: ignore[method-assign]


def test_a_missing_tree_stops_the_collection(vault: PackVault) -> None:
    put(vault, b"maybe named by the tree")
    with pytest.raises(Corrupt) as raised:
        run(vault, "1" * 64)
    assert raised.value.facts["digests"] == ["1" * 64]
    report = collect(vault, ["1" * 64], dry_run=False, young_seconds=0, despite_unknown=True)
    assert (report.missing, report.trashed) == (("1" * 64,), 1)


def test_a_missing_chunk_is_reported(blobs: MemoryBlobs) -> None:
    vault = PackVault(blobs)
    tree = vault.put_tree([TreeEntry("a", FileRef("1" * 64, 5))])
    vault.flush()
    assert run(vault, tree.root).missing == ("1" * 64,)


def test_a_root_that_is_no_digest(vault: PackVault) -> None:
    with pytest.raises(Invalid):
        run(vault, "flights@3")


def test_a_lease_keeps_what_it_names(vault: PackVault, blobs: MemoryBlobs) -> None:
    (ref,) = put(vault, b"on its way")
    key = take_lease(blobs, [ref.held], seconds=3600)
    assert run(vault).kept == 1
    release_lease(blobs, key)
    assert run(vault).trashed == 1


def test_a_lease_ends_by_the_clock_of_the_medium(blobs: MemoryBlobs) -> None:
    key = take_lease(blobs, ["1" * 64], seconds=100)
    now = medium_now(blobs)
    assert leased_digests(blobs, now + 90) == {"1" * 64}
    assert leased_digests(blobs, now + 110) == set()
    assert keys(blobs, "lease/") == [key]
    assert leased_digests(blobs, now + 210) == set()
    assert keys(blobs, "lease/") == []
    assert keys(blobs, "clock/") == []


def test_one_collects_at_a_time(vault: PackVault, blobs: MemoryBlobs) -> None:
    now = medium_now(blobs)
    with only_collector(blobs, now):
        with pytest.raises(Locked) as raised, only_collector(blobs, now):
            raise AssertionError("two collect")
        assert "process" in raised.value.message
        with pytest.raises(Locked):
            run(vault)
        assert run(vault, dry_run=True).dry_run
    assert keys(blobs, LOCKS) == []
    with only_collector(blobs, now):
        assert len(keys(blobs, LOCKS)) == 1


def test_the_lock_of_a_dead_collector_is_taken_over(blobs: MemoryBlobs) -> None:
    now = medium_now(blobs)
    with only_collector(blobs, now), only_collector(blobs, now + 7 * 3600):
        assert len(keys(blobs, LOCKS)) == 2
        with pytest.raises(Locked), only_collector(blobs, now + 1):
            raise AssertionError("two collect")
    assert keys(blobs, LOCKS) == []


@pytest.mark.parametrize("seed", range(8))
def test_nothing_held_is_ever_lost(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers with indexes of their own put, publish late, and forget, while collections run in between."""
    monkeypatch.setattr(collecting, "SMALL_PACKS", 4)
    source = random.Random(seed)
    blobs = MemoryBlobs()
    writers = [PackVault(blobs) for _ in range(3)]
    held: dict[str, tuple[FileRef, bytes]] = {}
    waiting: list[tuple[FileRef, bytes]] = []
    for _turn in range(60):
        writer = source.choice(writers)
        action = source.random()
        if action < 0.5:
            data = b"%d" % source.randrange(40) * 50
            waiting.append((writer.put_bytes(data), data))
            writer.flush()
        elif action < 0.7 and waiting:
            ref, data = waiting.pop(source.randrange(len(waiting)))
            held[ref.held] = (ref, data)
        elif action < 0.8 and held:
            del held[source.choice(sorted(held))]
        else:
            report = run(writer, *held)
            assert report.missing == ()
        for ref, data in held.values():
            assert content(source.choice(writers), ref) == data
    assert verify(writers[0], level="everything", roots=held).sound


def test_foreign_objects_are_left_alone(vault: PackVault, blobs: MemoryBlobs) -> None:
    blobs.put("pack/readme.txt", [b"not a pack"])
    blobs.put("trash/readme.txt", [b"not a pack"])
    report = run(vault, grace=1e9)
    assert report.kept == 1
    assert keys(blobs, "") == ["pack/readme.txt", "trash/readme.txt"]


class Replacing(MemoryBlobs):
    """A medium without conditional writes."""

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        self.delete(key)
        super().put(key, parts)


def test_a_medium_on_which_a_put_replaces_is_not_collected() -> None:
    vault = PackVault(Replacing())
    put(vault, b"dead")
    with pytest.raises(Unavailable) as raised:
        run(vault)
    assert raised.value.code == "asset.no_conditional_put"
    assert run(vault, dry_run=True).trashed == 1
    assert len(keys(vault.shelf.blobs, "pack/")) == 1


def test_erased_bytes_in_the_trash_go_and_the_rest_keeps_its_grace(blobs: MemoryBlobs) -> None:
    erased: dict[str, str] = {}
    vault = PackVault(blobs, None, lambda: dict(erased))
    secret, late = put(vault, b"secret", b"its event comes late")
    run(vault)
    assert len(keys(blobs, "trash/")) == 1
    erased[secret.digest] = ""
    vault.flush()
    report = run(vault)
    assert (report.erased, report.emptied) == (1, 0)
    assert not any(b"secret" in blobs.get(info.key) for info in blobs.list())
    assert content(vault, late) == b"its event comes late"
