"""The protocol asked in process: an application over a workspace, and what it answers."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from charkh.bridges.mlflow.application import MlflowApplication
from charkh.users.gatekeeper import Gatekeeper
from charkh.workspace.workspace import Workspace, open_workspace

TOKEN = "t" * 43


class Answer(NamedTuple):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks an application as an HTTP server would."""

    def __init__(self, folder: Path) -> None:
        self.workspace: Workspace = open_workspace(folder, create=True)
        self.application = MlflowApplication(self.workspace, Gatekeeper(self.workspace.store, TOKEN))
        self.store = self.workspace.store

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Any = None,
        token: str = TOKEN,
        root: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        said = [(b"host", b"127.0.0.1"), (b"content-length", str(len(raw)).encode())]
        said += [(b"authorization", f"Bearer {token}".encode())] if token else []
        said += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {
            "type": "http",
            "method": method,
            "path": root + path,
            "raw_path": quote(root + path).encode(),
            "root_path": root,
            "query_string": urlencode(query or {}, doseq=True).encode(),
            "headers": said,
        }
        sent: list[Any] = []
        halves = [raw[: len(raw) // 2], raw[len(raw) // 2 :]]

        async def receive() -> Any:
            piece = halves.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(halves)}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.application(scope, receive, send))
        start = sent[0]
        told = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], told, b"".join(each.get("body", b"") for each in sent[1:]))

    def post(self, path: str, /, **fields: Any) -> Any:
        """The fields of a good answer."""
        answer = self.ask("POST", f"/api/2.0/mlflow/{path}", fields)
        assert answer.status == 200, answer.body
        return answer.json()

    def get(self, path: str, /, **query: Any) -> Any:
        """The fields of a good answer."""
        answer = self.ask("GET", f"/api/2.0/mlflow/{path}", None, query)
        assert answer.status == 200, answer.body
        return answer.json()

    def refused(self, path: str, /, **fields: Any) -> tuple[int, str, str]:
        """Status, code and message of a refusal."""
        answer = self.ask("POST", f"/api/2.0/mlflow/{path}", fields)
        assert answer.status != 200
        return answer.status, answer.json()["error_code"], answer.json()["message"]

    def run(self, experiment: str = "0", **fields: Any) -> str:
        """A new run's id."""
        return self.post("runs/create", experiment_id=experiment, **fields)["run"]["info"]["run_id"]

    def close(self) -> None:
        self.application.close()
        self.workspace.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One for all tests of a module that leave nothing behind which another one minds."""
    made = Client(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()
