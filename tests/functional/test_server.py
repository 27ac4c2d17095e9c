"""`charkh up` and `charkh serve` as a user starts them: ready, asked over HTTP with and without the token, stopped."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from workspaces import make_workspace

ROWS = [{"hour": 23.0, "wind": 5.0}, {"hour": 1.0, "wind": 5.0}]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server process.

    Attributes:
        told: what it printed as JSON when it was ready.
        token: of its store.
    """

    def __init__(self, folder: Path, *command: str, program: Sequence[str] = ("-m", "charkh")) -> None:
        self.port = free_port()
        self.folder = folder
        words = [sys.executable, *program, "-C", str(folder), *command, "--port", str(self.port), "--json"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline()]
        while lines[-1] not in {"}\n", ""}:
            lines.append(self.process.stdout.readline())
        assert lines[-1], f"it did not start: {self.process.communicate(timeout=60)[1]}"
        self.told: Any = json.loads("".join(lines))
        self.token = (folder / ".charkh" / "token").read_text()

    def ask(self, path: str, body: object = None, *, token: str | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one request."""
        sent = {"Content-Type": "application/json", **headers}
        given = self.token if token is None else token
        if given:
            sent["Authorization"] = f"Bearer {given}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and what it said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("flights")
    make_workspace(made).close()
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    started = Server(folder, "up", "--every", "0s")
    yield started
    if started.process.poll() is None:
        started.stop()


def charkh(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "charkh", "-C", str(folder), *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def test_a_life_of_charkh_up(server: Server) -> None:
    told = server.told
    assert told["address"] == f"http://127.0.0.1:{server.port}"
    assert told["link"] == f"{told['address']}/?token={server.token}"
    assert told["environment"]["CHARKH_TOKEN"] == server.token
    assert told["endpoints"] == ["delay"], "the other one's model is not registered yet"
    assert len(server.token) >= 43, "256 bits"
    assert (server.folder / ".charkh" / "token").stat().st_mode & 0o077 == 0

    assert server.ask("/api/health", token="") == (200, {"status": "ok"})
    assert server.ask("/api/models")[1][0]["name"] == "delay"
    status, problem = server.ask("/api/models", token="")
    assert (status, problem["status"]) == (401, 401)
    assert server.ask("/api/models", token="wrong")[0] == 401
    assert server.ask("/api/models", Host="evil.test")[0] == 403
    assert server.ask("/v2/models", token="")[0] == 401
    assert server.ask("/v2/models", Host="evil.test")[0] == 403
    assert server.ask("/api/models/version?ref=delay@7")[1]["type"] == "urn:charkh:model.not_found"

    assert server.ask("/v1/models", token="")[0] == 401
    assert server.ask("/v1/models") == (200, {"models": ["delay"]})
    assert server.ask("/v1/models/delay:predict", {"instances": ROWS})[1]["predictions"] == [1, 0]
    asked = {"jsonData": ROWS}
    assert server.ask("/seldon/default/delay/api/v1.0/predictions", asked)[0] == 200
    assert server.ask("/api/v1.0/predictions", asked)[0] == 200

    inputs = [{"name": name, "shape": [2], "datatype": "FP64", "data": [row[name] for row in ROWS]} for name in ROWS[0]]
    status, answer = server.ask("/v2/models/delay/infer", {"inputs": inputs})
    assert status == 200
    assert {output["name"]: output["data"] for output in answer["outputs"]}["predict"] == [1, 0]
    prediction = answer["parameters"]["prediction_ids"][1]
    while_it_runs = charkh(server.folder, "trace", prediction)
    assert while_it_runs.returncode == 0, while_it_runs.stderr
    assert "rows of flights@1" in while_it_runs.stdout
    assert "hour: 1.0" in while_it_runs.stdout

    status, report = server.ask("/api/monitors/collect?name=delay", {})
    assert (status, report["monitor"]) == (200, "delay"), report
    assert report["facts"]["rows"] >= len(ROWS)
    nobody_asked = charkh(server.folder, "monitor", "collect", "delay")
    assert nobody_asked.returncode == 2
    assert "nobody has asked delay since" in nobody_asked.stderr

    taken = charkh(server.folder, "up", "--port", str(server.port))
    assert taken.returncode == 16
    assert f"cannot listen on 127.0.0.1:{server.port}" in taken.stderr

    code, answer, said = stopped_while_asked(server)
    assert code == 0, said
    assert re.match(rb"HTTP/1.1 (200|503) ", answer), "whoever has asked is answered"
    assert "Traceback" not in said
    assert "endpoint later: there is no model" in said
    after = charkh(server.folder, "trace", prediction, "--json")
    assert json.loads(after.stdout)["prediction"]["inputs"] == ROWS[1]


def stopped_while_asked(server: Server) -> tuple[int, bytes, str]:
    """SIGTERM right behind a request: the exit code, what was answered, and what was said."""
    body = json.dumps(ROWS).encode()
    head = (
        f"POST /predict/delay HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + body)
        server.process.send_signal(signal.SIGTERM)
        answer = connection.recv(65536)
    _, said = server.process.communicate(timeout=60)
    return server.process.returncode, answer, said


def test_serve_serves_the_endpoints_alone_and_ctrl_c_ends_it(folder: Path) -> None:
    server = Server(folder, "serve", "delay", "--open-inference", "--host", "localhost")
    assert server.told["endpoints"][0]["name"] == "delay"
    assert server.ask("/predict/delay", ROWS, token="")[0] == 200
    assert server.ask("/api/models")[0] == 404
    code, said = server.stop(signal.SIGINT)
    assert code == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (13, ["serve", "nothing"], "has no endpoint 'nothing'"),
        (12, ["up", "--host", "0.0.0.0"], "does not listen on 0.0.0.0"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_listens(
    folder: Path, code: int, arguments: list[str], said: str
) -> None:
    ended = charkh(folder, *arguments)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_workspace_without_anything_is_served_too(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_text("")
    server = Server(tmp_path, "up")
    assert server.ask("/api/datasets") == (200, [])
    page = urllib.request.Request(server.told["address"], headers={"Authorization": f"Bearer {server.token}"})
    with urllib.request.urlopen(page, timeout=30) as answer:
        assert "Nothing has happened here yet" in answer.read().decode()
    code, said = server.stop()
    assert (code, said) == (0, "")
