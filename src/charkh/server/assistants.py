"""`/mcp`: assistants ask over HTTP what they ask over stdio, under the caller's own name; nothing can be written.

Streamable HTTP of the Model Context Protocol without sessions: a request is an answer, whichever process takes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from charkh.core.errors import CharkhError, Unauthenticated
from charkh.server.problems import MEDIA_TYPE, Problem
from charkh.users.gatekeeper import Gatekeeper
from charkh.workspace.acting import workspace_for
from charkh.workspace.workspace import Workspace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Assistants:
    """An ASGI application that asks for a reader.

    Args:
        workspace: that is asked.
        gatekeeper: who says who asks.
    """

    def __init__(self, workspace: Workspace, gatekeeper: Gatekeeper) -> None:
        self._workspace = workspace
        self._gatekeeper = gatekeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        shown = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        try:
            caller = await asyncio.to_thread(self._gatekeeper.admit, shown.decode("latin-1"), "reader")
        except CharkhError as error:
            await _refuse(send, 401 if isinstance(error, Unauthenticated) else 403, error.message)
            return
        try:
            # Here, because the protocol's library is an extra, and takes longer to load than the rest of the server.
            from mcp.server.transport_security import TransportSecuritySettings

            from charkh.bridges.mcp.server import server
        except ModuleNotFoundError:
            await _refuse(send, 404, "assistants are not served here: pip install 'charkh[mcp]'")
            return
        made = await asyncio.to_thread(server, workspace_for(self._workspace, caller), allow_writes=False)
        # Who may address this server, and with what, was judged at its door.
        judged = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        made.streamable_http_app(json_response=True, stateless_http=True, transport_security=judged)
        async with made.session_manager.run():
            await made.session_manager.handle_request(scope, receive, send)


async def _refuse(send: Send, status: int, why: str) -> None:
    body = msgspec.json.encode(Problem(type="about:blank", title=why, status=status))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="charkh"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
