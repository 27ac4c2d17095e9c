"""Run an MLmodel folder by MLflow in a process of its own, with an interpreter of the user's choice.

Who calls has taken the decision to trust the files (`charkh.models.load`). The worker stands alone and speaks JSON
lines, so that its environment may be of another Python than this one.
"""

import contextlib
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from charkh.core.errors import Invalid, Unavailable
from charkh.ports.runtimes import Signature, Tensors, TensorSpec
from charkh.runtimes.columns import columns_of
from charkh.runtimes.worker_process import WorkerProcess, plain

LOADING_SECONDS = 300.0
ANSWER_SECONDS = 60.0
MAX_ANSWER = 512 * 1024 * 1024
_WORKER = Path(__file__).with_name("mlflow_worker.py")
_DTYPES = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "INT32": "int32", "BOOL": "bool", "BYTES": "object"}


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
        self._worker = WorkerProcess(files, prefix="charkh-mlflow-")
        try:
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
            if not self._worker.id:
                self._start()
            reply = self._exchange(question, ANSWER_SECONDS)
        if "refused" in reply:
            raise Invalid(
                plain(reply["refused"]), code="model.input_refused", hint="Compare the rows with the signature."
            )
        if "failed" in reply:
            raise _failed(f"the model failed in its own process: {plain(reply['failed'])}")
        return _answers(self._signature.outputs, cast(dict[str, Any], reply.get("outputs") or {}))

    def close(self) -> None:
        """End the worker and remove its folder."""
        self._worker.close()

    def _start(self) -> None:
        variables = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self._worker.work}/x.db",
        }
        try:
            self._worker.start([self._python, "-I", "-B", str(_WORKER), str(self._worker.model)], variables)
        except OSError as error:
            raise _failed(f"{self._python} cannot be started: {error.strerror}") from error
        reply = self._exchange(None, LOADING_SECONDS)
        if "failed" in reply:
            self._worker.stop()
            raise _failed(f"MLflow cannot load the model in {self._python}: {plain(reply['failed'])}")

    def _exchange(self, question: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
        with self._worker.asked(seconds) as (asked, answers, _):
            if question is not None:
                with contextlib.suppress(OSError):  # it ended; reading says so
                    asked.write(json.dumps(question).encode() + b"\n")
                    asked.flush()
            line = answers.readline(MAX_ANSWER)
        try:
            reply: Any = json.loads(line)
        except ValueError as error:
            words = self._worker.last_words()
            self._worker.stop()
            raise _failed(f"the model's process ended or took more than {seconds:g} s{words}") from error
        return cast(dict[str, Any], reply) if isinstance(reply, dict) else {"failed": "it does not speak as it should"}


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


def _failed(what: str) -> Unavailable:
    return Unavailable(
        what,
        code="model.apart_failed",
        hint="Name an interpreter that has MLflow and what the model needs: [runtime.mlflow] python in charkh.toml.",
    )
