"""The server's application over a workspace on disk, asked in this process without a socket."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.server.application import api
from charkh.server.front import Front
from charkh.server.offering import Offering
from charkh.server.policy import Doorkeeper, host_names
from charkh.users.gatekeeper import Gatekeeper
from charkh.workspace.workspace import Workspace
from workspaces import make_workspace

TOKEN = "a-token-of-the-test"
ADDRESS = "http://127.0.0.1:7461"

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One in which every noun has happened."""
    with make_workspace(tmp_path_factory.mktemp("flights <b>year")) as made:
        yield made


@pytest.fixture(scope="module")
def doorkeeper(workspace: Workspace) -> Doorkeeper:
    return Doorkeeper(Gatekeeper(workspace.store, TOKEN), host_names("127.0.0.1"))


@pytest.fixture
def session(doorkeeper: Doorkeeper) -> str:
    """What the cookie of a browser says that has opened the owner's link."""
    return doorkeeper.gatekeeper.session_of(doorkeeper.gatekeeper.admit(f"Bearer {TOKEN}", "admin"))


@pytest.fixture(scope="module")
def front(workspace: Workspace, doorkeeper: Doorkeeper) -> Iterator[Front]:
    offering = Offering(workspace)
    inference = Application(offering(), Door("127.0.0.1", token=TOKEN), reload=offering)
    yield Front(api(workspace, doorkeeper), inference, doorkeeper)
    inference.close()


@pytest.fixture
def ask(front: Front) -> Ask:
    """`ask("GET", "/api/models", token=TOKEN)`: the answer; further arguments are httpx's own."""
    return lambda method, path, **more: request(front, method, path, **more)


def request(application: Any, method: str, path: str, *, token: str = "", **more: Any) -> httpx.Response:
    headers = dict(more.pop("headers", {}))
    if token:
        headers["Authorization"] = f"Bearer {token}"

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=application, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(send())
