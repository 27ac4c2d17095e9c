"""Give a file on this disk to another place: as a clone that shares its blocks, as a copy, or as a second name.

A clone (reflink) costs no space and no time, and whoever writes into one of the two does not reach the other; Btrfs,
XFS, bcachefs and overlays of them have it (ioctl_ficlone(2)). A hard link is the same file under a second name.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

FICLONE = 0x40049409
"""`_IOW(0x94, 9, int)` of linux/fs.h."""
_AT_ONCE = 1 << 30
_NO_RANGES = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def clone_file(source: str, target: str, mode: int) -> bool:
    """Make `target`, which is not there, a clone of `source`; False where their file systems cannot.

    Raises:
        OSError: the source cannot be read, or the target cannot be made.
    """
    with _open(source, os.O_RDONLY) as reading:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            fcntl.ioctl(writing, FICLONE, reading)
        except OSError:
            # Whatever the reason is, a copy shows whether it is one to be told of.
            os.unlink(target)  # noqa: PTH108 - a hot path
            return False
        finally:
            os.close(writing)
    return True


def copy_file(source: str, target: str, mode: int) -> None:
    """Make `target`, which is not there, a copy of `source`, by the kernel where it can.

    Raises:
        OSError: the source cannot be read, or the target cannot be written; then nothing is left of it.
    """
    with _open(source, os.O_RDONLY) as reading:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            _copy(reading, writing)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(target)  # noqa: PTH108 - a hot path
            raise
        finally:
            os.close(writing)


def can_clone(folder: Path, other: Path) -> bool:
    """Whether a file of one folder, which can be written, can be cloned into the other, found out by trying."""
    source, target = folder / f".clone-{os.getpid()}", other / f".charkh-clone-{os.getpid()}"
    try:
        source.write_bytes(bytes(4096))
        return clone_file(str(source), str(target), 0o600)
    except OSError:
        return False
    finally:
        for path in (source, target):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _copy(reading: int, writing: int) -> None:
    copied = 0
    try:
        while count := os.copy_file_range(reading, writing, _AT_ONCE):
            copied += count
    except OSError as error:
        if error.errno not in _NO_RANGES or copied:
            raise
        while data := os.read(reading, 1 << 20):
            view = memoryview(data)
            while view:
                view = view[os.write(writing, view) :]


@contextlib.contextmanager
def _open(path: str, flags: int) -> Generator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
