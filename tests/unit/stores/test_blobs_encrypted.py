"""Encrypted blobs: the suite over media, ranges, and everything that somebody may do to the medium."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import CharkhError, Conflict, Corrupt, Denied, Invalid, NotFound
from charkh.ports.blobs import Blobs
from charkh.stores.blobs_encrypted import (
    MARKER,
    SEGMENT,
    TAG,
    TRAILER,
    EncryptedBlobs,
    is_encrypted,
    open_encrypted,
)
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.stores.remote_key import read_key, write_new_key
from charkh.testing.blobs import BlobsSuite

KEY = bytes(range(32))
SIZES = (0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 3 * SEGMENT + 5)


class TestEncryptedMemory(BlobsSuite):
    @pytest.fixture
    def blobs(self) -> Blobs:
        return open_encrypted(MemoryBlobs(), KEY)


class TestEncryptedFolder(BlobsSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return open_encrypted(FolderBlobs(tmp_path / "remote"), KEY)


def only_object(medium: Blobs) -> str:
    (key,) = [info.key for info in medium.list() if info.key != MARKER]
    return key


def replace(medium: Blobs, key: str, data: bytes) -> None:
    medium.delete(key)
    medium.put(key, [data])


@pytest.mark.parametrize("size", SIZES)
def test_contents_of_every_length(size: int) -> None:
    blobs = EncryptedBlobs(MemoryBlobs(), KEY)
    content = os.urandom(size)
    blobs.put("a", [content])
    assert blobs.get("a") == content
    assert [info.size for info in blobs.list()] == [size]


@settings(max_examples=200)
@given(
    size=st.sampled_from(SIZES),
    start=st.integers(-4 * SEGMENT, 4 * SEGMENT),
    length=st.none() | st.integers(0, 4 * SEGMENT),
    fresh=st.booleans(),
)
def test_a_range_is_that_of_the_content(size: int, start: int, length: int | None, fresh: bool) -> None:
    medium = MemoryBlobs()
    blobs = EncryptedBlobs(medium, KEY)
    content = os.urandom(size)
    blobs.put("a", [content])
    plain = MemoryBlobs()
    plain.put("a", [content])
    reader = EncryptedBlobs(medium, KEY) if fresh else blobs
    assert reader.get("a", start, length) == plain.get("a", start, length)


def test_neither_contents_nor_names_are_on_the_medium(tmp_path: Path) -> None:
    blobs = open_encrypted(FolderBlobs(tmp_path), KEY)
    digest = "ab" * 32
    blobs.put(f"pack/{digest}", [b"a content that nobody may read" * 100])
    blobs.put(f"trash/{digest}", [b"a content that nobody may read" * 100])
    everything = b"".join(path.read_bytes() + str(path).encode() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (b"nobody may read", digest.encode(), b"pack", b"trash"):
        assert secret not in everything
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {MARKER}
    assert len(names) == 2, "one name in two folders does not look alike"


def test_the_same_name_is_found_again_and_other_keys_hide_it_otherwise() -> None:
    medium = MemoryBlobs()
    EncryptedBlobs(medium, KEY).put("pack/a", [b"x"])
    assert EncryptedBlobs(medium, KEY).has("pack/a")
    other = EncryptedBlobs(medium, bytes(32))
    assert not other.has("pack/a")
    assert list(other.list()) == []


@settings(max_examples=200)
@given(size=st.sampled_from((0, 5, SEGMENT, 2 * SEGMENT + 9)), place=st.integers(0, 1 << 30), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(size: int, place: int, bit: int) -> None:
    medium = MemoryBlobs()
    EncryptedBlobs(medium, KEY).put("a", [os.urandom(size)])
    key = only_object(medium)
    data = bytearray(medium.get(key))
    data[place % len(data)] ^= 1 << bit
    replace(medium, key, bytes(data))
    blobs = EncryptedBlobs(medium, KEY)
    with pytest.raises(Corrupt) as raised:
        blobs.get("a")
    assert raised.value.code == "remote.tampered"


@pytest.mark.parametrize("cut", [1, TAG, TRAILER, SEGMENT + TAG, 2 * (SEGMENT + TAG)])
def test_a_cut_is_found_at_either_end(cut: int) -> None:
    medium = MemoryBlobs()
    EncryptedBlobs(medium, KEY).put("a", [os.urandom(3 * SEGMENT)])
    key = only_object(medium)
    whole = medium.get(key)
    for data in (whole[:-cut], whole[cut:], whole[: -TRAILER - cut] + whole[-TRAILER:]):
        replace(medium, key, data)
        blobs = EncryptedBlobs(medium, KEY)
        for read in (lambda blobs=blobs: blobs.get("a"), lambda blobs=blobs: blobs.get("a", -3 * SEGMENT)):
            with pytest.raises(Corrupt):
                read()


def test_segments_that_change_places_are_found() -> None:
    medium = MemoryBlobs()
    EncryptedBlobs(medium, KEY).put("a", [os.urandom(3 * SEGMENT)])
    key = only_object(medium)
    data = medium.get(key)
    step = SEGMENT + TAG
    replace(medium, key, data[step : 2 * step] + data[:step] + data[2 * step :])
    with pytest.raises(Corrupt):
        EncryptedBlobs(medium, KEY).get("a", 0, 10)


def test_two_objects_that_change_names_are_found() -> None:
    medium = MemoryBlobs()
    blobs = EncryptedBlobs(medium, KEY)
    blobs.put("a", [b"first"])
    one = only_object(medium)
    blobs.put("b", [b"other"])
    (other,) = [info.key for info in medium.list() if info.key != one]
    first, second = medium.get(one), medium.get(other)
    replace(medium, one, second)
    replace(medium, other, first)
    for name in ("a", "b"):
        with pytest.raises(Corrupt):
            EncryptedBlobs(medium, KEY).get(name)


def test_another_key_is_told_before_anything_is_read() -> None:
    medium = MemoryBlobs()
    assert not is_encrypted(medium)
    open_encrypted(medium, KEY).put("a", [b"x"])
    assert is_encrypted(medium)
    assert open_encrypted(medium, KEY).get("a") == b"x"
    with pytest.raises(Denied) as raised:
        open_encrypted(medium, bytes(32))
    assert raised.value.code == "remote.wrong_key"
    with pytest.raises(Invalid):
        EncryptedBlobs(medium, b"short")


@pytest.mark.parametrize(("content", "error"), [(b"{", Corrupt), (b'{"format":9,"check":""}', Invalid)])
def test_a_marker_that_says_nothing(content: bytes, error: type[CharkhError]) -> None:
    medium = MemoryBlobs()
    medium.put(MARKER, [content])
    with pytest.raises(error):
        open_encrypted(medium, KEY)


def test_what_is_foreign_on_the_medium_is_not_listed() -> None:
    medium = MemoryBlobs()
    blobs = EncryptedBlobs(medium, KEY)
    blobs.put("a", [b"x"])
    for key in ("README.md", "mfrgg", "some/folder/file"):
        medium.put(key, [b"x"])
    assert [info.key for info in blobs.list()] == ["a"]


def test_what_does_not_open_is_set_aside_as_it_is() -> None:
    medium = MemoryBlobs()
    blobs = EncryptedBlobs(medium, KEY)
    blobs.put("pack/a", [b"x"])
    data = medium.get(only_object(medium))
    blobs.set_aside("pack/a")
    assert not blobs.has("pack/a")
    assert [medium.get(info.key) for info in medium.list("quarantine/")] == [data]


def test_a_key_file_is_its_owners_and_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "team.key"
    write_new_key(path)
    assert path.stat().st_mode & 0o077 == 0
    key = read_key("team.key", tmp_path)
    assert len(key) == 32
    assert read_key(str(path), Path("/")) == key
    monkeypatch.setenv("TEAM_KEY", path.read_text())
    assert read_key("env:TEAM_KEY", tmp_path) == key
    with pytest.raises(Conflict):
        write_new_key(path)
    monkeypatch.delenv("TEAM_KEY")
    for wrong in ("env:TEAM_KEY", "no.key"):
        with pytest.raises(NotFound):
            read_key(wrong, tmp_path)
    path.write_text("nothing")
    with pytest.raises(Invalid):
        read_key("team.key", tmp_path)
