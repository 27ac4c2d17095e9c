"""Facts that the store would not take: kept in memory in their order, tried again, and counted where that is in vain.

A training loop goes on whatever the tracker's disk does. What is kept is bounded; what is over is counted.
"""

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from charkh.core.errors import CharkhError, Denied, Invalid, NotFound

MAX_BYTES = 64 * 1024 * 1024
MAX_ACTIONS = 10_000
RETRY_SECONDS = 1.0
TROUBLES = (CharkhError, OSError, sqlite3.Error)
"""What a full, failing, locked or vanished store raises."""

_FINAL = (Invalid, Denied, NotFound)
"""What no second attempt changes: it is counted at once."""

Answer = TypeVar("Answer")
_log = logging.getLogger("charkh")


class _Kept(NamedTuple):
    action: Callable[[], object]
    size: int


class Deferred:
    """The facts of one run.

    Threads: may be shared; facts are recorded one after another, in the order in which they were stated.
    Fork: what waits is the parent's; the child has nothing that waits.

    Args:
        run: id of the run, for the report.
        strict: let the caller see every trouble instead.
        prepare: called before what waits is tried again; where it raises, nothing is tried.
    """

    def __init__(self, run: str, *, strict: bool, prepare: Callable[[], object] = lambda: None) -> None:
        self.strict = strict
        self._prepare = prepare
        self._run = run
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._waiting: deque[_Kept] = deque()
        self._bytes = 0
        self._lost = 0
        self._tried = 0.0
        self._reported = False

    def __len__(self) -> int:
        return len(self._waiting)

    def do(self, action: Callable[[], Answer], size: int = 0) -> Answer | None:
        """Record now, behind what waits; None where it has to wait.

        Args:
            action: puts the bytes and records the fact; it may be called again.
            size: bytes that it keeps in memory.

        Raises:
            CharkhError: the trouble itself, with `strict`.
        """
        if self.strict:
            return action()
        if self._process != os.getpid():
            self._begin_anew()
        with self._lock:
            if self._waiting and not self._retry():
                self._keep(action, size)
                return None
            try:
                return action()
            except _FINAL as error:
                self._lose(error)
            except TROUBLES as error:
                self._report(error)
                self._tried = time.monotonic()
                self._keep(action, size)
            return None

    def settle(self) -> int:
        """Try once more what waits; how many facts are not recorded and never will be."""
        if self._process != os.getpid():
            return 0
        self.retry()
        with self._lock:
            lost, self._lost = self._lost + len(self._waiting), 0
            self._waiting.clear()
            return lost

    def retry(self) -> bool:
        """Record what waits, if the store takes it now; whether nothing waits any more."""
        if self._process != os.getpid():
            return True
        with self._lock:
            self._tried = 0.0
            return not self._waiting or self._retry()

    def _retry(self) -> bool:
        # A disk that is full costs each attempt a few system calls, and a loop may log ten thousand times a second.
        if time.monotonic() - self._tried < RETRY_SECONDS:
            return False
        try:
            self._prepare()
        except TROUBLES:
            self._tried = time.monotonic()
            return False
        while self._waiting:
            kept = self._waiting[0]
            try:
                kept.action()
            except _FINAL as error:
                self._lose(error)
            except TROUBLES:
                self._tried = time.monotonic()
                return False
            self._waiting.popleft()
            self._bytes -= kept.size
        return True

    def _keep(self, action: Callable[[], object], size: int) -> None:
        if self._bytes + size > MAX_BYTES or len(self._waiting) >= MAX_ACTIONS:
            self._lost += 1
            return
        self._waiting.append(_Kept(action, size))
        self._bytes += size

    def _lose(self, error: Exception) -> None:
        self._lost += 1
        _log.warning("something of run %s is not kept: %s", self._run, error)

    def _report(self, error: Exception) -> None:
        if not self._reported:
            self._reported = True
            _log.warning("%s; what run %s states is kept in memory and recorded later", error, self._run)

    def _begin_anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._waiting.clear()
        self._bytes = self._lost = 0
