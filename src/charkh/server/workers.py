"""`charkh up --workers N`: several server processes on one port, watched by one that serves nothing itself.

Each is a whole `charkh up` with the port shared between them (SO_REUSEPORT); which of them turns the loops is decided
by the store (`charkh.workspace.leading`). One that dies is started again; all of them end with their parent.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from charkh.core.errors import CharkhError, Unavailable
from charkh.endpoints.serve import numeric_address, refuse_a_taken_port
from charkh.server.up import GRACE, Ready, up
from charkh.workspace.metering import meter_table
from charkh.workspace.workspace import Workspace, open_workspace

AGAIN_SECONDS = (0.2, 30.0)
"""How long a process that died at once is left alone: at first, and at most."""
SOUND_SECONDS = 60.0
_log = logging.getLogger("charkh.server")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told."""

    folder: str
    host: str
    port: int
    every: float
    open_inference: bool
    hosts: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    meters: int = -1


def up_together(
    workspace: Workspace,
    workers: int,
    *,
    host: str = "",
    port: int = 0,
    every: float = 60.0,
    open_inference: bool = False,
    ready: Callable[[Ready], None] | None = None,
    hosts: Collection[str] = (),
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve with several processes until SIGTERM or SIGINT.

    Args:
        workspace: what is served; each worker opens it for itself.
        workers: how many.
        host, port, every, open_inference, ready, hosts, certificate, key: as of `charkh.server.up.up`.

    Raises:
        Denied: it would listen beyond this machine without users.
        Unavailable: the address cannot be listened on, or no worker gets to listen.
    """
    settings = workspace.settings.server
    address, number = (host or settings.host).strip("[]"), port or settings.port
    refuse_a_taken_port(numeric_address(address, number), number)
    work = Work(
        folder=str(workspace.folder),
        host=address,
        port=number,
        every=every,
        open_inference=open_inference,
        hosts=tuple(hosts),
        certificate="" if certificate is None else str(certificate.absolute()),
        key="" if key is None else str(key.absolute()),
        meters=meter_table(),
    )
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _number, _frame: stop.set())
    team = [_Worker(work) for _ in range(workers)]
    try:
        told = [each.listening() for each in team]
        if ready is not None:
            ready(told[0])
        while not stop.wait(0.2):
            for each in team:
                each.look_after()
    finally:
        for each in team:
            each.end()
        deadline = time.monotonic() + 2 * GRACE
        for each in team:
            each.gone(max(0.1, deadline - time.monotonic()))


class _Worker:
    """One process, and how it is brought back."""

    def __init__(self, work: Work) -> None:
        self._meters = work.meters
        self._command = [sys.executable, "-m", "charkh.server.workers", msgspec.json.encode(work).decode()]
        self._pause = AGAIN_SECONDS[0]
        self._again = 0.0
        self._start()

    def listening(self) -> Ready:
        """What it says when it listens.

        Raises:
            Unavailable: it ended before it did.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            return msgspec.json.decode(line, type=Ready)
        except msgspec.MsgspecError as error:
            raise Unavailable(
                "a server process ended before it listened",
                code="server.cannot_listen",
                hint="What it said stands above.",
            ) from error

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
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(self._meters,)
        )

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def main(work: Work) -> None:
    """One worker."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s %(name)s [{os.getpid()}]: %(message)s",
    )

    def ready(told: Ready) -> None:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()

    threading.Thread(target=_end_with_parent, name="charkh-parent", daemon=True).start()
    try:
        with open_workspace(Path(work.folder)) as workspace:
            up(
                workspace,
                host=work.host,
                port=work.port,
                every=work.every,
                open_inference=work.open_inference,
                ready=ready,
                shared=True,
                hosts=work.hosts,
                certificate=Path(work.certificate) if work.certificate else None,
                key=Path(work.key) if work.key else None,
                meters=work.meters,
            )
    except CharkhError as error:
        sys.exit(f"error: {error.message}\n  hint: {error.hint}")


def _end_with_parent() -> None:
    """The parent never writes: its end of the pipe closes when it is gone, however it went."""
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Work))
