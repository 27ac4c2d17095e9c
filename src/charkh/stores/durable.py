"""Names and bytes that survive power loss: folders, appends at an offset, and the error when the disk refuses."""

import contextlib
import errno
import os
from pathlib import Path

from charkh.core.errors import Unavailable
from charkh.core.ids import new_id


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents, for the owner alone, durably.

    Raises:
        OSError: it cannot be made.
    """
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_once(path: Path, data: bytes) -> None:
    """Make a file that its owner alone can read, durably and with all its bytes or not at all; one that is there stays.

    Raises:
        OSError: it cannot be made.
    """
    waiting = path.with_name(f".{path.name}-{new_id()}")
    try:
        with os.fdopen(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(waiting, path)
        sync_folder(path.parent)
    finally:
        waiting.unlink(missing_ok=True)


def write_at(path: Path, offset: int, data: bytes) -> None:
    """Write `data` at `offset`, cut whatever lay behind it, and make file and name durable.

    Raises:
        OSError: the disk is full or failing; what lies before `offset` is untouched.
    """
    new, start = not path.exists(), offset
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(descriptor, offset)
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new or start == 0:
        sync_folder(path.parent)


def read_range(path: Path, start: int, length: int = -1) -> bytes:
    """Bytes of a file from `start` on; none where there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except FileNotFoundError:
        return b""


def unavailable(path: Path, error: OSError) -> Unavailable:
    """The error of a journal file that the operating system refuses."""
    forbidden = error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
    todo = "Let this user write there" if forbidden else "Free some space or check the disk"
    return Unavailable(
        f"cannot write {path}: {error.strerror or error}",
        code="journal.unavailable",
        hint=f"{todo}; what was acknowledged before is kept.",
        facts={"path": str(path), "errno": error.errno},
    )
