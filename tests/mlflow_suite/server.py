"""A charkh server for a foreign test-suite: every test gets an empty workspace below a path of its own.

`POST /__new__` answers the address of a new namespace; `/_ns/ID/…` is its MLflow surface. It listens on loopback
only, asks nobody for a token, and lives as long as the suite runs.
"""

import asyncio
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from charkh.bridges.mlflow.application import MlflowApplication
from charkh.users.caller import WHOLE_ADMIN, Caller
from charkh.workspace.workspace import Workspace, open_workspace

PREFIX = "/_ns/"
SETTINGS = """
[egress]
hosts = ["example.com"]
"""
"""What an operator would write whose users register webhooks at that host, as MLflow's tests do."""


class Everybody:
    """A gatekeeper that lets everybody do everything."""

    def admit(self, authorization: str, role: Any, project: str = "") -> Caller:
        """The same caller, whatever is shown."""
        return Caller(name="suite", grants=(WHOLE_ADMIN,), asked=role)


class Namespaces:
    """An ASGI application that gives each namespace a workspace of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address
        self._applications: dict[str, tuple[Workspace, MlflowApplication]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/__new__":
            await _answer(send, 200, f"{self._address}{PREFIX}{await asyncio.to_thread(self._open)}".encode())
            return
        name, _, rest = path.removeprefix(PREFIX).partition("/")
        if not path.startswith(PREFIX) or name not in self._applications:
            await _answer(send, 404, b"")
            return
        inner = {**scope, "path": f"/{rest}", "root_path": f"{PREFIX}{name}"}
        inner["raw_path"] = scope["raw_path"].removeprefix(f"{PREFIX}{name}".encode())
        await self._applications[name][1](inner, receive, send)

    def _open(self) -> str:
        name = uuid.uuid4().hex
        (self._folder / name).mkdir()
        (self._folder / name / "charkh.toml").write_text(SETTINGS)
        workspace = open_workspace(self._folder / name, create=True)
        self._applications[name] = (workspace, MlflowApplication(workspace, Everybody()))
        return name


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(port: int, folder: Path) -> None:
    """Serve until the process ends."""
    from granian.constants import Interfaces
    from granian.server.embed import Server

    application = Namespaces(folder, f"http://127.0.0.1:{port}")
    await Server(application, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False).serve()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(serve(int(sys.argv[1]), Path(made)))
