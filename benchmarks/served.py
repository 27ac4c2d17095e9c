"""What the promises about serving share: the models, the servers that answer for them, and the load of wrk."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MLSERVER = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22")
"""The environment of tests/peers.py, whose MLServer answers for the same models."""
COLUMNS = 30

TRAIN = """
import sys
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
X, y = load_breast_cancer(return_X_y=True)
MODELS = {
    "lr": LogisticRegression(max_iter=5000).fit(X, y),
    "rf": RandomForestClassifier(100, random_state=0, n_jobs=1).fit(X, y),
}
"""
CHARKH = (
    TRAIN
    + """
import charkh
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace
from pathlib import Path
with open_workspace(Path("."), create=True) as workspace:
    for name, model in MODELS.items():
        register(workspace.store, name, model, runtimes=workspace.runtimes, example={"x": X[:10]})
"""
)
BARE_MODELS = (
    TRAIN
    + """
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType
for name, model in MODELS.items():
    graph = to_onnx(model, initial_types=[("x", DoubleTensorType([None, 30]))], options={"zipmap": False})
    open(f"{name}.onnx", "wb").write(graph.SerializeToString())
"""
)
MLSERVER_MODELS = (
    TRAIN
    + """
import joblib, json, pathlib
for name, model in MODELS.items():
    folder = pathlib.Path(name)
    folder.mkdir()
    joblib.dump(model, folder / "model.joblib")
    settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel"}
    settings["parameters"] = {"uri": "./model.joblib"}
    (folder / "model-settings.json").write_text(json.dumps(settings))
"""
)
SERVER = """
import sys, uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
{imports}
class App:
    async def __rsgi__(self, scope, protocol):
        body = await protocol()
{answer}
server = Server(App(), address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.RSGI, websockets=False,
                log_enabled=False, backlog=1024, backpressure=1024)
uvloop.run(server.serve())
"""
ECHO = SERVER.format(
    imports="", answer='        protocol.response_bytes(200, [("content-type", "application/json")], body)'
)
BARE = SERVER.format(
    imports="""
import glob, msgspec, numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
SESSIONS = {name: onnxruntime.InferenceSession(f"{name}.onnx", options) for name in ("lr", "rf")}
class Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float] = []
class Request(msgspec.Struct):
    inputs: list[Input]
decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
""",
    answer="""
        name = scope.path.split("/")[3]
        length = scope.headers.get("inference-header-content-length")
        if length:
            request = decode(body[:int(length)])
            rows = np.frombuffer(body, np.float64, offset=int(length)).reshape(request.inputs[0].shape)
        else:
            request = decode(body)
            rows = np.array(request.inputs[0].data).reshape(request.inputs[0].shape)
        session = SESSIONS[name]
        names = [each.name for each in session.get_outputs()]
        outputs = session.run(names, {session.get_inputs()[0].name: rows})
        answer = {"model_name": name, "outputs": [
            {"name": each, "shape": out.shape, "datatype": "FP64", "data": out.ravel().tolist()}
            for each, out in zip(names, outputs)]}
        protocol.response_bytes(200, [("content-type", "application/json")], encode(answer))
""",
)


LOOP = """
import asyncio, sys, uvloop
import httptools
class Client(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.parser, self.body = transport, httptools.HttpRequestParser(self), []
    def data_received(self, data):
        self.parser.feed_data(data)
    def on_message_begin(self):
        self.body = []
    def on_body(self, body):
        self.body.append(body)
    def on_message_complete(self):
        body = b"".join(self.body)
        head = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body)
        self.transport.write(head + body)
async def main():
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()
uvloop.run(main())
"""
"""What the libraries below charkh's own listener do with nothing above them."""


class Load(NamedTuple):
    """What a load came to: answers a second, and the seconds that half and 99 of 100 of them took at most."""

    rate: float
    half: float
    most: float
    errors: int


