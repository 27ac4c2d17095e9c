"""`/api/studies`: searches over parameters, with their trials."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.core.errors import NotFound
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy
from charkh.studies.index import Studies, StudyById
from charkh.studies.study import StudyRecord


@get("/api/studies", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_studies(state: State, name: FromQuery[str] = "", limit: FromQuery[int] = 100) -> tuple[StudyRecord, ...]:
    """Studies, newest first; of one name where it is given."""
    return workspace_of(state).store.queries.ask(Studies(name=name, limit=limited(limit)))


@get("/api/studies/study", opt={"policy": Policy.READ}, sync_to_thread=True)
def show_study(state: State, study: FromQuery[str]) -> StudyRecord:
    """One study, by its id."""
    found = workspace_of(state).store.queries.ask(StudyById(study=study.removeprefix("study:")))
    if found is None:
        raise NotFound(f"there is no study {study}", code="study.not_found", hint="/api/studies lists them.")
    return found


HANDLERS = (list_studies, show_study)
