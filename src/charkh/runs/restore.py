"""Take a run out of the trash."""

from charkh.core.errors import Conflict
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.find import by_id, find
from charkh.runs.projects import find_project
from charkh.runs.run import RESTORED_KIND, Run, RunRestored


def restore_run(store: Store, ref: str) -> Run:
    """Let the run in the trash that `ref` means be found again, and return it.

    Raises:
        NotFound: there is no such run in the trash, or its bytes have been freed.
        Conflict: `ref` means several, or the run's whole project is in the trash.
        Unavailable: the store cannot be written.
    """
    run = find(store, ref, deleted=True)
    project = find_project(store, run.project)
    if project.deleted is not None:
        raise Conflict(
            f"run {run.id} is in the trash with its project {project.name!r}",
            code="project.deleted",
            hint=f"Restore the project: charkh project restore {project.name!r}",
        )
    store.record(Draft(kind=RESTORED_KIND, subject=run.subject, body=RunRestored(run=run.id)), durable=True)
    return by_id(store, run.id)