class Body(NamedTuple):
    """A request: its bytes and headers."""

    content: bytes
    headers: Mapping[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def body(rows: Sequence[Sequence[float]], *, binary: bool = False) -> Body:
    """A request with these rows, as JSON or with a binary tensor."""
    flat = [value for row in rows for value in row]
    tensor = {"name": "x", "shape": [len(rows), COLUMNS], "datatype": "FP64"}
    if not binary:
        content = json.dumps({"inputs": [{**tensor, "data": flat}]}).encode()
        return Body(content, {"content-type": "application/json"})
    raw = struct.pack(f"<{len(flat)}d", *flat)
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return Body(head + raw, headers)


def load(url: str, request: Body, connections: int, seconds: int, folder: Path) -> Load:
    """Send a request over and over, from one thread of wrk."""
    (folder / "body").write_bytes(request.content)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items())
    script = folder / "load.lua"
    script.write_text(
        f'wrk.method = "POST"\n{headers}\nlocal file = io.open("{folder}/body", "rb")\nwrk.body = file:read("*a")\n'
        "file:close()\ndone = function(summary, latency)\n"
        '  io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration,\n'
        "    latency:percentile(50), latency:percentile(99), summary.errors.status))\nend\n"
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(each for each in said.splitlines() if each.startswith("RESULT")).split()
    requests, microseconds, errors = int(line[1]), float(line[2]), int(line[5])
    return Load((requests - errors) / microseconds * 1e6, float(line[3]) / 1e6, float(line[4]) / 1e6, errors)


def ask(url: str, request: Body) -> dict:
    """One answer."""
    call = urllib.request.Request(url, request.content, dict(request.headers))
    with urllib.request.urlopen(call, timeout=60) as answer:
        return json.load(answer)


@contextmanager
def running(command: Sequence[object], url: str, folder: Path, request: Body) -> Iterator[tuple[int, float]]:
    """A server that answers the request: its process id, and the seconds that it took to do so for the first time."""
    began = time.perf_counter()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(each) for each in command], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while True:
            try:
                ask(url, request)
                break
            except (OSError, urllib.error.HTTPError) as error:
                if process.poll() is not None or time.perf_counter() - began > 120:
                    said = (folder / "server.log").read_text()[-2000:]
                    raise SystemExit(f"{command[0]} does not answer: {said}") from error
                time.sleep(0.01)
        yield process.pid, time.perf_counter() - began
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def memory(pid: int) -> float:
    """MiB that a process and those that it started hold, shared pages counted once (PSS)."""
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            waiting += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def configure_charkh(folder: Path, capture: float = 1.0) -> None:
    """The endpoints of a workspace, and the share of the requests that is logged."""
    tables = [f'[endpoint.{name}]\nmodel = "{name}@1"\ncapture = {capture}\n' for name in ("lr", "rf")]
    (folder / "charkh.toml").write_text("\n".join(tables))


def make_charkh(folder: Path) -> None:
    """A workspace with both models, compiled where parity passes, and its endpoints."""
    folder.mkdir()
    configure_charkh(folder)
    subprocess.run([sys.executable, "-c", CHARKH], cwd=folder, check=True, capture_output=True)
    for name in ("lr", "rf"):
        compiling = [sys.executable, "-m", "charkh", "model", "compile", f"{name}@1"]
        subprocess.run(compiling, cwd=folder, check=True, capture_output=True)


def make_bare(folder: Path) -> None:
    """The same models compiled, and the program that decodes, asks and encodes and does nothing else."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", BARE_MODELS], cwd=folder, check=True, capture_output=True)
    (folder / "bare.py").write_text(BARE)
    (folder / "echo.py").write_text(ECHO)
    (folder / "loop.py").write_text(LOOP)


def make_mlserver(folder: Path, python: Path, workers: int, port: int) -> None:
    """A folder that MLServer serves."""
    folder.mkdir()
    subprocess.run([python, "-c", MLSERVER_MODELS], cwd=folder, check=True, capture_output=True)
    others = {"grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", "http_port": port, "parallel_workers": workers, "debug": False, **others}
    (folder / "settings.json").write_text(json.dumps(settings))


def charkh_command(port: int) -> list[object]:
    return [sys.executable, "-m", "charkh", "serve", "--open-inference", "--port", port]


def wrk() -> bool:
    """Whether the load generator is there."""
    if shutil.which("wrk") is None:
        print("wrk is missing: run scripts/install-test-components wrk", file=sys.stderr)
        return False
    return True
