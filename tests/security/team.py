"""A server with users in this process, asked as exactly as an attacker would: raw paths, raw headers, raw bodies."""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from litestar.routes import HTTPRoute

from charkh.bridges.mlflow.application import MlflowApplication
from charkh.bridges.mlflow.routes import ROUTES as MLFLOW_ROUTES
from charkh.bridges.mlflow.routes import paths_of
from charkh.core.ids import new_id
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.runs.projects import ensure_project
from charkh.runs.start import start
from charkh.server.application import api
from charkh.server.front import Front
from charkh.server.policy import Doorkeeper, Policy, host_names
from charkh.users.gatekeeper import Gatekeeper
from charkh.users.make import grant, make_user
from charkh.users.token import make_token
from charkh.workspace.workspace import Workspace, open_workspace

OWNER = "the-token-of-the-owner"
SECRET = "what-only-the-other-project-knows"
"""Stands in every text of the other project."""
PATIENCE = 20.0
"""Seconds after which an answer counts as a hang."""

GRANTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "nobody": (),
    "reader": (("reader", "*"),),
    "writer": (("writer", "*"),),
    "admin": (("admin", "*"),),
    "mine": (("writer", "mine/"),),
    "looker": (("reader", "mine/"),),
}


class Answer(NamedTuple):
    """Status, headers and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Way(NamedTuple):
    """One route: method, path, role (`open` for none), and whether a role over a part of the workspace is enough."""

    method: str
    path: str
    role: str
    scoped: bool
    mlflow: bool


class Team:
    """A server and its users.

    Attributes:
        workspace: what is served.
        tokens: by name of the user, its token; `owner` has the owner's.
        runs: by project (`mine`, `other`), the id of its run.
        projects: by project, its id.
        ways: every route.
    """

    def __init__(self, folder: Path) -> None:
        self.workspace: Workspace = open_workspace(folder, create=True)
        store = self.workspace.store
        self.tokens = {"owner": OWNER, "wrong": "ck_0123456789abcdef_" + "A" * 43}
        for name, grants in GRANTS.items():
            make_user(store, name)
            for role, scope in grants:
                grant(store, name, role, scope)
            self.tokens[name] = make_token(store, name).secret
        self.runs: dict[str, str] = {}
        self.projects: dict[str, str] = {}
        for project, text in (("mine", "nothing special"), ("other", SECRET)):
            name = f"{project}/{text}" if project == "other" else project
            self.projects[project] = ensure_project(store, name).id
            with start(
                store, name=f"run {text}", project=self.projects[project], params={"note": text}, tags={"note": text}
            ) as run:
                run.log({"loss": 0.5})
                run.add_artifact("note.txt", text.encode())
            self.runs[project] = run.id
        gatekeeper = Gatekeeper(store, OWNER)
        doorkeeper = Doorkeeper(gatekeeper, host_names("127.0.0.1"))
        control = api(self.workspace, doorkeeper)
        self.mlflow = MlflowApplication(self.workspace, gatekeeper)
        self.inference = Application([], Door("127.0.0.1", token=OWNER))
        self.front = Front(control, self.inference, doorkeeper, self.mlflow)
        self.ways = (*_own(control), *_mlflow())

    def close(self) -> None:
        """Let go of everything."""
        self.mlflow.close()
        self.inference.close()
        self.workspace.close()

    def ask(
        self,
        method: str,
        target: str,
        *,
        who: str = "",
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    ) -> Answer:
        """The answer to one request.

        Args:
            method: as it is sent.
            target: path and query as they stand on the wire; the path is decoded once, as a server does it.
            who: name of a user; empty for no token.
            body: sent as JSON.
            raw: sent as it is.
            headers: beside the usual ones, or instead of them.
        """
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"host": "127.0.0.1:7461", "content-length": str(len(content))}
        if body is not None:
            sent["content-type"] = "application/json"
        if who:
            sent["authorization"] = f"Bearer {self.tokens[who]}"
        more = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        lowered = {name.lower() for name, _ in more}
        pairs = [*((name, value) for name, value in sent.items() if name not in lowered), *more]
        return asyncio.run(self._ask(method, target, pairs, content))

    async def _ask(self, method: str, target: str, headers: list[tuple[str, str]], content: bytes) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "query_string": query.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 7461),
            "state": {},
        }
        given = [{"type": "http.request", "body": content, "more_body": False}]
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return given.pop(0) if given else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await asyncio.wait_for(self.front(scope, receive, send), PATIENCE)
        head = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in said[0].get("headers", ())}
        return Answer(said[0]["status"], head, b"".join(each.get("body", b"") for each in said[1:]))

    def facts(self) -> int:
        """How many facts the journal has, those about refusals left out."""
        return sum(len(batch.payloads) for batch in self.workspace.journal.read({}))


def basic(name: str, token: str) -> str:
    """An `Authorization` header with a name and a password."""
    return f"Basic {base64.b64encode(f'{name}:{token}'.encode()).decode()}"


def concrete(path: str) -> str:
    """A route's path with something in its places."""
    parts = path.split("/")
    return "/".join(new_id() if part.startswith("{") else part for part in parts)


def _own(control: Any) -> list[Way]:
    roles = {Policy.READ: "reader", Policy.WRITE: "writer", Policy.EXCHANGE: "writer", Policy.ADMIN: "admin"}
    return [
        Way(
            method,
            concrete(route.path),
            "open"
            if handler.opt["policy"] is Policy.OPEN
            else handler.opt.get("role", roles.get(handler.opt["policy"])),
            bool(handler.opt.get("scoped")),
            False,
        )
        for route in control.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in sorted(handler.http_methods)
        if method != "OPTIONS"
    ]


def _mlflow() -> list[Way]:
    return [
        Way(route.method, concrete(path), route.role, True, True)
        for route in MLFLOW_ROUTES
        for path in paths_of(route)
        if path.startswith(("/api/", "/version", "/health", "/v1/")) or "ajax" in path
    ]
