"""Run an MLmodel folder by MLflow in a process of its own, with an interpreter of the user's choice.

Who calls has taken the decision to trust the files (`charkh.models.load`). The worker stands alone and speaks JSON
lines, so that its environment may be of another Python than this one.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from charkh.core.errors import Invalid, Unavailable
from charkh.core.redact import redact
from charkh.core.refs import parse_path
from charkh.ports.runtimes import Signature, Tensors, TensorSpec
from charkh.runtimes.columns import columns_of

LOADING_SECONDS = 300.0
ANSWER_SECONDS = 60.0
MAX_ANSWER = 512 * 1024 * 1024
_WORKER = Path(__file__).with_name("mlflow_worker.py")
_TOLD = 600
_DTYPES = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "INT32": "int32", "BOOL": "bool", "BYTES": "object"}
_KEPT = ("LD_LIBRARY_PATH", "TZ")


class MlflowApart:
    """A folder that MLflow has loaded in a worker. Threads take turns; a worker that died is started anew.

    Args:
        files: of the folder, by path.
        signature: of the model.
        python: the interpreter; that of this process by default.

    Raises:
        Unavailable: there is no such interpreter, or MLflow cannot load the model in it.
    """

    def __init__(self, files: Mapping[str, bytes], signature: Signature, *, python: str = "") -> None:
        self._signature = signature
        self._python = python or sys.executable
        self._turn = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="charkh-mlflow-"))
        self._running: list[subprocess.Popen[bytes]] = []
        self._end = weakref.finalize(self, _end, self._running, self._folder)
        try:
            for name, data in files.items():
                path = self._folder / "model" / parse_path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            (self._folder / "work").mkdir()
            self._start()
        except BaseException:
            self.close()
            raise

    def predict(self, inputs: Tensors) -> dict[str, Any]:
        """See `charkh.ports.runtimes.Predictor`.

        Raises:
            Invalid: the model refuses the rows.
            Unavailable: it failed, took too long, or its process died.
        """
        columns = columns_of(self._signature.inputs, inputs)
        question = _question(self._signature.inputs, columns)
        with self._turn:
            if not self._running:
                self._start()
            reply = self._exchange(question, ANSWER_SECONDS)
        if "refused" in reply:
            raise Invalid(
                _plain(reply["refused"]), code="model.input_refused", hint="Compare the rows with the signature."
            )
        if "failed" in reply:
            raise _failed(f"the model failed in its own process: {_plain(reply['failed'])}")
        return _answers(self._signature.outputs, cast(dict[str, Any], reply.get("outputs") or {}))

    def close(self) -> None:
        """End the worker and remove its folder."""
        self._end()

    def _start(self) -> None:
        work = self._folder / "work"
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment = {**kept, "PATH": os.defpath, "HOME": str(work), "TMPDIR": str(work), "LANG": "C.UTF-8"}
        try:
            with (self._folder / "stderr").open("wb") as told:
                process = subprocess.Popen(
                    [self._python, "-I", "-B", str(_WORKER), str(self._folder / "model")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=told,
                    cwd=work,
                    env={
                        **environment,
                        "MLFLOW_DISABLE_TELEMETRY": "true",
                        "MLFLOW_TRACKING_URI": f"sqlite:///{work}/x.db",
                    },
                    start_new_session=True,
                )
        except OSError as error:
            raise _failed(f"{self._python} cannot be started: {error.strerror}") from error
        self._running.append(process)
        reply = self._exchange(None, LOADING_SECONDS)
        if "failed" in reply:
            _kill(self._running)
            raise _failed(f"MLflow cannot load the model in {self._python}: {_plain(reply['failed'])}")

    def _exchange(self, question: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
        process = self._running[0]
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            if question is not None:
                with contextlib.suppress(OSError):  # it ended; reading says so
                    process.stdin.write(json.dumps(question).encode() + b"\n")
                    process.stdin.flush()
            line = process.stdout.readline(MAX_ANSWER)
        finally:
            timer.cancel()
        try:
            reply: Any = json.loads(line)
        except ValueError as error:
            words = self._last_words()
            _kill(self._running)
            raise _failed(f"the model's process ended or took more than {seconds:g} s{words}") from error
        return cast(dict[str, Any], reply) if isinstance(reply, dict) else {"failed": "it does not speak as it should"}

    def _last_words(self) -> str:
        words = _plain((self._folder / "stderr").read_bytes()[-_TOLD:].decode("utf-8", "replace"))
        return f": {words}" if words else ""


def _question(specs: Sequence[TensorSpec], columns: Sequence[Any]) -> dict[str, Any]:
    if len(specs) == 1 and columns[0].ndim > 1:
        return {"tensor": columns[0].tolist(), "dtype": _DTYPES.get(specs[0].datatype, "float64")}
    named = {
        spec.name: {"values": _plain_values(column), "dtype": _DTYPES.get(spec.datatype, str(column.dtype))}
        for spec, column in zip(specs, columns, strict=True)
    }
    return {"columns": named}


def _plain_values(column: Any) -> list[Any]:
    return [each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in column.tolist()]


def _answers(specs: Sequence[TensorSpec], outputs: dict[str, Any]) -> dict[str, Any]:
    """The answer under the names of the signature; MLflow gives one that has none."""
    if not specs:
        return {name or "predict": np.asarray(value) for name, value in outputs.items()}
    if set(outputs) == {""} and len(specs) == 1:
        return {specs[0].name: np.asarray(outputs[""], _DTYPES.get(specs[0].datatype))}
    if set(outputs) == {""}:
        table = np.asarray(outputs[""]).reshape(-1, len(specs))
        return {spec.name: table[:, place] for place, spec in enumerate(specs)}
    if len(outputs) == 1 == len(specs):
        return {specs[0].name: np.asarray(next(iter(outputs.values())), _DTYPES.get(specs[0].datatype))}
    missing = [spec.name for spec in specs if spec.name not in outputs]
    if missing:
        raise _failed(f"the model gives no output {missing[0]!r}")
    return {spec.name: np.asarray(outputs[spec.name], _DTYPES.get(spec.datatype)) for spec in specs}


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


def _plain(text: object) -> str:
    return redact("".join(each if each.isprintable() else " " for each in str(text))).strip()[-_TOLD:]


def _failed(what: str) -> Unavailable:
    return Unavailable(
        what,
        code="model.apart_failed",
        hint="Name an interpreter that has MLflow and what the model needs: [runtime.mlflow] python in charkh.toml.",
    )
