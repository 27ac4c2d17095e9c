"""Commands in processes of their own that are forked from one which has the imports behind it.

Importing what a command needs takes longer than most commands do. The process here imports and does nothing else: a
fork of it has no thread, no open store and no state, and differs from a fresh interpreter in what is imported alone.

    python -m functional.warm SOCKET      # the process; a request is a line of JSON with three descriptors beside it
"""

import array
import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

IMPORTS = (
    "charkh.cli.main",
    "charkh.cli.workspace",
    "charkh.workspace.workspace",
    "charkh.workspace.sharing",
    "polars",
    "rich.table",
    "sqlalchemy.dialects.sqlite",
    "httpx",
    "tomlkit",
    "obstore",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "skops.io",
)


class WarmProcess:
    """Runs commands by forking; started at the first of them.

    Its processes are children of the warm one: killing this test process ends them all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""

    def run(
        self, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """The finished process of `python -m charkh ARGUMENTS`."""
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            Path(os.devnull).open("rb") as nothing,
            self._connected() as connection,
        ):
            request = {"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment)}
            line = json.dumps(request).encode() + b"\n"
            passed = array.array("i", [nothing.fileno(), out.fileno(), err.fileno()])
            connection.settimeout(timeout)
            connection.sendmsg([line[:1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
            connection.sendall(line[1:])
            answer = _line(connection)
            if not answer:
                raise RuntimeError("the warm process is gone")
            status = int(answer)
            texts = []
            for each in (out, err):
                each.seek(0)
                texts.append(each.read().decode())
        return subprocess.CompletedProcess(list(arguments), status, *texts)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connected(self) -> socket.socket:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._folder = tempfile.mkdtemp(prefix="charkh-warm-")
                path = f"{self._folder}/socket"
                words = [sys.executable, str(Path(__file__).resolve()), path]
                self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                atexit.register(self.close)
                assert self._process.stdout is not None
                self._process.stdout.readline()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{self._folder}/socket")
        return connection


def _line(connection: socket.socket) -> bytes:
    parts = b""
    while not parts.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            return b""
        parts += part
    return parts


def _serve(path: str) -> None:
    """Fork for each request, until whoever started this is gone."""
    import importlib

    for name in IMPORTS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(16)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getppid()
    listening.settimeout(5.0)
    while os.getppid() == parent:
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        # A process between, which waits: this one never has a thread or a child to look after.
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            _attend(connection)
            os._exit(0)
        connection.close()


def _attend(connection: socket.socket) -> None:
    connection.settimeout(None)
    size = array.array("i").itemsize
    first, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * size))
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data[: len(data) - len(data) % size])
    request = json.loads(first + _line(connection))
    child = os.fork()
    if child == 0:
        connection.close()
        _become(request, list(descriptors))
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Do what the interpreter does: the streams, the folder, the variables, then the program; never returns."""
    import io
    import runpy

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    status = 1
    try:
        sys.path[0] = request["cwd"]
        sys.argv = ["charkh", *request["arguments"]]
        sys.orig_argv = [sys.executable, "-m", *sys.argv]
        runpy.run_module("charkh", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(ended.code + "\n")
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001 - the edge of the process, as the interpreter's
        import traceback

        traceback.print_exc()
    finally:
        # As at the interpreter's own end: threads are waited for, what was registered runs, the streams are written.
        with contextlib.suppress(BaseException):
            threading._shutdown()
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(status & 0xFF)


if __name__ == "__main__":
    _serve(sys.argv[1])
