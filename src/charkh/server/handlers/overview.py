"""`/`: the plain overview page, signing in by the link that `charkh up` prints, and liveness."""

from litestar import MediaType, Request, Response, get
from litestar.datastructures import Cookie, State

from charkh.server.handlers.opened import doorkeeper_of, workspace_of
from charkh.server.page import PAGE_HEADERS, overview_page, sign_in_page
from charkh.server.policy import Policy
from charkh.workspace.overview import overview


@get("/api/health", opt={"policy": Policy.OPEN}, sync_to_thread=False)
def health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@get("/", opt={"policy": Policy.OPEN}, media_type=MediaType.HTML, sync_to_thread=True)
def show_overview(request: Request[object, object, State], state: State) -> Response[str]:
    """The overview for whoever has the token; a page that says how to get it for everybody else."""
    doorkeeper = doorkeeper_of(state)
    if doorkeeper.knows(request.query_params.get("token", "")):
        # The token leaves the address bar at once; from now on the cookie stands for it.
        cookie = Cookie(key=doorkeeper.cookie, value=doorkeeper.session, path="/", httponly=True, samesite="strict")
        return Response("", status_code=303, headers={**PAGE_HEADERS, "Location": "/"}, cookies=[cookie])
    if not doorkeeper.knows_session(request) and not doorkeeper.knows_bearer(request.headers.get("authorization", "")):
        return Response(sign_in_page(), status_code=401, media_type=MediaType.HTML, headers=PAGE_HEADERS)
    page = overview_page(overview(workspace_of(state)))
    return Response(page, media_type=MediaType.HTML, headers=PAGE_HEADERS)


HANDLERS = (health, show_overview)
