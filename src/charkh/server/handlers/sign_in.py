"""`/sign-in`: a browser signs in at the OpenID provider and comes back with a code (PKCE, state, nonce)."""

import asyncio
import base64
import secrets
import time
from typing import Any, cast
from urllib.parse import quote

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.datastructures import Cookie, State
from litestar.params import FromQuery

from charkh.core.errors import NotFound, Unauthenticated
from charkh.server.handlers.opened import doorkeeper_of
from charkh.server.handlers.overview import address_of, note_sign_in, session_cookie
from charkh.server.page import PAGE_HEADERS, signed_in_page
from charkh.server.policy import Policy
from charkh.users.caller import Caller
from charkh.users.vouched import Vouching
from charkh.workspace.workspace import Workspace

BACK = "/sign-in/back"
MINUTES = 10
"""How long somebody may take at the provider."""


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """What a browser keeps while it is at the provider, sealed."""

    state: str
    nonce: str
    verifier: str
    until: float


@get("/sign-in", opt={"policy": Policy.OPEN}, media_type=MediaType.TEXT)
async def begin(request: Request[Any, Any, State], state: State) -> Response[str]:
    """Send the browser to the provider."""
    doorkeeper, vouching = doorkeeper_of(state), _vouching(state)
    flow = Flow(
        secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), time.time() + 60 * MINUTES
    )
    redirect = _back(request)
    address = await asyncio.to_thread(vouching.provider.authorization, redirect, flow.state, flow.nonce, flow.verifier)
    kept = base64.urlsafe_b64encode(msgspec.json.encode(flow)).decode()
    cookie = Cookie(
        key=f"{doorkeeper.cookie}_flow",
        value=doorkeeper.gatekeeper.sealed(kept),
        path="/",
        max_age=60 * MINUTES,
        httponly=True,
        samesite="lax",  # It must come along when the provider sends the browser back.
        secure=doorkeeper.secure,
    )
    return Response("", status_code=303, headers={"Location": quote(address, safe=":/?&=%+-._~")}, cookies=[cookie])


@get(BACK, opt={"policy": Policy.OPEN}, media_type=MediaType.HTML)
async def come_back(request: Request[Any, Any, State], state: State, code: FromQuery[str] = "") -> Response[str]:
    """Open a session for whom the provider vouches."""
    doorkeeper, vouching = doorkeeper_of(state), _vouching(state)
    flow = _flow(doorkeeper.gatekeeper.unsealed(request.cookies.get(f"{doorkeeper.cookie}_flow", "")))
    given = request.query_params.get("state", "")
    if flow is None or not code or not secrets.compare_digest(given.encode(), flow.state.encode()):
        raise Unauthenticated("this browser has not begun to sign in here", hint="Open /sign-in and begin again.")
    redirect = _back(request)

    def admitted() -> Caller:
        caller = vouching.sign_in(vouching.provider.redeem(code, redirect, flow.nonce, flow.verifier))
        note_sign_in(cast(Workspace, state["workspace"]), caller, "oidc", address_of(request))
        return caller

    caller = await asyncio.to_thread(admitted)
    doorkeeper.gatekeeper.forget()
    gone = Cookie(key=f"{doorkeeper.cookie}_flow", value="", path="/", max_age=0, secure=doorkeeper.secure)
    # A page and no redirection: the cookie is only sent where a page of this server asks.
    return Response(
        signed_in_page(caller.name),
        media_type=MediaType.HTML,
        headers=PAGE_HEADERS,
        cookies=[session_cookie(doorkeeper, caller), gone],
    )


def _vouching(state: State) -> Vouching:
    found = cast("Vouching | None", state.get("vouching"))
    if found is None:
        raise NotFound("no OpenID provider is configured", code="oidc.none", hint="Write [oidc] into charkh.toml.")
    return found


def _back(request: Request[Any, Any, State]) -> str:
    """Where the provider sends the browser back to: a name that the door has let in."""
    scheme = "https" if doorkeeper_of(request.app.state).secure else "http"
    return f"{scheme}://{request.headers.get('host', '')}{BACK}"


def _flow(kept: str) -> Flow | None:
    try:
        flow = msgspec.json.decode(base64.urlsafe_b64decode(kept), type=Flow) if kept else None
    except (msgspec.MsgspecError, ValueError):
        return None
    return flow if flow is not None and time.time() < flow.until else None


HANDLERS = (begin, come_back)
