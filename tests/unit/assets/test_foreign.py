"""Files outside the packs: what they serve, what is told of them, and how their bytes come in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.assets.adopt import adopt, adopted_problems, survey_file, take_in
from charkh.assets.foreign import FOREIGN, ForeignFiles, is_foreign
from charkh.assets.vault import PackVault
from charkh.core.errors import Conflict, Corrupt, Denied, NotFound, Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.stores.blobs_memory import MemoryBlobs

DATA = bytes(range(256)) * 3000


def adopted(vault: PackVault, path: Path, data: bytes, name: str = "") -> FileRef:
    path.write_bytes(data)
    file = survey_file(vault, path, name)
    adopt(vault, [file])
    return file.ref


def stored(vault: PackVault) -> int:
    return sum(info.size for info in vault.shelf.blobs.list())


@given(st.integers(0, 300_000), st.sampled_from(["a.csv", "a.bin", "a.jpg", "a"]))
def test_a_foreign_file_has_the_content_that_adding_it_gives(
    tmp_path_factory: pytest.TempPathFactory, size: int, name: str
) -> None:
    path = tmp_path_factory.mktemp("foreign") / name
    here, there = PackVault(MemoryBlobs()), PackVault(MemoryBlobs())
    ref = adopted(here, path, DATA[:size])
    assert ref == there.put_file(path)
    assert b"".join(here.read(ref)) == DATA[:size]
    assert list(here.chunks(ref)) == list(there.chunks(ref))
    assert b"".join(here.read(ref, 1000, 5000)) == DATA[:size][1000:6000]


def test_no_byte_is_stored_and_a_tree_reads_through(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs(), tmp_path / "index.sqlite", foreign=ForeignFiles(tmp_path / "foreign.sqlite"))
    ref = adopted(vault, tmp_path / "object", DATA, "rows.csv")
    tree = vault.put_tree([TreeEntry("rows.csv", ref)])
    vault.flush()
    assert stored(vault) < 6000
    again = PackVault(vault.shelf.blobs, None, foreign=ForeignFiles(tmp_path / "foreign.sqlite"))
    (entry,) = again.entries(tree.root)
    assert b"".join(again.read(entry.file)) == DATA
    assert again.has(ref.root)
    assert all(
        is_foreign(place) for place in again.shelf.find([bytes.fromhex(c) for c, _ in again.chunks(ref)]).values()
    )


def test_adding_what_a_foreign_file_serves_stores_it(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs())
    ref = adopted(vault, tmp_path / "a.bin", DATA)
    assert vault.rely_on([ref]) == [True]
    assert vault.put_file(tmp_path / "a.bin") == ref
    vault.flush()
    (tmp_path / "a.bin").unlink()
    assert b"".join(vault.read(ref)) == DATA


def test_a_file_that_is_gone_or_changed_is_told(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs())
    ref = adopted(vault, tmp_path / "a.bin", DATA)
    (tmp_path / "a.bin").write_bytes(DATA[:-1] + b"x")
    with pytest.raises(Corrupt, match=r"a\.bin is not what it was"):
        list(vault.read(ref))
    (tmp_path / "a.bin").write_bytes(DATA[:70_000])
    with pytest.raises(Corrupt, match=r"a\.bin is not what it was"):
        list(vault.read(ref))
    (tmp_path / "a.bin").unlink()
    with pytest.raises(NotFound, match=r"a\.bin is gone"):
        list(vault.read(ref))


def test_another_file_with_the_bytes_stands_in(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs())
    ref = adopted(vault, tmp_path / "a.bin", DATA)
    adopted(vault, tmp_path / "b.bin", DATA)
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).rename(tmp_path / "aside")
        assert b"".join(vault.read(ref)) == DATA
        (tmp_path / "aside").rename(tmp_path / name)


def test_bytes_are_taken_in_and_the_file_forgotten(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs())
    ref = adopted(vault, tmp_path / "a.bin", DATA)
    lost = adopted(vault, tmp_path / "b.bin", DATA[::-1])
    (tmp_path / "b.bin").unlink()
    taken = take_in(vault)
    assert (taken.files, taken.size) == (1, len(DATA))
    assert [path for path, _reason in taken.failed] == [str(tmp_path / "b.bin")]
    assert [file.path for file in vault.shelf.foreign.files()] == [str(tmp_path / "b.bin")]
    (tmp_path / "a.bin").unlink()
    assert b"".join(vault.read(ref)) == DATA
    with pytest.raises(NotFound, match=r"b\.bin is gone"):
        list(vault.read(lost))


def test_a_known_file_is_not_read_again_unless_it_changed(tmp_path: Path) -> None:
    foreign = ForeignFiles(None)
    vault = PackVault(MemoryBlobs(), foreign=foreign)
    path = tmp_path / "a.csv"
    assert foreign.known(path, 0) is None
    ref = adopted(vault, path, DATA)
    cut = next(foreign.files()).cut
    assert foreign.known(path, cut) == ref
    assert foreign.known(path, cut + 1) is None
    path.write_bytes(DATA + b"more")
    assert foreign.known(path, cut) is None
    path.unlink()
    assert foreign.known(path, cut) is None
    foreign.drop([str(path)])
    assert list(foreign.files()) == []
    assert foreign.places(bytes.fromhex(next(vault.chunks(ref))[0])) == []


def test_erased_content_is_not_adopted(tmp_path: Path) -> None:
    data = b"a person's row"
    gone = PackVault(MemoryBlobs()).put_bytes(data).digest
    vault = PackVault(MemoryBlobs(), erasures=lambda: {gone: ""})
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(Denied):
        survey_file(vault, tmp_path / "a")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA)

    def grow(_data: memoryview) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(Conflict, match="changed"):
        survey_file(PackVault(MemoryBlobs()), path, see=grow)
    with pytest.raises(NotFound):
        survey_file(PackVault(MemoryBlobs()), tmp_path / "b")


def test_a_damaged_list_is_told(tmp_path: Path) -> None:
    (tmp_path / "foreign.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match=r"foreign\.sqlite"):
        ForeignFiles(tmp_path / "foreign.sqlite").find([b"x" * 32])


def test_a_place_says_its_path(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs())
    ref = adopted(vault, tmp_path / "a", b"small")
    (place,) = vault.shelf.foreign.places(bytes.fromhex(ref.digest))
    assert place.pack == f"{FOREIGN}{tmp_path / 'a'}"


def test_what_is_lost_is_listed(tmp_path: Path) -> None:
    vault = PackVault(MemoryBlobs())
    for name, data in (("gone", DATA), ("short", DATA[::-1]), ("other", DATA[1:]), ("sound", DATA[2:])):
        adopted(vault, tmp_path / name, data)
    assert adopted_problems(vault, read=True) == []
    (tmp_path / "gone").unlink()
    (tmp_path / "short").write_bytes(b"cut")
    (tmp_path / "other").write_bytes(DATA[1:-1] + b"x")
    assert [each.detail.partition(";")[0] for each in adopted_problems(vault)] == [
        f"{tmp_path / 'gone'} is gone",
        f"{tmp_path / 'short'} has another size than when it was registered",
    ]
    assert len(adopted_problems(vault, read=True)) == 3
    (tmp_path / "gone").write_bytes(DATA)
    vault.put_file(tmp_path / "gone")
    vault.flush()
    (tmp_path / "gone").unlink()
    assert not any("gone" in each.detail for each in adopted_problems(vault))
