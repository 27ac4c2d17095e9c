"""Run a model's foreign code in a process of its own: no secrets in its environment, limits, a folder, two pipes.

Who calls has taken the decision to trust the files (`charkh.models.load`); nothing here decides that.
"""

import contextlib
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from charkh.core.errors import CharkhError, Invalid, Unavailable
from charkh.ports.runtimes import Signature, Tensors
from charkh.runtimes.apart_wire import Ask, Reply, Start, pack, read_frame, unpack, write_frame
from charkh.runtimes.worker_process import WorkerProcess, plain

_SOURCE = Path(__file__).resolve().parents[2]
_BEGIN = "import sys; sys.path.append(sys.argv[1]); from charkh.runtimes.apart_worker import main; main()"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
        options: further arguments for the loader.
        limits: what the worker may use.

    Raises:
        Unavailable: the worker cannot load the model.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        signature: Signature,
        *,
        loader: str,
        options: tuple[str, ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self._signature = signature
        self._loader = loader
        self._options = options
        self._limits = limits or Limits()
        self._turn = threading.Lock()
        self._worker = WorkerProcess(files, prefix="charkh-apart-", mode=0o400)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def process(self) -> int:
        """Id of the worker's process; 0 where it has ended."""
        return self._worker.id

    def predict(self, inputs: Tensors) -> dict[str, Any]:
        """See `charkh.ports.runtimes.Predictor`.

        Raises:
            Invalid: the model refuses the rows.
            Unavailable: it raised another error, took too long, or its process died.
        """
        message = Ask(inputs=pack(inputs))
        with self._turn:
            if not self._worker.id:
                self._start()
            reply = self._exchange(message, self._limits.answering)
        if reply.refused:
            raise Invalid(reply.refused, code="model.input_refused", hint="Compare the rows with the signature.")
        if reply.failed:
            raise _failed(f"the model failed in its own process: {plain(reply.failed)}")
        return unpack(reply.outputs)

    def close(self) -> None:
        """End the worker and remove its folder."""
        self._worker.close()

    def _start(self) -> None:
        if self._worker.closed:
            raise _failed("the model has been closed")
        command = [sys.executable, "-I", "-B", "-c", _BEGIN, str(_SOURCE)]
        self._worker.start(command, dict.fromkeys(_ONE_THREAD, "1"))
        limits = self._limits
        start = Start(
            loader=self._loader,
            options=self._options,
            folder=str(self._worker.model),
            signature=msgspec.to_builtins(self._signature),
            memory=limits.memory,
            file_size=limits.file_size,
            open_files=limits.open_files,
            network=limits.network,
        )
        reply = self._exchange(start, limits.loading)
        if reply.failed:
            self._worker.stop()
            raise _failed(f"the model cannot be loaded in a process of its own: {plain(reply.failed)}")

    def _exchange(self, message: msgspec.Struct, seconds: float) -> Reply:
        try:
            with self._worker.asked(seconds) as (asked, answers, late):
                with contextlib.suppress(OSError):  # it ended; what it said before is still in the pipe
                    write_frame(asked, message)
                payload = read_frame(answers)
            reply = None if payload is None else msgspec.msgpack.decode(payload, type=Reply)
        except (msgspec.DecodeError, CharkhError) as error:
            self._worker.stop()
            raise _failed(f"the model's process does not speak as it should: {error}") from error
        if reply is None:
            why = f"took more than {seconds:g} s" if late.is_set() else f"ended{self._worker.last_words()}"
            self._worker.stop()
            raise _failed(f"the model's process {why}")
        return reply


def _failed(what: str) -> Unavailable:
    return Unavailable(
        what,
        code="model.apart_failed",
        hint="Install the library versions that are recorded with the version, or save the model in a safe format.",
    )
