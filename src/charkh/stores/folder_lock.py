"""A lock file that shows its owner: one process at a time decides, folds and seals."""

import contextlib
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from charkh.core.errors import Locked
from charkh.stores.durable import unavailable
from charkh.stores.forks import watch_forks

USUAL = 30.0
"""Seconds that whoever needs a lock waits for it."""
SAY_AFTER = 1.0
"""Seconds of waiting after which somebody is told for whom."""


class LockOwner(msgspec.Struct, frozen=True):
    """Who holds a lock, as written into its file; `program` with the first words of its command."""

    pid: int
    host: str
    program: str
    since: float

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} ({self.program}) on {self.host}, since {since}"


class Patience:
    """How long this process waits for locks, and whom it tells; one for all of them.

    Attributes:
        seconds: instead of what whoever takes a lock says; None for that.
        say: told who has a lock, when it has been waited for a second.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.say: Callable[[str], None] | None = None

    def instead_of(self, timeout: float) -> float:
        """How long to wait where `timeout` was said; what is done in passing never waits for longer than that."""
        if self.seconds is None:
            return timeout
        return self.seconds if timeout >= USUAL else min(timeout, self.seconds)


PATIENCE = Patience()


class FolderLock:
    """An exclusive lock between processes and threads; re-entrant within a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._descriptor = -1
        watch_forks(self)

    @property
    def depth(self) -> int:
        """How many nested blocks of this process hold it; 0 when it is free."""
        return self._depth

    def held(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the lock for a `with` block.

        Raises:
            Locked: it was not to be had within `timeout` seconds; the hint names the owner.
            Unavailable: the lock file cannot be opened.
        """
        return self._held(PATIENCE.instead_of(timeout))

    @contextmanager
    def _held(self, timeout: float) -> Generator[None]:
        deadline = time.monotonic() + timeout
        thread_lock = self._thread_lock
        if not thread_lock.acquire(timeout=timeout):
            raise self._locked(timeout)
        try:
            if self._depth == 0:
                self._acquire(deadline, timeout)
            self._depth += 1
            try:
                yield
            finally:
                # In a child that was forked inside the block, the lock is the parent's to release.
                if self._thread_lock is thread_lock:
                    self._depth -= 1
                    if self._depth == 0:
                        self._release()
        finally:
            thread_lock.release()

    def owner(self) -> LockOwner | None:
        """Who took the lock last, if that can be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=LockOwner)
        except (OSError, msgspec.MsgspecError):
            return None

    def _acquire(self, deadline: float, timeout: float) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unavailable(self.path, error) from error
        pause = 0.001
        say = PATIENCE.say
        says_at = time.monotonic() + SAY_AFTER
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise self._locked(timeout) from None
                if say is not None and time.monotonic() >= says_at:
                    say(str(self.owner() or "another process"))
                    say = None
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
            except OSError as error:
                os.close(descriptor)
                raise unavailable(self.path, error) from error
        self._descriptor = descriptor
        self._write_owner()

    def _write_owner(self) -> None:
        owner = LockOwner(os.getpid(), socket.gethostname(), _program(), time.time())
        # The note is for people; the lock itself holds without it, on a full disk too.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, msgspec.json.encode(owner).ljust(256), 0)

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: the child shares the descriptor, but does not hold the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._thread_lock = threading.RLock()
        self._depth, self._descriptor = 0, -1

    def _locked(self, timeout: float) -> Locked:
        owner = self.owner()
        return Locked(
            f"{self.path} is held by {owner or 'another process'}; waited {timeout:g} s",
            code="journal.locked",
            hint="Wait for that process, or stop it; a dead process holds no lock.",
            facts={"pid": owner.pid if owner else None},
        )


def _program() -> str:
    """The program and the words of its command, such as `charkh dataset add`: nothing that stands behind them."""
    words = [Path(sys.argv[0]).name] if sys.argv else []
    for word in sys.argv[1:3]:
        if not word.isalpha():
            break
        words.append(word)
    return " ".join(words)
