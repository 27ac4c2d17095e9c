"""Verification: every damage is found at its level, nothing is deleted, and what is sound is saved."""

import random
from collections.abc import Callable

import pytest

from charkh.assets.chunk_index import ChunkIndex
from charkh.assets.vault import PackVault
from charkh.assets.verify import Level, VerifyReport, verify
from charkh.core.errors import Corrupt, NotFound
from charkh.core.files import FileRef
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.testing.vaults import content, sample_bytes, sample_table


class Damaged(MemoryBlobs):
    """Blobs whose objects a test may change."""

    def change(self, key: str, how: Callable[[bytes], bytes]) -> None:
        data, at = self._objects[key]
        self._objects[key] = (how(data), at)


@pytest.fixture
def blobs() -> Damaged:
    return Damaged()


@pytest.fixture
def vault(blobs: Damaged) -> PackVault:
    return PackVault(blobs)


def put(vault: PackVault, count: int = 5) -> list[FileRef]:
    refs = [vault.put_bytes(sample_bytes(2000, seed)) for seed in range(count)]
    vault.flush()
    return refs


def only_pack(vault: PackVault) -> str:
    (name,) = vault.shelf.list_packs()
    return f"pack/{name}"


def whats(report: VerifyReport) -> list[str]:
    return [problem.what for problem in report.problems]


def flip(position: int) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 4
        return bytes(changed)

    return flipped


@pytest.mark.parametrize(("level", "records"), [("index", 0), ("sample", 5), ("everything", 5)])
def test_a_sound_store(vault: PackVault, level: Level, records: int) -> None:
    refs = put(vault)
    seen: list[int] = []
    report = verify(vault, level=level, roots=[ref.held for ref in refs], progress=seen.append)
    assert report.sound
    assert (report.packs, report.records, sum(seen)) == (1, records, 1)


def test_an_empty_store(vault: PackVault) -> None:
    assert verify(vault, level="everything").sound


def test_a_flipped_byte_is_found_and_what_is_sound_is_saved(vault: PackVault, blobs: Damaged) -> None:
    refs = put(vault)
    key = only_pack(vault)
    blobs.change(key, flip(3000))
    assert verify(vault, level="index").sound
    found = verify(vault, level="everything", roots=[ref.held for ref in refs])
    assert whats(found) == ["pack"]
    (problem,) = found.problems
    assert problem.pack == key.removeprefix("pack/")
    assert problem.digest == refs[1].digest
    report = verify(vault, level="everything", roots=[ref.held for ref in refs], repair=True)
    assert (report.quarantined, report.saved, report.lost) == ([problem.pack], 4, [refs[1].digest])
    assert whats(report) == ["pack", "missing"]
    assert blobs.has(f"quarantine/{problem.pack}")
    assert [content(vault, refs[number]) for number in (0, 2, 3, 4)]
    with pytest.raises(NotFound):
        content(vault, refs[1])
    assert put(vault) == refs
    assert verify(PackVault(blobs), level="everything", roots=[ref.held for ref in refs]).sound


@pytest.mark.parametrize(
    "how", [flip(-1), flip(-20), lambda data: data[:-5], lambda data: data[:5000], lambda data: b""]
)
def test_a_pack_without_its_end_is_read_from_its_beginning(
    vault: PackVault, blobs: Damaged, how: Callable[[bytes], bytes]
) -> None:
    refs = put(vault)
    blobs.change(only_pack(vault), how)
    fresh = PackVault(blobs)
    assert whats(verify(fresh, level="index")) == ["pack"]
    report = verify(fresh, repair=True)
    assert len(report.quarantined) == 1
    found = [ref for ref in refs if fresh.has(ref.digest)]
    assert len(found) == report.saved
    assert all(content(fresh, ref) for ref in found)
    assert verify(fresh, level="everything").sound
    assert put(fresh) == refs


def test_a_damaged_beginning_costs_nothing(vault: PackVault, blobs: Damaged) -> None:
    refs = put(vault)
    key = only_pack(vault)
    blobs.change(key, flip(2))
    assert whats(verify(vault, level="sample")) == ["pack"]
    report = verify(vault, level="everything", repair=True)
    assert (report.saved, report.lost) == (5, [])
    assert verify(vault, level="everything", roots=[ref.held for ref in refs]).sound
    assert only_pack(vault) == key


