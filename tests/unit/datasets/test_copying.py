"""Copies and clones: the content, the permissions, and nothing left where something went wrong."""

import errno
import os
from pathlib import Path

import pytest

from charkh.datasets import copying
from charkh.datasets.copying import can_clone, clone_file, copy_file
from charkh.testing.vaults import sample_bytes


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
@pytest.mark.parametrize("refused", [0, errno.EXDEV, errno.ENOSYS])
def test_a_copy_has_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, refused: int) -> None:
    (tmp_path / "a").write_bytes(sample_bytes(size))
    (tmp_path / "a").chmod(0o444)
    if refused:

        def refuse(*_: object) -> int:
            raise OSError(refused, os.strerror(refused))

        monkeypatch.setattr(copying.os, "copy_file_range", refuse)
    copy_file(str(tmp_path / "a"), str(tmp_path / "b"), 0o755)
    assert (tmp_path / "b").read_bytes() == sample_bytes(size)
    assert (tmp_path / "b").stat().st_mode & 0o700 == 0o700
    with pytest.raises(FileExistsError):
        copy_file(str(tmp_path / "a"), str(tmp_path / "b"), 0o755)


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(copying.os, "copy_file_range", full)
    with pytest.raises(OSError, match="No space"):
        copy_file(str(tmp_path / "a"), str(tmp_path / "b"), 0o644)
    assert not (tmp_path / "b").exists()


def test_a_clone_is_made_or_refused_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    able = can_clone(tmp_path, tmp_path)
    assert clone_file(str(tmp_path / "a"), str(tmp_path / "b"), 0o644) == able
    assert (tmp_path / "b").exists() == able
    assert not can_clone(tmp_path, tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == (["a", "b"] if able else ["a"])
