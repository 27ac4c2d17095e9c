"""Records on their way between vaults: whole packs, parts of packs, damage at the source, and what was erased."""

import random
from collections.abc import Mapping

import pytest

from charkh.assets import transfer
from charkh.assets.pack import CHUNK, Record, record_digest
from charkh.assets.shelf import PACKS, TRASH
from charkh.assets.survey import Survey
from charkh.assets.transfer import Wanted, expunge, move
from charkh.assets.vault import PackVault
from charkh.core.errors import Corrupt, Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.stores.blobs_memory import MemoryBlobs


def vault(erased: Mapping[str, str] | None = None) -> PackVault:
    return PackVault(MemoryBlobs(), None, lambda: erased or {})


def fill(target: PackVault, count: int, size: int, seed: int = 0) -> list[bytes]:
    """One pack of random records; their digests."""
    contents = [random.Random(seed * 1000 + number).randbytes(size) for number in range(count)]
    records = [Record(record_digest(CHUNK, each), CHUNK, each, False) for each in contents]
    target.shelf.write(records)
    return [record.digest for record in records]


def wanted(source: PackVault, digests: list[bytes]) -> list[Wanted]:
    return list(source.shelf.index.find(digests).items())


def packs(source: PackVault) -> dict[str, int]:
    return source.shelf.list_packs()


def flip(source: PackVault, name: str, at: int) -> None:
    blobs = source.shelf.blobs
    data = bytearray(blobs.get(PACKS + name))
    data[at] ^= 1
    blobs.delete(PACKS + name)
    blobs.put(PACKS + name, [bytes(data)])


def test_a_pack_that_is_mostly_wanted_goes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LEAST_WHOLE", 1000)
    source, target = vault(), vault()
    digests = fill(source, 10, 1000)
    progress: list[int] = []
    moved = move(source, target, wanted(source, digests[:9]), progress=progress.append)
    assert packs(target) == packs(source)
    assert (moved.packs, moved.records, moved.size) == (1, 9, sum(packs(source).values()))
    assert sum(progress) == moved.size
    assert set(target.shelf.index.find(digests)) == set(digests)


def test_little_of_a_pack_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LEAST_WHOLE", 1000)
    source, target = vault(), vault()
    digests = fill(source, 10, 1000)
    move(source, target, wanted(source, digests[:3]))
    assert set(target.shelf.index.find(digests)) == set(digests[:3])


def test_small_packs_are_merged_on_their_way() -> None:
    source, target = vault(), vault()
    digests = [digest for seed in range(20) for digest in fill(source, 3, 500, seed)]
    assert move(source, target, wanted(source, digests)).packs == 1
    assert len(packs(source)) == 20
    assert set(target.shelf.index.find(digests)) == set(digests)


def test_much_goes_in_several_packs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PACK_SIZE", 10_000)
    source, target = vault(), vault()
    digests = [digest for seed in range(10) for digest in fill(source, 10, 1000, seed)]
    assert move(source, target, wanted(source, digests)).packs == 10
    for digest, place in wanted(target, digests):
        assert record_digest(CHUNK, target.shelf.read(digest, place)) == digest


@pytest.mark.parametrize("whole", [1000, 1 << 40])
def test_damage_at_the_source_is_named_and_the_rest_arrives(monkeypatch: pytest.MonkeyPatch, whole: int) -> None:
    monkeypatch.setattr(transfer, "LEAST_WHOLE", whole)
    source, target = vault(), vault()
    digests = fill(source, 10, 1000)
    (name,) = packs(source)
    (_digest, place) = wanted(source, digests[4:5])[0]
    flip(source, name, place.offset + 10)
    moved = move(source, target, wanted(source, digests))
    assert list(moved.failed) == [digests[4]]
    assert "damaged" in moved.failed[digests[4]]
    assert set(target.shelf.index.find(digests)) == set(digests) - {digests[4]}


def test_what_was_erased_goes_in_no_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LEAST_WHOLE", 1000)
    source = vault()
    digests = fill(source, 10, 1000)
    target = vault({digests[0].hex(): ""})
    move(source, target, wanted(source, digests))
    assert target.shelf.locate(digests).keys() == set(digests[1:])


class Full(MemoryBlobs):
    """A medium that is full after some packs."""

    room = 3

    def put(self, key: str, parts: object) -> None:
        if key.startswith(PACKS):
            self.room -= 1
            if self.room < 0:
                raise Unavailable("full", code="blobs.unavailable")
        super().put(key, parts)  # type: ignore[arg-type]


def test_a_full_target_keeps_what_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PACK_SIZE", 10_000)
    source, target = vault(), PackVault(Full())
    digests = [digest for seed in range(10) for digest in fill(source, 10, 1000, seed)]
    with pytest.raises(Unavailable):
        move(source, target, wanted(source, digests))
    there = target.shelf.index.find(digests)
    assert 20 <= len(there) <= 40
    target.shelf.blobs.room = 100  # type: ignore[attr-defined]
    move(source, target, [item for item in wanted(source, digests) if item[0] not in there])
    assert set(target.shelf.index.find(digests)) == set(digests)


