"""The process that a model's foreign code runs in: its folder, its bare environment, its deadline and its end.

What is spoken through its pipes is the runtime's own (`apart.py`, `mlflow_apart.py`).
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import IO

from charkh.core.redact import redact
from charkh.core.refs import parse_path

TOLD = 600
"""Characters of what a worker said that are told on."""

_KEPT = ("LD_LIBRARY_PATH", "TZ")


class WorkerProcess:
    """A folder with a model's files, and a process beside it that can be started again after its end.

    Args:
        files: the model's, by path.
        prefix: of the folder's name.
        mode: permissions of the files; those of any new file by default.

    Attributes:
        model: the folder with the files.
        work: the folder that the process stands in.
    """

    def __init__(self, files: Mapping[str, bytes], *, prefix: str, mode: int | None = None) -> None:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        self.model = folder / "model"
        self.work = folder / "work"
        self._told = folder / "stderr"
        self._running: list[subprocess.Popen[bytes]] = []
        self._end = weakref.finalize(self, _end, self._running, folder)
        try:
            _lay_out(self.model, files, mode)
            self.work.mkdir()
        except BaseException:
            self.close()
            raise

    @property
    def id(self) -> int:
        """Id of the process; 0 where it has ended."""
        return self._running[0].pid if self._running else 0

    @property
    def closed(self) -> bool:
        """Whether the folder is gone, so that nothing can be started any more."""
        return not self._end.alive

    def start(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        """Start it, with `variables` and nothing of this process's secrets in its environment.

        Raises:
            OSError: the program cannot be started.
        """
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {"PATH": os.defpath, "HOME": str(self.work), "TMPDIR": str(self.work), "LANG": "C.UTF-8"}
        with self._told.open("wb") as told:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                cwd=self.work,
                env={**kept, **own, **variables},
                start_new_session=True,
            )
        self._running.append(process)

    @contextlib.contextmanager
    def asked(self, seconds: float) -> Generator[tuple[IO[bytes], IO[bytes], threading.Event]]:
        """Its stdin and stdout, and whether time was up: then it is killed, which ends every read and write of them."""
        process = self._running[0]
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, up)
        timer.daemon = True
        timer.start()
        try:
            yield process.stdin, process.stdout, late
        finally:
            timer.cancel()

    def last_words(self) -> str:
        """The end of what it wrote to stderr, behind a colon; empty where it wrote nothing."""
        with self._told.open("rb") as told:
            size = told.seek(0, os.SEEK_END)
            told.seek(max(0, size - TOLD))
            words = plain(told.read(TOLD).decode("utf-8", "replace"))
        return f": {words}" if words else ""

    def stop(self) -> None:
        """End the process and what it started; the folder stays."""
        _kill(self._running)

    def close(self) -> None:
        """End the process and remove the folder."""
        self._end()


def plain(text: object) -> str:
    """What a worker said, as it may be shown: the end of it, printable and without credentials."""
    return redact("".join(each if each.isprintable() else " " for each in str(text))).strip()[-TOLD:]


def _lay_out(folder: Path, files: Mapping[str, bytes], mode: int | None) -> None:
    folder.mkdir()
    for name, data in files.items():
        path = folder / parse_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if mode is not None:
            path.chmod(mode)


def _end(running: "list[subprocess.Popen[bytes]]", folder: Path) -> None:
    _kill(running)
    shutil.rmtree(folder, ignore_errors=True)


def _kill(running: "list[subprocess.Popen[bytes]]") -> None:
    while running:
        process = running.pop()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)  # its own session: what it started goes with it
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
