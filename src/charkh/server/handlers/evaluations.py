"""`/api/evaluations`: scores with their intervals."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.evaluations.evaluation import Evaluation
from charkh.evaluations.index import Evaluations
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


@get("/api/evaluations", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_evaluations(state: State, model: FromQuery[str] = "") -> tuple[Evaluation, ...]:
    """Evaluations, newest first; of one model where its name is given."""
    return workspace_of(state).store.queries.ask(Evaluations(model=model))


HANDLERS = (list_evaluations,)
