"""The real server on a free port, asked over HTTP; it stops when it is told to, with every answer given."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charkh.core.errors import Denied, Unavailable
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.endpoints.read import prediction, predictions
from charkh.endpoints.seal import seal
from charkh.endpoints.servable import Servable
from charkh.endpoints.serve import numeric_address, run, serve
from charkh.ports.runtimes import Tensors
from charkh.ports.store import Store

TOKEN = "a-token-of-the-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Client:
    """Sends one request after another, as `urllib` does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def __call__(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def served(application: Application) -> Iterator[Client]:
    """A server in a thread of its own, stopped at the end."""
    port = free_port()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(run(application, "127.0.0.1", port, stop=stop, grace=5))
    )
    thread.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    try:
        yield Client(port)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
        assert not thread.is_alive()


def test_a_model_is_asked_over_http_and_its_predictions_are_found(
    store: Store, servable: Callable[..., Servable]
) -> None:
    made = servable("price/eu west")
    path = "/v2/models/price%2Feu%20west"
    with served(Application([made], Door("127.0.0.1", token=TOKEN))) as client:
        assert client("/v2/health/ready", Authorization="") == (200, {"ready": True, "live": True})
        assert client(path, Authorization="Bearer wrong")[0] == 401
        assert client(path)[1]["name"] == "price/eu west"
        status, answer = client(
            f"{path}/versions/3/infer",
            {
                "id": "42",
                "inputs": [
                    {"name": "x", "shape": [2], "datatype": "FP64", "data": [0.5, -9]},
                    {"name": "hour", "shape": [2, 1], "datatype": "INT64", "data": [[1], [2]]},
                    {"name": "origin", "shape": [2], "datatype": "BYTES", "data": ["JFK", "مهرآباد"]},
                ],
                "outputs": [{"name": "score"}, {"name": "label"}],
            },
        )
        assert status == 200
        assert answer["id"] == "42"
        assert answer["model_version"] == "3"
        assert [output["data"] for output in answer["outputs"]] == [[1.5, -7.0], ["up", "down"]]
        status, refused = client(f"{path}/infer", {"inputs": []})
        assert (status, refused["error"]) == (400, "the request has no inputs")
        assert client("/predict/price%2Feu%20west", [{"x": 1, "hour": 1}])[1]["predictions"][0]["score"] == 2.0
        assert client("/v2/models/other/infer", {})[0] == 404
        seen = prediction(store, answer["parameters"]["prediction_ids"][1])
        assert seen.inputs["origin"] == "مهرآباد"
        assert seen.request == "42"
    assert predictions(store, "price/eu west").height == 3
    assert seal(store) == 1, "the server closed its log when it stopped"
    assert prediction(store, seen.id) == seen


def test_an_alias_that_moved_changes_the_answer_without_a_restart(servable: Callable[..., Servable]) -> None:
    now = [servable()]
    application = Application(now, Door("127.0.0.1", open_inference=True), reload=lambda: list(now))
    with served(application) as client:
        loop_version = client("/v2/models/delay")[1]["versions"]
        now[:] = [replace(now[0], version="4", predict=lambda inputs: {"score": inputs["x"] * 0})]
        asyncio.run(application.refresh())
        assert (loop_version, client("/v2/models/delay")[1]["versions"]) == (["3"], ["4"])
        assert client("/predict/delay", [{"x": 1, "hour": 1}])[1]["predictions"][0]["score"] == 0.0


def test_a_slow_answer_is_given_before_the_server_stops(servable: Callable[..., Servable]) -> None:
    asked = threading.Event()

    def slow(inputs: Tensors) -> Tensors:
        asked.set()
        time.sleep(0.3)
        return {"score": inputs["x"]}

    answers: list[tuple[int, Any]] = []
    application = Application([replace(servable(), predict=slow)], Door("127.0.0.1", open_inference=True))
    with served(application) as client:
        thread = threading.Thread(target=lambda: answers.append(client("/predict/delay", [{"x": 1, "hour": 1}])))
        thread.start()
        assert asked.wait(10)
    thread.join(10)
    assert answers[0][0] == 200


def test_it_does_not_start_where_it_may_or_can_not(servable: Callable[..., Servable]) -> None:
    with pytest.raises(Denied):
        serve([servable()])
    with pytest.raises(Denied):
        serve([servable()], "0.0.0.0", open_inference=True)
    with pytest.raises(Unavailable, match="cannot listen"):
        serve([servable()], "127.0.0.1", 1 << 20, token="t")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Unavailable, match="cannot listen"):
            serve([servable()], "127.0.0.1", int(other.getsockname()[1]), token="t")


def test_the_process_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """As `charkh serve` runs it: SIGTERM ends it in good order, with nothing on standard error."""
    port = free_port()
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import MODEL, SIGNATURE, add
from charkh.endpoints.serve import serve
from charkh.endpoints.servable import Servable
made = Servable(name="delay", version="3", subject=MODEL, signature=SIGNATURE, predict=add)
serve([made], port={port}, token={TOKEN!r}, ready=lambda: print("ready", flush=True), reload=lambda: [made])
print("stopped", flush=True)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert Client(port)("/predict/delay", [{"x": 1, "hour": 1}])[0] == 200
        finally:
            process.terminate()
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("stopped\n", "", 0)


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")]
)
def test_a_name_is_listened_on_by_its_address(host: str, address: str) -> None:
    assert numeric_address(host, 7462) == address


@pytest.mark.parametrize("host", ["", "no such name", "a" * 300])
def test_a_name_that_means_no_address_is_told(host: str) -> None:
    with pytest.raises(Unavailable, match="cannot listen"):
        numeric_address(host, 7462)
