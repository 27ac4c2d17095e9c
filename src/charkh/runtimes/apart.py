"""Run a model's foreign code in a process of its own: no secrets in its environment, limits, a folder, two pipes.

Who calls has taken the decision to trust the files (`charkh.models.load`); nothing here decides that.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from charkh.core.errors import CharkhError, Invalid, Unavailable
from charkh.core.redact import redact
from charkh.core.refs import parse_path
from charkh.ports.runtimes import Signature, Tensors
from charkh.runtimes.apart_wire import Ask, Reply, Start, pack, read_frame, unpack, write_frame

_SOURCE = Path(__file__).resolve().parents[2]
_BEGIN = "import sys; sys.path.append(sys.argv[1]); from charkh.runtimes.apart_worker import main; main()"
_KEPT = ("LD_LIBRARY_PATH", "TZ")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_TOLD = 600


class Limits(NamedTuple):
    """What a worker may use.

    Attributes:
        memory: bytes of address space.
        file_size: bytes of the largest file that it may write.
        open_files: how many.
        loading: seconds until the model has to be loaded.
        answering: seconds until a question has to be answered.
        network: it may reach one; else it gets an empty one where the system allows that.
    """

    memory: int = 16 * 2**30
    file_size: int = 64 * 2**20
    open_files: int = 256
    loading: float = 120.0
    answering: float = 60.0
    network: bool = False


class ApartPredictor:
    """A model whose code runs in a worker. Threads take turns; a worker that died is started anew at the next question.

    Args:
        files: the model's, by path.
        signature: of the model.
        loader: `module:function` that the worker calls with the folder and the signature, for a predictor.
        limits: what the worker may use.

    Raises:
        Unavailable: the worker cannot load the model.
    """

    def __init__(
        self, files: Mapping[str, bytes], signature: Signature, *, loader: str, limits: Limits | None = None
    ) -> None:
        self._signature = signature
        self._loader = loader
        self._limits = limits or Limits()
        self._turn = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="charkh-apart-"))
        self._running: list[subprocess.Popen[bytes]] = []
        self._end = weakref.finalize(self, _end, self._running, self._folder)
        try:
            _lay_out(self._folder / "model", files)
            (self._folder / "work").mkdir()
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def process(self) -> int:
        """Id of the worker's process; 0 where it has ended."""
        return self._running[0].pid if self._running else 0

    def predict(self, inputs: Tensors) -> dict[str, Any]:
        """See `charkh.ports.runtimes.Predictor`.

        Raises:
            Invalid: the model refuses the rows.
            Unavailable: it raised another error, took too long, or its process died.
        """
        message = Ask(inputs=pack(inputs))
        with self._turn:
            if not self._running:
                self._start()
            reply = self._exchange(message, self._limits.answering)
        if reply.refused:
            raise Invalid(reply.refused, code="model.input_refused", hint="Compare the rows with the signature.")
        if reply.failed:
            raise _failed(f"the model failed in its own process: {_plain(reply.failed)}")
        return unpack(reply.outputs)

    def close(self) -> None:
        """End the worker and remove its folder."""
        self._end()

    def _start(self) -> None:
        if not self._end.alive:
            raise _failed("the model has been closed")
        with (self._folder / "stderr").open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _BEGIN, str(_SOURCE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                cwd=self._folder / "work",
                env=_environment(self._folder / "work"),
                start_new_session=True,
            )
        self._running.append(process)
        limits = self._limits
        start = Start(
            loader=self._loader,
            folder=str(self._folder / "model"),
            signature=msgspec.to_builtins(self._signature),
            memory=limits.memory,
            file_size=limits.file_size,
            open_files=limits.open_files,
            network=limits.network,
        )
        reply = self._exchange(start, limits.loading)
        if reply.failed:
            self._stop()
            raise _failed(f"the model cannot be loaded in a process of its own: {_plain(reply.failed)}")

    def _exchange(self, message: msgspec.Struct, seconds: float) -> Reply:
        process = self._running[0]
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None
        try:
            with _deadline(process, seconds) as late:
                payload = _exchanged(asked, answers, message)
            reply = None if payload is None else msgspec.msgpack.decode(payload, type=Reply)
        except (msgspec.DecodeError, CharkhError) as error:
            self._stop()
            raise _failed(f"the model's process does not speak as it should: {error}") from error
        if reply is None:
            why = f"took more than {seconds:g} s" if late.is_set() else f"ended{self._last_words()}"
            self._stop()
            raise _failed(f"the model's process {why}")
        return reply

    def _last_words(self) -> str:
        with (self._folder / "stderr").open("rb") as told:
            size = told.seek(0, os.SEEK_END)
            told.seek(max(0, size - _TOLD))
            words = _plain(told.read(_TOLD).decode("utf-8", "replace"))
        return f": {words}" if words else ""

    def _stop(self) -> None:
        _kill(self._running)


@contextlib.contextmanager
def _deadline(process: "subprocess.Popen[bytes]", seconds: float) -> Generator[threading.Event]:
    """Kill the process when time is up, which ends every read and write of its pipes; the event says so."""
    late = threading.Event()

    def up() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, up)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _exchanged(asked: "BinaryIO | Any", answers: "BinaryIO | Any", message: msgspec.Struct) -> bytes | None:
    with contextlib.suppress(OSError):  # it ended; what it said before is still in the pipe
        write_frame(asked, message)
    return read_frame(answers)


def _lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        path = folder / parse_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o400)


def _environment(home: Path) -> dict[str, str]:
    """What a worker is told about this machine: where programs are, its own folder, and one thread each."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}
    return {**kept, **own, **dict.fromkeys(_ONE_THREAD, "1")}


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


def _plain(text: str) -> str:
    return redact("".join(each if each.isprintable() else " " for each in text)).strip()[-_TOLD:]


def _failed(what: str) -> Unavailable:
    return Unavailable(
        what,
        code="model.apart_failed",
        hint="Install the library versions that are recorded with the version, or save the model in a safe format.",
    )
