"""Delete a run: it goes into the trash and is found no more; nothing is freed before `purge_runs`."""

from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.find import by_id, find
from charkh.runs.run import MAX_TEXT, TRASHED_KIND, Run, RunTrashed, bounded_text


def delete_run(store: Store, ref: str, *, reason: str = "") -> Run:
    """Put the run that `ref` means into the trash, and return it; a process that still writes it goes on.

    Raises:
        NotFound: there is no such run, or it is in the trash.
        Conflict: `ref` means several.
        Unavailable: the store cannot be written.
    """
    run = find(store, ref)
    body = RunTrashed(run=run.id, reason=bounded_text(reason, "reason", MAX_TEXT))
    store.record(Draft(kind=TRASHED_KIND, subject=run.subject, body=body), durable=True)
    return by_id(store, run.id)
