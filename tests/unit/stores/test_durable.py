"""What is said when the system does not let a journal file be written."""

import errno
from pathlib import Path

import pytest

from charkh.stores.durable import unavailable


@pytest.mark.parametrize(
    ("number", "todo"),
    [(errno.EACCES, "Let this user write"), (errno.EROFS, "Let this user write"), (errno.ENOSPC, "Free some space")],
)
def test_the_hint_is_about_what_was_wrong(number: int, todo: str) -> None:
    error = unavailable(Path("lock"), OSError(number, "no"))
    assert error.hint.startswith(todo)
    assert error.facts == {"path": "lock", "errno": number}
