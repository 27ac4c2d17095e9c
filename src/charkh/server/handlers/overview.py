"""`/`: the plain overview page, signing in by the link that `charkh up` prints, signing out, and liveness."""

import asyncio
from typing import Any, cast

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.exceptions import NotAuthorizedException

from charkh.core.events import Draft
from charkh.server.asking import asked_by
from charkh.server.handlers.opened import doorkeeper_of, workspace_of
from charkh.server.page import PAGE_HEADERS, overview_page, sign_in_page, visitor_page
from charkh.server.policy import Doorkeeper, Policy
from charkh.users.caller import Caller
from charkh.users.user import SIGNED_IN_KIND, UserSignedIn
from charkh.workspace.overview import overview
from charkh.workspace.workspace import Workspace

NOBODY = "owner"


@get("/api/health", opt={"policy": Policy.OPEN}, sync_to_thread=False)
def health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@get("/", opt={"policy": Policy.OPEN}, media_type=MediaType.HTML)
async def show_overview(request: Request[Any, Any, State], state: State) -> Response[str]:
    """The overview for whoever has a token; a page that says how to get one for everybody else."""
    doorkeeper = doorkeeper_of(state)
    shown = doorkeeper.gatekeeper.holder_of(request.query_params.get("token", ""))
    if shown is not None:
        # The token leaves the address bar at once; from now on the cookie stands for it.
        await asyncio.to_thread(note_sign_in, cast(Workspace, state["workspace"]), shown, "link", address_of(request))
        return Response(
            "", status_code=303, headers={**PAGE_HEADERS, "Location": "/"}, cookies=[session_cookie(doorkeeper, shown)]
        )
    try:
        caller = doorkeeper.holder_of(request)
    except NotAuthorizedException:
        providers = state.get("vouching") is not None
        return Response(
            sign_in_page(by_provider=providers), status_code=401, media_type=MediaType.HTML, headers=PAGE_HEADERS
        )
    if not caller.may_everywhere("reader"):
        return Response(visitor_page(caller.name), media_type=MediaType.HTML, headers=PAGE_HEADERS)
    asked_by(caller)
    page = await asyncio.to_thread(lambda: overview_page(overview(workspace_of(state))))
    return Response(page, media_type=MediaType.HTML, headers=PAGE_HEADERS)


@post(
    "/api/sign-out",
    opt={"policy": Policy.WRITE, "role": "reader", "scoped": True},
    status_code=204,
)
async def sign_out(request: Request[Any, Any, State], state: State) -> Response[None]:
    """End the session of this browser, for whoever has its cookie."""
    doorkeeper = doorkeeper_of(state)
    await asyncio.to_thread(doorkeeper.gatekeeper.end_session, request.cookies.get(doorkeeper.cookie, ""))
    gone = Cookie(key=doorkeeper.cookie, value="", path="/", max_age=0, secure=doorkeeper.secure, httponly=True)
    return Response(None, cookies=[gone], status_code=204)


def session_cookie(doorkeeper: Doorkeeper, caller: Caller) -> Cookie:
    """The cookie of a browser that has shown who it is."""
    return Cookie(
        key=doorkeeper.cookie,
        value=doorkeeper.gatekeeper.session_of(caller),
        path="/",
        httponly=True,
        samesite="strict",
        secure=doorkeeper.secure,
    )


def note_sign_in(workspace: Workspace, caller: Caller, how: str, address: str) -> None:
    """Record that somebody opened a session."""
    body = UserSignedIn(user=caller.user, how=how, address=address)
    workspace.store.record(Draft(kind=SIGNED_IN_KIND, subject=f"user:{caller.user or NOBODY}", body=body))


def address_of(request: Request[Any, Any, State]) -> str:
    """Where a request came from."""
    return request.client.host if request.client is not None else ""


HANDLERS = (health, show_overview, sign_out)
