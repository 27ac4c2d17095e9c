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
BATCH = 2000
_DATATYPES: dict[type[pl.DataType], str] = {pl.Int64: "INT64", pl.Float64: "FP64", pl.String: "BYTES"}


class InferenceClient:
    """Asks one model of one server.

    Attributes:
        address: of the server, such as `http://127.0.0.1:7462`.
    """

    def __init__(self, address: str, token: str, model: str) -> None:
        self.address = address
        self._token = token
        self._model = model

    def infer(self, rows: pl.DataFrame) -> list[str]:
        """Predict rows in batches; the id of each prediction.

        Raises:
            Unavailable: the server refuses or does not answer.
        """
        ids: list[str] = []
        for part in rows.iter_slices(BATCH):
            body = {"inputs": [_tensor(series) for series in part]}
            answer = self._call(f"/v2/models/{self._model}/infer", body)
            ids += answer["parameters"]["prediction_ids"]
        return ids

    def versions(self) -> Sequence[str]:
        """The versions that the server has of the model."""
        return self._call(f"/v2/models/{self._model}").get("versions", [])

    def wait_for(self, version: str) -> None:
        """Return when the server serves `version`.

        Raises:
            Unavailable: it does not come to do so.
        """
        deadline = time.monotonic() + START_SECONDS
        while version not in self.versions():
            if time.monotonic() > deadline:
                raise Unavailable(f"the server does not serve version {version}", code="demo.not_served")
            time.sleep(0.1)

    def _call(self, path: str, body: object = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - always http on this machine
            f"{self.address}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.loads(answer.read())
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = folder / "serve.log"
    command = [sys.executable, "-m", "charkh", "-C", str(folder), "serve", model, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        client = InferenceClient(f"http://127.0.0.1:{port}", token, model)
        _wait_until_ready(process, client, log)
        yield client
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", client: InferenceClient, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.versions()
            return
        except Unavailable as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-600:]
                raise Unavailable(f"charkh serve did not start: {said or error.message}", code="demo.serve") from error
        time.sleep(0.1)


def _tensor(series: pl.Series) -> dict[str, Any]:
    if series.dtype.is_temporal():
        series = series.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    datatype = _DATATYPES[type(series.dtype)]
    return {"name": series.name, "shape": [len(series)], "datatype": datatype, "data": series.to_list()}