def test_a_wrong_index_is_made_anew(vault: PackVault, blobs: Damaged) -> None:
    refs = put(vault)
    (name,) = vault.shelf.list_packs()
    index: ChunkIndex = vault.shelf.index
    entries = vault.shelf.footer(name)
    index.clear()
    index.add(name, 1, [entries[0]._replace(offset=entries[1].offset), *entries[2:]])
    assert whats(verify(vault, roots=[ref.held for ref in refs])) == ["index", "missing"]
    assert whats(verify(vault, repair=True)) == ["index"]
    assert verify(vault, roots=[ref.held for ref in refs]).sound


def test_a_read_through_a_wrong_index_finds_the_bytes_all_the_same(vault: PackVault) -> None:
    refs = put(vault)
    (name,) = vault.shelf.list_packs()
    entries = vault.shelf.footer(name)
    vault.shelf.index.add(name, 1, [entries[0]._replace(offset=entries[1].offset)])
    assert content(vault, refs[0]) == sample_bytes(2000, 0)


def test_a_damaged_chunk_is_read_from_another_pack_that_has_it(blobs: Damaged) -> None:
    first, second = PackVault(blobs), PackVault(blobs)
    first.shelf.refresh()
    ref = second.put_bytes(sample_bytes(2000))
    second.put_bytes(b"another")
    first.put_bytes(sample_bytes(2000))
    second._writer._refreshed = first._writer._refreshed = 1e18
    first.flush()
    second.flush()
    assert len(first.shelf.list_packs()) == 2
    first.shelf.refresh()
    place = first.shelf.index.places(bytes.fromhex(ref.digest))[0]
    blobs.change(f"pack/{place.pack}", flip(place.offset))
    assert content(first, ref) == content(second, ref) == sample_bytes(2000)


def test_a_damaged_chunk_names_itself_its_pack_and_what_to_do(vault: PackVault, blobs: Damaged) -> None:
    ref = vault.put_bytes(sample_table(60_000), "a.csv")
    vault.flush()
    key = only_pack(vault)
    blobs.change(key, flip(100_000))
    with pytest.raises(Corrupt) as raised:
        content(PackVault(blobs), ref)
    assert raised.value.code == "asset.corrupt"
    assert key.removeprefix("pack/") in raised.value.message
    assert str(raised.value.facts["digest"]) in raised.value.message
    assert "fsck" in raised.value.hint


def test_no_flipped_bit_is_read_as_content(vault: PackVault, blobs: Damaged) -> None:
    """200 flips anywhere in a pack: a reader gets the true bytes or `Corrupt`, and verification finds all 200."""
    data = {"a.csv": sample_table(3000), "b.bin": sample_bytes(90_000), "c": b"small"}
    refs = {hint: vault.put_bytes(payload, hint) for hint, payload in data.items()}
    vault.flush()
    key = only_pack(vault)
    sound = blobs.get(key)
    source = random.Random(7)
    found = 0
    for _ in range(200):
        blobs.change(key, lambda _data: sound)
        blobs.change(key, flip(source.randrange(len(sound))))
        fresh = PackVault(blobs)
        found += not verify(fresh, level="everything").sound
        for hint, ref in refs.items():
            try:
                assert content(fresh, ref) == data[hint]
            except (Corrupt, NotFound):
                continue
    assert found == 200


def test_missing_and_foreign(vault: PackVault, blobs: Damaged) -> None:
    put(vault)
    blobs.put("pack/readme.txt", [b"hello"])
    report = verify(vault, roots=["1" * 64])
    assert whats(report) == ["foreign", "missing"]
    assert report.problems[1].digest == "1" * 64
    assert blobs.has("pack/readme.txt")


@pytest.mark.parametrize("level", ["index", "sample", "everything"])
def test_a_pack_of_a_later_version_is_named_and_never_repaired(vault: PackVault, blobs: Damaged, level: Level) -> None:
    (ref, *_rest) = put(vault)
    key = only_pack(vault)
    blobs.change(key, lambda data: data[:8] + b"\x02" + data[9:-8] + b"\x02" + data[-7:])
    later = blobs.get(key)
    fresh = PackVault(blobs)
    report = verify(fresh, level=level, repair=True)
    assert (whats(report), report.quarantined, blobs.get(key)) == (["newer"], [], later)
    assert "version 2" in report.problems[0].detail
    with pytest.raises(NotFound):
        content(fresh, ref)


def test_a_flipped_version_is_damage(vault: PackVault, blobs: Damaged) -> None:
    refs = put(vault)
    blobs.change(only_pack(vault), lambda data: data[:-8] + b"\x05" + data[-7:])
    report = verify(PackVault(blobs), repair=True)
    assert (whats(report), report.saved, report.lost) == (["pack"], len(refs), [])
