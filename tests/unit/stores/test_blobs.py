"""The blob stores on their suite, and what each has of its own: keys that climb, full disks, foreign errors."""

import os
import time
from pathlib import Path

import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.blobs import Blobs
from charkh.stores.blobs_folder import ABANDONED_SECONDS, WRITING, FolderBlobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.stores.blobs_object import object_blobs
from charkh.testing.blobs import BlobsSuite


class TestMemoryBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self) -> Blobs:
        return MemoryBlobs()


class TestFolderBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> Blobs:
        return FolderBlobs(tmp_path / "not" / "made" / "yet")

    def test_files_belong_to_their_owner_alone(self, tmp_path: Path) -> None:
        FolderBlobs(tmp_path / "blobs").put("pack/a", [b"x"])
        assert (tmp_path / "blobs" / "pack" / "a").stat().st_mode & 0o077 == 0
        assert (tmp_path / "blobs" / "pack").stat().st_mode & 0o077 == 0

    def test_what_a_killed_process_left_is_not_listed_and_goes_after_a_day(self, tmp_path: Path) -> None:
        writing = tmp_path / WRITING
        writing.mkdir()
        (writing / "old").write_bytes(b"half")
        (writing / "new").write_bytes(b"half")
        long_ago = time.time() - ABANDONED_SECONDS - 60
        os.utime(writing / "old", (long_ago, long_ago))
        blobs = FolderBlobs(tmp_path)
        assert list(blobs.list()) == []
        blobs.put("a", [b"x"])
        assert [path.name for path in writing.iterdir()] == ["new"]

    def test_a_folder_that_vanished_is_made_again(self, tmp_path: Path) -> None:
        blobs = FolderBlobs(tmp_path)
        blobs.put("pack/a", [b"x"])
        (tmp_path / "pack" / "a").unlink()
        (tmp_path / "pack").rmdir()
        with pytest.raises(Unavailable):
            blobs.put("pack/b", [b"x"])
        blobs.put("pack/b", [b"x"])
        assert blobs.has("pack/b")

    def test_a_file_in_place_of_the_folder_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_bytes(b"")
        with pytest.raises(Unavailable) as raised:
            FolderBlobs(tmp_path / "taken").put("a", [b"x"])
        assert "taken" in raised.value.message

    def test_a_link_is_not_followed_while_writing(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.write_bytes(b"mine")
        blobs = FolderBlobs(tmp_path / "blobs")
        blobs.put("a", [b"x"])
        (tmp_path / "blobs" / "b").symlink_to(outside)
        blobs.put("b", [b"theirs"])
        assert outside.read_bytes() == b"mine"


@pytest.mark.needs("moto")
class TestObjectBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, s3_url: str) -> Blobs:
        return object_blobs(s3_url)

    def test_prefixes_of_a_bucket_do_not_see_each_other(self, s3_url: str) -> None:
        one, other = object_blobs(s3_url), object_blobs(s3_url + "-other")
        one.put("a", [b"x"])
        assert not other.has("a")
        assert list(other.list()) == []

    def test_a_bucket_that_is_not_there(self, s3_url: str) -> None:
        del s3_url
        blobs = object_blobs("s3://no-such-bucket-anywhere/store")
        with pytest.raises(Unavailable) as raised:
            blobs.put("a", [b"x"])
        assert "no-such-bucket-anywhere" in raised.value.message
        assert raised.value.hint


@pytest.mark.parametrize("url", ["http://host/bucket", "file:///etc", "bucket", "s3:bucket"])
def test_only_object_stores_are_opened(url: str) -> None:
    with pytest.raises(Invalid):
        object_blobs(url)
