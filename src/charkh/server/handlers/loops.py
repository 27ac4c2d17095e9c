"""`/api/loops`: decisions and their reasons; turning a loop by hand."""

from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.loops.index import Decisions, Loops
from charkh.loops.loop import Decision
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.workspace.turning import turn_loop


@get("/api/loops", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_loops(state: State) -> tuple[Decision, ...]:
    """The newest decision of each loop."""
    return workspace_of(state).store.queries.ask(Loops())


@get("/api/loops/history", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_decisions(state: State, name: FromQuery[str] = "") -> tuple[Decision, ...]:
    """Decisions, newest first."""
    return workspace_of(state).store.queries.ask(Decisions(loop=name))


@post("/api/loops/turn", opt={"policy": Policy.WRITE}, sync_to_thread=True, status_code=200)
def turn(state: State, name: FromQuery[str]) -> Decision:
    """Turn a loop once by hand; its brakes and its gate hold all the same."""
    return turn_loop(workspace_of(state), name, by_hand=True)


HANDLERS = (list_loops, list_decisions, turn)
