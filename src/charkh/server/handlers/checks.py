"""`/api/checks`: what was checked, and what failed."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.checks.check import Check
from charkh.checks.find import find
from charkh.checks.index import Checks
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy


@get("/api/checks", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_checks(
    state: State, name: FromQuery[str] = "", about: FromQuery[str] = "", limit: FromQuery[int] = 100
) -> tuple[Check, ...]:
    """Checks, newest first; of one suite, or about one subject, where these are given."""
    return workspace_of(state).store.queries.ask(Checks(name=name, about=about, limit=limited(limit)))


@get("/api/checks/check", opt={"policy": Policy.READ}, sync_to_thread=True)
def show_check(state: State, ref: FromQuery[str]) -> Check:
    """The check that a reference means."""
    return find(workspace_of(state).store, ref)


HANDLERS = (list_checks, show_check)
