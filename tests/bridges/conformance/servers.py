"""The servers of the matrix, each a process of its own on a free port."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.bridges.conformance.models import (
    ECHO,
    IRIS,
    MLSERVER_ECHO,
    MLSERVER_IRIS,
    mlserver_settings,
    servables,
)
from tests.peers import peer_program

PATIENCE = 60.0


@contextmanager
def charkh() -> Generator[str]:
    """charkh's own server."""
    port = free_port()
    with running([sys.executable, "-m", "tests.bridges.conformance.servers", str(port)], Path.cwd(), port) as url:
        yield url


@contextmanager
def mlserver(folder: Path) -> Generator[str]:
    """The real MLServer, its models in this process of it."""
    ports = {f"{name}_port": free_port() for name in ("http", "grpc", "metrics")}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "served_models.py").write_text(MLSERVER_ECHO)
    iris = mlserver_settings("iris", "mlserver_sklearn.SKLearnModel", IRIS, "./model.joblib")
    for described in (iris, mlserver_settings("echo", "served_models.Echo", ECHO)):
        (folder / described["name"]).mkdir(exist_ok=True)
        (folder / described["name"] / "model-settings.json").write_text(json.dumps(described))
    subprocess.run([peer_program("mlserver", "python"), "-c", MLSERVER_IRIS], cwd=folder, check=True)
    words = [str(peer_program("mlserver", "mlserver")), "start", "."]
    with running(words, folder, ports["http_port"], PYTHONPATH=str(folder)) as url:
        yield url


@contextmanager
def running(
    words: list[str], folder: Path, port: int, *, ready: Sequence[str] = ("echo", "iris"), **environment: str
) -> Generator[str]:
    """A server's address, from when its models are ready until it has ended."""
    url = f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=folder, env={**os.environ, **environment}, stdout=quiet, stderr=quiet)
    try:
        for model in ready:
            _wait(process, f"{url}/v2/models/{model}/ready")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"nothing answers at {url}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    from charkh.endpoints.serve import serve

    serve(servables(), port=int(sys.argv[1]), open_inference=True)
