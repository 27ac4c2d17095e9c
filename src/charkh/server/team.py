"""Several processes that share one port, watched by one that serves nothing itself.

A worker is a Python module that is told what to do by JSON in its first argument, says in a line of stdout that it
listens, and ends with its parent. One that dies is started again; all of them end when their parent is told to.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from charkh.core.errors import Unavailable

AGAIN_SECONDS = (0.2, 30.0)
"""How long a process that died at once is left alone: at first, and at most."""
SOUND_SECONDS = 60.0
_log = logging.getLogger("charkh.server")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker is told.

    Attributes:
        meters: descriptor of the table of meters that the workers share; negative for a server of one process.
        unloads: descriptor of the names of unloaded models that they share; negative likewise.
        resumes: it takes the place of one that died.
    """

    meters: int = -1
    unloads: int = -1
    resumes: bool = False


def run_team(
    module: str,
    work: Told,
    workers: int,
    *,
    ready: Callable[[bytes], None],
    grace: float,
) -> None:
    """Run several workers until SIGTERM or SIGINT; then let all of them finish what is under way.

    Args:
        module: name of the module that each runs.
        work: what each is told; one that is started again is told that it `resumes`.
        workers: how many.
        ready: called with what the first one said, once all of them listen.
        grace: seconds that they have to end.

    Raises:
        Unavailable: one ends before it listens.
    """
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _number, _frame: stop.set())
    team = [_Worker(module, work) for _ in range(workers)]
    try:
        told = [each.listening() for each in team]
        ready(told[0])
        while not stop.wait(0.2):
            for each in team:
                each.look_after()
    finally:
        for each in team:
            each.end()
        deadline = time.monotonic() + grace
        for each in team:
            each.gone(max(0.1, deadline - time.monotonic()))


def enter_team() -> None:
    """Called by a worker at its start: its log goes to stderr under its process id, and it ends with its parent."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s %(name)s [{os.getpid()}]: %(message)s",
    )
    threading.Thread(target=_end_with_parent, name="charkh-parent", daemon=True).start()


def say_listening(told: object) -> None:
    """Called by a worker when it listens."""
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """The parent never writes: its end of the pipe closes when it is gone, however it went."""
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


class _Worker:
    """One process, and how it is brought back."""

    def __init__(self, module: str, work: Told) -> None:
        self._module = module
        self._work = work
        self._pause = AGAIN_SECONDS[0]
        self._again = 0.0
        self._start()

    def listening(self) -> bytes:
        """What it says when it listens.

        Raises:
            Unavailable: it ended before it did.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip():
            raise Unavailable(
                "a server process ended before it listened",
                code="server.cannot_listen",
                hint="What it said stands above.",
            )
        return line

    def look_after(self) -> None:
        """Start it again where it died, not at once where it died at once."""
        if self._process.poll() is None:
            return
        now = time.monotonic()
        if self._again == 0.0:
            quick = now - self._begun < SOUND_SECONDS
            self._pause = min(AGAIN_SECONDS[1], self._pause * 2) if quick else AGAIN_SECONDS[0]
            self._again = now + self._pause
            _log.error("server process %d ended (%s)", self._process.pid, self._process.returncode)
        if now >= self._again:
            self._close()
            self._work = msgspec.structs.replace(self._work, resumes=True)
            self._start()

    def end(self) -> None:
        """Ask it to finish the requests under way."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def gone(self, seconds: float) -> None:
        """Wait for its end, and bring it about where it takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _start(self) -> None:
        self._begun, self._again = time.monotonic(), 0.0
        command = [sys.executable, "-m", self._module, msgspec.json.encode(self._work).decode()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._work.meters, self._work.unloads),
        )

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
