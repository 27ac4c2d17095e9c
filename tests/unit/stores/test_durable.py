"""What is written at once or not at all, and what is said when the system does not let a journal file be written."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from charkh.stores.durable import unavailable, write_once


@pytest.mark.parametrize(
    ("number", "todo"),
    [(errno.EACCES, "Let this user write"), (errno.EROFS, "Let this user write"), (errno.ENOSPC, "Free some space")],
)
def test_the_hint_is_about_what_was_wrong(number: int, todo: str) -> None:
    error = unavailable(Path("lock"), OSError(number, "no"))
    assert error.hint.startswith(todo)
    assert error.facts == {"path": "lock", "errno": number}


def test_of_many_who_write_once_one_wins_and_all_read_the_same(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def write_and_read(number: int) -> bytes:
        together.wait()
        write_once(tmp_path / "secret", b"%d" % number * 100)
        return (tmp_path / "secret").read_bytes()

    with ThreadPoolExecutor(8) as threads:
        (read,) = set(threads.map(write_and_read, range(8)))
    assert len(read) == 100
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_who_dies_while_writing_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_once(tmp_path / "secret", b"long")
    assert [*tmp_path.iterdir()] == []
    write_once(tmp_path / "secret", b"long")
    assert (tmp_path / "secret").read_bytes() == b"long"
