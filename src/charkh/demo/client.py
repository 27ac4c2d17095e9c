"""A client of an Open Inference server, as any other program would be one: JSON over HTTP."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from charkh.core.errors import Unavailable

START_SECONDS = 60.0
ROUTE_HEADER = "x-charkh-route"
_DATATYPES: dict[type[pl.DataType], str] = {pl.Int64: "INT64", pl.Float64: "FP64", pl.String: "BYTES"}


class InferenceClient:
    """Asks one model of one server.

    Attributes:
        address: of the server, such as `http://127.0.0.1:7462`.
        token: that it asks for.
    """

    def __init__(self, address: str, token: str, model: str) -> None:
        self.address = address
        self.token = token
        self._model = model

    def infer(self, rows: pl.DataFrame, route: str = "") -> list[str]:
        """Predict rows in one request; the id of each prediction.

        Args:
            rows: to be predicted.
            route: of a rollout, that shall answer; empty for whichever the server chooses.

        Raises:
            Unavailable: the server refuses or does not answer.
        """
        body = {**request_of(rows), "parameters": {"prediction_ids": True}}
        return self.call(f"/v2/models/{self._model}/infer", body, route)["parameters"]["prediction_ids"]

    def call(self, path: str, body: object = None, route: str = "") -> Any:
        """The JSON that the server answers to a path: a POST where there is a body.

        Raises:
            Unavailable: it refuses or does not answer.
        """
        return json.loads(self.read(path, body, route))

    def read(self, path: str, body: object = None, route: str = "") -> bytes:
        """What the server answers to a path: a POST where there is a body.

        Raises:
            Unavailable: it refuses or does not answer.
        """
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - always http on this machine
            f"{self.address}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={**headers, ROUTE_HEADER: route} if route else headers,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:400]
            raise Unavailable(f"{path} answers {error.code}: {said}", code="demo.refused") from error
        except (urllib.error.URLError, TimeoutError) as error:
            raise Unavailable(f"{path} does not answer: {error}", code="demo.no_answer") from error


@contextlib.contextmanager
def served(folder: Path, token: str, model: str) -> Generator[InferenceClient]:
    """`charkh serve` in a process of its own, for the workspace in `folder`.

    Raises:
        Unavailable: it does not start.
    """
    with _listening(folder, token, model, ["serve", model], f"/v2/models/{model}") as client:
        yield client


@contextlib.contextmanager
def up(folder: Path, token: str) -> Generator[InferenceClient]:
    """`charkh up` in a process of its own, for the workspace in `folder`; its loops stand still.

    Raises:
        Unavailable: it does not start.
    """
    with _listening(
        folder, token, "", ["up", "--every", "0s"], "/api/2.0/mlflow/experiments/get?experiment_id=0"
    ) as client:
        yield client


@contextlib.contextmanager
def _listening(
    folder: Path, token: str, model: str, arguments: Sequence[str], probe: str
) -> Generator[InferenceClient]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    log = folder / "serve.log"
    command = [sys.executable, "-m", "charkh", "-C", str(folder), *arguments, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        client = InferenceClient(f"http://127.0.0.1:{port}", token, model)
        _wait_until_ready(process, client, probe, log)
        yield client
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", client: InferenceClient, probe: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.call(probe)
            return
        except Unavailable as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-600:]
                raise Unavailable(f"the server did not start: {said or error.message}", code="demo.serve") from error
        time.sleep(0.1)


def request_of(rows: pl.DataFrame) -> dict[str, Any]:
    """Rows as the body of an inference request."""
    return {"inputs": [_tensor(series) for series in rows]}


def _tensor(series: pl.Series) -> dict[str, Any]:
    if series.dtype.is_temporal():
        series = series.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    datatype = _DATATYPES[type(series.dtype)]
    return {"name": series.name, "shape": [len(series)], "datatype": datatype, "data": series.to_list()}
