"""Leadership among the processes of one machine: whoever holds the lock of a file."""

import fcntl
import os
from pathlib import Path

from charkh.stores.durable import unavailable


class FolderLeadership:
    """`charkh.ports.leadership.Leadership` by a lock file; the system gives it back when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def leads(self) -> bool:
        """See `charkh.ports.leadership.Leadership`.

        Raises:
            Unavailable: the file cannot be made.
        """
        if self._descriptor >= 0:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unavailable(self._path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def close(self) -> None:
        """See `charkh.ports.leadership.Leadership`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
