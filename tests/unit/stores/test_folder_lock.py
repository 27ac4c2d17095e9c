"""The lock file: it names its owner, dies with its process, and is never in the way of a reader."""

import os
import threading
from pathlib import Path

import pytest

from charkh.core.errors import Locked, Unavailable
from charkh.stores.folder_lock import FolderLock
from charkh.testing.children import in_child


def test_the_error_names_the_process_that_holds_it(tmp_path: Path) -> None:
    held, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    with held.held(1), pytest.raises(Locked) as raised, other.held(0.01):
        pass
    assert str(os.getpid()) in raised.value.message
    assert raised.value.facts["pid"] == os.getpid()
    owner = other.owner()
    assert owner is not None
    assert owner.pid == os.getpid()


def test_it_counts_how_deep_it_is_held(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock")
    assert lock.depth == 0
    with lock.held(1):
        assert lock.depth == 1
        with lock.held(1):
            assert lock.depth == 2
    assert lock.depth == 0


def test_it_dies_with_its_process(tmp_path: Path) -> None:
    in_child(lambda: FolderLock(tmp_path / "lock").held(1).__enter__())
    with FolderLock(tmp_path / "lock").held(1):
        assert (tmp_path / "lock").exists()


def test_a_waiting_thread_gets_it_when_it_is_free(tmp_path: Path) -> None:
    lock, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    got = threading.Event()

    def wait() -> None:
        with other.held(10):
            got.set()

    thread = threading.Thread(target=wait)
    with lock.held(1):
        thread.start()
        assert not got.wait(0.02)
    thread.join(10)
    assert got.is_set()


def test_a_lock_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable), FolderLock(tmp_path / "missing" / "lock").held(1):
        pass


def test_an_unreadable_owner_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"\xff not json")
    held, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    assert other.owner() is None
    with held.held(1):
        assert other.owner() is not None