def test_expunged_records_leave_packs_and_trash() -> None:
    there = vault()
    first, second = fill(there, 5, 1000), fill(there, 5, 1000, 1)
    untouched = fill(there, 5, 1000, 2)
    place = there.shelf.index.find(second[:1])[second[0]]
    data = there.shelf.blobs.get(PACKS + place.pack)
    there.shelf.blobs.put(TRASH + place.pack, [data])
    there.shelf.blobs.delete(PACKS + place.pack)
    erased = {first[0]: b"", second[1]: b""}
    assert expunge(there, erased) == 2
    everything = [each for info in there.shelf.blobs.list() for each in [there.shelf.blobs.get(info.key)]]
    for digest in erased:
        assert all(digest not in each for each in everything)
    staying = [*first[1:], second[0], *second[2:], *untouched]
    assert set(there.shelf.locate(staying)) == set(staying)
    assert expunge(there, erased) == 0


def put_tree(target: PackVault, files: dict[str, bytes]) -> str:
    entries = [TreeEntry(path, target.put_bytes(content)) for path, content in files.items()]
    root = target.put_tree(entries).root
    target.flush()
    return root


def test_a_survey_tells_both_directions_in_one_walk() -> None:
    here, there = vault(), vault()
    shared, mine, theirs = (random.Random(seed).randbytes(200_000) for seed in range(3))
    mine_root = put_tree(here, {"a": shared, "b": mine})
    their_root = put_tree(there, {"a": shared, "c": theirs})
    survey = Survey(here, there)
    survey.walk([mine_root, their_root, "ab" * 32], bring=True)
    assert {digest.hex() for digest in survey.nowhere} == {"ab" * 32}
    move(here, there, survey.push)
    move(there, here, survey.pull)
    for each in (here, there):
        for root in (mine_root, their_root):
            for entry in each.entries(root):
                assert sum(map(len, each.read(entry.file))) == 200_000
    whole = set(survey.whole())
    assert {bytes.fromhex(mine_root), bytes.fromhex(their_root)} <= whole
    assert bytes.fromhex("ab" * 32) not in whole


def test_a_survey_stops_at_what_is_known_to_be_whole() -> None:
    here, there = vault(), vault()
    root = put_tree(here, {f"{number:04}": bytes([number % 256]) * 100 + b"%d" % number for number in range(3000)})
    first = Survey(here, there)
    first.walk([root], bring=True)
    move(here, there, first.push)
    known = set(first.whole())
    again = Survey(here, there, complete=lambda digests: known & set(digests))
    met: list[int] = []
    again.walk([root], bring=True, progress=met.append)
    assert sum(met) == 1
    assert again.push == again.pull == []


def test_a_broken_part_breaks_what_is_above_it_alone() -> None:
    here, there = vault(), vault()
    sound = put_tree(here, {"a": b"a" * 100})
    broken = put_tree(here, {"a": b"a" * 100, "lost": b"lost" * 50})
    lost = here.put_bytes(b"lost" * 50).digest
    place = here.shelf.index.find([bytes.fromhex(lost)])[bytes.fromhex(lost)]
    kept = [entry for entry in here.shelf.footer(place.pack) if entry.digest.hex() != lost]
    records = [
        Record(each.digest, each.kind, data, False)
        for each, (_digest, found) in [
            (each, next(iter(here.shelf.index.find([each.digest]).items()))) for each in kept
        ]
        for data in [here.shelf.read(each.digest, found)]
    ]
    here.shelf.write(records)
    here.shelf.blobs.delete(PACKS + place.pack)
    here.shelf.refresh()
    survey = Survey(here, there)
    survey.walk([sound, broken], bring=True)
    assert {digest.hex() for digest in survey.nowhere} == {lost}
    whole = {digest.hex() for digest in survey.whole()}
    assert sound in whole
    assert broken not in whole


def test_a_file_that_was_erased_in_other_cuts_does_not_travel() -> None:
    content = random.Random(5).randbytes(300_000)
    erased: dict[str, str] = {}
    here, there = vault(erased), vault(erased)
    root = put_tree(here, {"a": content, "b": b"stays" * 10})
    (entry, _other) = here.entries(root)
    chunks = [digest for digest, _length in here.chunks(entry.file)]
    # Somebody who had cut it otherwise erased it: none of these chunks, but the whole.
    erased[entry.file.digest] = ""
    here.erased.forget()
    survey = Survey(here, there)
    survey.walk([root], bring=False)
    move(here, there, survey.push)
    assert there.shelf.locate([bytes.fromhex(each) for each in chunks]) == {}
    assert [b"".join(there.read(each.file)) for each in there.entries(root)] == [b"", b"stays" * 10]


def test_a_node_that_is_damaged_over_there_is_named() -> None:
    here, there = vault(), vault()
    root = put_tree(there, {"a": b"x" * 5000})
    place = there.shelf.index.find([bytes.fromhex(root)])[bytes.fromhex(root)]
    flip(there, place.pack, place.offset + 3)
    survey = Survey(here, there)
    survey.walk([root], bring=True)
    assert [digest.hex() for digest in survey.failed] == [root]
    with pytest.raises(Corrupt):
        there.load_node(bytes.fromhex(root))
    assert list(survey.whole()) == []
    assert b"".join(there.read(FileRef(there.put_bytes(b"y").digest, 1))) == b"y"
