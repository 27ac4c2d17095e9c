"""Which file systems several machines write to."""

from pathlib import Path

import pytest

from charkh.stores import file_system
from charkh.stores.file_system import file_system_of, is_shared

TABLE = r"""
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 21 0:40 / /home rw,relatime shared:5 - nfs4 nas:/home rw
31 30 0:41 / /home/local rw - xfs /dev/sdb1 rw
32 21 0:42 / /mnt/two\040words rw - fuse.sshfs there:/ rw
33 21 0:43 / /scratch rw - lustre mds@tcp:/scratch rw
34 33 0:44 / /scratch rw - tmpfs tmpfs rw
"""


def is_there(_path: Path) -> bool:
    return True


def test_the_nearest_mount_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.lstrip())
    monkeypatch.setattr(file_system, "MOUNTS", table)
    monkeypatch.setattr(Path, "exists", is_there)
    kinds = {
        "/data/store": "ext4",
        "/home/ann/work": "nfs4",
        "/homely": "ext4",
        "/home/local/x": "xfs",
        "/mnt/two words/x": "fuse.sshfs",
        "/scratch/x": "tmpfs",
    }
    assert {place: file_system_of(Path(place)) for place in kinds} == kinds
    assert [is_shared(Path(place)) for place in kinds] == [False, True, False, False, True, False]


def test_a_system_that_says_nothing_has_disks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "MOUNTS", tmp_path / "none")
    assert not is_shared(tmp_path / "not" / "there")
