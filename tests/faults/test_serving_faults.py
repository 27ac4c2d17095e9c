"""What befalls a server: clients that dawdle, models that hang, floods, full disks; everybody else is answered."""

import asyncio
import contextlib
import importlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from charkh.core.frames import scan_frames
from charkh.endpoints.prediction import parse_prediction_id
from charkh.endpoints.read import predictions
from charkh.models.register import register
from charkh.workspace.token import token_of
from charkh.workspace.workspace import open_workspace
from functional.test_server import Server

MODULE = "sleeping_models"
MODELS = """
import json
import time

import numpy as np


class Sleeper:
    libraries = ("numpy",)

    def __init__(self, seconds):
        self.seconds = seconds

    def predict(self, inputs):
        time.sleep(self.seconds if self.seconds >= 0 else float(np.max(inputs["seconds"])))
        return {"twice": inputs["seconds"] * 2}

    def save(self, folder):
        (folder / "model.json").write_text(json.dumps({"seconds": self.seconds}))

    @classmethod
    def load(cls, folder):
        return cls(**json.loads((folder / "model.json").read_text()))
"""
SECONDS = {"slow": 0.05, "as_told": -1.0, "wide": 0.0}
"""How long each model takes; what is negative takes as long as the row says."""
WIDE = 65536
"""Numbers in a row of the model that is called so: its record in the log is a megabyte."""
FOREVER = 3600.0
IMPATIENT = """
from charkh.endpoints import connections

connections.PATIENCE = 5.0

from charkh.cli.main import main

main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with models of a class of its own."""
    made = tmp_path_factory.mktemp("faults")
    (made / f"{MODULE}.py").write_text(MODELS)
    endpoints = "".join(f'[endpoint.{name}]\nmodel = "{name}@1"\n' for name in SECONDS)
    (made / "charkh.toml").write_text(
        f'{endpoints}[runtime.sleeper]\nclass = "{MODULE}:Sleeper"\n[serving]\ngrace = "1s"\n'
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", [str(made), *sys.path])
        patched.delitem(sys.modules, MODULE, raising=False)
        sleeper = importlib.import_module(MODULE).Sleeper
        with open_workspace(made, create=True) as workspace:
            for name, seconds in SECONDS.items():
                example = {"seconds": np.zeros((1, WIDE)) if name == "wide" else np.zeros(1)}
                register(workspace.store, name, sleeper(seconds), runtimes=workspace.runtimes, example=example)
            token_of(workspace.store_folder)
        yield made


@contextlib.contextmanager
def serving(folder: Path, *options: str, program: Sequence[str] = ("-m", "charkh")) -> Iterator[Server]:
    server = Server(folder, "serve", *options, program=program)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


class Answer(NamedTuple):
    """What came back on a connection of its own; the status is 0 where the connection was closed without any."""

    status: int
    headers: bytes
    body: bytes
    seconds: float


def request(server: Server, model: str, seconds: float, *headers: str) -> bytes:
    """The bytes of a request about one row."""
    body = json.dumps([{"seconds": seconds}])
    lines = [f"POST /predict/{model} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {server.token}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


async def ask(server: Server, sent: bytes, *, drips: bytes = b"") -> Answer:
    """Send, then `drips` again and again, until an answer or the end comes."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    dripping = asyncio.create_task(_drip(writer, drips)) if drips else None
    try:
        headers = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = int(re.findall(rb"content-length: (\d+)", headers.lower())[0])
        body = await reader.readexactly(length)
        return Answer(int(headers.split()[1]), headers.lower(), body, time.monotonic() - began)
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, b"", b"", time.monotonic() - began)
    finally:
        if dripping is not None:
            dripping.cancel()
        writer.close()


async def _drip(writer: asyncio.StreamWriter, drips: bytes) -> None:
    while True:
        await asyncio.sleep(0.2)
        writer.write(drips)


async def all_of(asked: Sequence[Awaitable[Answer]]) -> list[Answer]:
    return list(await asyncio.gather(*asked))


def by_status(answers: Sequence[Answer]) -> Counter[int]:
    return Counter(each.status for each in answers)


def come_again(answers: Sequence[Answer]) -> bool:
    """Whether everybody who was sent away was told when to come again."""
    return all(b"\r\nretry-after: 1\r\n" in each.headers for each in answers if each.status == 503)


def scraped(server: Server, metric: str) -> float:
    """A counter's value, over all of its series."""
    headers = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n\r\n"
    page = asyncio.run(ask(server, headers.encode())).body.decode()
    return sum(float(each) for each in re.findall(rf"^{re.escape(metric)} (\S+)", page, re.MULTILINE))


def logged(folder: Path, endpoint: str) -> tuple[int, int]:
    """Predictions, and requests that failed, in the log of an endpoint."""
    with open_workspace(folder) as workspace:
        found = [predictions(workspace.store, endpoint, failed=failed).height for failed in (False, True)]
    return found[0], found[1]


@pytest.fixture
def many_files() -> Iterator[int]:
    """How many connections this process may open; at least a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield max(soft, wanted) - 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_dawdle_are_ended_and_keep_nobody_waiting(folder: Path, many_files: int) -> None:
    async def scenario(server: Server) -> None:
        whole, number = request(server, "slow", 0.0), min(300, many_files // 4)
        head = whole.partition(b"Content-Length")[0]
        long, chunked = head + b"Content-Length: 10000\r\n\r\n[", head + b"Transfer-Encoding: chunked\r\n\r\n"
        dawdling = ((b"", b""), (head, b"x-more: yes\r\n"), (long, b" "), (chunked, b"1\r\n \r\n"))
        late = [asyncio.create_task(ask(server, sent, drips=drips)) for sent, drips in dawdling for _ in range(number)]
        await asyncio.sleep(0.3)
        others = await all_of([ask(server, request(server, "as_told", 0.0)) for _ in range(20)])
        assert by_status(others) == {200: 20}
        assert max(each.seconds for each in others) < 5.0
        assert not any(each.done() for each in late), "they are still there"
        ended = await asyncio.gather(*late)
        assert by_status(ended[: 2 * number]) == {0: 2 * number}, "what was no request yet is closed"
        assert by_status(ended[2 * number :]) == {408: 2 * number}
        assert max(each.seconds for each in ended) < 25.0
        assert (await ask(server, whole)).status == 200

    with serving(folder, program=("-c", IMPATIENT)) as server:
        asyncio.run(scenario(server))
        code, said = server.stop()
        assert (code, said) == (0, "")


def test_a_flood_is_answered_or_told_to_come_again(folder: Path) -> None:
    async def scenario(server: Server) -> None:
        sent = request(server, "slow", 0.0)
        answers = await all_of([ask(server, sent) for _ in range(300)])
        statuses = by_status(answers)
        assert set(statuses) == {200, 503}, statuses
        assert 64 <= statuses[200] < 200
        assert come_again(answers)
        # Nobody waited for more than the queue in front, even had its requests been asked one after another.
        longest = sorted(each.seconds for each in answers)[int(0.99 * len(answers))]
        assert longest < 64 * SECONDS["slow"] + 2.0
        assert by_status([await ask(server, sent) for _ in range(3)]) == {200: 3}

    with serving(folder) as server:
        asyncio.run(scenario(server))
        assert scraped(server, 'charkh_requests_refused_total{reason="busy"}') > 100
        assert scraped(server, "charkh_inflight_requests") == 0


def test_a_model_that_hangs_keeps_nobody_but_its_own_clients_waiting(folder: Path) -> None:
    async def scenario(server: Server) -> None:
        for _ in range(30):
            # It has always been quick.
            assert (await ask(server, request(server, "as_told", 0.0))).status == 200
        hanging = [asyncio.create_task(ask(server, request(server, "as_told", FOREVER))) for _ in range(40)]
        await asyncio.sleep(0.2)
        late = await ask(server, request(server, "as_told", 0.0, "X-Request-Timeout: 0.2"))
        assert (late.status, 0.2 <= late.seconds < 5.0) == (504, True)
        more = await asyncio.gather(
            *(ask(server, request(server, "as_told", FOREVER, "X-Request-Timeout: 0.5")) for _ in range(40))
        )
        assert by_status(more) == {503: 16, 504: 24}, "64 wait, and no more"
        assert come_again(more)
        others = await all_of([ask(server, request(server, "slow", 0.0)) for _ in range(20)])
        assert by_status(others) == {200: 20}
        ready = f"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n\r\n"
        assert (await ask(server, ready.encode())).status == 200
        assert not any(each.done() for each in hanging)
        began = time.monotonic()
        ended = asyncio.create_task(asyncio.to_thread(server.stop))
        answers = await asyncio.gather(*hanging)
        assert by_status(answers) == {503: 40}
        assert come_again(answers)
        code, said = await ended
        assert code == 0, said
        assert time.monotonic() - began < 15.0, "a second of grace, three to close, and what a busy machine takes"
        assert said.count("still computes") == 1
        assert "Traceback" not in said

    answered, failed = logged(folder, "as_told")
    with serving(folder) as server:
        asyncio.run(scenario(server))
    # Those whose patience ended before they were asked about are among the failed.
    assert logged(folder, "as_told") == (answered + 30, failed + 25)


LOST = 'charkh_predictions_lost_total{model="wide",version="1"}'


class Disk:
    """Where a server keeps its store, which can be full for a while."""

    def __init__(self, server: Server, filler: Path | None) -> None:
        self._process = server.process.pid
        self._filler = filler

    def fill(self) -> None:
        """No byte more."""
        if self._filler is None:
            # What a user's quota looks like to a program.
            resource.prlimit(self._process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT)
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(descriptor, bytes(size))
        os.close(descriptor)

    def make_room(self) -> None:
        """There is room again."""
        if self._filler is None:
            resource.prlimit(self._process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            self._filler.unlink()


@contextlib.contextmanager
def on_a_disk_that_fills(folder: Path, place: Path) -> Iterator[tuple[Server, Disk, Path]]:
    """A server on a small file system of its own, or with a quota where nobody may mount; where its files are seen."""
    mounts = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    if os.geteuid() != 0 or not shutil.which("unshare") or subprocess.run(mounts, capture_output=True).returncode:
        with serving(folder) as server:
            yield server, Disk(server, None), folder
        return
    shutil.copytree(folder, place)
    copy = f"mount -t tmpfs -o size=160m none {place} && cp -a {folder}/. {place} && exec {sys.executable} -m charkh $@"
    program = ["import os, sys; os.execvp('unshare', ['unshare', '-m', 'sh', '-c', *sys.argv[1:]])", copy, "charkh"]
    with serving(place, program=("-c", *program)) as server:
        seen = Path(f"/proc/{server.process.pid}/root{place}")
        yield server, Disk(server, seen / "filler"), seen


def wide(server: Server) -> str:
    """Ask about a row of half a megabyte; the id of its prediction."""
    tensor = {"name": "seconds", "shape": [1, WIDE], "datatype": "FP64", "parameters": {"binary_data_size": 8 * WIDE}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Authorization": f"Bearer {server.token}", "Inference-Header-Content-Length": str(len(head))}
    address = f"http://127.0.0.1:{server.port}/v2/models/wide/infer"
    with urllib.request.urlopen(urllib.request.Request(address, head + bytes(8 * WIDE), headers), timeout=60) as answer:
        said = answer.read(int(answer.headers["Inference-Header-Content-Length"]))
    return json.loads(said)["parameters"]["prediction_id"]


def test_a_full_disk_costs_predictions_and_no_answer(folder: Path, tmp_path: Path) -> None:
    with on_a_disk_that_fills(folder, tmp_path / "disk") as (server, disk, seen):
        asked = [wide(server)]
        disk.fill()
        asked += [wide(server) for _ in range(60)]
        lost = scraped(server, LOST)
        assert 5 < lost < 40, "32 MiB are kept, and what the writer holds"
        disk.make_room()
        deadline = time.monotonic() + 30
        while not is_logged(seen, asked[-1]) and time.monotonic() < deadline:
            time.sleep(0.3)
            asked.append(wide(server))
        assert is_logged(seen, asked[-1])
        lost = int(scraped(server, LOST))
        assert sum(is_logged(seen, each) for each in asked) == len(asked) - lost
        code, said = server.stop()
    assert code == 0, said
    assert said.count("predictions of endpoint:wide are not logged") == 1, said
    assert f"predictions of endpoint:wide are logged again; {lost} requests were not" in said
    assert "Traceback" not in said


def is_logged(folder: Path, prediction: str) -> bool:
    """Whether a prediction's record is in its segment."""
    place = parse_prediction_id(prediction)
    if not place.logged:
        return False
    path = folder / ".charkh" / "journal" / "open" / f"{place.segment}.data"
    # The header stands before the first record.
    return len(scan_frames(path.read_bytes()).frames) > place.ordinal + 1
