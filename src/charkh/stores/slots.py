"""Slots of a mapped file that processes share: one is held by a lock on its byte, which ends with the process."""

import errno
import fcntl


def take_slot(table: int, slot: int) -> bool:
    """Whether the slot could be taken; False where another process has it.

    Args:
        table: descriptor of the file.
        slot: whose byte is locked.
    """
    try:
        fcntl.lockf(table, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


def free_slot(table: int, slot: int) -> None:
    """Let go of a slot; nothing happens where this process has not taken it."""
    fcntl.lockf(table, fcntl.LOCK_UN, 1, slot)
