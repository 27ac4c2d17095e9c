"""One file as a medium: the suite, several writers, tails of killed ones, damage, and bytes that are really gone."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.blobs import Blobs
from charkh.stores import blobs_bundle
from charkh.stores.blobs_bundle import BundleBlobs
from charkh.testing.blobs import BlobsSuite


class TestBundleBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return BundleBlobs(tmp_path / "team.bundle")


def contents(path: Path) -> dict[str, bytes]:
    blobs = BundleBlobs(path)
    return {info.key: blobs.get(info.key) for info in blobs.list()}


def test_another_process_finds_what_was_appended(tmp_path: Path) -> None:
    one, other = BundleBlobs(tmp_path / "a.bundle"), BundleBlobs(tmp_path / "a.bundle")
    assert list(other.list()) == []
    one.put("a", [b"1"])
    other.put("b", [b"2"])
    one.put("a", [b"other"])
    assert other.get("a") == b"1"
    assert one.get("b") == b"2"
    other.delete("a")
    assert not one.has("a")


@settings(max_examples=60)
@given(cut=st.integers(1, 600))
def test_a_tail_of_any_length_is_cut_by_the_next_writer(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("bundle") / "a.bundle"
    blobs = BundleBlobs(path)
    blobs.put("a", [b"whole"])
    sound = path.stat().st_size
    blobs.put("b", [b"x" * 500])
    blobs.close()
    os.truncate(path, max(sound, path.stat().st_size - cut))
    assert contents(path) == {"a": b"whole"}
    BundleBlobs(path).put("c", [b"next"])
    assert contents(path) == {"a": b"whole", "c": b"next"}


def test_damage_hides_one_object_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.bundle"
    blobs = BundleBlobs(path)
    blobs.put("a", [b"first"])
    start = path.stat().st_size
    blobs.put("b", [b"second"])
    blobs.put("c", [b"third"])
    data = bytearray(path.read_bytes())
    data[start + 20] ^= 1
    path.write_bytes(bytes(data))
    assert contents(path) == {"a": b"first", "c": b"third"}
    BundleBlobs(path).put("b", [b"second"])
    assert contents(path) == {"a": b"first", "b": b"second", "c": b"third"}


def test_a_bundle_inside_a_bundle_is_a_content(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.bundle", tmp_path / "outer.bundle"
    BundleBlobs(inner).put("secret", [b"x"])
    blobs = BundleBlobs(outer)
    blobs.put("a", [b"1"])
    blobs.put("inner", [inner.read_bytes()])
    blobs.close()
    os.truncate(outer, outer.stat().st_size - 1)
    assert contents(outer) == {"a": b"1"}


def test_deleted_bytes_are_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bundle"
    blobs = BundleBlobs(path)
    blobs.put("a", [b"what was erased" * 10])
    blobs.put("b", [b"stays"])
    blobs.delete("a")
    assert b"erased" not in path.read_bytes()
    assert contents(path) == {"b": b"stays"}


def test_a_kill_between_deleting_and_wiping_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bundle"
    blobs = BundleBlobs(path)
    blobs.put("a", [b"what was erased" * 10])

    def killed(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(BundleBlobs, "_zero", killed)
        with pytest.raises(Unavailable):
            blobs.delete("a")
    assert b"erased" in path.read_bytes()
    assert contents(path) == {}
    assert b"erased" not in path.read_bytes()


def test_a_file_that_is_mostly_dead_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_bundle, "LEAST_DEAD", 1000)
    path = tmp_path / "a.bundle"
    blobs, reader = BundleBlobs(path), BundleBlobs(path)
    for number in range(10):
        blobs.put(f"k{number}", [bytes([number]) * 500])
    assert reader.has("k9")
    for number in range(8):
        blobs.delete(f"k{number}")
    assert path.stat().st_size < 3000
    blobs.put("more", [b"x"])
    expected = {"k8": bytes([8]) * 500, "k9": bytes([9]) * 500, "more": b"x"}
    assert contents(path) == expected
    assert {info.key: reader.get(info.key) for info in reader.list()} == expected
    assert [each.name for each in tmp_path.iterdir()] == ["a.bundle"]


def test_a_file_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.bundle"
    path.write_bytes(b"somebody's notes, longer than a bundle's beginning")
    with pytest.raises(Invalid) as raised:
        BundleBlobs(path).put("a", [b"x"])
    assert raised.value.code == "remote.not_a_bundle"
    assert path.read_bytes().startswith(b"somebody")


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        BundleBlobs(tmp_path / "no" / "a.bundle").put("a", [b"x"])
